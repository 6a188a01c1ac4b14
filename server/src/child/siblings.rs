//! What this child says to its siblings, and what it reads of them, on the scoreboard.

use crate::scoreboard::Board;
use crate::sys::bell::Bell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

/// A sibling that has accepted nothing for so long is no reason to sit out: it may be stopped or starved.
const FRESH: Duration = Duration::from_millis(250);
/// So many connections above the mean are chance: few connections are nobody's burden.
const CHANCE: u64 = 32;

/// The siblings of the child with this record.
pub(super) struct Siblings {
    board: Arc<Board>,
    record: usize,
    began: Instant,
    /// By record.
    seen: Vec<Seen>,
    /// MaxRequestsPerChild, if it is set.
    spent: Option<Spent>,
    /// AsyncRequestWorkerFactor, if it is set.
    bound: Option<Bound>,
}

/// How many connections a child may have at once, by AsyncRequestWorkerFactor: one for each of its threads, and so many
/// more for each that is idle. Without an idle thread it accepts none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) threads: u32,
    pub(super) factor: f64,
}

impl Bound {
    /// Whether a child with so many connections, lingering ones aside, and slots must not accept.
    fn is_reached(self, connections: u64, free: u32, slots: u32) -> bool {
        let threads = u64::from(self.threads);
        let idle = u64::from(free) * threads / u64::from(slots.max(1));
        idle == 0 || connections as f64 >= threads as f64 + idle as f64 * self.factor
    }
}

/// A child that has accepted so many connections is to be replaced.
pub(super) struct Spent {
    pub(super) most: u64,
    /// Written to when that is so.
    pub(super) tell: Bell,
    pub(super) told: AtomicBool,
}

/// What was last seen of one sibling. Several workers may look at once: they write nearly the same.
#[derive(Default)]
struct Seen {
    accepted: AtomicU64,
    /// When that number was first seen: nanoseconds after `began`, and 0 for never.
    at: AtomicU64,
}

impl Siblings {
    pub(super) fn new(
        board: Arc<Board>,
        record: usize,
        spent: Option<Spent>,
        bound: Option<Bound>,
    ) -> Self {
        let records = board.header().children.load(Relaxed);
        Self {
            board,
            record,
            began: Instant::now(),
            seen: (0..records).map(|_| Seen::default()).collect(),
            spent,
            bound,
        }
    }

    /// It has as many connections as AsyncRequestWorkerFactor allows.
    fn is_full(&self, bound: Bound) -> bool {
        let Some(child) = self.board.child(self.record) else {
            return false;
        };
        let workers = self.board.workers(self.record).iter();
        let connections = workers.map(parkade::WorkerCounters::read);
        let connections = connections.map(|w| w.connections.saturating_sub(w.lingering));
        let slots = child.slots.load(Relaxed);
        let free = slots.saturating_sub(child.busy.load(Relaxed));
        bound.is_reached(connections.sum(), free, slots)
    }

    /// It has accepted as many connections as it may: from now on they are another one's.
    fn is_spent(&self) -> bool {
        let Some(spent) = &self.spent else {
            return false;
        };
        if self.count(self.record).1 < spent.most {
            return false;
        }
        if !spent.told.swap(true, Relaxed) {
            spent.tell.ring();
        }
        true
    }

    /// Connections of a child, and what it has accepted so far.
    fn count(&self, at: usize) -> (u64, u64) {
        let workers = self
            .board
            .workers(at)
            .iter()
            .map(parkade::WorkerCounters::read);
        workers.fold((0, 0), |(connections, accepted), w| {
            (connections + w.connections, accepted + w.accepted)
        })
    }

    /// Connections of the siblings that have room and have lately accepted.
    fn rivals(&self, now: u64) -> impl Iterator<Item = u64> {
        self.board
            .siblings(self.record)
            .filter_map(move |(at, child)| {
                let seen = self.seen.get(at).filter(|_| child.has_room())?;
                let (connections, accepted) = self.count(at);
                if seen.accepted.swap(accepted, Relaxed) != accepted {
                    seen.at.store(now, Relaxed);
                }
                let moved = seen.at.load(Relaxed);
                let fresh = moved != 0 && now.saturating_sub(moved) < FRESH.as_nanos() as u64;
                fresh.then_some(connections)
            })
    }

