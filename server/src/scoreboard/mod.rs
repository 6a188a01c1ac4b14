//! The scoreboard: what every process of the server may know of every other.
//!
//! One anonymous shared mapping, made by the supervisor before it forks (`mapping` is the memory, `record` its layout).
//! Each record has one writer at a time: the supervisor while no child has it, then the child. Readers take each number
//! for itself; there is no lock. The workers of a child count straight into it, so publishing costs nothing.

mod mapping;
mod record;
mod sum;

pub(crate) use record::{Child, State};
pub(crate) use sum::Sum;

use mapping::Mapping;
use parkade::WorkerCounters;
use record::Header;
use std::io;
use std::sync::atomic::Ordering::Relaxed;

/// The scoreboard of one generation of children.
#[derive(Debug)]
pub(crate) struct Board {
    mapping: Mapping,
}

impl Board {
    /// Room for so many children with so many workers each.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn new(children: usize, workers: usize, generation: u32) -> io::Result<Self> {
        let mapping = Mapping::new(children, workers)?;
        mapping.header().generation.store(generation, Relaxed);
        Ok(Self { mapping })
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

    /// The children there are, with their places.
    pub(crate) fn children(&self) -> impl Iterator<Item = (usize, &Child)> {
        let used = self.header().used.load(Relaxed) as usize;
        (0..used)
            .filter_map(|at| Some((at, self.child(at)?)))
            .filter(|(_, child)| child.state() != State::Free)
    }

    /// Supervisor: takes the first free record for a child that is about to be forked.
    pub(crate) fn claim(&self, slots: u32) -> Option<usize> {
        let free = |at: &usize| self.child(*at).is_some_and(|c| c.state() == State::Free);
        let at = (0..self.mapping.children()).find(free)?;
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
        self.mapping.clear(at);
    }

    /// The siblings of the child at `me` that are fit to accept.
    pub(crate) fn siblings(&self, me: usize) -> impl Iterator<Item = (usize, &Child)> {
        self.children().filter(move |(at, child)| {
            *at != me && child.state() == State::Serving && child.short.load(Relaxed) == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_seen_and_given_back_empty() {
        let board = Board::new(3, 2, 7).unwrap();
        assert_eq!(board.children().count(), 0);
        assert_eq!((board.claim(4), board.claim(4)), (Some(0), Some(1)));
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
        assert_eq!(board.claim(4), Some(1));
        assert_eq!(child.busy.load(Relaxed), 0);
        assert_eq!((board.claim(4), board.claim(4)), (Some(2), None));
    }

    #[test]
    fn another_process_sees_what_is_written() {
        let board = Board::new(1, 1, 0).unwrap();
        let at = board.claim(1).unwrap();
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
