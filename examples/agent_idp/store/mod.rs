//! Changes → written down before they are answered, in the order in which they were made.
//!
//! What is current is in memory, with whoever made the change; here is only what a restart must find again.

mod disk;

use std::{error::Error, path::Path};

use portcullis::clock::UnixTime;
use tokio::sync::oneshot;

use super::{agents::Agent, month::Issued};
use disk::Disk;

/// Something that must not be forgotten.
pub(crate) enum Change {
    /// The key that signs tokens, as PKCS#8.
    SigningKey(Vec<u8>),
    /// An agent as it is from now on.
    Agent(Box<Agent>),
    /// How many tokens an agent was issued.
    Issued { client_id: String, issued: Issued },
    /// A token that is not to be accepted any more, until it expires.
    Revoked { token_id: String, expires_at: UnixTime, now: UnixTime },
}

/// What was written down before.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) signing_key: Option<Vec<u8>>,
    pub(crate) agents: Vec<(Agent, Issued)>,
    pub(crate) revoked: Vec<(String, UnixTime)>,
}

/// A change was not written down, as far as we know.
#[derive(Debug)]
pub(crate) struct NotKept;

/// Where changes are written down.
pub(crate) enum Store {
    /// Nowhere.
    Memory,
    Disk(Disk),
}

/// Ready when a change cannot be lost any more.
#[must_use = "nothing is to be promised before it is kept"]
pub(crate) struct Writing(Option<oneshot::Receiver<()>>);

impl Store {
    /// The one in this directory, which is made where there is none, and what is in it.
    pub(crate) fn open(data_dir: Option<&Path>) -> Result<(Self, Kept), Box<dyn Error>> {
        let Some(dir) = data_dir else { return Ok((Self::Memory, Kept::default())) };
        let (disk, kept) = Disk::open(dir).map_err(|error| format!("DATA_DIR={}: {error}", dir.display()))?;
        Ok((Self::Disk(disk), kept))
    }

    /// Takes its place in the order at once.
    pub(crate) fn put(&self, change: Change) -> Writing {
        match self {
            Self::Memory => Writing(None),
            Self::Disk(disk) => Writing(Some(disk.put(change))),
        }
    }

    /// Whether changes can be written down, as far as is known.
    pub(crate) fn is_well(&self) -> bool {
        match self {
            Self::Memory => true,
            Self::Disk(disk) => disk.is_well(),
        }
    }
}

impl Writing {
    pub(crate) async fn kept(self) -> Result<(), NotKept> {
        match self.0 {
            None => Ok(()),
            Some(done) => done.await.map_err(|_| NotKept),
        }
    }
}
