//! A revocation feed and what is to go wrong → the same feed over a bad network.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_core::Stream;

use crate::{
    clock::UnixTime,
    status::{Cursor, FeedAnswer, FeedError, FeedMessage, FeedMessages, FeedSnapshot, RevocationEvent, RevocationFeed},
};

/// So many messages are taken in at once, from a feed that has no end of them.
const MOST_AT_ONCE: usize = 1024;

/// What becomes of one message of an [`UnreliableFeed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageFault {
    /// It arrives.
    Pass,
    /// It is lost.
    Drop,
    /// It arrives twice.
    Duplicate,
    /// It arrives after the one that follows it.
    Swap,
}

/// Another feed, over a network that loses, repeats, reorders and delays what it says; clones are the same network.
///
/// ```
/// use portcullis::{status::RevocationLog, testing::{MessageFault, UnreliableFeed}};
///
/// let log = RevocationLog::new();
/// let feed = UnreliableFeed::new(log.clone());
/// // The next message is lost, the one after it arrives twice.
/// feed.script([MessageFault::Drop, MessageFault::Duplicate]);
/// // From here on, everything is late.
/// feed.hold();
/// feed.release();
/// assert_eq!(feed.snapshots_asked(), 0);
/// ```
#[derive(Clone)]
pub struct UnreliableFeed {
    feed: Arc<dyn RevocationFeed>,
    network: Arc<Mutex<Network>>,
}

#[derive(Default)]
struct Network {
    script: VecDeque<MessageFault>,
    is_held: bool,
    is_cut: bool,
    /// Grows when connections are cut: those that are older have ended.
    generation: u64,
    /// What snapshots are answered with, where they are old.
    old: Option<Copy>,
    last: Option<Copy>,
    snapshots: usize,
    tails: usize,
    waiting: Vec<Waker>,
}

/// A snapshot that can be given out again.
#[derive(Clone)]
struct Copy {
    pages: VecDeque<Vec<RevocationEvent>>,
    cursor: Cursor,
    as_of: Option<UnixTime>,
    age: Option<Duration>,
}

impl Copy {
    async fn of(snapshot: FeedSnapshot) -> Result<Self, FeedError> {
        let FeedSnapshot { as_of, age, .. } = snapshot;
        let (cursor, mut pages) = (snapshot.cursor(), VecDeque::new());
        let mut rest = snapshot.into_pages();
        while let Some(page) = poll_fn(|context| rest.as_mut().poll_next(context)).await {
            pages.push_back(page?);
        }
        Ok(Self { pages, cursor, as_of, age })
    }

    /// As it arrives on a connection of that generation.
    fn send(self, feed: &UnreliableFeed, generation: u64) -> FeedSnapshot {
        let Self { pages, cursor, as_of, age } = self;
        let pages = Pages { feed: feed.clone(), pages, generation, is_over: false };
        let snapshot = FeedSnapshot::in_pages(Box::pin(pages), cursor);
        let snapshot = as_of.into_iter().fold(snapshot, FeedSnapshot::as_of);
        age.into_iter().fold(snapshot, FeedSnapshot::age)
    }
}

