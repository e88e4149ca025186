//! A position in a log → the messages after it, as they come.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use tokio::sync::watch;

use super::Inner;
use crate::status::feed::{Cursor, FeedError, FeedMessage};

/// So many messages are read at once, since nobody may publish meanwhile.
pub(super) const BATCH: usize = 256;

/// Somebody who reads a log as it grows.
pub(super) struct Tail {
    log: Arc<Inner>,
    ready: VecDeque<FeedMessage>,
    /// Up to here messages were made ready.
    position: Cursor,
    /// When the next heartbeat is due; at once, to begin with.
    heartbeat_at: Duration,
    waiting: Option<Waiting>,
    has_ended: bool,
}

/// Until something happens, or a heartbeat is due.
type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Tail {
    pub(super) fn new(log: Arc<Inner>, after: Cursor) -> Self {
        let heartbeat_at = Duration::ZERO;
        Self { log, ready: VecDeque::new(), position: after, heartbeat_at, waiting: None, has_ended: false }
    }

    fn wait(&self, mut heads: watch::Receiver<Cursor>) -> Waiting {
        let position = self.position;
        let now = self.log.clock.now().monotonic();
        let sleep = self.log.clock.sleep(self.heartbeat_at.saturating_sub(now));
        Box::pin(async move {
            tokio::select! {
                // The sender lives in the log, and we hold that.
                _ = heads.wait_for(|head| *head != position) => {}
                () = sleep => {}
            }
        })
    }
}

impl Stream for Tail {
    type Item = Result<FeedMessage, FeedError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let tail = &mut *self;
        loop {
            if let Some(message) = tail.ready.pop_front() {
                return Poll::Ready(Some(Ok(message)));
            }
            if tail.has_ended {
                return Poll::Ready(None);
            }
            if let Some(waiting) = &mut tail.waiting {
                if waiting.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                tail.waiting = None;
            }
            let now = tail.log.clock.now();
            match tail.log.read(tail.position, now.wall(), &mut tail.ready) {
                Err(error) => {
                    tail.has_ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Ok(position) if position != tail.position => tail.position = position,
                Ok(head) if now.monotonic() >= tail.heartbeat_at => {
                    tail.heartbeat_at = now.monotonic().saturating_add(tail.log.heartbeat);
                    tail.ready.push_back(FeedMessage::heartbeat(head).as_of(now.wall()));
                }
                Ok(_) => tail.waiting = Some(tail.wait(tail.log.heads.subscribe())),
            }
        }
    }
}
