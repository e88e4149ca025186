//! Work for a processor → done on a thread of its own, never more at a time than was said.

use std::{num::NonZeroUsize, sync::Arc, thread};

use tokio::{sync::Semaphore, task::spawn_blocking};

use super::answers::Problem;

/// Where such work is done; what is too much waits.
pub(crate) struct Bench(Arc<Semaphore>);

impl Bench {
    /// As many pieces of work at a time as there are processors.
    pub(crate) fn whole() -> Self {
        Self::of(processors())
    }

    /// Half as many, so that one processor at least is left to others where there is more than one.
    pub(crate) fn half() -> Self {
        Self::of((processors() / 2).max(1))
    }

    fn of(turns: usize) -> Self {
        Self(Arc::new(Semaphore::new(turns)))
    }

    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.0).acquire_owned().await.map_err(|_| Problem::Busy)?;
        // The turn goes along: work goes on when nobody waits for it any more.
        let in_turn = move || {
            let _turn = turn;
            work()
        };
        spawn_blocking(in_turn).await.map_err(|_| Problem::Busy)
    }
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, sync::mpsc, task::Poll};

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_keeps_its_turn_until_it_is_done() {
        let bench = Bench::of(1);
        let ((started, has_started), (go, may_end)) = (mpsc::channel(), mpsc::channel::<()>());
        {
            let mut first = pin!(bench.work(move || {
                started.send(()).unwrap();
                let _ = may_end.recv();
            }));
            assert!(poll_fn(|context| Poll::Ready(first.as_mut().poll(context))).await.is_pending());
            has_started.recv().unwrap();
        }
        assert_eq!(bench.0.available_permits(), 0, "whoever goes away makes room for more at a time");
        go.send(()).unwrap();
        assert!(bench.work(|| ()).await.is_ok());
    }
}
