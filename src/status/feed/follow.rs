//! The follower of a feed: snapshot, tail, and what to do when they end.

use std::{
    future::{Future, poll_fn},
    time::Duration,
};

use super::{
    FeedError, FeedMessage,
    driven::{Follower, Shared},
    position::{Position, Verdict},
    scope,
    staleness::{Age, Timescale},
};
use crate::{
    clock::Sleep,
    observe,
    status::RevocationEvent,
    tasks::{caught, scattered},
};

/// So many events are applied at once, before others get their turn: a feed may have millions ready.
const BATCH: usize = 256;

/// No log keeps us away for longer than this, whatever it says.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// Why the follower has to begin again.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error("no snapshot within {0:?}")]
    NoSnapshot(Duration),
    #[error("messages are missing")]
    Gap,
    #[error("the log ends before what we have read of it")]
    Reset,
    #[error("what it says is {0:?} old by our clock")]
    Late(Duration),
    #[error("what it says is {0:?} old, and not so by our clock: one was set, or the snapshot was slow to begin")]
    ClockSet(Duration),
    #[error("nothing heard for {0:?}")]
    Silent(Duration),
    #[error("the connection has ended")]
    Ended,
    #[error("the feed panicked")]
    Panicked,
}

impl Trouble {
    /// Whether the tail cannot go on where it was.
    const fn is_loss(&self) -> bool {
        use FeedError::{Gap, Malformed};
        matches!(self, Self::Gap | Self::Reset | Self::Late(_) | Self::ClockSet(_) | Self::Feed(Gap | Malformed(_)))
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Gap | Self::Feed(FeedError::Gap) => "gap",
            Self::Reset => "reset",
            Self::Late(_) => "late",
            Self::ClockSet(_) => "clock",
            Self::Silent(_) => "silent",
            Self::Panicked => "panicked",
            Self::Feed(FeedError::Refused(_)) => "refused",
            Self::Feed(FeedError::Malformed(_)) => "malformed",
            Self::Feed(FeedError::TooLarge(_)) => "too_large",
            Self::NoSnapshot(_) | Self::Ended | Self::Feed(FeedError::Unavailable { .. }) => "unavailable",
        }
    }

    const fn retry_after(&self) -> Duration {
        match self {
            Self::Feed(FeedError::Unavailable { retry_after: Some(time), .. }) => *time,
            _ => Duration::ZERO,
        }
    }
}

pub(super) async fn follow(follower: Follower) {
    let shared = &*follower.0;
    let mut timescale = Timescale::default();
    let mut failures = 0;
    loop {
        let mut connection = Connection::new(shared, &mut timescale);
        let trouble = connection.run().await;
        if connection.was_healthy() {
            failures = 0;
        }
        shared.is_in_trouble(trouble.kind(), &observe::chain(&trouble));
        if trouble.is_loss() {
            shared.stand(Position::lost);
        }
        // What was missed is fetched at once, unless that has just been tried.
        if !trouble.is_loss() || failures > 0 {
            let pause = scattered(shared.policy.pause(failures));
            shared.to.clock.sleep(pause.max(trouble.retry_after().min(LONGEST_RETRY_AFTER))).await;
        }
        failures = failures.saturating_add(1);
        shared.observe_staleness(shared.to.clock.now().monotonic());
    }
}

/// One attempt to follow: a snapshot where one is needed, and the tail for as long as it lasts.
struct Connection<'a> {
    shared: &'a Shared,
    /// Outlives the connection, as its snapshot does.
    timescale: &'a mut Timescale,
    began: Duration,
    /// When something was heard that is not older than the policy allows.
    heard: Duration,
    /// The age of the last message, where it was too great.
    late: Option<Duration>,
}

impl<'a> Connection<'a> {
    fn new(shared: &'a Shared, timescale: &'a mut Timescale) -> Self {
        let now = shared.to.clock.now().monotonic();
        Self { shared, timescale, began: now, heard: now, late: None }
    }

    /// Whether it lasted, so that the next one is a first attempt again.
    fn was_healthy(&self) -> bool {
        self.heard.saturating_sub(self.began) >= self.shared.policy.silence
    }

    async fn run(&mut self) -> Trouble {
        let is_in_step = self.shared.position().resume_after().is_some();
        if !is_in_step && let Err(trouble) = self.sync().await {
            return trouble;
        }
        match self.tail().await {
            Ok(()) => Trouble::Ended,
            Err(trouble) => trouble,
        }
    }

