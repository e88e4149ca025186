//! The only place that spawns: a future goes in, a guard comes out, and the task ends with its guard.

use std::{
    future::{Future, poll_fn},
    hash::{BuildHasher, RandomState},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinSet};

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
        Handle::try_current().map_err(|_| NoRuntime)?;
        Ok(Self(tokio::spawn(task).abort_handle()))
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Background tasks that come and go, and are all aborted when this is dropped.
///
/// A task that holds an owner of its set keeps itself alive: give it a weak reference.
#[derive(Debug, Default)]
pub(crate) struct TaskSet(Mutex<JoinSet<()>>);

impl TaskSet {
    /// Starts `task` on the current tokio runtime, or gives it up where there is none.
    pub(crate) fn start<F>(&self, task: F) -> Result<(), NoRuntime>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Handle::try_current().map_err(|_| NoRuntime)?;
        // Held for a push: the set never runs a task itself.
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended would be kept for somebody who asks what became of it.
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &runtime);
        Ok(())
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

/// What `work` comes to, in a task that goes on to its end though nobody waits for it any longer: for work that takes a
/// bounded time and would lose something if it were cut short. `None` where it panicked, or there is no runtime any more.
#[cfg(any(feature = "outbound", feature = "redis"))]
pub(crate) async fn uncut<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    Handle::try_current().ok()?.spawn(work).await.ok()
}

/// There is no tokio runtime here to run a background task.
#[derive(Debug, thiserror::Error)]
#[error("no tokio runtime here")]
pub(crate) struct NoRuntime;

/// `duration`, shortened by up to a tenth, so that replicas started together do not ask together.
pub(crate) fn jittered(duration: Duration) -> Duration {
    shortened(duration, 10)
}

/// `duration`, shortened by up to half, so that replicas cut off together do not come back together.
pub(crate) fn scattered(duration: Duration) -> Duration {
    shortened(duration, 2)
}

/// `duration` without a random share of its `part`th part.
fn shortened(duration: Duration, part: u32) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % 1024;
    let share = (duration / part).mul_f64(u32::try_from(random).map_or(0.0, f64::from) / 1024.0);
    duration.saturating_sub(share)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_set_forgets_tasks_that_ended_and_ends_the_others_when_dropped() {
        let set = TaskSet::default();
        let (ended, running) = (Arc::new(()), Arc::new(()));
        for _ in 0..100 {
            let held = Arc::clone(&ended);
            set.start(async move { drop(held) }).unwrap();
        }
        while Arc::strong_count(&ended) > 1 {
            tokio::task::yield_now().await;
        }
        let held = Arc::clone(&running);
        set.start(async move {
            std::future::pending::<()>().await;
            drop(held);
        })
        .unwrap();
        assert_eq!(set.0.lock().unwrap().len(), 1);
        drop(set);
        while Arc::strong_count(&running) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn without_a_runtime_nothing_is_spawned() {
        assert!(TaskSet::default().start(async {}).is_err());
    }

    #[tokio::test]
    async fn a_task_that_panics_spoils_neither_its_set_nor_the_next() {
        let set = TaskSet::default();
        set.start(async { panic!("on purpose") }).unwrap();
        tokio::task::yield_now().await;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        set.start(async { sender.send(()).unwrap() }).unwrap();
        receiver.await.unwrap();
    }

    #[test]
    fn jitter_shortens_by_at_most_a_tenth_and_differs() {
        let minute = Duration::from_secs(60);
        let drawn: Vec<_> = (0..1000).map(|_| jittered(minute)).collect();
        assert!(drawn.iter().all(|drawn| (minute * 9 / 10..=minute).contains(drawn)), "{drawn:?}");
        assert!(drawn.iter().any(|other| *other != drawn[0]), "replicas would ask together");
        assert_eq!(jittered(Duration::ZERO), Duration::ZERO);
        assert!(jittered(Duration::MAX) >= Duration::MAX / 10 * 8);
    }

    #[test]
    fn scattering_shortens_by_at_most_half() {
        let minute = Duration::from_secs(60);
        let drawn: Vec<_> = (0..1000).map(|_| scattered(minute)).collect();
        assert!(drawn.iter().all(|drawn| (minute / 2..=minute).contains(drawn)), "{drawn:?}");
        assert!(drawn.iter().any(|drawn| *drawn < minute * 3 / 4), "replicas would come back together");
    }
}
