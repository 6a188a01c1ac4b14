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
    /// Bytes of free buffers that workers keep.
    pub(crate) retained: u64,
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
            sum.retained += seen.retained;
        }
        let taken = sum.writing + sum.lingering + sum.busy + sum.waiting;
        sum.parked = sum.connections.saturating_sub(taken);
        sum
    }

    /// Of all children, those of older generations among them, and of those that have ended.
    pub(crate) fn of_all(board: &Board) -> Self {
        let mut all = Self::default();
        for (board, counts) in board.family() {
            let header = board.header();
            let mut gone = Self {
                requests: header.gone_requests.load(Relaxed),
                bytes: header.gone_bytes.load(Relaxed),
                took: header.gone_took.load(Relaxed),
                ..Self::default()
            };
            for (at, _) in board.children() {
                gone.add(&Self::of(board, at));
            }
            if !counts {
                (gone.requests, gone.bytes, gone.took) = (0, 0, 0);
            }
            all.add(&gone);
        }
        all
    }

    fn add(&mut self, one: &Self) {
        self.connections += one.connections;
        self.parked += one.parked;
        self.writing += one.writing;
        self.lingering += one.lingering;
        self.busy += one.busy;
        self.waiting += one.waiting;
        self.requests += one.requests;
        self.bytes += one.bytes;
        self.took += one.took;
        self.accepting += one.accepting;
        self.retained += one.retained;
    }
}
