//! Waking once for several: a worker whose connections wake it thickly, but not so thickly that it is busy, naps before it
//! waits, and then finds several of them ready.
//!
//! A wake costs a context switch and the way out of idleness; ten that share one save nine. What it costs is time: nobody
//! waits longer for a nap than its bound. Whether it pays is judged by what has been seen: how many events a nap would
//! gather, and how much of the time the worker works anyhow. A busy worker finds several events at each wait without it.

use std::cell::Cell;
use std::time::Duration;

/// A nap must gather so many events, or it only delays them.
const GATHERED: f64 = 2.5;
/// A worker that works for more of its time gathers events without naps, and may need the time.
const BUSY: f64 = 0.5;
/// What is looked at lasts about so long, in nanoseconds: half of the weight lies in the last of them.
const MEMORY: f64 = 5e6;
/// A sleep of the kernel may last so much longer than was asked for; it is part of the bound.
const SLACK: Duration = Duration::from_micros(60);

/// What one worker knows of its wakes. Times are nanoseconds.
pub(super) struct Coalescing {
    /// The longest nap, [`SLACK`] taken off; zero: never.
    nap: Duration,
    /// When the wait before this one ended, and when this one began.
    woke: Cell<u64>,
    slept: Cell<u64>,
    /// Of each nanosecond: events, and the share that was work.
    rate: Cell<f64>,
    work: Cell<f64>,
}

impl Coalescing {
    /// `bound`: no request waits longer for others; zero turns it off.
    pub(super) fn new(bound: Duration) -> Self {
        Self {
            nap: bound.saturating_sub(SLACK),
            woke: Cell::new(0),
            slept: Cell::new(0),
            rate: Cell::new(0.0),
            // Until something has been seen.
            work: Cell::new(1.0),
        }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        !self.nap.is_zero()
    }

    /// Before a wait that may last for `most`: how long to nap first.
    pub(super) fn nap(&self, now: u64, most: Duration) -> Option<Duration> {
        self.slept.set(now);
        let gathers = self.rate.get() * self.nap.as_nanos() as f64;
        let pays = gathers >= GATHERED && self.work.get() <= BUSY;
        // What is due earlier does not wait for the nap.
        (pays && most > self.nap).then_some(self.nap)
    }

    /// A wait is over, nap and all, and has brought so many events.
    pub(super) fn woken(&self, now: u64, events: usize) {
        let (slept, woke) = (self.slept.get(), self.woke.replace(now));
        let turn = now.saturating_sub(woke) as f64;
        if woke == 0 || turn <= 0.0 {
            return;
        }
        let worked = slept.saturating_sub(woke) as f64;
        // Weighed by time, so that a rush of short turns is no more than it lasts.
        let weight = turn / (turn + MEMORY);
        let blend = |old: &Cell<f64>, seen: f64| old.set(old.get() + weight * (seen - old.get()));
        blend(&self.rate, events as f64 / turn);
        blend(&self.work, worked / turn);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_micros(500);
    const LONG: Duration = Duration::from_secs(60);

    /// A worker at so many wakes a second that each cost so many nanoseconds; how often it has napped in 200 ms, of all its
    /// waits. What comes during a nap or work is found by the next wait.
    fn naps(rate: u64, cost: u64) -> (u32, u32) {
        let coalescing = Coalescing::new(BOUND);
        let each = 1_000_000_000 / rate;
        let (mut now, mut next, mut naps, mut waits) = (1_000, 1_000 + each, 0, 0);
        while now < 200_000_000 {
            waits += 1;
            if let Some(nap) = coalescing.nap(now, LONG) {
                assert!(nap + SLACK <= BOUND);
                now += nap.as_nanos() as u64;
                naps += 1;
            }
            now = now.max(next);
            let mut events = 0;
            while next <= now {
                events += 1;
                next += each;
            }
            coalescing.woken(now, events);
            now += events as u64 * cost;
        }
        (naps, waits)
    }

    #[test]
    fn thick_wakes_are_gathered() {
        let (naps, waits) = naps(20_000, 8_000);
        assert!(naps * 10 > waits * 8, "{naps} of {waits}");
        assert!(waits < 1_000, "{waits} waits for 4,000 events");
    }

    #[test]
    fn few_wakes_are_not_delayed() {
        assert_eq!(naps(2_000, 12_000).0, 0);
    }

    #[test]
    fn a_busy_worker_does_not_nap() {
        let (naps, waits) = naps(80_000, 10_000);
        assert!(naps * 20 < waits, "{naps} of {waits}");
    }

    #[test]
    fn what_is_due_does_not_wait() {
        let coalescing = Coalescing::new(BOUND);
        for turn in 1..1_000 {
            coalescing.nap(turn * 50_000 - 40_000, LONG);
            coalescing.woken(turn * 50_000, 1);
        }
        assert!(coalescing.nap(50_000_000, LONG).is_some());
        assert_eq!(coalescing.nap(50_000_000, Duration::from_micros(300)), None);
        assert!(!Coalescing::new(Duration::ZERO).is_on());
    }
}