impl Network {
    /// Until something changes.
    fn wait<T>(&mut self, context: &Context<'_>) -> Poll<T> {
        if !self.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            self.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl UnreliableFeed {
    /// That feed; for the time being nothing goes wrong.
    #[must_use]
    pub fn new(feed: impl RevocationFeed) -> Self {
        Self { feed: Arc::new(feed), network: Arc::default() }
    }

    /// What becomes of the next messages, one by one, as the feed sends them; those after them arrive.
    pub fn script(&self, faults: impl IntoIterator<Item = MessageFault>) {
        self.network().script.extend(faults);
    }

    /// Keeps back all messages, snapshots and pages of snapshots from now on, as a buffer on the way would; they are to
    /// arrive in their order. What says its [age](FeedMessage::age) is no older for that, as if the feed had kept it back
    /// and not known.
    pub fn hold(&self) {
        self.network().is_held = true;
    }

    /// Lets everything arrive that was kept back, and ends to keep anything back.
    pub fn release(&self) {
        self.change(|network| network.is_held = false);
    }

    /// Ends the connections there are; what was under way is lost. The next ones succeed.
    pub fn disconnect(&self) {
        self.change(|network| network.generation += 1);
    }

    /// Loses all messages from now on without a word; whoever asks for anything new is refused.
    pub fn partition(&self) {
        self.network().is_cut = true;
    }

    /// Ends a partition. Connections from before it go on as if nothing had been.
    pub fn heal(&self) {
        self.change(|network| network.is_cut = false);
    }

    /// From now on nothing goes wrong any more: no script, nothing kept back, no partition, no old snapshots.
    pub fn restore(&self) {
        self.change(|network| {
            network.script.clear();
            (network.is_held, network.is_cut, network.old) = (false, false, None);
        });
    }

    /// Whether every snapshot is the last one that was given out, as from a copy of the log that lags behind.
    pub fn repeat_snapshots(&self, repeats: bool) {
        let mut network = self.network();
        network.old = if repeats { network.last.clone() } else { None };
    }

    /// How many snapshots it was asked for.
    #[must_use]
    pub fn snapshots_asked(&self) -> usize {
        self.network().snapshots
    }

    /// How many times it was asked for what follows a position.
    #[must_use]
    pub fn tails_asked(&self) -> usize {
        self.network().tails
    }

    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Network)) {
        let mut network = self.network();
        change(&mut network);
        let waiting = std::mem::take(&mut network.waiting);
        // A waker may run anything, this network included.
        drop(network);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl RevocationFeed for UnreliableFeed {
    fn label(&self) -> String {
        format!("unreliable {}", self.feed.label())
    }

    fn snapshot(&self, max_events: usize) -> FeedAnswer {
        let this = self.clone();
        let asked = {
            let mut network = self.network();
            network.snapshots += 1;
            network.generation
        };
        Box::pin(async move {
            if this.network().is_cut {
                return Err(unavailable("no way through"));
            }
            let old = this.network().old.clone();
            let copy = match old {
                Some(old) => Ok(old),
                None => match this.feed.snapshot(max_events).await {
                    Ok(snapshot) => Copy::of(snapshot).await,
                    Err(error) => Err(error),
                },
            };
            if let Ok(copy) = &copy {
                this.network().last = Some(copy.clone());
            }
            poll_fn(|context| {
                let mut network = this.network();
                let waits = network.generation == asked && network.is_held;
                if waits { network.wait(context) } else { Poll::Ready(()) }
            })
            .await;
            if this.network().generation != asked {
                return Err(unavailable("connection lost"));
            }
            copy.map(|copy| copy.send(&this, asked))
        })
    }

    fn tail(&self, after: Cursor) -> FeedMessages {
        let mut network = self.network();
        network.tails += 1;
        let generation = network.generation;
        let end = network.is_cut.then(|| unavailable("no way through"));
        drop(network);
        let messages = self.feed.tail(after);
        let feed = self.clone();
        Box::pin(Messages {
            feed,
            messages,
            generation,
            under_way: VecDeque::new(),
            swapped: None,
            end,
            is_over: false,
        })
    }
}

fn unavailable(reason: &str) -> FeedError {
    FeedError::Unavailable { reason: reason.to_owned(), retry_after: None }
}

impl fmt::Debug for UnreliableFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnreliableFeed").field("feed", &self.feed).finish_non_exhaustive()
    }
}

/// The pages of a snapshot, all of which the feed has sent.
struct Pages {
    feed: UnreliableFeed,
    pages: VecDeque<Vec<RevocationEvent>>,
    /// Of the network, when the snapshot was asked for.
    generation: u64,
    is_over: bool,
}

impl Stream for Pages {
    type Item = Result<Vec<RevocationEvent>, FeedError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let feed = this.feed.clone();
        let mut network = feed.network();
        if this.is_over || this.pages.is_empty() {
            return Poll::Ready(None);
        }
        if network.generation != this.generation {
            this.is_over = true;
            return Poll::Ready(Some(Err(unavailable("connection lost"))));
        }
        if network.is_held || network.is_cut {
            return network.wait(context);
        }
        Poll::Ready(this.pages.pop_front().map(Ok))
    }
}

struct Messages {
    feed: UnreliableFeed,
    messages: FeedMessages,
    /// Of the network, when the connection was made.
    generation: u64,
    under_way: VecDeque<FeedMessage>,
    /// It arrives after the next one.
    swapped: Option<FeedMessage>,
    /// How it ends, once everything has arrived.
    end: Option<FeedError>,
    is_over: bool,
}

impl Messages {
    /// Sends off all that the feed says.
    fn take_in(&mut self, network: &mut Network, context: &mut Context<'_>) {
        while self.end.is_none() && self.under_way.len() < MOST_AT_ONCE {
            match self.messages.as_mut().poll_next(context) {
                Poll::Pending => return,
                Poll::Ready(None) => self.end = Some(unavailable("the feed ended")),
                Poll::Ready(Some(Err(error))) => self.end = Some(error),
                Poll::Ready(Some(Ok(_))) if network.is_cut => {}
                Poll::Ready(Some(Ok(message))) => self.send(message, network.script.pop_front()),
            }
        }
    }

    fn send(&mut self, message: FeedMessage, fault: Option<MessageFault>) {
        let swapped = self.swapped.take();
        match fault {
            Some(MessageFault::Drop) => {}
            Some(MessageFault::Duplicate) => self.under_way.extend([message.clone(), message]),
            Some(MessageFault::Swap) => self.swapped = Some(message),
            Some(MessageFault::Pass) | None => self.under_way.push_back(message),
        }
        self.under_way.extend(swapped);
    }
}

impl Stream for Messages {
    type Item = Result<FeedMessage, FeedError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let feed = this.feed.clone();
        let mut network = feed.network();
        if this.is_over {
            return Poll::Ready(None);
        }
        this.take_in(&mut network, context);
        if network.generation != this.generation {
            this.is_over = true;
            return Poll::Ready(Some(Err(unavailable("connection lost"))));
        }
        if !network.is_held {
            if let Some(message) = this.under_way.pop_front() {
                return Poll::Ready(Some(Ok(message)));
            }
            if let Some(error) = this.end.take() {
                this.is_over = true;
                return Poll::Ready(Some(Err(error)));
            }
        }
        network.wait(context)
    }
}
