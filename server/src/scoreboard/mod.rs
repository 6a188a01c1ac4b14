//! The scoreboard: what every process of the server may know of every other.
//!
//! One shared mapping for each generation, made by the supervisor before it forks (`mapping` is the memory, `record` its
//! layout, `file` the file that it is with ScoreBoardFile).
//! Each record has one writer at a time: the supervisor while no child has it, then the child. Readers take each number
//! for itself; there is no lock. The workers of a child count straight into it, so publishing costs nothing.

mod file;
mod mapping;
mod record;
mod slot;
mod sum;

pub(crate) use file::{BoardFile, Holder};
#[cfg_attr(
    target_vendor = "apple",
    allow(unused_imports, reason = "no semaphore is claimed")
)]
pub(crate) use record::Claims;
pub(crate) use record::{Child, State};
pub(crate) use slot::{Beginning, Detail, Doing, Seen};
pub(crate) use sum::Sum;

use mapping::Mapping;
use parkade::WorkerCounters;
use record::Header;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds on the clock that all processes share.
pub(crate) fn monotonic() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    (t.tv_sec as u64) * 1_000_000_000 + t.tv_nsec as u64
}

/// What a scoreboard has room for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) children: usize,
    /// Workers, and request slots, of each.
    pub(crate) workers: usize,
    pub(crate) slots: usize,
    /// `ExtendedStatus`: each slot says what it did last.
    pub(crate) extended: bool,
}

/// The scoreboard of one generation of children.
#[derive(Debug)]
pub(crate) struct Board {
    mapping: Arc<Mapping>,
    /// Those of generations that had not ended when this one began.
    older: Vec<Older>,
}

/// The scoreboard of a generation that ends.
#[derive(Clone, Debug)]
pub(crate) struct Older {
    pub(crate) board: Arc<Board>,
    /// What it has counted belongs to the totals of today.
    pub(crate) counts: bool,
}