    async fn sync(&mut self) -> Result<(), Trouble> {
        let Shared { feed, policy, to, .. } = self.shared;
        let asked = to.clock.now();
        let mut patience = to.clock.sleep(policy.snapshot_timeout);
        let snapshot = self.within(&mut patience, async { feed.snapshot(policy.max_events).await }).await??;
        let (cursor, as_of, lag) = (snapshot.cursor, snapshot.as_of, snapshot.age.unwrap_or_default());
        let mut pages = snapshot.into_pages();
        let (mut count, mut suspensions) = (0_usize, Vec::new());
        while let Some(page) = self.within(&mut patience, poll_fn(|context| pages.as_mut().poll_next(context))).await? {
            let page = page?;
            if page.is_empty() {
                // Who sends nothing else is given up in time.
                tokio::task::yield_now().await;
                continue;
            }
            count = count.saturating_add(page.len());
            if count > policy.max_events {
                return Err(FeedError::TooLarge(policy.max_events).into());
            }
            suspensions.extend(self.apply_revocations(page).await);
            patience = to.clock.sleep(policy.snapshot_timeout);
        }
        drop(pages);
        let is_behind = self.shared.position().is_behind(cursor);
        if is_behind {
            // It may lack a suspension that we know of. Nobody is to rely on it before the log is seen to end there.
            self.shared.fresh.forget();
        }
        to.revocations.replace_suspensions(self.shared.origin, suspensions);
        self.shared.stand(|position| position.synced(cursor));
        observe::feed_synced(&self.shared.label, count);

        // From when it was asked for: what happened since may not be in it. Or from before, if it says so.
        let age = as_of.map_or(lag, |as_of| self.timescale.age(as_of, asked).greatest().max(lag));
        *self.timescale = Timescale::new(asked, as_of);
        if !is_behind {
            self.shared.prove(asked.monotonic(), age);
        }
        self.heard = to.clock.now().monotonic();
        Ok(())
    }

    /// What the feed answers before our patience is at an end.
    async fn within<T>(&self, patience: &mut Sleep, asking: impl Future<Output = T>) -> Result<T, Trouble> {
        tokio::select! {
            answer = caught(asking) => answer.ok_or(Trouble::Panicked),
            () = patience => Err(Trouble::NoSnapshot(self.shared.policy.snapshot_timeout)),
        }
    }

    /// Revocations are only ever added, so that others may have their turn meanwhile. What else there is, is returned: it
    /// changes in one step.
    async fn apply_revocations(&self, page: Vec<RevocationEvent>) -> Vec<RevocationEvent> {
        let to = &self.shared.to;
        let mut others = Vec::new();
        let mut page = page.into_iter();
        while page.len() > 0 {
            let mut batch = Vec::with_capacity(BATCH.min(page.len()));
            for event in page.by_ref().take(BATCH) {
                match scope::within(to.covers.as_deref(), event) {
                    None => self.shared.ignored(),
                    Some(RevocationEvent::Revoked(about)) => batch.push(about),
                    Some(event) => others.push(event),
                }
            }
            to.revocations.revoke_all(&batch);
            tokio::task::yield_now().await;
        }
        others
    }

    async fn tail(&mut self) -> Result<(), Trouble> {
        let Shared { feed, policy, to, .. } = self.shared;
        let Some(after) = self.shared.position().resume_after() else { return Err(Trouble::Gap) };
        let mut messages = caught(async { feed.tail(after) }).await.ok_or(Trouble::Panicked)?;
        let mut patience: Sleep = to.clock.sleep(policy.silence);
        let mut in_a_row = 0;
        loop {
            let next = caught(poll_fn(|context| messages.as_mut().poll_next(context)));
            let has_slept = tokio::select! {
                biased;
                next = next => match next.ok_or(Trouble::Panicked)? {
                    None => return Ok(()),
                    Some(message) => { self.take(&message?)?; false }
                },
                () = &mut patience => true,
            };
            let now = to.clock.now().monotonic();
            let patient_until = self.heard.saturating_add(policy.silence);
            if now >= patient_until {
                return Err(self.late.map_or(Trouble::Silent(policy.silence), Trouble::Late));
            }
            if has_slept {
                patience = to.clock.sleep(patient_until.saturating_sub(now));
            }
            in_a_row = if has_slept { 0 } else { in_a_row + 1 };
            if in_a_row >= BATCH {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does what a message says, and takes note of what it proves.
    fn take(&mut self, message: &FeedMessage) -> Result<(), Trouble> {
        let Shared { policy, to, .. } = self.shared;
        let now = to.clock.now();
        let verdict = self.shared.position().judge(message);
        let ages = message.as_of.map(|as_of| self.timescale.age(as_of, now));
        let age = ages.map(Age::greatest).max(message.age);
        let proved = match verdict {
            Verdict::Apply(event) => {
                match scope::within(to.covers.as_deref(), event.clone()) {
                    Some(event) => to.revocations.apply(self.shared.origin, event),
                    None => self.shared.ignored(),
                }
                self.shared.stand(|position| position.applied(message.cursor()));
                age
            }
            Verdict::Current => Some(age.unwrap_or_default()),
            // It may be of another log, whose end is elsewhere.
            Verdict::Duplicate => return Ok(()),
            Verdict::Gap => {
                self.shared.stand(|position| position.saw(message.cursor()));
                return Err(Trouble::Gap);
            }
            Verdict::Reset => return Err(Trouble::Reset),
        };
        if let Some(age) = proved {
            self.shared.prove(now.monotonic(), age);
        }
        self.late = age.filter(|age| *age > policy.max_staleness);
        match (self.late, ages) {
            (None, _) => self.heard = now.monotonic(),
            // Late by the one clock only: a snapshot tells what the other one says now.
            (Some(late), Some(ages)) if ages.by_wall.max(message.age.unwrap_or_default()) <= policy.max_staleness => {
                return Err(Trouble::ClockSet(late));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
