//! What other threads may do with a runtime.

use super::Shared;
use crate::executor::inbox::Message;
use crate::executor::remote::Remote;
use crate::metrics::Metrics;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Steers a runtime from any thread.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Shared>);

impl Handle {
    /// Stops accepting, says goodbye to idle connections, lets requests in progress finish for at most `grace`.
    pub fn shutdown(&self, grace: Duration) {
        self.0.drain(grace);
        for home in &self.0.homes {
            home.post(Message::Spawn(Box::new(|| {})));
        }
    }

    /// Makes a future on a worker (counted modulo their number), where it runs as a task. It need not be `Send`.
    ///
    /// ```
    /// use parkade::{Runtime, Workers};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let runtime = Runtime::builder().workers(Workers::Count(2)).build()?;
    /// let seven = runtime.handle().spawn_on(1, || async {
    ///     let shared = Rc::new(Cell::new(3));
    ///     let other = shared.clone();
    ///     parkade::spawn(async move { other.set(other.get() + 4) }).await;
    ///     shared.get()
    /// });
    /// assert_eq!(parkade::block_on(seven), 7);
    /// # Ok::<(), parkade::Error>(())
    /// ```
    pub fn spawn_on<F>(
        &self,
        worker: usize,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> Remote<F::Output>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let homes = &self.0.homes;
        Remote::spawn(&homes[worker % homes.len()], make)
    }

    /// The counters of now.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics {
            workers: self.0.homes.iter().map(|h| h.counters.read()).collect(),
        }
    }
}
