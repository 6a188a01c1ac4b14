//! For how long handlers count as slow: a moment at first, longer while it goes on.
//!
//! Answers that were put off wait for whoever is slow among the others, so nothing is put off for a while after a group of
//! bursts took its time. The clock alone cannot tell a slow handler from a thread that was not on its processor, or was
//! being watched: the first group that took long makes the worker look at its own use of the processor too, for a second;
//! only who then worked that long, or waited of its own accord, is slow. Who is slow again soon after a penalty counts as
//! slow twice as long each time.

use super::Worker;
use crate::park::wheel::before;
use crate::sys::clock;
use crate::sys::usage::{self, Usage};
use std::sync::atomic::Ordering::Relaxed;

/// A group of bursts (at most 64) that takes longer is looked at.
const SLOW_NS: u64 = 1_000_000;
/// Milliseconds of a first penalty, and of the longest.
const FIRST: u32 = 16;
const LONGEST: u32 = 1_000;
/// Milliseconds after a penalty in which being slow again makes it a longer one.
const SOON: u32 = 1_000;
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
            slowness.used = Some(usage::of_this_thread());
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
    /// When the present penalty ends.
    until: Option<u32>,
    /// The last penalty, and when it ended.
    last: Option<(u32, u32)>,
}

impl Slowness {
    /// Whether handlers count as slow at `now`, in wrapping milliseconds.
    fn holds(&mut self, now: u32) -> bool {
        if self.until.is_some_and(|until| !before(now, until)) {
            self.until = None;
        }
        // Long past, and it must not come round with the clock.
        if let Some((_, ended)) = self.last
            && self.until.is_none()
            && now.wrapping_sub(ended) > SOON
        {
            self.last = None;
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
    fn took_long(&mut self, now: u32, used: Usage) -> bool {
        self.watched = Some(now.wrapping_add(SOON));
        // The first one is not judged: nobody knows what it began with.
        let quick = self.used.take().is_none_or(|before| {
            used.waits == before.waits && used.busy_ns - before.busy_ns < SLOW_NS
        });
        if !quick {
            self.slow(now);
        }
        quick
    }

    /// A group of bursts was slow.
    fn slow(&mut self, now: u32) {
        if self.holds(now) {
            return;
        }
        let ms = match self.last {
            Some((ms, _)) => (2 * ms).min(LONGEST),
            None => FIRST,
        };
        self.penalise(now, ms);
    }

    /// A neighbour had to help.
    fn stuck(&mut self, now: u32) {
        self.penalise(now, STUCK);
        self.last = Some((LONGEST, now.wrapping_add(STUCK)));
    }

    fn penalise(&mut self, now: u32, ms: u32) {
        let until = now.wrapping_add(ms);
        self.until = Some(until);
        self.last = Some((ms, until));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Asks every millisecond from `from` on until it does not hold.
    fn ends(slowness: &mut Slowness, from: u32) -> u32 {
        let mut now = from;
        while slowness.holds(now) {
            now = now.wrapping_add(1);
        }
        now
    }

    #[test]
    fn one_slow_group_is_soon_forgotten_and_many_are_not() {
        let mut slowness = Slowness::default();
        // The clock comes round in the middle of it.
        let mut now = u32::MAX - 100;
        let mut penalties = Vec::new();
        for _ in 0..9 {
            slowness.slow(now);
            let end = ends(&mut slowness, now);
            penalties.push(end.wrapping_sub(now));
            now = end.wrapping_add(SOON);
        }
        assert_eq!(penalties, [16, 32, 64, 128, 256, 512, 1000, 1000, 1000]);
        now = now.wrapping_add(1);
        assert!(!slowness.holds(now));
        slowness.slow(now);
        assert_eq!(ends(&mut slowness, now).wrapping_sub(now), FIRST);
    }

    #[test]
    fn being_slow_within_a_penalty_changes_nothing() {
        let mut slowness = Slowness::default();
        slowness.slow(0);
        slowness.slow(5);
        assert_eq!(ends(&mut slowness, 0), FIRST);
        slowness.slow(FIRST);
        assert_eq!(ends(&mut slowness, FIRST), 3 * FIRST);
    }

    #[test]
    fn only_who_worked_or_waited_is_slow() {
        let used = |busy_ms: u64, waits| Usage {
            busy_ns: 1_000_000 * busy_ms,
            waits,
        };
        let mut slowness = Slowness::default();
        let mut judge = |now, from: Usage, to| {
            if slowness.watches(now) {
                slowness.used = Some(from);
            }
            let quick = slowness.took_long(now, to);
            assert_eq!(quick, !slowness.holds(now));
            quick
        };
        // The first one, whatever it was.
        assert!(judge(0, used(5, 5), used(9, 9)));
        assert!(judge(500, used(9, 9), used(9, 9)), "not on the processor");
        assert!(!judge(1_000, used(9, 9), used(10, 9)), "worked");
        assert!(!judge(1_500, used(10, 9), used(10, 10)), "waited");
        // A second after the last one.
        assert!(judge(2_500, used(10, 10), used(20, 20)));
    }

    #[test]
    fn being_stuck_counts_for_a_minute_and_then_for_the_longest() {
        let mut slowness = Slowness::default();
        slowness.slow(0);
        slowness.stuck(1);
        assert_eq!(ends(&mut slowness, 1), 1 + STUCK);
        slowness.slow(1 + STUCK);
        assert_eq!(ends(&mut slowness, 1 + STUCK), 1 + STUCK + LONGEST);
    }
}
