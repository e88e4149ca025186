//! A directory → changes in a redb file: one thread writes whatever has come in meanwhile, syncs once, and says so to all.
//!
//! After a write that failed nothing is written any more: what the file holds then is for the next start to find out.

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io,
    path::Path,
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use portcullis::clock::UnixTime;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition, backends::FileBackend,
};
use tokio::sync::oneshot;

use super::{Change, Kept};

/// The version of the layout below, and the key that signs tokens.
const SERVICE: TableDefinition<&str, &[u8]> = TableDefinition::new("service");
/// By agent, all that there is to say of it, in JSON.
const AGENTS: TableDefinition<&str, &[u8]> = TableDefinition::new("agents");
/// By agent, how many tokens it was issued, in JSON.
const ISSUED: TableDefinition<&str, &[u8]> = TableDefinition::new("issued");
/// When they expire, and their `jti`: in the order in which they can be forgotten.
const REVOKED: TableDefinition<(u64, &str), ()> = TableDefinition::new("revoked");

const FILE: &str = "agent_idp.redb";

const LAYOUT: (&str, &[u8]) = ("layout", b"1");
const SIGNING_KEY: &str = "signing key";

/// For how long after its expiry a token is remembered: a clock may be set back.
const SPARE: Duration = Duration::from_secs(24 * 60 * 60);

/// At most that many changes are written at once.
const BATCH: usize = 1024;

/// More is not worth it: the file is read once, at the start.
const CACHE: usize = 16 * 1024 * 1024;

/// A change, and whom to tell that it is kept.
type Pending = (Change, oneshot::Sender<()>);

/// The file, and the thread that writes it.
pub(crate) struct Disk {
    pending: Option<Sender<Pending>>,
    writer: Option<JoinHandle<()>>,
}

impl Disk {
    pub(super) fn open(dir: &Path) -> Result<(Self, Kept), Box<dyn Error>> {
        private_dir(dir)?;
        let path = dir.join(FILE);
        let file = private_file(&path)?;
        let opened = FileBackend::new(file).and_then(|backend| {
            // A damaged file is an error, not a panic.
            Database::builder().set_cache_size(CACHE).set_check_integrity_on_open(true).create_with_backend(backend)
        });
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => "another process is using it".into(),
            error => Box::<dyn Error>::from(error),
        })?;
        // The name of a new file has to survive as well.
        File::open(dir)?.sync_all()?;
        let kept = read(&database)?;
        let (sender, receiver) = mpsc::channel();
        let writer = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || write(&receiver, |changes| commit(&database, changes)))?;
        Ok((Self { pending: Some(sender), writer: Some(writer) }, kept))
    }

    /// The sender is dropped where the change was not written.
    pub(super) fn put(&self, change: Change) -> oneshot::Receiver<()> {
        let (done, kept) = oneshot::channel();
        if let Some(pending) = &self.pending {
            let _ = pending.send((change, done));
        }
        kept
    }

    pub(super) fn is_well(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| !writer.is_finished())
    }
}

