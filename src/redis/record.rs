//! An event ↔ what stands in Redis for it: the arguments of the script, the field and value of an entry.

use std::{collections::HashMap, time::Duration};

use crate::{
    clock::UnixTime,
    status::{Revocation, RevocationEvent, RevocationTarget},
};

use super::keys;

/// Scripts count in doubles: from here on they could not tell one second from the next. Such a time counts as none, and
/// then more is refused, for longer.
const LIMIT: u64 = 1 << 53;

/// An event of more bytes is of no token that could be accepted.
const LONGEST: usize = 64 * 1024;

/// By how much the clocks of issuers, publishers and replicas may disagree.
const LEEWAY: Duration = Duration::from_secs(5 * 60);

/// An event as it goes to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    event: RevocationEvent,
    slice: u64,
    bucket: u16,
    json: String,
}

/// It is longer than any that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Record {
    /// What was decided at `now`, unless it says otherwise. A revocation without an expiry gets the one of tokens that live
    /// for `lifetime`, where that is known.
    pub(super) fn new(event: RevocationEvent, now: UnixTime, lifetime: Option<Duration>) -> Result<Self, TooLong> {
        let is_revoked = matches!(event, RevocationEvent::Revoked(_));
        let event = event.map(|about| dated(&about, now, lifetime.filter(|_| is_revoked)));
        let json = serde_json::to_string(&event).ok().filter(|json| json.len() <= LONGEST).ok_or(TooLong)?;
        let about = event.about();
        let (kind, id) = named(about.target());
        let bucket = keys::bucket(kind, about.issuer_identifier(), id);
        Ok(Self { slice: keys::slice(about.expiry(), now), bucket, json, event })
    }

    /// Whether it is about a revocation, and not about a suspension.
    pub(super) const fn is_revocation(&self) -> bool {
        matches!(self.event, RevocationEvent::Revoked(_))
    }

    /// Ten arguments of the script.
    pub(super) fn arguments(&self) -> [Vec<u8>; 10] {
        let about = self.event.about();
        let happened = match self.event {
            RevocationEvent::Revoked(_) => "R",
            RevocationEvent::Suspended(_) => "S",
            RevocationEvent::Resumed(_) => "U",
        };
        let (kind, id) = named(about.target());
        let issuer = about.issuer_identifier().map(|issuer| format!("i{issuer}")).unwrap_or_default();
        let seconds = |time: Option<UnixTime>| time.map(|time| time.to_string()).unwrap_or_default().into_bytes();
        [
            happened.into(),
            kind.to_string().into_bytes(),
            issuer.into_bytes(),
            id.to_vec(),
            seconds(about.latest_issue()),
            seconds(about.expiry()),
            seconds(about.decision()),
            self.slice.to_string().into_bytes(),
            self.bucket.to_string().into_bytes(),
            self.json.clone().into_bytes(),
        ]
    }
}

/// The same with times that a script can count with.
fn dated(about: &Revocation, now: UnixTime, lifetime: Option<Duration>) -> Revocation {
    let countable = |time: Option<UnixTime>| time.filter(|time| time.as_secs() < LIMIT);
    let decided = countable(about.decision()).unwrap_or(now);
    let issued = countable(about.latest_issue());
    let last_issued = issued.unwrap_or_default().max(decided.saturating_add(LEEWAY));
    let end = countable(about.expiry()).or_else(|| countable(Some(last_issued.saturating_add(lifetime?))));
    revocation(about.issuer_identifier(), about.target().clone(), [issued, end, Some(decided)])
}

fn revocation(issuer: Option<&str>, target: RevocationTarget, times: [Option<UnixTime>; 3]) -> Revocation {
    let [issued, end, decided] = times;
    let mut about = Revocation::new(issuer, target);
    if let Some(issued) = issued {
        about = about.issued_up_to(issued);
    }
    if let Some(end) = end {
        about = about.expires_at(end);
    }
    if let Some(decided) = decided {
        about = about.revoked_at(decided);
    }
    about
}

