//! How many children there should be: between MinSpareThreads and MaxSpareThreads idle threads, in windows of a second.
//!
//! A thread is idle as far as its child has free request slots: floor(free slots x ThreadsPerChild / slots).

use parkade_config::limits::Limits;
use std::time::{Duration, Instant};

/// One step each.
pub(super) const WINDOW: Duration = Duration::from_secs(1);
/// Children forked in one step at most.
const MOST: u32 = 32;
/// From so many on the log hears of it.
const MANY: u32 = 8;

/// What one child has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) busy: u32,
    pub(super) slots: u32,
}

impl Load {
    fn idle(self, limits: &Limits) -> u64 {
        let free = u64::from(self.slots.saturating_sub(self.busy));
        free * u64::from(limits.threads_per_child) / u64::from(self.slots.max(1))
    }
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Nothing,
    Grow(u32),
    /// One child goes.
    Shrink,
}

/// What was done before.
#[derive(Debug)]
pub(super) struct Spare {
    rate: u32,
    next: Instant,
    /// The last look found too few, and nothing was done.
    short: bool,
    /// The log was told that nearly no more, and that no more threads can be idle.
    told: [bool; 2],
}

impl Spare {
    pub(super) fn new() -> Self {
        Self {
            rate: 1,
            next: Instant::now(),
            short: false,
            told: [false; 2],
        }
    }

    /// When to look again.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Looks at the children that serve and stay, not before the window is over. `words` are for the log.
    pub(super) fn look(
        &mut self,
        limits: &Limits,
        children: &[Load],
        now: Instant,
    ) -> (Step, Option<String>) {
        if limits.fixed || now < self.next {
            return (Step::Nothing, None);
        }
        self.next = now + WINDOW;
        let idle: u64 = children.iter().map(|c| c.idle(limits)).sum();
        let count = children.len() as u32;
        if idle > u64::from(limits.max_spare_threads) && count > 1 {
            self.rate = 1;
            return (Step::Shrink, None);
        }
        if idle >= u64::from(limits.min_spare_threads) {
            (self.rate, self.short) = (1, false);
            return (Step::Nothing, None);
        }
        // Where nobody has said how many should be idle, a moment without any is no reason to grow.
        if !limits.spare_asked && !std::mem::replace(&mut self.short, true) {
            return (Step::Nothing, None);
        }
        let room = limits.children.saturating_sub(count);
        if room == 0 {
            self.rate = 1;
            let told = &mut self.told[usize::from(idle == 0)];
            let what = if idle == 0 {
                "reached"
            } else {
                "nearly reached (within MinSpareThreads of)"
            };
            let words = (!std::mem::replace(told, true))
                .then(|| format!("the server has {what} MaxRequestWorkers: consider raising it"));
            return (Step::Nothing, words);
        }
        let grow = self.rate.min(room);
        let words = (self.rate >= MANY).then(|| {
            format!(
                "the server seems busy: {grow} children are started, there are {count}, and {idle} idle threads \
                 (consider raising StartServers or MinSpareThreads and MaxSpareThreads)"
            )
        });
        self.rate = (self.rate * 2).min(MOST);
        (Step::Grow(grow), words)
    }

    /// Whether the next window is to be looked at though nobody says anything: something may still change by itself.
    pub(super) fn watches(&self, limits: &Limits, children: &[Load]) -> bool {
        if limits.fixed {
            return false;
        }
        let threads = children.len() as u64 * u64::from(limits.threads_per_child);
        let idle: u64 = children.iter().map(|c| c.idle(limits)).sum();
        let may_shrink = threads > u64::from(limits.max_spare_threads) && children.len() > 1;
        let may_grow = (children.len() as u32) < limits.children;
        let low = low_water(limits, children.len());
        let below = |c: &Load| c.slots.saturating_sub(c.busy) < low;
        may_shrink
            || may_grow
                && (idle < u64::from(limits.min_spare_threads) || children.iter().any(below))
    }
}

/// If fewer threads than MinSpareThreads are idle, some child has fewer free slots than this: it says so then.
pub(super) fn low_water(limits: &Limits, children: usize) -> u32 {
    let share = limits.min_spare_threads.div_ceil(children.max(1) as u32);
    let slots = u64::from(share) * u64::from(limits.slots_per_child);
    u32::try_from(slots.div_ceil(limits.threads_per_child.max(1).into())).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use parkade_config::limits::{Asked, resolve};

    fn limits(min: i64, max: i64, clients: i64) -> Limits {
        let asked = Asked {
            server_limit: Some(64),
            threads_per_child: Some(4),
            max_clients: Some(clients),
            min_spare_threads: Some(min),
            max_spare_threads: Some(max),
            ..Asked::default()
        };
        resolve(&asked, 2).0
    }

    fn children(busy: &[u32]) -> Vec<Load> {
        let child = |busy: &u32| Load {
            busy: *busy,
            slots: 4,
        };
        busy.iter().map(child).collect()
    }

    #[test]
    fn spare_growth_doubles_up_to_the_limit_and_is_told_once() {
        let limits = limits(10, 20, 80);
        let mut spare = Spare::new();
        let mut now = Instant::now();
        let (mut busy, mut steps, mut told) = (vec![4], Vec::new(), Vec::new());
        for _ in 0..8 {
            now += WINDOW;
            let (step, words) = spare.look(&limits, &children(&busy), now);
            if let Step::Grow(n) = step {
                steps.push(n);
                busy.extend((0..n).map(|_| 4));
            }
            told.extend(words);
        }
        assert_eq!(steps, [1, 2, 4, 8, 4], "20 children are the most");
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[2].contains("MaxRequestWorkers"));
        // Within a window nothing happens.
        assert_eq!(spare.look(&limits, &children(&[4]), now).0, Step::Nothing);
    }

    #[test]
    fn spare_shrink_takes_one_at_a_time() {
        let limits = limits(10, 20, 80);
        let mut spare = Spare::new();
        let mut now = Instant::now();
        let mut busy = vec![0; 9];
        while spare.look(&limits, &children(&busy), now).0 == Step::Shrink {
            busy.pop();
            now += WINDOW;
        }
        assert_eq!(busy.len(), 5, "20 threads may be idle");
        assert!(!spare.watches(&limits, &children(&busy)));
    }

    #[test]
    fn one_child_below_its_share_is_seen_when_all_together_have_too_few() {
        let limits = limits(10, 20, 80);
        for busy in [[0, 0, 3], [2, 2, 2], [4, 0, 0]] {
            let all = children(&busy);
            let idle: u64 = all.iter().map(|c| c.idle(&limits)).sum();
            let low = low_water(&limits, all.len());
            let seen = all.iter().any(|c| c.slots - c.busy < low);
            assert!(idle >= 10 || seen, "{busy:?}");
            assert_eq!(spare_watches(&limits, &all), idle < 10 || seen);
        }
    }

    fn spare_watches(limits: &Limits, all: &[Load]) -> bool {
        Spare::new().watches(limits, all)
    }
}
