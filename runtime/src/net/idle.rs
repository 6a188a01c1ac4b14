//! Soft idling: a future that waits for the next request without a buffer or a timer object of its own.
//!
//! The wait is timed by the slot's deadline, in the wheel that also ends parked connections. When the runtime begins to
//! end, each worker wakes its waiters once; an idling one ends then, so a drain need not wait for the deadline.

use super::claim::Claim;
use crate::park::state::{RDHUP, READY, UNPARK};
use crate::time::Deadline;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

/// Why idling has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Idle {
    /// There is input, or the peer's FIN, or a failure: the next read tells. Nothing after [`crate::ParkedHandle::unpark`],
    /// and rarely otherwise: then idle again.
    Input,
    /// The time is over.
    TimedOut,
    /// The runtime is shutting down, or its parked connections go to another process, where this one cannot: say goodbye.
    Draining,
}

/// The future of idling. Dropping it leaves the connection as it was.
pub(crate) struct Idling<'a> {
    claim: Claim<'a>,
    most: Duration,
    /// The deadline that is put back at the end, while ours is in the slot.
    before: Option<u32>,
}

impl<'a> Idling<'a> {
    pub(crate) fn new(claim: Claim<'a>, most: Duration) -> Self {
        Self {
            claim,
            most,
            before: None,
        }
    }
}

impl Future for Idling<'_> {
    type Output = Idle;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Idle> {
        let claim = self.claim;
        let slot = claim.slot();
        if self.before.is_none() {
            self.before = Some(slot.deadline.load(Relaxed));
            let now = Deadline(claim.worker.now.get());
            slot.deadline
                .store(Deadline::after(now, self.most).0, Relaxed);
        }
        match claim.poll_edge(cx, READY | RDHUP | UNPARK, true) {
            Poll::Ready(Ok(())) => Poll::Ready(Idle::Input),
            Poll::Ready(Err(_)) => Poll::Ready(Idle::TimedOut),
            // Looked at after the waiter was registered, on the thread that wakes the waiters: no gap between.
            Poll::Pending if !claim.worker.shared.running() => Poll::Ready(Idle::Draining),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Idling<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            self.claim.slot().deadline.store(before, Relaxed);
        }
    }
}
