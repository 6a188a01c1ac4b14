//! For how long handlers count as slow.
//!
//! Answers that were put off wait for whoever is slow among the others, so nothing is put off for a while after a group of
//! bursts took its time. The clock alone cannot tell a slow handler from a thread that was not on its processor, or was
//! being watched: so the first group that took long counts for a moment only, and makes the worker look at its own use of
//! the processor too, for a second. Who then worked that long, or waited of its own accord, is slow, and that counts.

use super::Worker;
use crate::park::wheel::before;
use crate::sys::clock;
use crate::sys::usage::{self, Usage};
use std::sync::atomic::Ordering::Relaxed;

/// A group of bursts (at most 64) that takes longer is looked at.
const SLOW_NS: u64 = 1_000_000;
/// Milliseconds for which a group that took long counts: if nobody knows why, and if it was slow.
const MOMENT: u32 = 16;
const SLOW: u32 = 1_000;
/// For how many milliseconds the use of the processor is looked at after a group that took long.
const WATCH: u32 = 1_000;
/// For how many milliseconds it counts that this worker was so stuck that a neighbour had to help.
const STUCK: u32 = 60_000;

impl Worker {
    /// Several connections are served: services may put off what comes cheaper for many at once.
    pub(super) fn begin_group(&self) {
        let now = self.now.get();
        let mut slowness = self.slowness.get();
        if self.home.stuck.load(Relaxed) && self.home.stuck.swap(false, Relaxed) {
            slowness.stuck(now);
        }
        let quick = !slowness.holds(now);
        self.slowness.set(slowness);
        if quick {
            self.begin_bursts();
            self.crowded.set(true);
        }
    }

    /// From here on it is handlers that take the time, until the worker asks whether they were quick.
    pub(crate) fn begin_bursts(&self) {
        let mut slowness = self.slowness.get();
        if slowness.watches(self.now.get()) {
            slowness.used = usage::of_this_thread();
            self.slowness.set(slowness);
        }
        self.bursts_began.set(clock::monotonic_ns());
    }

    /// Whether the bursts since then were quick. If not, nothing is put off for a while.
    pub(crate) fn were_quick(&self) -> bool {
        let took = clock::monotonic_ns() - self.bursts_began.get();
        took < SLOW_NS || self.took_long()
    }

    #[cold]
    fn took_long(&self) -> bool {
        let mut slowness = self.slowness.get();
        let quick = slowness.took_long(clock::monotonic_ms(), usage::of_this_thread());
        self.slowness.set(slowness);
        quick
    }
}

/// What a worker knows of its handlers' speed.
#[derive(Clone, Copy, Default)]
pub(super) struct Slowness {
    /// Until when the use of the processor is looked at; what it was when the present bursts began.
    watched: Option<u32>,
    used: Option<Usage>,
    /// Until when handlers count as slow.
    until: Option<u32>,
}

impl Slowness {
    /// Whether handlers count as slow at `now`, in wrapping milliseconds.
    fn holds(&mut self, now: u32) -> bool {
        if self.until.is_some_and(|until| !before(now, until)) {
            self.until = None;
        }
        self.until.is_some()
    }

    /// Whether the use of the processor is looked at.
    fn watches(&mut self, now: u32) -> bool {
        if self.watched.is_some_and(|until| !before(now, until)) {
            (self.watched, self.used) = (None, None);
        }
        self.watched.is_some()
    }

    /// A group of bursts took its time, and now so much has been used; whether they were quick all the same.
    fn took_long(&mut self, now: u32, used: Option<Usage>) -> bool {
        self.watched = Some(now.wrapping_add(WATCH));
        let (Some(before), Some(used)) = (self.used.take(), used) else {
            self.counts(now, MOMENT);
            return false;
        };
        let quick = used.waits == before.waits && used.busy_ns - before.busy_ns < SLOW_NS;
        if !quick {
            self.counts(now, SLOW);
        }
        quick
    }

    /// A neighbour had to help.
    fn stuck(&mut self, now: u32) {
        self.counts(now, STUCK);
    }

    fn counts(&mut self, now: u32, ms: u32) {
        let until = now.wrapping_add(ms);
        if self.until.is_none_or(|old| before(old, until)) {
            self.until = Some(until);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Asks every millisecond from `from` on until it does not hold; for how long it did.
    fn held(slowness: &mut Slowness, from: u32) -> u32 {
        (0..)
            .find(|ms| !slowness.holds(from.wrapping_add(*ms)))
            .unwrap_or(0)
    }

    fn used(busy_ms: u64, waits: u64) -> Option<Usage> {
        Some(Usage {
            busy_ns: 1_000_000 * busy_ms,
            waits,
        })
    }

    #[test]
    fn what_nobody_knows_the_reason_of_counts_for_a_moment() {
        let mut slowness = Slowness::default();
        // The clock comes round meanwhile.
        let now = u32::MAX - 5;
        assert!(!slowness.took_long(now, used(9, 9)));
        assert_eq!(held(&mut slowness, now), MOMENT);
        assert!(slowness.watches(now.wrapping_add(WATCH - 1)));
        assert!(!slowness.watches(now.wrapping_add(WATCH)));
    }

    #[test]
    fn only_who_worked_or_waited_is_slow() {
        for (to, ms) in [(used(9, 9), 0), (used(10, 9), SLOW), (used(9, 10), SLOW)] {
            let mut slowness = Slowness::default();
            slowness.took_long(0, used(1, 1));
            assert!(slowness.watches(500));
            slowness.used = used(9, 9);
            assert_eq!(slowness.took_long(500, to), ms == 0);
            assert_eq!(held(&mut slowness, 500), ms);
            // Watched for longer.
            assert!(slowness.watches(500 + WATCH - 1));
        }
    }

    #[test]
    fn being_stuck_counts_for_a_minute() {
        let mut slowness = Slowness::default();
        slowness.stuck(1);
        slowness.took_long(2, used(1, 1));
        assert_eq!(held(&mut slowness, 1), STUCK);
    }
}
