//! Counters, readable at any time, by other processes too if they lie in memory shared with them.

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter. Where only the worker it belongs to counts, [`Counter::add_mine`] spares the locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn zero() -> Self {
        Self(AtomicU64::new(0))
    }
    /// Wraps after 2^64.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
    /// For a counter that no other thread ever adds to.
    pub(crate) fn add_mine(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// One less.
    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }
    /// For a state that only its worker changes.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counters of one worker: 128 bytes of atomics, all zero at first.
///
/// An embedder may give a place for them ([`crate::Builder::counters`]), such as memory that it shares with other
/// processes, and read them there at any time without disturbing the worker.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct WorkerCounters {
    pub(crate) accepted: Counter,
    pub(crate) opened: Counter,
    pub(crate) closed: Counter,
    pub(crate) bursts: Counter,
    pub(crate) requests: Counter,
    pub(crate) bytes: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) panics: Counter,
    pub(crate) rescued: Counter,
    pub(crate) evicted: Counter,
    /// Slots at rest as WRITING and as LINGERING. Whoever lays one to rest counts after it is visible, so the taking
    /// up may be counted first: for that instant the number is below zero.
    pub(crate) writing: Counter,
    pub(crate) lingering: Counter,
    /// 1 from the return of one wait for events to the next.
    pub(crate) busy: Counter,
    /// 1 while the listeners are out of the pollset.
    pub(crate) paused: Counter,
    pub(crate) adopted: Counter,
    /// Bytes of free buffers.
    pub(crate) retained: Counter,
}

impl WorkerCounters {
    /// Counts accepted connections by hand: for tests of what reads shared counters.
    #[doc(hidden)]
    pub fn count_accepted(&self, n: u64) {
        self.accepted.add(n);
    }

    /// All zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            accepted: Counter::zero(),
            opened: Counter::zero(),
            closed: Counter::zero(),
            bursts: Counter::zero(),
            requests: Counter::zero(),
            bytes: Counter::zero(),
            timeouts: Counter::zero(),
            panics: Counter::zero(),
            rescued: Counter::zero(),
            evicted: Counter::zero(),
            writing: Counter::zero(),
            lingering: Counter::zero(),
            busy: Counter::zero(),
            paused: Counter::zero(),
            adopted: Counter::zero(),
            retained: Counter::zero(),
        }
    }

    /// Back to zero, when the workers that counted here are gone.
    pub fn reset(&self) {
        for counter in [
            &self.accepted,
            &self.opened,
            &self.closed,
            &self.bursts,
            &self.requests,
            &self.bytes,
            &self.timeouts,
            &self.panics,
            &self.rescued,
            &self.evicted,
            &self.writing,
            &self.lingering,
            &self.busy,
            &self.paused,
            &self.adopted,
            &self.retained,
        ] {
            counter.set(0);
        }
    }

    /// What they say now; each number for itself.
    #[must_use]
    pub fn read(&self) -> WorkerMetrics {
        let gauge = |c: &Counter| u64::try_from(c.get() as i64).unwrap_or(0);
        let closed = self.closed.get();
        let (accepted, opened) = (self.accepted.get(), self.opened.get());
        let adopted = self.adopted.get();
        let live = accepted
            .wrapping_add(opened)
            .wrapping_add(adopted)
            .wrapping_sub(closed);
        let live = u64::try_from(live as i64).unwrap_or(0);
        WorkerMetrics {
            connections: live,
            accepted,
            opened,
            adopted,
            closed,
            bursts: self.bursts.get(),
            requests: self.requests.get(),
            bytes: self.bytes.get(),
            timeouts: self.timeouts.get(),
            panics: self.panics.get(),
            rescued: self.rescued.get(),
            stolen: 0,
            evicted: self.evicted.get(),
            writing: gauge(&self.writing),
            lingering: gauge(&self.lingering),
            busy: self.busy.get() != 0,
            accepting: self.paused.get() == 0,
            retained: self.retained.get(),
        }
    }
}

/// Where a worker counts: in the place it was given, or in one of its own.
pub(crate) struct Place {
    at: NonNull<WorkerCounters>,
    given: bool,
}

// SAFETY: what is pointed at is a `Sync` value that lives as long as this (or for ever).
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Place {
    pub(crate) fn new(given: Option<&'static WorkerCounters>) -> Self {
        match given {
            Some(place) => Self {
                at: NonNull::from(place),
                given: true,
            },
            None => Self {
                at: NonNull::from(Box::leak(Box::default())),
                given: false,
            },
        }
    }
}

impl Deref for Place {
    type Target = WorkerCounters;

    fn deref(&self) -> &WorkerCounters {
        // SAFETY: either `'static` or the box that `drop` takes back; only ever shared.
        unsafe { self.at.as_ref() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.given {
            // SAFETY: it came from `Box::leak` in `new`, and no reference outlives `self`.
            drop(unsafe { Box::from_raw(self.at.as_ptr()) });
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A snapshot of a runtime's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// One entry per worker, then one per reserve that has helped.
    pub workers: Vec<WorkerMetrics>,
}

/// A snapshot of one worker's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Connections that live here now, in whatever state.
    pub connections: u64,
    /// Connections placed here since the start.
    pub accepted: u64,
    /// Sockets that tasks have opened here: they count as connections too.
    pub opened: u64,
    /// Connections that have come here from another process.
    pub adopted: u64,
    /// Connections of this worker that have ended or gone to another process.
    pub closed: u64,
    /// Bursts started by this worker.
    pub bursts: u64,
    /// Requests counted by protocols (`Conn::add_request`).
    pub requests: u64,
    /// Bytes handed to the kernel for its connections.
    pub bytes: u64,
    /// Deadlines that ended a connection.
    pub timeouts: u64,
    /// Panics caught, in bursts and in tasks.
    pub panics: u64,
    /// Events of connections that a reserve took over because their worker was stuck.
    pub rescued: u64,
    /// Bursts of its connections that a worker with nothing to do has started because this one was behind. Known to the
    /// runtime alone: 0 in [`WorkerCounters::read`].
    pub stolen: u64,
    /// Parked connections closed for want of descriptors.
    pub evicted: u64,
    /// Connections whose response waits for the peer to read.
    pub writing: u64,
    /// Connections that have ended on our side and wait for the peer's end.
    pub lingering: u64,
    /// The worker is not waiting for events at this moment.
    pub busy: bool,
    /// Its listeners are in its pollset.
    pub accepting: bool,
    /// Bytes of free buffers that it keeps ([`crate::Builder::free_memory`]).
    pub retained: u64,
}

impl Metrics {
    /// Connections in all.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.workers.iter().map(|w| w.connections).sum()
    }

    /// Events taken over from stuck workers in all.
    #[must_use]
    pub fn rescued(&self) -> u64 {
        self.workers.iter().map(|w| w.rescued).sum()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_workers_counters_are_two_lines_that_zero_bytes_make_valid() {
        assert_eq!(
            (size_of::<WorkerCounters>(), align_of::<WorkerCounters>()),
            (128, 128)
        );
        static GIVEN: WorkerCounters = WorkerCounters::new();
        let place = Place::new(Some(&GIVEN));
        place.accepted.add(3);
        place.closed.add(1);
        place.writing.sub(1);
        drop(place);
        let seen = GIVEN.read();
        assert_eq!((seen.connections, seen.writing), (2, 0));
        assert_eq!(Place::new(None).read().accepted, 0);
    }
}
