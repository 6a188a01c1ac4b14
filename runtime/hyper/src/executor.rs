//! Tasks of hyper.

use std::future::Future;

/// Runs what hyper spawns next to its connection, on the same worker.
///
/// # Panics
/// [`hyper::rt::Executor::execute`] does outside a worker, as [`parkade::spawn`].
///
/// ```
/// use parkade_hyper::{Executor, Timer};
///
/// let mut http = hyper::server::conn::http2::Builder::new(Executor::new());
/// http.timer(Timer::new());
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct Executor(());

impl Executor {
    /// The one of whichever worker it is used on.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(parkade::spawn(future));
    }
}
