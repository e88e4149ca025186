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
    let messages = reading.beat(cursor, Some(UnixTime::from_secs(5)))?;
    Ok(messages.last().expect("a heartbeat").cursor())
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
    assert_eq!(proof, [FeedMessage::heartbeat(proof[0].cursor()).as_of(UnixTime::from_secs(7))]);
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
    let suspended = |seq: u64, seconds: u64| {
        let mut entry = of("suspended", seq, &format!("g{seq}"));
        entry.at = Some(UnixTime::from_secs(1_900_000_000 + seconds));
        entry
    };
    let mut reading = beginning();
    for seq in 1..1000 {
        reading.entry(&suspended(seq, seq)).unwrap();
        beat(&mut reading, seq).unwrap();
    }
    assert!(reading.suspended.len() <= 121, "{}", reading.suspended.len());
    for seq in 1000..1000 + 2 * most {
        reading.entry(&suspended(seq, 1001)).unwrap();
    }
    assert!(reading.suspended.len() <= 2 * MOST_SEEN);
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

/// Something happened to a grant.
fn of(action: &str, seq: u64, grant: &str) -> Entry {
    let at = "2030-03-17T17:46:40Z";
    serde_json::from_value(json!({ "seq": seq, "action": action, "grantId": grant, "jti": null, "at": at })).unwrap()
}

/// The start, with nothing before it.
fn beginning() -> Reading {
    let numbers = Numbers::default();
    Reading::after(numbers.next(Anchor::default()), &numbers, "i").unwrap()
}

/// The grants that a beat says were resumed.
fn resumed_by_a_beat(reading: &mut Reading) -> Vec<RevocationEvent> {
    let last = reading.last;
    let greatest = reading.greatest;
    let messages = reading.beat(greatest, Some(UnixTime::from_secs(5))).unwrap();
    let (beat, events) = messages.split_last().unwrap();
    assert!(beat.is_heartbeat() && beat.cursor() == reading.last);
    let mut previous = last;
    let mut read = Vec::new();
    for message in events {
        let event = ["a", "b", "c"].map(|grant| RevocationEvent::Resumed(of_grant(grant)));
        let event =
            event.into_iter().find(|event| *message == FeedMessage::event(event.clone(), previous, message.cursor()));
        read.push(event.expect("a grant that is resumed, and follows what came before"));
        previous = message.cursor();
    }
    read
}

fn of_grant(grant: &str) -> Revocation {
    Revocation::grant(Some("i"), grant).revoked_at(UnixTime::from_secs(1_900_000_000))
}

#[test]
fn what_is_resumed_waits_for_the_end_of_the_log_and_for_what_came_later_threat_16() {
    type Row = (&'static [(&'static str, u64)], bool);
    let rows: [Row; 9] = [
        (&[("resumed", 1)], true),
        (&[("suspended", 1), ("resumed", 2)], true),
        (&[("resumed", 1), ("suspended", 2)], false),
        (&[("suspended", 1), ("resumed", 2), ("suspended", 3), ("resumed", 4)], true),
        // As they may arrive: what was written later counts.
        (&[("resumed", 2), ("suspended", 1)], true),
        (&[("suspended", 2), ("resumed", 1)], false),
        (&[("suspended", 3), ("suspended", 1), ("resumed", 2)], false),
        (&[("suspended", 1), ("resumed", 2), ("suspended", 1), ("resumed", 2)], true),
        (&[("resumed", 1), ("burnt", 2)], false),
    ];
    for (entries, is_resumed) in rows {
        let mut reading = beginning();
        for (action, seq) in entries {
            let message = reading.entry(&of(action, *seq, "a")).unwrap();
            assert!(message.is_none() || *action != "resumed", "{entries:?}");
            reading.entry(&of("suspended", 100 + seq, "other")).unwrap();
            assert!(reading.suspended.len() <= 2);
        }
        let expected: &[_] = if is_resumed { &[RevocationEvent::Resumed(of_grant("a"))] } else { &[] };
        assert_eq!(resumed_by_a_beat(&mut reading), expected, "{entries:?}");
        assert_eq!(resumed_by_a_beat(&mut reading), [], "once");
    }
    let mut reading = beginning();
    for (seq, grant) in [(3, "c"), (1, "a"), (2, "b")] {
        reading.entry(&of("resumed", seq, grant)).unwrap();
    }
    let all = ["a", "b", "c"].map(|grant| RevocationEvent::Resumed(of_grant(grant)));
    assert_eq!(resumed_by_a_beat(&mut reading), all);
}

