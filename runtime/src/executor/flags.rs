//! The two flags between a worker and whoever hands it something.

use crate::sync::{AtomicBool, Ordering, fence};

/// A message or job for one burst is under way, so another wake need not send one.
///
/// Set by wakers, cleared by the worker before it polls. Both are swaps: a waker that still found it set happened before
/// the clearing, and the poll sees what it published; one that comes later finds it clear and sends.
#[derive(Debug)]
pub(crate) struct Queued(AtomicBool);

impl Queued {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Waker: true if it has to send.
    pub(crate) fn set(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Worker: about to poll.
    pub(crate) fn clear(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}

/// The worker takes no more messages.
///
/// It says so and then empties its inbox; whoever awaits an answer pushes its message and then looks here. The fences
/// between make it a Dekker pair: either the message is found, or the end is seen.
#[derive(Debug)]
pub(crate) struct Ended(AtomicBool);

impl Ended {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Worker: from here on, before the last look at the inbox.
    pub(crate) fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// After a push.
    pub(crate) fn has_ended(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed)
    }
}