/// A letter for the kind of target, and its id.
fn named(target: &RevocationTarget) -> (char, &[u8]) {
    match target {
        RevocationTarget::TokenId(id) => ('T', id.as_bytes()),
        RevocationTarget::TokenDigest(digest) => ('D', digest),
        RevocationTarget::Session(id) => ('S', id.as_bytes()),
        RevocationTarget::Subject(id) => ('U', id.as_bytes()),
        RevocationTarget::Client(id) => ('C', id.as_bytes()),
        RevocationTarget::Grant(id) => ('G', id.as_bytes()),
        RevocationTarget::Actor(id) => ('A', id.as_bytes()),
        RevocationTarget::Issuer => ('I', &[]),
    }
}

fn target(kind: u8, id: &[u8]) -> Option<RevocationTarget> {
    let text = || std::str::from_utf8(id).ok().map(Into::into);
    Some(match kind {
        b'T' => RevocationTarget::TokenId(text()?),
        b'D' => RevocationTarget::TokenDigest(id.try_into().ok()?),
        b'S' => RevocationTarget::Session(text()?),
        b'U' => RevocationTarget::Subject(text()?),
        b'C' => RevocationTarget::Client(text()?),
        b'G' => RevocationTarget::Grant(text()?),
        b'A' => RevocationTarget::Actor(text()?),
        b'I' if id.is_empty() => RevocationTarget::Issuer,
        _ => return None,
    })
}

/// Issuers by their numbers, as text.
pub(super) type Issuers = HashMap<String, String>;

/// Why an entry could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Its issuer is newer than what we know of them.
    Issuer,
    /// It is not as it should be.
    Malformed,
}

/// What an entry says: a field such as `S7:session`, the kind of target, the number of its issuer and the id, which may
/// hold anything; and a value such as `5||7`: issued up to, expires at, decided at.
pub(super) fn read(field: &[u8], value: &[u8], issuers: &Issuers) -> Result<Revocation, Unread> {
    let colon = field.iter().position(|byte| *byte == b':').ok_or(Unread::Malformed)?;
    let (head, id) = field.split_at(colon);
    let (kind, number) = head.split_first().ok_or(Unread::Malformed)?;
    let number = std::str::from_utf8(number).map_err(|_| Unread::Malformed)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Unread::Malformed);
    }
    let target = id.split_first().and_then(|(_, id)| target(*kind, id)).ok_or(Unread::Malformed)?;
    let issuer = match number {
        "" => None,
        number => Some(issuers.get(number).ok_or(Unread::Issuer)?.as_str()),
    };
    let mut times = value.split(|byte| *byte == b'|').map(time);
    let (Some(issued), Some(end), Some(decided), None) = (times.next(), times.next(), times.next(), times.next())
    else {
        return Err(Unread::Malformed);
    };
    Ok(revocation(issuer, target, [issued?, end?, decided?]))
}

