//! Who may take events out of a worker's pollset: the harvest word.
//!
//! | word | meaning | next |
//! |---|---|---|
//! | BUSY | the owner runs handlers | POLLING by the owner, HARVESTED by a neighbour |
//! | POLLING | the owner is in, or about to enter, its wait | BUSY by the owner |
//! | HARVESTED(n) | neighbour n drains at most 64 events, timeout 0 | BUSY by that neighbour |
//!
//! The sleep protocol shares the word. An owner that wants to sleep stores POLLING and *then* looks at its inbox; a
//! waker pushes to the inbox and *then* looks at the word (both with a `SeqCst` fence between: Dekker). So either
//! the owner sees the message or the waker sees POLLING and writes the wake descriptor. A neighbour that harvests a
//! wake token writes the descriptor again after its release, because the owner still has to be told.
//!
//! The message itself is published by the inbox's own release/acquire; the fences only order the two looks.

use crate::sync::{AtomicU64, Ordering, fence};

const BUSY: u64 = 0;
const POLLING: u64 = 1;
#[cfg_attr(
    not(any(test, loom)),
    allow(dead_code, reason = "for the monitor, which is not built yet")
)]
const HARVESTED: u64 = 2;

/// The harvest word of one worker.
#[derive(Debug)]
pub(crate) struct HarvestWord(AtomicU64);

impl HarvestWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(BUSY))
    }

    /// Owner: about to wait. False: a neighbour is harvesting, do local work and try again.
    pub(crate) fn enter_poll(&self) -> bool {
        let entered = self
            .0
            .compare_exchange(BUSY, POLLING, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        // Pairs with the fence in `must_wake`: POLLING is visible before the inbox is looked at.
        fence(Ordering::SeqCst);
        entered
    }

    /// Owner: back from its wait, or not waiting after all.
    pub(crate) fn leave_poll(&self) {
        self.0.store(BUSY, Ordering::Release);
    }

    /// Any thread, after it has pushed to the inbox: does the owner have to be woken?
    ///
    /// HARVESTED counts as awake: the owner is busy, it looks at its inbox before its next wait.
    pub(crate) fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) == POLLING
    }

    #[cfg_attr(
        not(any(test, loom)),
        allow(dead_code, reason = "for the monitor, which is not built yet")
    )]
    /// Neighbour: takes the right to harvest a busy owner's pollset.
    pub(crate) fn try_harvest(&self, neighbour: u16) -> bool {
        let mine = HARVESTED | u64::from(neighbour) << 8;
        self.0
            .compare_exchange(BUSY, mine, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    #[cfg_attr(
        not(any(test, loom)),
        allow(dead_code, reason = "for the monitor, which is not built yet")
    )]
    /// Neighbour: gives it back.
    pub(crate) fn release(&self) {
        self.0.store(BUSY, Ordering::Release);
    }
}
