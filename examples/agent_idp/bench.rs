//! Work for a processor → done on a thread of its own, never more at a time than was said.

use std::{num::NonZeroUsize, thread};

use tokio::{sync::Semaphore, task::spawn_blocking};

use super::answers::Problem;

/// Where such work is done; what is too much waits.
pub(crate) struct Bench(Semaphore);

impl Bench {
    /// As many pieces of work at a time as there are processors.
    pub(crate) fn whole() -> Self {
        Self(Semaphore::new(processors()))
    }

    /// Half as many, so that one processor at least is left to others where there is more than one.
    pub(crate) fn half() -> Self {
        Self(Semaphore::new((processors() / 2).max(1)))
    }

    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let _turn = self.0.acquire().await.map_err(|_| Problem::Busy)?;
        spawn_blocking(work).await.map_err(|_| Problem::Busy)
    }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