fn time(text: &[u8]) -> Result<Option<UnixTime>, Unread> {
    if text.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = text.and_then(|text| text.parse().ok()).ok_or(Unread::Malformed)?;
    Ok(Some(UnixTime::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    const NOW: u64 = 1_900_000_000;

    /// What the script makes of the arguments: a field and a value, of a target that nothing was known of.
    fn entry(record: &Record) -> (Vec<u8>, Vec<u8>, Issuers) {
        let [_, kind, issuer, id, issued, end, decided, ..] = record.arguments();
        let mut issuers = Issuers::new();
        let mut field = kind;
        if let Some((_, name)) = issuer.split_first() {
            issuers.insert("17".to_owned(), String::from_utf8(name.to_vec()).unwrap());
            field.extend(b"17");
        }
        field.push(b':');
        field.extend(id);
        (field, [issued, end, decided].join(&b'|'), issuers)
    }

    fn targets() -> impl Strategy<Value = RevocationTarget> {
        let id = "\\PC{0,12}|[:|0-9\n\0]{0,8}";
        prop_oneof![
            id.prop_map(|id| RevocationTarget::TokenId(id.into())),
            any::<[u8; 32]>().prop_map(RevocationTarget::TokenDigest),
            id.prop_map(|id| RevocationTarget::Session(id.into())),
            id.prop_map(|id| RevocationTarget::Subject(id.into())),
            id.prop_map(|id| RevocationTarget::Client(id.into())),
            id.prop_map(|id| RevocationTarget::Grant(id.into())),
            id.prop_map(|id| RevocationTarget::Actor(id.into())),
            Just(RevocationTarget::Issuer),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            target in targets(),
            issuer in prop::option::of("\\PC{0,12}"),
            times in any::<[Option<u32>; 3]>(),
        ) {
            let times = times.map(|time| time.map(|time| at(time.into())));
            let about = revocation(issuer.as_deref(), target, times);
            let record = Record::new(RevocationEvent::Revoked(about.clone()), at(NOW), None).unwrap();
            let expected = if about.decision().is_none() { about.revoked_at(at(NOW)) } else { about };
            let (field, value, issuers) = entry(&record);
            prop_assert_eq!(read(&field, &value, &issuers), Ok(expected.clone()));
            // The log says the same.
            let said: RevocationEvent = serde_json::from_str(&record.json).unwrap();
            prop_assert_eq!(said, RevocationEvent::Revoked(expected));
        }

        #[test]
        fn whatever_stands_there_nobody_panics(field in prop::collection::vec(any::<u8>(), 0..40), value in "[0-9|x]{0,30}") {
            let _ = read(&field, value.as_bytes(), &Issuers::new());
        }
    }

    #[test]
    fn a_time_that_a_script_cannot_count_with_is_none() {
        let about = Revocation::subject(None, "u", at(LIMIT)).expires_at(at(u64::MAX)).revoked_at(at(LIMIT));
        let record = Record::new(RevocationEvent::Revoked(about), at(NOW), None).unwrap();
        let expected = Revocation::new(None, RevocationTarget::Subject("u".into())).revoked_at(at(NOW));
        assert_eq!(record.event, RevocationEvent::Revoked(expected));
        let last = Revocation::subject(None, "u", at(LIMIT - 1)).revoked_at(at(1));
        let record = Record::new(RevocationEvent::Revoked(last.clone()), at(NOW), None).unwrap();
        assert_eq!(record.event, RevocationEvent::Revoked(last));
    }

    #[test]
    fn revocations_without_an_expiry_get_one_and_suspensions_none() {
        let hour = Duration::from_secs(3600);
        let end =
            |event| Record::new(event, at(NOW), Some(hour)).unwrap().event.about().expiry().map(UnixTime::as_secs);
        let open = Revocation::session(None, "s");
        assert_eq!(end(RevocationEvent::Revoked(open.clone())), Some(NOW + 300 + 3600));
        assert_eq!(end(RevocationEvent::Revoked(open.clone().revoked_at(at(5)))), Some(5 + 300 + 3600));
        assert_eq!(end(RevocationEvent::Revoked(open.clone().issued_up_to(at(NOW + 9000)))), Some(NOW + 9000 + 3600));
        assert_eq!(end(RevocationEvent::Revoked(open.clone().expires_at(at(7)))), Some(7));
        assert_eq!(end(RevocationEvent::Suspended(open.clone())), None);
        assert_eq!(end(RevocationEvent::Resumed(open)), None);
    }

    #[test]
    fn an_event_that_is_too_long_is_refused() {
        let of =
            |length| Record::new(RevocationEvent::Revoked(Revocation::session(None, &"s".repeat(length))), at(1), None);
        assert!(of(60_000).is_ok());
        assert_eq!(of(LONGEST), Err(TooLong));
    }

    #[test]
    fn an_entry_that_is_not_as_it_should_be_is_not_read_threat_27() {
        let issuers = Issuers::from([("7".to_owned(), "i".to_owned())]);
        let of = |field: &str, value: &str| read(field.as_bytes(), value.as_bytes(), &issuers);
        let expected = Revocation::session(Some("i"), "a:b").expires_at(at(5));
        assert_eq!(of("S7:a:b", "|5|"), Ok(expected));
        assert_eq!(of("S8:a", "||"), Err(Unread::Issuer));
        for (field, value) in [
            ("", "||"),
            (":", "||"),
            ("S7", "||"),
            ("X7:a", "||"),
            ("Sx:a", "||"),
            ("S+7:a", "||"),
            ("I7:a", "||"),
            ("D7:a", "||"),
            ("S7:a", ""),
            ("S7:a", "|"),
            ("S7:a", "|||"),
            ("S7:a", "5|x|"),
            ("S7:a", "+5||"),
            ("S7:a", "-5||"),
            ("S7:a", "99999999999999999999||"),
        ] {
            assert_eq!(of(field, value), Err(Unread::Malformed), "{field} {value}");
        }
        assert_eq!(read(b"S7:\xff", b"||", &issuers), Err(Unread::Malformed));
    }
}
