//! Numbers of one child or of all, as people read them.

use super::Board;
use std::sync::atomic::Ordering::Relaxed;

/// What the workers of a child (or of all) have counted.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Sum {
    pub(crate) connections: u64,
    /// At rest, waiting for a request.
    pub(crate) parked: u64,
    pub(crate) writing: u64,
    pub(crate) lingering: u64,
    /// Requests in progress, and requests that wait for a slot.
    pub(crate) busy: u64,
    pub(crate) waiting: u64,
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    /// How long requests had slots, in nanoseconds.
    pub(crate) took: u64,
    /// Workers that accept.
    pub(crate) accepting: u64,
}

impl Sum {
    /// Of the child with this record.
    pub(crate) fn of(board: &Board, at: usize) -> Self {
        let mut sum = Self::default();
        let Some(child) = board.child(at) else {
            return sum;
        };
        sum.busy = child.busy.load(Relaxed).into();
        sum.waiting = child.waiting.load(Relaxed).into();
        sum.took = child.took.load(Relaxed);
        for worker in board.workers(at) {
            let seen = worker.read();
            sum.connections += seen.connections;
            sum.writing += seen.writing;
            sum.lingering += seen.lingering;
            sum.requests += seen.requests;
            sum.bytes += seen.bytes;
            sum.accepting += u64::from(seen.accepting);
        }
        let taken = sum.writing + sum.lingering + sum.busy + sum.waiting;
        sum.parked = sum.connections.saturating_sub(taken);
        sum
    }

    /// Of all children, and of those that have ended.
    pub(crate) fn of_all(board: &Board) -> Self {
        let mut all = Self {
            requests: board.header().gone_requests.load(Relaxed),
            bytes: board.header().gone_bytes.load(Relaxed),
            took: board.header().gone_took.load(Relaxed),
            ..Self::default()
        };
        for (at, _) in board.children() {
            let one = Self::of(board, at);
            all.connections += one.connections;
            all.parked += one.parked;
            all.writing += one.writing;
            all.lingering += one.lingering;
            all.busy += one.busy;
            all.waiting += one.waiting;
            all.requests += one.requests;
            all.bytes += one.bytes;
            all.took += one.took;
            all.accepting += one.accepting;
        }
        all
    }
}