impl Board {
    /// A scoreboard whose counting begins now, in an empty file if one is given. The supervisor makes it.
    ///
    /// # Errors
    /// There is no memory for it, or no room on the disk.
    pub(crate) fn new(size: Size, generation: u32, file: Option<&File>) -> io::Result<Self> {
        let mapping = Mapping::new(size, file)?;
        let header = mapping.header();
        header.generation.store(generation, Relaxed);
        header.supervisor.store(std::process::id(), Relaxed);
        header.planned.store(size.children as u32, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        header
            .restarted
            .store(now.map_or(0, |d| d.as_secs()), Relaxed);
        header.began.store(monotonic() / 1_000_000, Relaxed);
        Ok(Self {
            mapping: Arc::new(mapping),
            older: Vec::new(),
        })
    }

    /// The same without those before it: they would be kept by it for as long as there are restarts.
    fn alone(&self) -> Arc<Self> {
        Arc::new(Self {
            mapping: self.mapping.clone(),
            older: Vec::new(),
        })
    }

    /// The scoreboard of the generation after `before`. Its counting begins now, or goes on.
    ///
    /// # Errors
    /// As [`Board::new`].
    pub(crate) fn after(
        before: &Arc<Self>,
        size: Size,
        goes_on: bool,
        file: Option<&File>,
    ) -> io::Result<Self> {
        let was = before.header();
        let mut board = Self::new(size, was.generation.load(Relaxed).wrapping_add(1), file)?;
        let living = before.older.iter();
        let living = living.filter(|older| older.board.children().next().is_some());
        board.older = living.cloned().collect();
        board.older.push(Older {
            board: before.alone(),
            counts: true,
        });
        if goes_on {
            let header = board.header();
            header.restarted.store(was.restarted.load(Relaxed), Relaxed);
            header.began.store(was.began.load(Relaxed), Relaxed);
        } else {
            for older in &mut board.older {
                older.counts = false;
            }
        }
        Ok(board)
    }

    /// This one and the older ones, and whether what each has counted belongs to the totals.
    pub(crate) fn family(&self) -> impl Iterator<Item = (&Self, bool)> {
        let older = self.older.iter().map(|o| (&*o.board, o.counts));
        std::iter::once((self, true)).chain(older)
    }

    /// Supervisor: what generations that have ended counted is from now on counted here.
    pub(crate) fn inherit(&self) {
        for older in &self.older {
            if older.board.children().next().is_some() {
                continue;
            }
            let (from, to) = (older.board.header(), self.header());
            for (from, to) in [
                (&from.gone_requests, &to.gone_requests),
                (&from.gone_bytes, &to.gone_bytes),
                (&from.gone_took, &to.gone_took),
            ] {
                let count = from.swap(0, Relaxed);
                if older.counts {
                    to.fetch_add(count, Relaxed);
                }
            }
        }
    }

    pub(crate) fn header(&self) -> &Header {
        self.mapping.header()
    }

    /// The record of a child.
    pub(crate) fn child(&self, at: usize) -> Option<&Child> {
        self.mapping.child(at)
    }

    /// The counters of a child's workers.
    pub(crate) fn workers(&self, at: usize) -> &[WorkerCounters] {
        self.mapping.workers(at)
    }

    /// What the slots of a child do.
    pub(crate) fn slots(&self, at: usize) -> &[AtomicU8] {
        self.mapping.slots(at)
    }

    /// What the slots of a child did last; empty without ExtendedStatus.
    pub(crate) fn details(&self, at: usize) -> &[Detail] {
        self.mapping.details(at)
    }

    /// The children there are, with their places.
    pub(crate) fn children(&self) -> impl Iterator<Item = (usize, &Child)> {
        let used = self.header().used.load(Relaxed) as usize;
        (0..used)
            .filter_map(|at| Some((at, self.child(at)?)))
            .filter(|(_, child)| child.state() != State::Free)
    }

    /// Sockets of each listener.
    pub(crate) fn buckets(&self) -> usize {
        self.header().buckets.load(Relaxed).max(1) as usize
    }

    /// Supervisor: takes the first free record of a bucket for a child that is about to be forked.
    pub(crate) fn claim(&self, slots: u32, bucket: usize) -> Option<usize> {
        let free = |at: &usize| self.child(*at).is_some_and(|c| c.state() == State::Free);
        let all = 0..self.mapping.children();
        let at = all.skip(bucket).step_by(self.buckets()).find(free)?;
        let header = self.header();
        let used = header.used.load(Relaxed).max(at as u32 + 1);
        header.used.store(used, Relaxed);
        let child = self.child(at)?;
        child.slots.store(slots, Relaxed);
        let generation = header.generation.load(Relaxed);
        child.generation.store(generation, Relaxed);
        child.set_state(State::Starting);
        Some(at)
    }

    /// Supervisor: the child of a record has ended. What it counted is kept in the header.
    pub(crate) fn release(&self, at: usize) {
        let sum = Sum::of(self, at);
        let header = self.header();
        header.gone_requests.fetch_add(sum.requests, Relaxed);
        header.gone_bytes.fetch_add(sum.bytes, Relaxed);
        header.gone_took.fetch_add(sum.took, Relaxed);
        self.mapping.clear(at);
    }

    /// The siblings of the child at `me` that are fit to accept from the same sockets.
    pub(crate) fn siblings(&self, me: usize) -> impl Iterator<Item = (usize, &Child)> {
        let n = self.buckets();
        self.children().filter(move |(at, child)| {
            *at != me
                && at % n == me % n
                && child.state() == State::Serving
                && child.short.load(Relaxed) == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(children: usize, workers: usize, generation: u32) -> Board {
        let size = Size {
            children,
            workers,
            slots: 4,
            extended: true,
        };
        Board::new(size, generation, None).unwrap()
    }

    /// An hour of restarts kept the scoreboards of 3,600 generations mapped.
    #[test]
    fn a_generation_that_has_ended_is_let_go() {
        let after = |board: &Arc<Board>| {
            let size = Size {
                children: 3,
                workers: 2,
                slots: 4,
                extended: true,
            };
            Arc::new(Board::after(board, size, true, None).unwrap())
        };
        let first = Arc::new(board(3, 2, 0));
        let memory = Arc::downgrade(&first.mapping);
        let second = after(&first);
        drop(first);
        assert!(memory.upgrade().is_some(), "it may still have children");
        let third = after(&second);
        drop(second);
        assert!(memory.upgrade().is_none(), "nobody asks for it any more");
        assert_eq!(third.family().count(), 2);
    }

    #[test]
    fn a_record_is_taken_seen_and_given_back_empty() {
        let board = board(3, 2, 7);
        assert_eq!(board.children().count(), 0);
        assert_eq!((board.claim(4, 0), board.claim(4, 0)), (Some(0), Some(1)));
        let child = board.child(1).unwrap();
        assert_eq!(child.generation.load(Relaxed), 7);
        assert!(!board.siblings(0).any(|_| true), "it is still starting");
        child.set_state(State::Serving);
        assert!(board.siblings(0).any(|(_, c)| c.has_room()));
        child.busy.store(4, Relaxed);
        assert!(board.siblings(0).any(|_| true) && !board.siblings(0).any(|(_, c)| c.has_room()));
        child.short.store(1, Relaxed);
        assert!(!board.siblings(0).any(|_| true), "it cannot accept");
        assert!(
            !board.siblings(1).any(|_| true),
            "a child is not its own sibling"
        );
        board.release(1);
        assert_eq!(board.children().count(), 1);
        assert_eq!(board.claim(4, 0), Some(1));
        assert_eq!(child.busy.load(Relaxed), 0);
        assert_eq!((board.claim(4, 0), board.claim(4, 0)), (Some(2), None));
    }

    #[test]
    fn records_and_siblings_belong_to_buckets() {
        let board = board(5, 1, 0);
        board.header().buckets.store(2, Relaxed);
        assert_eq!((board.claim(1, 1), board.claim(1, 0)), (Some(1), Some(0)));
        assert_eq!((board.claim(1, 1), board.claim(1, 1)), (Some(3), None));
        for at in [0, 1, 3] {
            board.child(at).unwrap().set_state(State::Serving);
        }
        let siblings: Vec<_> = board.siblings(1).map(|(at, _)| at).collect();
        assert_eq!(siblings, [3]);
        assert_eq!(board.siblings(0).count(), 0);
    }

    #[test]
    fn totals_go_on_over_generations_unless_they_begin_anew() {
        let first = Arc::new(board(2, 1, 3));
        let at = first.claim(4, 0).unwrap();
        first.child(at).unwrap().took.store(9, Relaxed);
        let size = Size {
            children: 1,
            workers: 1,
            ..Size::default()
        };
        let second = Arc::new(Board::after(&first, size, true, None).unwrap());
        assert_eq!(second.header().generation.load(Relaxed), 4);
        assert_eq!(Sum::of_all(&second).took, 9);
        first.release(at);
        assert_eq!(Sum::of_all(&second).took, 9);
        second.inherit();
        assert_eq!(Sum::of_all(&second).took, 9);
        assert_eq!(second.header().gone_took.load(Relaxed), 9);
        let third = Board::after(&second, size, false, None).unwrap();
        assert_eq!(third.family().count(), 2, "the first has ended");
        assert_eq!(Sum::of_all(&third).took, 0);
        third.inherit();
        assert_eq!(Sum::of_all(&third).took, 0);
    }

    #[test]
    fn what_slots_did_is_gone_with_their_child() {
        let board = board(2, 3, 0);
        assert_eq!((board.claim(4, 0), board.claim(4, 0)), (Some(0), Some(1)));
        let before = Beginning {
            peer: [127, 0, 0, 1].into(),
            host: 0,
            minor: 1,
            line: b"GET / HTTP/1.1",
            now: 5,
        };
        for at in 0..2 {
            Doing::Writing.show(&board.slots(at)[3]);
            board.details(at)[3].begin(&before);
            board.child(at).unwrap().took.store(9, Relaxed);
        }
        board.release(0);
        assert_eq!(Doing::of(&board.slots(0)[3]), Doing::Untouched);
        assert_eq!(board.details(0)[3].read(), None);
        assert_eq!(Doing::of(&board.slots(1)[3]), Doing::Writing);
        assert_eq!(board.details(1)[3].read().unwrap().line, before.line);
        assert_eq!(Sum::of_all(&board).took, 18, "what it took is kept");
        assert!(board.slots(2).is_empty() && board.details(2).is_empty());
    }

    #[test]
    fn another_process_sees_what_is_written() {
        let board = board(1, 1, 0);
        let at = board.claim(1, 0).unwrap();
        // SAFETY: the child only stores to shared memory and ends without running anything of ours.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                board.child(at).unwrap().busy.store(9, Relaxed);
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(0) }
            }
            nix::unistd::ForkResult::Parent { child } => {
                nix::sys::wait::waitpid(child, None).unwrap();
            }
        }
        assert_eq!(board.child(at).unwrap().busy.load(Relaxed), 9);
    }
}