#[test]
fn what_may_be_a_repetition_resumes_nothing() {
    let mut reading = beginning();
    reading.entry(&of("resumed", 1, "a")).unwrap();
    assert_eq!(resumed_by_a_beat(&mut reading).len(), 1);
    let most = u64::try_from(MOST_SEEN).unwrap();
    let mut filler = of("suspended", 0, "b");
    for seq in 2..=most + 1 {
        filler.seq = seq;
        reading.entry(&filler).unwrap();
    }
    // The first would not be recognised any more.
    assert_eq!(reading.entry(&of("resumed", 1, "a")), Ok(None));
    assert_eq!(resumed_by_a_beat(&mut reading), []);
}

#[test]
fn no_more_is_resumed_than_can_be_remembered_threat_20() {
    let mut reading = beginning();
    for seq in 1..=u64::try_from(MOST_RESUMED).unwrap() {
        reading.entry(&of("resumed", seq, &format!("g{seq}"))).unwrap();
    }
    assert_eq!(reading.entry(&of("resumed", 1 << 20, "one more")), Err(FeedError::Gap));
}

#[test]
fn what_one_connection_has_read_the_next_is_told_again_threat_16() {
    type Row = (&'static [(u64, &'static str)], Result<(), FeedError>);
    let rows: [Row; 6] = [
        (&[(10, "g10"), (11, "g11"), (12, "g12")], Ok(())),
        (&[(11, "g11"), (10, "g10"), (12, "g12"), (13, "g13")], Ok(())),
        (&[(10, "g10"), (11, "g11")], Err(FeedError::Gap)),
        (&[(10, "g10"), (12, "g12")], Err(FeedError::Gap)),
        (&[(10, "g10"), (11, "other"), (12, "g12")], Err(FeedError::Gap)),
        (&[], Err(FeedError::Gap)),
    ];
    for (entries, expected) in rows {
        for breaks_off in [false, true] {
            let (numbers, _, mut reading) = from(&entry(9, 0));
            for seq in [9, 10, 11, 12] {
                reading.entry(&entry(seq, 0)).unwrap();
            }
            let mut last = reading.last;
            drop(reading);
            if breaks_off {
                // A connection that ended before it said anything new.
                let mut reading = Reading::after(last, &numbers, "i").unwrap();
                reading.entry(&entry(9, 0)).unwrap();
                reading.entry(&entry(10, 0)).unwrap();
                last = reading.last;
            }
            let mut reading = Reading::after(last, &numbers, "i").unwrap();
            let read = |reading: &mut Reading| {
                reading.entry(&entry(9, 0))?;
                for (seq, grant) in entries {
                    reading.entry(&entry_of(*seq, grant, 0))?;
                }
                let greatest = reading.greatest;
                beat(reading, greatest).map(drop)
            };
            assert_eq!(read(&mut reading), expected, "{entries:?}, breaks off: {breaks_off}");
        }
    }
}

#[test]
fn what_is_remembered_of_connections_is_bounded() {
    let numbers = Numbers::default();
    for _ in 0..50 {
        let cursor = numbers.next(Anchor::default());
        drop(Reading::after(cursor, &numbers, "i").unwrap());
    }
    assert_eq!(numbers.read().len(), MOST_ENDED);
    let cursor = numbers.next(Anchor::default());
    for _ in 0..2 {
        drop(Reading::after(cursor, &numbers, "i").unwrap());
    }
    assert_eq!(numbers.read().iter().filter(|(position, _)| *position == cursor).count(), 1);
}
