//! The order that entries are handed on in, and from where the log is read again.

use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::*;

const T0: i64 = 1_900_000_000;

/// Of a grant of that name, written so many seconds after the start.
fn entry_of(seq: u64, grant: &str, seconds: i64) -> Entry {
    let at = OffsetDateTime::from_unix_timestamp(T0 + seconds).unwrap().format(&Rfc3339).unwrap();
    serde_json::from_value(json!({ "seq": seq, "action": "revoked", "grantId": grant, "jti": null, "at": at })).unwrap()
}

fn entry(seq: u64, seconds: i64) -> Entry {
    entry_of(seq, &format!("g{seq}"), seconds)
}

fn anchor(entry: &Entry) -> Anchor {
    Anchor { seq: entry.seq, mark: entry.mark() }
}

/// From an entry on that is known.
fn from(entry: &Entry) -> (Numbers, Cursor, Reading) {
    let numbers = Numbers::default();
    let cursor = numbers.next(anchor(entry));
    let reading = Reading::after(cursor, &numbers, "i").unwrap();
    (numbers, cursor, reading)
}

fn beat(reading: &mut Reading, cursor: u64) -> Result<Cursor, FeedError> {
    reading.beat(cursor, Some(UnixTime::from_secs(5))).map(|message| message.cursor())
}

#[test]
fn messages_are_numbered_in_the_order_in_which_they_are_handed_on() {
    let (_, start, mut reading) = from(&entry(9, 0));
    assert_eq!(reading.announced(), 8, "the entry itself is to come first");
    assert_eq!(reading.entry(&entry(9, 0)), Ok(None));
    let mut last = start;
    // Not the order of the log's numbers.
    for seq in [12, 10, 11] {
        let message = reading.entry(&entry(seq, 1)).unwrap().unwrap();
        let event = entry(seq, 1).event("i").unwrap();
        assert_eq!(message, FeedMessage::event(event, last, message.cursor()));
        assert!(message.cursor() > last);
        last = message.cursor();
    }
    assert_eq!(beat(&mut reading, 12), Ok(last));
    assert_eq!(beat(&mut reading, 12), Ok(last));
}

#[test]
fn what_is_repeated_is_handed_on_once_and_what_has_changed_is_another_log() {
    let (_, _, mut reading) = from(&entry(9, 0));
    reading.entry(&entry(9, 0)).unwrap();
    assert!(reading.entry(&entry(10, 0)).unwrap().is_some());
    assert_eq!(reading.entry(&entry(10, 0)), Ok(None));
    assert_eq!(reading.entry(&entry_of(10, "other", 0)), Err(FeedError::Gap));
}

#[test]
fn a_log_that_does_not_begin_where_we_were_is_another_one_threat_16() {
    let known = entry(9, 0);
    for first in [entry(10, 0), entry(8, 0), entry_of(9, "other", 0), entry(9, 1)] {
        let (_, _, mut reading) = from(&known);
        assert_eq!(reading.entry(&first), Err(FeedError::Gap), "{first:?}");
    }
    // There is no such entry any more.
    let (_, _, mut reading) = from(&known);
    assert_eq!(beat(&mut reading, 9), Err(FeedError::Gap));
    assert_eq!(beat(&mut from(&known).2, 8), Err(FeedError::Gap));
}

#[test]
fn numbers_that_go_backwards_or_ahead_of_what_arrived_are_gaps_threat_16() {
    // What was asked for comes later.
    for seq in [1, 8, 9] {
        let (_, _, mut reading) = from(&entry(9, 0));
        reading.entry(&entry(9, 0)).unwrap();
        assert_eq!(reading.entry(&entry_of(seq, "new", 0)), Err(FeedError::Gap), "{seq}");
    }
    let read = || {
        let (_, _, mut reading) = from(&entry(9, 0));
        reading.entry(&entry(9, 0)).unwrap();
        reading.entry(&entry(11, 0)).unwrap();
        reading
    };
    assert_eq!(beat(&mut read(), 12), Err(FeedError::Gap), "an entry that did not arrive");
    assert_eq!(beat(&mut read(), 7), Err(FeedError::Gap), "before where we began");
    let mut reading = read();
    // The log lags behind what it gave us already.
    assert!(beat(&mut reading, 8).is_ok() && beat(&mut reading, 10).is_ok());
    assert_eq!(reading.announced(), 10);
    assert_eq!(beat(&mut reading, 9), Err(FeedError::Gap), "behind what it said before");
}

