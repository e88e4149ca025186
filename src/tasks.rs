//! The only place that spawns: a future goes in, a guard comes out, and the task ends with its guard.

use std::{
    future::{Future, poll_fn},
    hash::{BuildHasher, RandomState},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

/// A background task that is aborted when this is dropped.
#[derive(Debug)]
pub(crate) struct TaskGuard(tokio::task::AbortHandle);

impl TaskGuard {
    /// Starts `task` on the current tokio runtime, or gives it back where there is none.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub(crate) fn spawn<F>(task: F) -> Result<Self, NoRuntime>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::runtime::Handle::try_current().map_err(|_| NoRuntime)?;
        Ok(Self(tokio::spawn(task).abort_handle()))
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What `work` comes to; `None` where it panics, as code of others may. Nothing of its state may be used then that a
/// panic could have left half done.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// There is no tokio runtime here to run a background task.
#[derive(Debug, thiserror::Error)]
#[error("no tokio runtime here")]
pub(crate) struct NoRuntime;

/// `duration`, shortened by up to a tenth, so that replicas started together do not ask together.
pub(crate) fn jittered(duration: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1024;
    let tenth = duration / 10;
    duration.saturating_sub(tenth.mul_f64(u32::try_from(random).map_or(0.0, f64::from) / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_shortens_by_at_most_a_tenth_and_differs() {
        let minute = Duration::from_secs(60);
        let drawn: Vec<_> = (0..1000).map(|_| jittered(minute)).collect();
        assert!(drawn.iter().all(|drawn| (minute * 9 / 10..=minute).contains(drawn)), "{drawn:?}");
        assert!(drawn.iter().any(|other| *other != drawn[0]), "replicas would ask together");
        assert_eq!(jittered(Duration::ZERO), Duration::ZERO);
        assert!(jittered(Duration::MAX) >= Duration::MAX / 10 * 8);
    }
}
