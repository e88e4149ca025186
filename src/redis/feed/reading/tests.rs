//! What answers come to, one after the other.

use super::*;
use crate::status::Revocation;

const SECOND: Duration = Duration::from_secs(1);

fn at(id: u64) -> Cursor {
    Cursor::new(u128::from(id) << 64)
}

fn event(id: u64) -> RevocationEvent {
    RevocationEvent::Revoked(Revocation::session(Some("i"), &id.to_string()))
}

fn entry_of(previous: u64, id: u64) -> Entry {
    Entry { id: at(id), previous: at(previous), event: Some(serde_json::to_string(&event(id)).unwrap()) }
}

fn message(previous: u64, id: u64) -> Ready {
    Ready::Message(FeedMessage::event(event(id), at(previous), at(id)))
}

fn proof(head: u64) -> Proof {
    Proof { head: at(head), asked: SECOND, lag: Duration::ZERO }
}

fn gap() -> Ready {
    Ready::Trouble(FeedError::Gap)
}

/// What becomes ready at position 5 by that.
fn after(said: impl FnOnce(&mut Reading)) -> Vec<Ready> {
    let mut reading = Reading::new(at(5));
    said(&mut reading);
    reading.ready.into()
}

#[test]
fn entries_follow_each_other_or_something_is_missing_threat_16() {
    assert_eq!(after(|reading| reading.read(vec![])), []);
    let two = vec![entry_of(5, 7), entry_of(7, 8)];
    assert_eq!(after(|reading| reading.read(two)), [message(5, 7), message(7, 8)]);
    // Trimmed; of another log, which began anew; what came before is told first.
    assert_eq!(after(|reading| reading.read(vec![entry_of(6, 7)])), [gap()]);
    assert_eq!(after(|reading| reading.read(vec![entry_of(0, 7)])), [gap()]);
    assert_eq!(after(|reading| reading.read(vec![entry_of(5, 7), entry_of(8, 9)])), [message(5, 7), gap()]);
    // Not after it.
    assert_eq!(after(|reading| reading.read(vec![entry_of(5, 5)])), [gap()]);
    // The first of a log.
    let opening = Entry { event: None, ..entry_of(5, 7) };
    assert_eq!(after(|reading| reading.read(vec![opening])), [gap()]);
    let unreadable = Entry { event: Some("{}".to_owned()), ..entry_of(5, 7) };
    let malformed = Ready::Trouble(FeedError::Malformed("an event"));
    assert_eq!(after(|reading| reading.read(vec![unreadable])), [malformed]);
}

#[test]
fn everything_is_known_where_the_log_was_seen_to_end_threat_16() {
    let proved = |head| Ready::Proof(proof(head));
    assert_eq!(after(|reading| reading.seen(proof(5))), [proved(5)]);
    let read = |head, entries: Vec<Entry>| {
        after(|reading| {
            reading.seen(proof(head));
            reading.read(entries);
        })
    };
    assert_eq!(read(5, vec![]), [proved(5)]);
    assert_eq!(read(7, vec![entry_of(5, 7)]), [message(5, 7), proved(7)]);
    // Something was published between the two questions.
    assert_eq!(read(7, vec![entry_of(5, 7), entry_of(7, 8)]), [message(5, 7), proved(7), message(7, 8)]);
    assert_eq!(read(5, vec![entry_of(5, 7)]), [proved(5), message(5, 7)]);
    // The log says that it goes on, and its entries do not: somebody has removed them.
    assert_eq!(read(7, vec![]), [gap()]);
    assert_eq!(read(9, vec![entry_of(5, 7)]), [message(5, 7), gap()]);
    // It goes on at other places.
    assert_eq!(read(8, vec![entry_of(5, 7), entry_of(7, 9)]), [message(5, 7), message(7, 9), gap()]);
    // It is another one, which ends earlier.
    assert_eq!(after(|reading| reading.seen(proof(4))), [gap()]);
}

#[test]
fn a_full_answer_is_not_the_end_of_the_log() {
    let full: Vec<_> = (0..512).map(|number| entry_of(5 + number, 6 + number)).collect();
    let ready = after(|reading| {
        reading.seen(proof(600));
        reading.read(full);
        assert_eq!(reading.position(), at(517));
        reading.read((517..600).map(|number| entry_of(number, number + 1)).collect());
    });
    assert!(!ready.contains(&gap()));
    assert_eq!(ready.last(), Some(&Ready::Proof(proof(600))));
}