impl Drop for Disk {
    /// Waits for what has come in, and closes the file.
    fn drop(&mut self) {
        self.pending = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Writes until nobody is left who could have something to write.
fn write(pending: &Receiver<Pending>, commit: impl Fn(&[Change]) -> Result<(), Box<dyn Error>>) {
    while let Ok(first) = pending.recv() {
        let (changes, waiting): (Vec<_>, Vec<_>) =
            std::iter::once(first).chain(pending.try_iter().take(BATCH - 1)).unzip();
        if let Err(error) = commit(&changes) {
            tracing::error!("nothing is written down any more: {error}");
            return;
        }
        for done in waiting {
            // Whoever has gone away meanwhile need not know.
            let _ = done.send(());
        }
    }
}

/// All of them or none, and synced.
fn commit(database: &Database, changes: &[Change]) -> Result<(), Box<dyn Error>> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    for change in changes {
        match change {
            Change::SigningKey(der) => {
                transaction.open_table(SERVICE)?.insert(SIGNING_KEY, der.as_slice())?;
            }
            Change::Agent(agent) => {
                let json = serde_json::to_vec(agent)?;
                transaction.open_table(AGENTS)?.insert(agent.id.as_str(), json.as_slice())?;
            }
            Change::Issued { client_id, issued } => {
                let json = serde_json::to_vec(issued)?;
                transaction.open_table(ISSUED)?.insert(client_id.as_str(), json.as_slice())?;
            }
            Change::Revoked { token_id, expires_at, now } => {
                let mut revoked = transaction.open_table(REVOKED)?;
                revoked.insert((expires_at.as_secs(), token_id.as_str()), ())?;
                let over = now.saturating_sub(SPARE).as_secs();
                revoked.retain_in((0, "")..(over, ""), |_, ()| false)?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Everything; and makes what is not there.
fn read(database: &Database) -> Result<Kept, Box<dyn Error>> {
    let transaction = database.begin_write()?;
    {
        let mut service = transaction.open_table(SERVICE)?;
        let known = service.get(LAYOUT.0)?.map(|version| version.value() == LAYOUT.1);
        match known {
            None => service.insert(LAYOUT.0, LAYOUT.1).map(drop)?,
            Some(true) => {}
            Some(false) => return Err("it was written by another version".into()),
        }
        transaction.open_table(AGENTS)?;
        transaction.open_table(ISSUED)?;
        transaction.open_table(REVOKED)?;
    }
    transaction.commit()?;

    let transaction = database.begin_read()?;
    let (agents, issued) = (transaction.open_table(AGENTS)?, transaction.open_table(ISSUED)?);
    let signing_key = transaction.open_table(SERVICE)?.get(SIGNING_KEY)?.map(|der| der.value().to_vec());
    let mut kept = Kept { signing_key, ..Kept::default() };
    for row in agents.iter()? {
        let (id, agent) = row?;
        let count = issued.get(id.value())?.map(|issued| serde_json::from_slice(issued.value())).transpose()?;
        kept.agents.push((serde_json::from_slice(agent.value())?, count.unwrap_or_default()));
    }
    for row in transaction.open_table(REVOKED)?.iter()? {
        let (key, _) = row?;
        let (expires_at, token_id) = key.value();
        kept.revoked.push((token_id.to_owned(), UnixTime::from_secs(expires_at)));
    }
    Ok(kept)
}

/// A directory of ours alone, where we make it.
fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// A file that nobody else may read: it holds the key that signs tokens.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // One that was copied here may be open to all.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use uuid::Uuid;

    use super::*;

    fn revoked(token_id: &str, expires_at: u64, now: u64) -> Change {
        let (expires_at, now) = (UnixTime::from_secs(expires_at), UnixTime::from_secs(now));
        Change::Revoked { token_id: token_id.to_owned(), expires_at, now }
    }

    #[test]
    fn what_comes_in_together_is_written_together_and_in_order() {
        let (sender, receiver) = mpsc::channel();
        let waiting: Vec<_> = (0..1000)
            .map(|number| {
                let (done, kept) = oneshot::channel();
                sender.send((revoked(&number.to_string(), number, 0), done)).unwrap();
                kept
            })
            .collect();
        drop(sender);
        let commits = RefCell::new(Vec::new());
        write(&receiver, |changes| {
            let number = |change: &Change| match change {
                Change::Revoked { expires_at, .. } => expires_at.as_secs(),
                _ => u64::MAX,
            };
            commits.borrow_mut().push(changes.iter().map(number).collect::<Vec<_>>());
            Ok(())
        });
        assert_eq!(commits.into_inner(), [(0..1000).collect::<Vec<_>>()]);
        assert!(waiting.into_iter().all(|mut kept| kept.try_recv().is_ok()));
    }

    #[test]
    fn after_a_write_that_failed_nothing_is_written_and_nobody_told_that_it_was() {
        let (sender, receiver) = mpsc::channel();
        let ((first, mut one), (second, mut other)) = (oneshot::channel(), oneshot::channel());
        sender.send((revoked("one", 1, 0), first)).unwrap();
        let commits = RefCell::new(0);
        write(&receiver, |_| {
            *commits.borrow_mut() += 1;
            Err("no room".into())
        });
        drop(receiver);
        assert!(sender.send((revoked("other", 1, 0), second)).is_err());
        assert_eq!(commits.into_inner(), 1);
        assert!(one.try_recv().is_err() && other.try_recv().is_err());
    }

    #[test]
    fn revocations_are_kept_until_long_after_their_tokens_expired() {
        let dir = std::env::temp_dir().join(Uuid::new_v4().to_string());
        let put = |changes: Vec<Change>| {
            let (disk, kept) = Disk::open(&dir).unwrap();
            changes.into_iter().for_each(|change| disk.put(change).blocking_recv().unwrap());
            kept.revoked.into_iter().map(|(token_id, expires_at)| (token_id, expires_at.as_secs())).collect::<Vec<_>>()
        };
        let day = 24 * 60 * 60;
        assert_eq!(put(vec![revoked("late", 2000, 1), revoked("early", 1000, 1)]), []);
        let both = [("early".to_owned(), 1000), ("late".to_owned(), 2000)];
        assert_eq!(put(vec![revoked("early", 1000, 1000 + day)]), both);
        assert_eq!(put(vec![revoked("new", 3000 + day, 1001 + day)]), both);
        assert_eq!(put(vec![]), [both[1].clone(), ("new".to_owned(), 3000 + day)]);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_of_another_layout_is_left_alone() {
        let dir = std::env::temp_dir().join(Uuid::new_v4().to_string());
        drop(Disk::open(&dir).unwrap());
        let database = Database::create(dir.join(FILE)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(SERVICE).unwrap().insert(LAYOUT.0, &b"2"[..]).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let Err(error) = Disk::open(&dir) else { panic!("it was opened") };
        assert!(error.to_string().contains("another version"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }
}
