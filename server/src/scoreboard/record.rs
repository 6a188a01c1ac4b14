//! The layout of the scoreboard: a header, then for each child its record and the counters of its workers.
//!
//! | bytes | what |
//! |---|---|
//! | 128 | [`Header`] |
//! | 128 + 128 x workers, for each child | [`Child`], then one `parkade::WorkerCounters` per worker |
//!
//! Everything is an atomic number, zero at first, and each part is on cache lines of its own. All accesses are relaxed:
//! nothing is published through the scoreboard but the numbers themselves.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Says what the memory is: "parkade" and a zero byte.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"parkade\0");
/// Changes with the layout.
pub(crate) const VERSION: u32 = 1;

/// What is known of the generation as a whole. Written by the supervisor.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct Header {
    pub(crate) magic: AtomicU64,
    pub(crate) version: AtomicU32,
    pub(crate) generation: AtomicU32,
    /// Records, and workers of each.
    pub(crate) children: AtomicU32,
    pub(crate) workers: AtomicU32,
    /// One more than the highest record that was ever taken.
    pub(crate) used: AtomicU32,
    _spare: AtomicU32,
    /// What children that have ended had counted.
    pub(crate) gone_requests: AtomicU64,
    pub(crate) gone_bytes: AtomicU64,
}

/// One child.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct Child {
    pub(crate) pid: AtomicU32,
    pub(crate) generation: AtomicU32,
    state: AtomicU32,
    /// Request slots, how many of them are taken, and requests that wait for one.
    pub(crate) slots: AtomicU32,
    pub(crate) busy: AtomicU32,
    pub(crate) waiting: AtomicU32,
    /// 1: it is short of descriptors.
    pub(crate) short: AtomicU32,
}

/// What a child is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum State {
    /// There is none.
    Free = 0,
    /// Forked, not yet serving.
    Starting = 1,
    /// It accepts and answers.
    Serving = 2,
    /// It finishes what it has.
    Stopping = 3,
}

impl State {
    /// In a word, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Stopping => "stopping",
        }
    }
}

impl Child {
    pub(crate) fn state(&self) -> State {
        match self.state.load(Relaxed) {
            1 => State::Starting,
            2 => State::Serving,
            3 => State::Stopping,
            _ => State::Free,
        }
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u32, Relaxed);
    }

    /// A request slot is free.
    pub(crate) fn has_room(&self) -> bool {
        self.busy.load(Relaxed) < self.slots.load(Relaxed)
    }

    /// Back to zero; the state last, so that nobody takes the record before.
    pub(super) fn clear(&self) {
        for field in [
            &self.pid,
            &self.generation,
            &self.slots,
            &self.busy,
            &self.waiting,
            &self.short,
        ] {
            field.store(0, Relaxed);
        }
        self.set_state(State::Free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_as_documented() {
        assert_eq!((size_of::<Header>(), size_of::<Child>()), (128, 128));
        assert_eq!(size_of::<parkade::WorkerCounters>(), 128);
    }
}
