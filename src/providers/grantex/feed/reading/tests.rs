//! The order that entries are handed on in, and what a log has to repeat to be the same one.

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

/// From an entry on that is known.
fn from(entry: &Entry) -> (Readings, Cursor, Reading) {
    let readings = Readings::default();
    let cursor = readings.begin(entry.seq, Some(entry.mark()));
    let reading = readings.resume(cursor).unwrap();
    (readings, cursor, reading)
}

/// Entries that are handed on, of which each is its own number, and repetitions.
fn read(reading: &mut Reading, entry: &Entry) -> Result<Option<Cursor>, FeedError> {
    reading.entry(entry, "i").map(|message| message.map(|message| message.cursor()))
}

fn beat(reading: &mut Reading, cursor: u64) -> Result<Cursor, FeedError> {
    let messages = reading.beat(cursor, Some(UnixTime::from_secs(5)))?;
    Ok(messages.last().expect("a heartbeat").cursor())
}

#[test]
fn messages_are_numbered_in_the_order_in_which_they_are_handed_on() {
    let (_, start, mut reading) = from(&entry(9, 0));
    assert_eq!(reading.announced(), 8, "the entry itself is to come first");
    assert_eq!(read(&mut reading, &entry(9, 0)), Ok(None));
    let mut last = start;
    // Not the order of the log's numbers.
    for seq in [12, 10, 11] {
        let message = reading.entry(&entry(seq, 1), "i").unwrap().unwrap();
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
    read(&mut reading, &entry(9, 0)).unwrap();
    assert!(read(&mut reading, &entry(10, 0)).unwrap().is_some());
    assert_eq!(read(&mut reading, &entry(10, 0)), Ok(None));
    assert_eq!(read(&mut reading, &entry_of(10, "other", 0)), Err(FeedError::Gap));
}

#[test]
fn a_log_that_does_not_repeat_what_we_have_read_of_it_is_another_one_threat_16() {
    let known = entry(9, 0);
    for first in [entry(8, 0), entry_of(9, "other", 0), entry(9, 1)] {
        assert_eq!(read(&mut from(&known).2, &first), Err(FeedError::Gap), "{first:?}");
    }
    // There is no such entry any more.
    let (_, _, mut reading) = from(&known);
    read(&mut reading, &entry(10, 0)).unwrap();
    assert_eq!(beat(&mut reading, 9), Err(FeedError::Gap));
    // What was read on one connection is to come again on the next.
    let again = |repeated: &[u64]| {
        let (readings, _, mut reading) = from(&known);
        for seq in [9, 10, 11] {
            read(&mut reading, &entry(seq, 0)).unwrap();
        }
        beat(&mut reading, 11).unwrap();
        let last = reading.last;
        readings.keep(reading);
        let mut reading = readings.resume(last).unwrap();
        assert_eq!(reading.announced(), 8);
        for seq in repeated {
            assert_eq!(read(&mut reading, &entry(*seq, 0)), Ok(None));
        }
        beat(&mut reading, 11).map(|head| head == last)
    };
    assert_eq!(again(&[9, 10, 11]), Ok(true));
    for repeated in [&[9, 10][..], &[9, 11], &[10, 11], &[]] {
        assert_eq!(again(repeated), Err(FeedError::Gap), "{repeated:?}");
    }
}

/// The same log, on a new connection.
fn reconnected(readings: &Readings, reading: Reading) -> Reading {
    let last = reading.last;
    readings.keep(reading);
    readings.resume(last).unwrap()
}

#[test]
fn what_was_not_repeated_on_one_connection_is_to_be_on_the_one_after_it_threat_16() {
    let (readings, _, mut reading) = from(&entry(9, 0));
    read(&mut reading, &entry(9, 0)).unwrap();
    read(&mut reading, &entry(10, 0)).unwrap();
    let mut reading = reconnected(&readings, reading);
    read(&mut reading, &entry(9, 0)).unwrap();
    let mut reading = reconnected(&readings, reading);
    read(&mut reading, &entry(10, 0)).unwrap();
    assert_eq!(beat(&mut reading, 10), Err(FeedError::Gap));
}

#[test]
fn on_a_new_connection_an_order_may_be_another_and_an_entry_may_not_threat_16() {
    let read_before = || {
        let (readings, _, mut reading) = from(&entry(9, 0));
        for seq in [9, 10, 11] {
            read(&mut reading, &entry(seq, 0)).unwrap();
        }
        reconnected(&readings, reading)
    };
    let mut reading = read_before();
    for (seq, is_new) in [(9, false), (13, true), (11, false), (10, false)] {
        assert_eq!(read(&mut reading, &entry(seq, 0)).unwrap().is_some(), is_new, "{seq}");
    }
    assert!(beat(&mut reading, 13).is_ok());
    let mut reading = read_before();
    read(&mut reading, &entry(9, 0)).unwrap();
    assert_eq!(read(&mut reading, &entry_of(10, "other", 0)), Err(FeedError::Gap));
}

#[test]
fn what_waits_for_the_end_of_the_log_waits_for_it_on_the_next_connection() {
    for (action, expected) in [("resumed", 1), ("suspended", 0)] {
        let readings = Readings::default();
        let mut reading = readings.resume(readings.begin(0, None)).unwrap();
        let entries = [of("resumed", 2, "a"), of(action, 3, "a")];
        for entry in &entries {
            read(&mut reading, entry).unwrap();
        }
        let mut reading = reconnected(&readings, reading);
        for entry in &entries {
            assert_eq!(read(&mut reading, entry), Ok(None));
        }
        assert_eq!(resumed_by_a_beat(&mut reading).len(), expected, "{action}");
        let mut reading = reconnected(&readings, reading);
        // What is written late, but was before.
        read(&mut reading, &of("resumed", 1, "a")).unwrap();
        for entry in &entries {
            assert_eq!(read(&mut reading, entry), Ok(None));
        }
        assert_eq!(resumed_by_a_beat(&mut reading).len(), expected, "{action}, again");
    }
}

#[test]
fn a_log_of_which_more_would_be_repeated_than_is_recognised_is_not_read_again() {
    let most = u64::try_from(MOST_SEEN).unwrap();
    for (count, expected) in [(most, Ok(9)), (most + 1, Err(FeedError::Gap))] {
        let (readings, _, mut reading) = from(&entry(9, 0));
        read(&mut reading, &entry(9, 0)).unwrap();
        for seq in 10..10 + count {
            read(&mut reading, &entry(seq, 0)).unwrap();
        }
        let last = reading.last;
        readings.keep(reading);
        assert_eq!(readings.resume(last).map(|reading| reading.announced()), expected);
    }
}

#[test]
fn numbers_that_go_backwards_or_ahead_of_what_arrived_are_gaps_threat_16() {
    // What was asked for comes later.
    for seq in [1, 8, 9] {
        let (_, _, mut reading) = from(&entry(9, 0));
        read(&mut reading, &entry(9, 0)).unwrap();
        assert_eq!(read(&mut reading, &entry_of(seq, "new", 0)), Err(FeedError::Gap), "{seq}");
    }
    let begun = || {
        let (_, _, mut reading) = from(&entry(9, 0));
        read(&mut reading, &entry(9, 0)).unwrap();
        read(&mut reading, &entry(11, 0)).unwrap();
        reading
    };
    assert_eq!(beat(&mut begun(), 12), Err(FeedError::Gap), "an entry that did not arrive");
    assert_eq!(beat(&mut begun(), 7), Err(FeedError::Gap), "before where we began");
    let mut reading = begun();
    // The log lags behind what it gave us already.
    assert!(beat(&mut reading, 8).is_ok() && beat(&mut reading, 10).is_ok());
    assert_eq!(reading.announced(), 10);
    assert_eq!(beat(&mut reading, 9), Err(FeedError::Gap), "behind what it said before");
}

#[test]
fn nothing_is_proved_without_a_time() {
    let (_, _, mut reading) = from(&entry(9, 0));
    read(&mut reading, &entry(9, 0)).unwrap();
    assert!(matches!(reading.beat(9, None), Err(FeedError::Malformed(_))));
    let proof = reading.beat(9, Some(UnixTime::from_secs(7))).unwrap();
    assert_eq!(proof, [FeedMessage::heartbeat(proof[0].cursor()).as_of(UnixTime::from_secs(7))]);
}

#[test]
fn the_log_is_read_again_from_before_what_may_still_be_overtaken() {
    let (readings, _, mut reading) = from(&entry(9, 0));
    read(&mut reading, &entry(9, 0)).unwrap();
    // (number, written at, where to read again afterwards)
    for (seq, seconds, expected) in [
        (10, 0, 9),
        (12, 30, 9),
        (13, 59, 9),
        // A minute after the tenth was written, nothing below it can follow.
        (14, 60, 10),
        (11, 61, 10),
        (15, 119, 10),
        (16, 120, 14),
        (17, 500, 16),
        // Nor before the log says that it is complete so far.
        (18, 900, 16),
        (19, 900, 17),
    ] {
        read(&mut reading, &entry(seq, seconds)).unwrap();
        if seq != 17 {
            let greatest = reading.greatest;
            beat(&mut reading, greatest).unwrap();
        }
        assert_eq!(reading.anchor, expected, "{seq}");
    }
    assert_eq!(reading.seen.keys().copied().collect::<Vec<_>>(), [17, 18, 19]);
    let last = reading.last;
    readings.keep(reading);
    assert_eq!(readings.resume(last).unwrap().announced(), 16);
}

#[test]
fn what_is_remembered_of_a_log_is_bounded() {
    let (_, _, mut reading) = from(&entry(9, 0));
    read(&mut reading, &entry(9, 0)).unwrap();
    for seq in 10..1000 {
        read(&mut reading, &entry(seq, i64::try_from(seq).unwrap())).unwrap();
        beat(&mut reading, seq).unwrap();
    }
    assert!(reading.seen.len() <= 122, "two minutes, of a log with an entry a second");
    let most = u64::try_from(MOST_SEEN).unwrap();
    for seq in 1000..1000 + most + 50 {
        read(&mut reading, &entry(seq, 1001)).unwrap();
    }
    assert_eq!(reading.seen.len(), MOST_SEEN);
    let suspended = |seq: u64, seconds: u64| {
        let mut entry = of("suspended", seq, &format!("g{seq}"));
        entry.at = Some(UnixTime::from_secs(1_900_000_000 + seconds));
        entry
    };
    let mut reading = beginning();
    for seq in 1..1000 {
        read(&mut reading, &suspended(seq, seq)).unwrap();
        beat(&mut reading, seq).unwrap();
    }
    assert!(reading.suspended.len() <= 121, "{}", reading.suspended.len());
    for seq in 1000..1000 + 2 * most {
        read(&mut reading, &suspended(seq, 1001)).unwrap();
    }
    assert!(reading.suspended.len() <= 2 * MOST_SEEN);
}

#[test]
fn a_position_is_read_on_from_once_and_none_of_others_is() {
    let readings = Readings::default();
    assert_eq!(readings.resume(Cursor::START).unwrap_err(), FeedError::Gap);
    assert_eq!(readings.resume(Cursor::new(u128::MAX)).unwrap_err(), FeedError::Gap);
    let cursors: Vec<_> = (0..20).map(|seq| readings.begin(seq, None)).collect();
    assert!(cursors.is_sorted());
    let is_kept = |cursor: &Cursor| readings.resume(*cursor).is_ok();
    assert_eq!(cursors.iter().filter(|cursor| is_kept(cursor)).count(), MOST_KEPT, "the last ones");
    assert!(!cursors.iter().any(is_kept), "each is somebody's now");
}

#[test]
fn an_unknown_entry_is_not_awaited_and_no_number_is_too_great() {
    let readings = Readings::default();
    let mut reading = readings.resume(readings.begin(7, None)).unwrap();
    assert_eq!(reading.announced(), 7);
    assert!(beat(&mut reading, 7).is_ok());
    for seq in [0, 7] {
        assert_eq!(read(&mut reading, &entry(seq, 0)), Err(FeedError::Gap), "{seq} does not come after 7");
    }
    assert!(read(&mut reading, &entry(GREATEST, 0)).is_ok());
    assert!(matches!(read(&mut reading, &entry(GREATEST + 1, 0)), Err(FeedError::Malformed(_))));
}

/// Something happened to a grant.
fn of(action: &str, seq: u64, grant: &str) -> Entry {
    let at = "2030-03-17T17:46:40Z";
    serde_json::from_value(json!({ "seq": seq, "action": action, "grantId": grant, "jti": null, "at": at })).unwrap()
}

/// The start, with nothing before it.
fn beginning() -> Reading {
    let readings = Readings::default();
    readings.resume(readings.begin(0, None)).unwrap()
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
            let message = read(&mut reading, &of(action, *seq, "a")).unwrap();
            assert!(message.is_none() || *action != "resumed", "{entries:?}");
            read(&mut reading, &of("suspended", 100 + seq, "other")).unwrap();
            assert!(reading.suspended.len() <= 2);
        }
        let expected: &[_] = if is_resumed { &[RevocationEvent::Resumed(of_grant("a"))] } else { &[] };
        assert_eq!(resumed_by_a_beat(&mut reading), expected, "{entries:?}");
        assert_eq!(resumed_by_a_beat(&mut reading), [], "once");
    }
    let mut reading = beginning();
    for (seq, grant) in [(3, "c"), (1, "a"), (2, "b")] {
        read(&mut reading, &of("resumed", seq, grant)).unwrap();
    }
    let all = ["a", "b", "c"].map(|grant| RevocationEvent::Resumed(of_grant(grant)));
    assert_eq!(resumed_by_a_beat(&mut reading), all);
}

#[test]
fn what_may_be_a_repetition_resumes_nothing() {
    let mut reading = beginning();
    read(&mut reading, &of("resumed", 1, "a")).unwrap();
    assert_eq!(resumed_by_a_beat(&mut reading).len(), 1);
    let most = u64::try_from(MOST_SEEN).unwrap();
    let mut filler = of("suspended", 0, "b");
    for seq in 2..=most + 1 {
        filler.seq = seq;
        read(&mut reading, &filler).unwrap();
    }
    // The first would not be recognised any more.
    assert_eq!(read(&mut reading, &of("resumed", 1, "a")), Ok(None));
    assert_eq!(resumed_by_a_beat(&mut reading), []);
}

#[test]
fn no_more_is_resumed_than_can_be_remembered_threat_20() {
    let mut reading = beginning();
    for seq in 1..=u64::try_from(MOST_RESUMED).unwrap() {
        read(&mut reading, &of("resumed", seq, &format!("g{seq}"))).unwrap();
    }
    assert_eq!(read(&mut reading, &of("resumed", 1 << 20, "one more")), Err(FeedError::Gap));
}
