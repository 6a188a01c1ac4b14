//! `sleep` and `timeout` on the worker that polls them.

use super::timers::TimerId;
use crate::sys::clock;
use crate::worker::Worker;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Completes when `duration` has passed.
///
/// Cancel safe: dropping it removes the timer. Must be polled on a worker of the runtime; elsewhere it completes at
/// once.
pub fn sleep(duration: Duration) -> Sleep {
    let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2);
    Sleep::until(clock::monotonic_ns().saturating_add(ns))
}

/// Runs `future` for at most `duration`.
///
/// # Errors
/// [`Elapsed`] if the time is over first; the future is dropped with the returned one.
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout {
        future: Box::pin(future),
        sleep: sleep(duration),
    }
}

/// The future of [`sleep`].
pub struct Sleep {
    at: u64,
    armed: Option<(Rc<Worker>, TimerId)>,
}

impl Sleep {
    /// Until a moment in monotonic nanoseconds.
    pub(super) fn until(at: u64) -> Self {
        Self { at, armed: None }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if clock::monotonic_ns() >= self.at {
            return Poll::Ready(());
        }
        if let Some((worker, id)) = &self.armed
            && worker.timers.borrow_mut().renew(*id, cx.waker())
        {
            return Poll::Pending;
        }
        let Some(worker) = Worker::current() else {
            return Poll::Ready(());
        };
        let id = worker
            .timers
            .borrow_mut()
            .insert(self.at, cx.waker().clone());
        self.armed = Some((worker, id));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((worker, id)) = self.armed.take() {
            worker.timers.borrow_mut().cancel(id);
        }
    }
}

/// The future of [`timeout`].
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        pin!(&mut self.sleep).poll(cx).map(|()| Err(Elapsed))
    }
}

/// The time of a [`timeout`] was over first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time is over")
    }
}

impl std::error::Error for Elapsed {}
