//! A shared store → the same, of which it is known whether anybody waits for it, and which fails as it is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::{
    sharing::{Look, Seen, SharedRecord, SharedStore, StoreAnswer, StoreError},
    testing::StoreFault,
};
use tokio::sync::watch;

/// Clones are the same store.
#[derive(Clone, Debug)]
pub struct Watched {
    inner: Arc<dyn SharedStore>,
    fault: Arc<Mutex<Option<StoreFault>>>,
    in_use: watch::Sender<usize>,
}

/// One use of it, until it is over or given up.
struct Use(watch::Sender<usize>);

impl Drop for Use {
    fn drop(&mut self) {
        self.0.send_modify(|in_use| *in_use -= 1);
    }
}

impl Watched {
    pub fn new(inner: impl SharedStore) -> Self {
        Self { inner: Arc::new(inner), fault: Arc::default(), in_use: watch::Sender::new(0) }
    }

    pub fn fault(&self, fault: Option<StoreFault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Whether somebody waits for an answer that will come.
    pub fn is_in_use(&self) -> bool {
        *self.in_use.borrow() > 0
    }

    pub async fn changed(&self) {
        let _ = self.in_use.subscribe().changed().await;
    }

    fn watched<T: Send + 'static>(&self, answer: impl FnOnce() -> StoreAnswer<T>) -> StoreAnswer<T> {
        let fault = *self.fault.lock().unwrap();
        match fault {
            Some(StoreFault::Hangs) => return Box::pin(std::future::pending()),
            Some(StoreFault::Panics) => return Box::pin(async { panic!("as told") }),
            Some(StoreFault::Fails) => return Box::pin(async { Err(StoreError::Failed("as told".to_owned())) }),
            _ => {}
        }
        self.in_use.send_modify(|in_use| *in_use += 1);
        let (used, answer, is_deaf) = (Use(self.in_use.clone()), answer(), fault.is_some());
        Box::pin(async move {
            let answer = answer.await;
            drop(used);
            if is_deaf {
                return std::future::pending().await;
            }
            answer
        })
    }
}

impl SharedStore for Watched {
    fn look(&self, name: &str, look: Look) -> StoreAnswer<Seen> {
        self.watched(|| self.inner.look(name, look))
    }

    fn put(&self, name: &str, record: SharedRecord, holder: Option<&str>) -> StoreAnswer<()> {
        self.watched(|| self.inner.put(name, record, holder))
    }

    fn forget(&self, name: &str, asked_at: Option<Duration>, holder: Option<&str>) -> StoreAnswer<()> {
        self.watched(|| self.inner.forget(name, asked_at, holder))
    }
}