#[test]
fn nothing_is_proved_without_a_time() {
    let (_, _, mut reading) = from(&entry(9, 0));
    reading.entry(&entry(9, 0)).unwrap();
    assert!(matches!(reading.beat(9, None), Err(FeedError::Malformed(_))));
    let proof = reading.beat(9, Some(UnixTime::from_secs(7))).unwrap();
    assert_eq!(proof, FeedMessage::heartbeat(proof.cursor()).as_of(UnixTime::from_secs(7)));
}

#[test]
fn the_log_is_read_again_from_before_what_may_still_be_overtaken() {
    let (numbers, start, mut reading) = from(&entry(9, 0));
    reading.entry(&entry(9, 0)).unwrap();
    let mut resumed_at = |seq, seconds| {
        let cursor = reading.entry(&entry(seq, seconds)).unwrap().unwrap().cursor();
        if seq != 17 {
            let greatest = reading.greatest;
            beat(&mut reading, greatest).unwrap();
        }
        numbers.anchor(cursor).unwrap()
    };
    assert_eq!(numbers.anchor(start), Some(anchor(&entry(9, 0))));
    // (number, written at, where to read again afterwards)
    for (seq, seconds, expected) in [
        (10, 0, (9, 0)),
        (12, 30, (9, 0)),
        (13, 59, (9, 0)),
        // A minute after the tenth was written, nothing below it can follow.
        (14, 60, (10, 0)),
        (11, 61, (10, 0)),
        (15, 119, (10, 0)),
        (16, 120, (14, 60)),
        (17, 500, (16, 120)),
        // Nor before the log says that it is complete so far.
        (18, 900, (16, 120)),
        (19, 900, (17, 500)),
    ] {
        assert_eq!(resumed_at(seq, seconds), anchor(&entry(expected.0, expected.1)), "{seq}");
    }
    let again = Reading::after(numbers.next(anchor(&entry(16, 120))), &numbers, "i").unwrap();
    assert_eq!(again.announced(), 15);
}

#[test]
fn what_is_remembered_of_a_log_is_bounded() {
    let (_, _, mut reading) = from(&entry(9, 0));
    reading.entry(&entry(9, 0)).unwrap();
    for seq in 10..1000 {
        reading.entry(&entry(seq, i64::try_from(seq).unwrap())).unwrap();
        beat(&mut reading, seq).unwrap();
    }
    assert!(reading.seen.len() <= 121, "two minutes, of a log with an entry a second");
    let most = u64::try_from(MOST_SEEN).unwrap();
    for seq in 1000..1000 + most + 50 {
        reading.entry(&entry(seq, 1001)).unwrap();
    }
    assert_eq!(reading.seen.len(), MOST_SEEN);
}

#[test]
fn a_position_that_is_none_of_ours_is_a_gap() {
    let numbers = Numbers::default();
    let after = |position| Reading::after(Cursor::new(position), &numbers, "i").map(|reading| reading.announced());
    assert_eq!(after(0), Ok(0), "the start");
    assert_eq!(after(u128::MAX), Err(FeedError::Gap));
    assert_eq!(after(1 << 85), Err(FeedError::Gap));
    let greatest = Anchor { seq: GREATEST, mark: u32::MAX };
    let cursor = numbers.next(greatest);
    assert_eq!(numbers.anchor(cursor), Some(greatest));
    assert!(numbers.next(Anchor::default()) > cursor, "the number comes first");
    assert!(Anchor::at(GREATEST).is_ok() && Anchor::at(GREATEST + 1).is_err());
    assert_eq!((Anchor::at(7).unwrap().since(), Anchor { seq: 7, mark: 1 }.since()), (7, 6));
    let mut reading = Reading::after(numbers.next(Anchor::default()), &numbers, "i").unwrap();
    assert_eq!(reading.entry(&entry(0, 0)), Err(FeedError::Gap), "no number of a log");
    assert!(matches!(reading.entry(&entry(GREATEST + 1, 0)), Err(FeedError::Malformed(_))));
}
