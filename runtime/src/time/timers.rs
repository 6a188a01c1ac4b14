//! Fine timers of one worker, ordered by nanoseconds.

use std::collections::BTreeMap;
use std::task::Waker;

/// Names a timer until it fires or is cancelled.
pub(crate) type TimerId = (u64, u64);

/// The timers of one worker.
#[derive(Default)]
pub(crate) struct Timers {
    pending: BTreeMap<TimerId, Waker>,
    serial: u64,
}

impl Timers {
    pub(crate) fn insert(&mut self, at: u64, waker: Waker) -> TimerId {
        self.serial += 1;
        let id = (at, self.serial);
        self.pending.insert(id, waker);
        id
    }

    /// Replaces the waker; false if it has fired already.
    pub(crate) fn renew(&mut self, id: TimerId, waker: &Waker) -> bool {
        match self.pending.get_mut(&id) {
            Some(w) => {
                w.clone_from(waker);
                true
            }
            None => false,
        }
    }

    pub(crate) fn cancel(&mut self, id: TimerId) {
        self.pending.remove(&id);
    }

    /// When the next one is due, in nanoseconds of the monotonic clock.
    pub(crate) fn next(&self) -> Option<u64> {
        self.pending.first_key_value().map(|(id, _)| id.0)
    }

    /// Takes out one timer that is due.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Waker> {
        let first = self.pending.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_order_and_forgets_the_cancelled() {
        let mut timers = Timers::default();
        let waker = Waker::noop();
        let late = timers.insert(30, waker.clone());
        let gone = timers.insert(10, waker.clone());
        timers.insert(20, waker.clone());
        timers.cancel(gone);
        assert_eq!(timers.next(), Some(20));
        assert!(timers.pop(19).is_none());
        assert!(timers.pop(25).is_some());
        assert!(timers.pop(25).is_none());
        assert!(timers.renew(late, waker));
        assert!(timers.pop(30).is_some());
        assert!(!timers.renew(late, waker));
    }
}