    /// [`parkade::Siblings::ahead`] at a moment.
    fn ahead_at(&self, now: u64) -> bool {
        let (mine, _) = self.count(self.record);
        let (children, all) = self
            .rivals(now)
            .fold((1, mine), |(n, all), one| (n + 1, all + one));
        let mean = all / children;
        mine > mean + mean / 8 + CHANCE
    }
}

impl parkade::Siblings for Siblings {
    fn yield_to(&self) -> bool {
        // The first question is answered from a line of our own, and nearly always in the negative.
        let full = self.board.child(self.record).is_some_and(|c| !c.has_room());
        let elsewhere = || self.board.siblings(self.record).any(|(_, c)| c.has_room());
        self.is_spent() || full && elsewhere()
    }

    // The one with the fewest connections is never above the mean: somebody always accepts at once.
    fn ahead(&self) -> bool {
        self.is_spent() || self.ahead_at(self.began.elapsed().as_nanos() as u64)
    }

    fn accept(&self) -> bool {
        self.board.siblings(self.record).next().is_some()
    }

    fn short(&self, short: bool) {
        if let Some(child) = self.board.child(self.record) {
            child.short.store(short.into(), Relaxed);
        }
    }

    fn bounds(&self) -> bool {
        self.bound.is_some()
    }

    fn full(&self) -> bool {
        self.bound.is_some_and(|bound| self.is_full(bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::{Size, State};

    const MS: u64 = 1_000_000;

    /// Two serving children of one worker each, with so many connections.
    fn board(connections: [u64; 2]) -> Arc<Board> {
        let size = Size {
            children: 2,
            workers: 1,
            ..Size::default()
        };
        let board = Arc::new(Board::new(size, 0, None).unwrap());
        for n in connections {
            let at = board.claim(4, 0).unwrap();
            board.child(at).unwrap().set_state(State::Serving);
            board.workers(at)[0].count_accepted(n);
        }
        board
    }

    #[test]
    fn the_fuller_one_is_ahead_and_the_emptier_one_is_not() {
        let board = board([400, 200]);
        assert!(Siblings::new(board.clone(), 0, None, None).ahead_at(MS));
        assert!(!Siblings::new(board, 1, None, None).ahead_at(MS));
    }

    #[test]
    fn factor_fraction() {
        let reached = |factor, idle, connections| {
            let bound = Bound { threads: 4, factor };
            bound.is_reached(connections, idle, 4)
        };
        // (factor, idle threads of four, the most connections)
        for (factor, idle, limit) in [
            (1.5, 2, 7),
            (1.5, 1, 6),
            (2.0, 2, 8),
            (2.0, 4, 12),
            (0.5, 4, 6),
            (1.0, 1, 5),
        ] {
            let seen = (0..100).find(|n| reached(factor, idle, *n));
            assert_eq!(seen, Some(limit), "factor {factor}, {idle} idle");
        }
        assert!(reached(2.0, 0, 0), "nobody is idle");
        // Slots that share threads: an idle thread is as many free slots as there are to each.
        let shared = Bound {
            threads: 2,
            factor: 2.0,
        };
        assert!(shared.is_reached(0, 9, 20) && !shared.is_reached(3, 10, 20));
    }

    #[test]
    fn a_small_lead_is_chance() {
        assert!(!Siblings::new(board([60, 1]), 0, None, None).ahead_at(MS));
        assert!(!Siblings::new(board([1_100, 1_000]), 0, None, None).ahead_at(MS));
    }

    #[test]
    fn nobody_sits_out_for_a_sibling_that_does_not_accept() {
        let board = board([400, 200]);
        let siblings = Siblings::new(board.clone(), 0, None, None);
        assert!(siblings.ahead_at(MS));
        assert!(!siblings.ahead_at(300 * MS), "it has stood still");
        board.workers(1)[0].count_accepted(1);
        assert!(siblings.ahead_at(301 * MS), "it has moved");
        let other = board.child(1).unwrap();
        other.busy.store(4, Relaxed);
        assert!(!siblings.ahead_at(302 * MS), "it has no room");
        other.busy.store(0, Relaxed);
        other.short.store(1, Relaxed);
        assert!(!siblings.ahead_at(303 * MS), "it is short of descriptors");
        board.release(1);
        assert!(!siblings.ahead_at(304 * MS), "it is gone");
    }
}
