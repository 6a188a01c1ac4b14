//! Counters, readable at any time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter. Where only the worker it belongs to counts, [`Counter::add_mine`] spares the locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Wraps after 2^64.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
    /// For a counter that no other thread ever adds to.
    pub(crate) fn add_mine(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counters of one worker.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: Counter,
    pub(crate) opened: Counter,
    pub(crate) closed: Counter,
    pub(crate) bursts: Counter,
    pub(crate) requests: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) panics: Counter,
    pub(crate) rescued: Counter,
    pub(crate) evicted: Counter,
}

/// A snapshot of a runtime's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// One entry per worker.
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
    /// Connections of this worker that have ended.
    pub closed: u64,
    /// Bursts started by this worker.
    pub bursts: u64,
    /// Requests counted by protocols (`Conn::add_request`).
    pub requests: u64,
    /// Deadlines that ended a connection.
    pub timeouts: u64,
    /// Panics caught, in bursts and in tasks.
    pub panics: u64,
    /// Events taken over from stuck neighbours.
    pub rescued: u64,
    /// Parked connections closed for want of descriptors.
    pub evicted: u64,
}

impl Metrics {
    /// Connections in all.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.workers.iter().map(|w| w.connections).sum()
    }
}
