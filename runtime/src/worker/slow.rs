//! For how long handlers count as slow.
//!
//! Answers that were put off wait for whoever is slow among the others, so nothing is put off for a while after a group of
//! bursts took its time. One such group may be chance, as a clock cannot tell a slow handler from a thread that was not on
//! its processor: it counts for a moment only. If the next group takes its time as well, handlers are slow, and that counts.

use super::Worker;
use crate::park::wheel::before;
use crate::sys::clock;
use std::sync::atomic::Ordering::Relaxed;

/// A group of bursts (at most 64) that takes longer is looked at.
const SLOW_NS: u64 = 1_000_000;
/// Milliseconds for which the first group that took long counts, and one that follows it.
const MOMENT: u32 = 16;
const SLOW: u32 = 1_000;
/// Milliseconds after which a group does not follow the last one any more.
const APART: u32 = 1_000;
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
        self.bursts_began.set(clock::monotonic_ns());
    }

    /// Whether the bursts since then were quick. If not, nothing is put off for a while.
    #[inline]
    pub(crate) fn were_quick(&self) -> bool {
        let quick = clock::monotonic_ns() - self.bursts_began.get() < SLOW_NS;
        let mut slowness = self.slowness.get();
        if !quick {
            // It may have taken longer than it counts: from now, not from the beginning of the turn.
            slowness.took_long(clock::monotonic_ms());
            self.slowness.set(slowness);
        } else if slowness.last.is_some() {
            slowness.last = None;
            self.slowness.set(slowness);
        }
        quick
    }
}

/// What a worker knows of its handlers' speed.
#[derive(Clone, Copy, Default)]
pub(super) struct Slowness {
    /// When the last group took long, unless one was quick since.
    last: Option<u32>,
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

    /// A group of bursts took its time.
    fn took_long(&mut self, now: u32) {
        let follows = self
            .last
            .replace(now)
            .is_some_and(|last| now.wrapping_sub(last) <= SLOW + APART);
        self.counts(now, if follows { SLOW } else { MOMENT });
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

    #[test]
    fn one_that_took_long_counts_for_a_moment_and_the_next_for_a_second() {
        let mut slowness = Slowness::default();
        // The clock comes round meanwhile.
        let now = u32::MAX - 5;
        slowness.took_long(now);
        assert_eq!(held(&mut slowness, now), MOMENT);
        let now = now.wrapping_add(MOMENT + 100);
        slowness.took_long(now);
        assert_eq!(held(&mut slowness, now), SLOW);
        // So it goes on.
        let now = now.wrapping_add(SLOW + 100);
        slowness.took_long(now);
        assert_eq!(held(&mut slowness, now), SLOW);
        // One does not follow another from long ago.
        let now = now.wrapping_add(SLOW + APART + 1);
        slowness.took_long(now);
        assert_eq!(held(&mut slowness, now), MOMENT);
    }

    #[test]
    fn being_stuck_counts_for_a_minute() {
        let mut slowness = Slowness::default();
        slowness.stuck(1);
        slowness.took_long(2);
        assert_eq!(held(&mut slowness, 1), STUCK);
    }
}
