//! A timer that may be part of a `Send` future.

use parkade::{JoinHandle, spawn};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Completes when a time has passed, as [`parkade::time::sleep`] does, and is `Send`: routers of axum and most layers ask
/// that of everything their futures hold.
///
/// The timer is set when it is first polled and has to wait, on the worker that polls it. Cancel safe: dropping it
/// removes the timer.
///
/// # Panics
/// When it has to wait and is polled outside a worker.
///
/// ```
/// use axum::{Router, routing::get};
/// use parkade_http::tower::Sleep;
/// use std::time::Duration;
///
/// async fn slow() -> &'static str {
///     Sleep::new(Duration::from_millis(100)).await;
///     "at last"
/// }
///
/// let router: Router = Router::new().route("/slow", get(slow));
/// ```
pub struct Sleep {
    until: Option<Instant>,
    task: Option<JoinHandle<()>>,
}

impl Sleep {
    /// From now on for so long.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        Self {
            // What no clock can say never comes.
            until: Instant::now().checked_add(time),
            task: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else {
            return Poll::Pending;
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Poll::Ready(());
        }
        let task = self
            .task
            .get_or_insert_with(|| spawn(parkade::time::sleep(left)));
        if task.is_finished() {
            return Poll::Ready(());
        }
        Pin::new(task).poll(cx)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("until", &self.until).finish()
    }
}
