//! A position in the log → the messages after it: from a stream that stays open, or from one question after the other.

use std::{collections::VecDeque, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde::de::DeserializeOwned;

use super::{
    GrantexFeed, LIMIT,
    entry::{Beat, Entry},
    reading::Reading,
    sse::{Event, Events},
};
use crate::{
    clock::UnixTime,
    issuer::Arriving,
    status::{Cursor, FeedError, FeedMessage, FeedMessages},
};

/// No more than one question in this time: where there are young entries, the log repeats them and does not wait.
const PAUSE: Duration = Duration::from_secs(1);

/// What follows the position; it ends with an error, or because the connection does.
pub(super) fn tail(feed: GrantexFeed, after: Cursor) -> FeedMessages {
    let tail = feed.readings.resume(after).map(|reading| {
        let source = feed.wait.map_or_else(
            || Source::Stream { body: None, events: Events::default() },
            |wait| Source::Questions(Questions { wait, ..Questions::default() }),
        );
        Tail { feed, reading, source, ready: VecDeque::new(), is_lost: false }
    });
    Box::pin(stream::try_unfold(tail, |tail| async move {
        let mut tail = tail?;
        let message = tail.next().await;
        tail.is_lost = matches!(message, Err(FeedError::Gap | FeedError::Malformed(_)));
        let message = message?;
        Ok(message.map(|message| (message, Ok(tail))))
    }))
}

struct Tail {
    feed: GrantexFeed,
    reading: Reading,
    source: Source,
    /// What is to be handed on before anything else is read.
    ready: VecDeque<FeedMessage>,
    /// Nobody can read on from here.
    is_lost: bool,
}

impl Drop for Tail {
    fn drop(&mut self) {
        if !self.is_lost {
            self.feed.readings.keep(std::mem::take(&mut self.reading));
        }
    }
}

enum Source {
    Stream { body: Option<Arriving>, events: Events },
    Questions(Questions),
}

/// The log, asked again and again what is new.
#[derive(Default)]
struct Questions {
    /// How long the log may wait for something to say, in seconds.
    wait: u64,
    /// What the last answer holds that was not looked at.
    entries: VecDeque<Entry>,
    /// An answer was full: what comes after it is asked for next.
    full_up_to: Option<u64>,
    /// Up to where the log said that nothing old is to come, and when, in the first of a row of full answers.
    first: Option<(u64, Option<UnixTime>)>,
    /// The last answer was not full, and so is the end of the log at that time.
    end: Option<(u64, Option<UnixTime>)>,
    /// When the next question may be asked.
    next_at: Duration,
}

impl Tail {
    async fn next(&mut self) -> Result<Option<FeedMessage>, FeedError> {
        let Self { feed, reading, source, ready, .. } = self;
        loop {
            if let Some(message) = ready.pop_front() {
                return Ok(Some(message));
            }
            match source {
                Source::Questions(questions) => questions.next(feed, reading, ready).await?,
                Source::Stream { body, events } => {
                    if let Some(event) = events.next().map_err(|_| FeedError::Malformed("an event without end"))? {
                        said(&event, reading, &feed.issuer, ready)?;
                        continue;
                    }
                    let body = match body {
                        Some(body) => body,
                        None => body.insert(feed.open(reading.announced()).await?),
                    };
                    // Of a server that says nothing but nonsense without end, others are to get their turn.
                    tokio::task::yield_now().await;
                    match body.next().await {
                        Some(piece) => events.arrived(piece.map_err(|error| super::unavailable(&error))?),
                        None => return Ok(None),
                    }
                }
            }
        }
    }
}

/// The messages for what a stream said. An event of another name is none of ours: what a heartbeat then announces, and was
/// not given to us, is missed.
fn said(
    event: &Event,
    reading: &mut Reading,
    issuer: &str,
    ready: &mut VecDeque<FeedMessage>,
) -> Result<(), FeedError> {
    match &*event.name {
        b"revocation" => ready.extend(reading.entry(&read(event)?, issuer)?),
        b"ready" => {
            let beat: Beat = read(event)?;
            ready.extend(reading.beat(beat.cursor, beat.server_time)?);
        }
        b"heartbeat" => {
            let beat: Beat = read(event)?;
            ready.extend(reading.beat(beat.cursor, beat.fresh_at)?);
        }
        _ => {}
    }
    Ok(())
}

fn read<T: DeserializeOwned>(event: &Event) -> Result<T, FeedError> {
    serde_json::from_slice(&event.data).map_err(|_| FeedError::Malformed("an event that is not as it should be"))
}

impl Questions {
    /// Reads on, by one entry or one answer.
    async fn next(
        &mut self,
        feed: &GrantexFeed,
        reading: &mut Reading,
        ready: &mut VecDeque<FeedMessage>,
    ) -> Result<(), FeedError> {
        if let Some(entry) = self.entries.pop_front() {
            ready.extend(reading.entry(&entry, &feed.issuer)?);
        } else if let Some((cursor, at)) = self.end.take() {
            ready.extend(reading.beat(cursor, at)?);
        } else {
            self.ask(feed, reading).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, feed: &GrantexFeed, reading: &Reading) -> Result<(), FeedError> {
        let clock = &feed.api.connection().environment().clock;
        clock.sleep(self.next_at.saturating_sub(clock.now().monotonic())).await;
        let asked = clock.now().monotonic();
        let since = self.full_up_to.unwrap_or(reading.announced());
        let page = feed.changes(since, self.wait, LIMIT).await?;
        // What a later one says of a row of full answers is counted from where it began; and what was written with a lower
        // number since then is not in it.
        let first = *self.first.get_or_insert((page.cursor, page.server_time));
        self.full_up_to = None;
        if page.entries.len() < LIMIT {
            (self.first, self.end) = (None, Some(first));
            self.next_at = asked.saturating_add(PAUSE);
        } else {
            let last = page.entries.iter().map(|entry| entry.seq).max().filter(|last| *last > since);
            self.full_up_to = Some(last.ok_or(FeedError::Malformed("a page of what came before"))?);
        }
        self.entries = page.entries.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use http::{Request, Response};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        issuer::{Connection, Exchange, Transport},
        testing::ManualClock,
    };

    /// These answers, one after the other.
    #[derive(Debug)]
    struct Pages(Mutex<VecDeque<Value>>);

    impl Transport for Pages {
        fn send(&self, _: Request<Bytes>, _: usize) -> Exchange {
            let page = self.0.lock().unwrap().pop_front().expect("another question");
            Box::pin(async move { Ok(Response::new(page.to_string().into())) })
        }
    }

    fn page(numbers: std::ops::RangeInclusive<u64>, second: u64) -> Value {
        let entries: Vec<_> =
            numbers.map(|seq| json!({ "seq": seq, "action": "revoked", "grantId": format!("g{seq}") })).collect();
        let time = format!("2030-03-17T17:46:{second}Z");
        json!({ "entries": entries, "cursor": 0, "snapshot": false, "serverTime": time })
    }

    fn feed_of<const N: usize>(pages: [Value; N]) -> GrantexFeed {
        let connection = Connection::over(Pages(Mutex::new(pages.into()))).clock(ManualClock::new());
        let feed = GrantexFeed::at("https://api.grantex.test", "developer-key-0123", "i", connection).unwrap();
        feed.long_poll(Duration::from_secs(1))
    }

    #[tokio::test]
    async fn nobody_reads_on_from_where_something_is_missing() {
        let mut page = page(1..=1, 40);
        page["cursor"] = json!(5);
        let feed = feed_of([page]);
        let messages: Vec<_> = tail(feed.clone(), feed.readings.begin(0, None)).collect().await;
        let [Ok(read), Err(FeedError::Gap)] = &*messages else { panic!("{messages:?}") };
        // Without another question.
        assert_eq!(tail(feed, read.cursor()).next().await, Some(Err(FeedError::Gap)));
    }

    #[tokio::test]
    async fn a_row_of_full_answers_proves_what_was_known_when_the_first_was_read_threat_16() {
        let feed = feed_of([page(1..=1000, 40), page(1001..=1001, 45)]);
        let cursor = feed.readings.begin(0, None);
        let messages: Vec<_> = tail(feed, cursor).take(1002).map(Result::unwrap).collect().await;
        let read = UnixTime::from_secs(1_900_000_000);
        assert_eq!(messages[1001], FeedMessage::heartbeat(messages[1000].cursor()).as_of(read));
    }
}