#[test]
fn who_lags_behind_a_busy_log_still_comes_to_know_how_far_threat_16() {
    let entries = |from: u64| (from..from + 512).map(|number| entry_of(number, number + 1)).collect();
    let ready = after(|reading| {
        // A check is due again before we are where the log ended at the last one.
        for (head, from) in [(600, 5), (1200, 517), (1800, 1029)] {
            reading.seen(proof(head));
            reading.read(entries(from));
        }
    });
    let proved: Vec<_> = ready.into_iter().filter(|ready| matches!(ready, Ready::Proof(_))).collect();
    assert_eq!(proved, [Ready::Proof(proof(600))]);
    // Where nothing was published meanwhile, the log was seen to end there later, too.
    let later = Proof { asked: 2 * SECOND, ..proof(600) };
    let ready = after(|reading| {
        reading.seen(proof(600));
        reading.read(entries(5));
        reading.seen(later);
        reading.read((517..600).map(|number| entry_of(number, number + 1)).collect());
    });
    assert_eq!(ready.last(), Some(&Ready::Proof(later)));
}

fn texts(texts: &[&str]) -> Value {
    Value::Array(texts.iter().map(|text| Value::BulkString((*text).into())).collect())
}

fn stream(entries: Vec<Value>) -> Value {
    Value::Array(vec![Value::Array(vec![Value::BulkString("log".into()), Value::Array(entries)])])
}

fn raw(id: &str, fields: &[&str]) -> Value {
    Value::Array(vec![Value::BulkString(id.into()), texts(fields)])
}

#[test]
fn a_stream_is_read_and_what_is_none_is_not() {
    assert_eq!(entries(Value::Nil), Ok(vec![]));
    let two = stream(vec![raw("7-0", &["p", "5-1", "e", "x", "later", "y"]), raw("8-2", &["p", "7-0"])]);
    let id = |upper: u128, lower: u128| Cursor::new((upper << 64) | lower);
    let expected = vec![
        Entry { id: id(7, 0), previous: id(5, 1), event: Some("x".to_owned()) },
        Entry { id: id(8, 2), previous: id(7, 0), event: None },
    ];
    assert_eq!(entries(two), Ok(expected));
    for bad in [
        Value::Okay,
        Value::Array(vec![]),
        Value::Array(vec![Value::Nil]),
        stream(vec![Value::Nil]),
        stream(vec![raw("7-0", &["e", "x"])]),
        stream(vec![raw("7-0", &["p"])]),
        stream(vec![raw("7", &["p", "5-1"])]),
        stream(vec![raw("7-0", &["p", "x"])]),
    ] {
        assert!(entries(bad.clone()).is_err(), "{bad:?}");
    }
}

#[test]
fn no_log_is_not_an_empty_log() {
    let of = |format: Option<&str>, end: Option<&str>| head(&[format.map(Into::into), end.map(Into::into)]);
    assert_eq!(of(Some("1"), Some("5-0")), Ok(at(5)));
    for (format, end) in [(None, None), (None, Some("5-0")), (Some("1"), None), (Some("2"), Some("5-0"))] {
        assert!(matches!(of(format, end), Err(FeedError::Unavailable { .. })), "{format:?} {end:?}");
    }
    assert_eq!(of(Some("1"), Some("x")), Err(FeedError::Malformed("the head of the log")));
}

#[test]
fn a_redis_that_may_evict_what_was_revoked_is_not_read_threat_28() {
    let of = |policy, limit| Memory::new(&format!("# Memory\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n"));
    for policy in ["allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random", "something-new"] {
        assert_eq!(of(policy, "1000").evicts(), Some(policy));
        let error = of(policy, "1000").check().unwrap_err().to_string();
        assert!(error.contains(policy), "{error}");
        assert_eq!(of(policy, "0").evicts(), None, "there is no limit");
    }
    assert_eq!(of("noeviction", "1000").check(), Ok(()));
    assert_eq!(Memory::new("").evicts(), Some("unknown"));
    assert_eq!(Memory::new("maxmemory:1000\r\nmaxmemory_policy_x:noeviction\r\n").evicts(), Some("unknown"));
}

#[test]
fn only_a_master_that_is_followed_proves_anything_threat_16() {
    let info = "# Replication\r\nrole:master\r\nconnected_slaves:4\r\n\
        slave0:ip=10.0.0.1,port=6379,state=online,offset=9,lag=4\r\n\
        slave1:ip=10.0.0.2,port=6379,state=online,offset=9,lag=1\r\n\
        slave2:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\r\n\
        slave_expires_tracked_keys:0\r\n\
        master_failover_state:no-failover\r\n";
    assert_eq!(lag(info, 0), Ok(Duration::ZERO));
    assert_eq!(lag(info, 1), Ok(2 * SECOND), "a whole second may have been cut off");
    assert_eq!(lag(info, 2), Ok(5 * SECOND));
    assert!(lag(info, 3).unwrap_err().to_string().contains("2 replicas"));
    for bad in ["role:slave\r\n", "", "xrole:master\r\n"] {
        assert!(matches!(lag(bad, 0), Err(FeedError::Unavailable { .. })), "{bad}");
    }
}
