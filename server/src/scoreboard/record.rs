//! The layout of the scoreboard: a header, then for each child its record, the counters of its workers and its slots.
//!
//! | bytes | what |
//! |---|---|
//! | 128 | [`Header`] |
//! | for each child: 128 | [`Child`] |
//! | 128 x workers | one `parkade::WorkerCounters` per worker |
//! | slots, rounded up to 128 | one byte per request slot: [`super::Doing`] |
//! | 256 x slots, with ExtendedStatus | one [`super::Detail`] per request slot |
//!
//! A ScoreBoardFile holds just this, in the byte order of the machine, and is as long: the header gives the number of
//! children, workers and slots.
//!
//! Everything is an atomic number, zero at first, and each part is on cache lines of its own. Accesses are relaxed:
//! nothing is published through the scoreboard but the numbers themselves. Only what a slot did last is more than one
//! number, and says itself how it is kept whole.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

/// Says what the memory is: "parkade" and a zero byte.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"parkade\0");
/// Changes with the layout.
pub(crate) const VERSION: u32 = 4;

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
    /// Request slots of each record, and 1 if there are details of them.
    pub(crate) slots: AtomicU32,
    pub(crate) extended: AtomicU32,
    /// Children that may serve at once: free records beyond these are not shown.
    pub(crate) planned: AtomicU32,
    pub(crate) supervisor: AtomicU32,
    /// A child with fewer free slots tells the supervisor, and stores 0: once is enough.
    pub(crate) low_water: AtomicU32,
    /// Sockets of each listener: record `n` accepts from the one of the number that `n` leaves after a division by this.
    pub(crate) buckets: AtomicU32,
    _spare: AtomicU32,
    /// What children that have ended had counted; `took` in nanoseconds.
    pub(crate) gone_requests: AtomicU64,
    pub(crate) gone_bytes: AtomicU64,
    pub(crate) gone_took: AtomicU64,
    /// The processor time that they used, in microseconds.
    pub(crate) gone_user: AtomicU64,
    pub(crate) gone_system: AtomicU64,
    /// When this generation began, in seconds since the epoch.
    pub(crate) restarted: AtomicU64,
    /// When counting began, on the monotonic clock, in milliseconds.
    pub(crate) began: AtomicU64,
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
    _spare: AtomicU32,
    /// How long its requests had slots, in nanoseconds; counted with ExtendedStatus.
    pub(crate) took: AtomicU64,
    /// What its workers do with AcceptMutex posixsem.
    pub(crate) claims: Claims,
}

/// Attempts to get a token that the kernel does not look after. Whoever has begun and not ended may hold it.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    begun: AtomicU32,
    ended: AtomicU32,
}

/// What [`Claims`] showed at one moment.
#[cfg_attr(
    target_vendor = "apple",
    allow(dead_code, reason = "no semaphore is claimed")
)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Claimed {
    begun: u32,
    ended: u32,
}

#[cfg_attr(
    target_vendor = "apple",
    allow(dead_code, reason = "no semaphore is claimed")
)]
impl Claims {
    /// Before the attempt.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Relaxed);
        // Pairs with those of the supervisor's count: an attempt that it missed comes after it.
        fence(SeqCst);
    }

    /// After the attempt has failed, or the token was given back.
    pub(crate) fn end(&self) {
        // Pairs with the acquire in `look`: who sees it sees the token there.
        self.ended.fetch_add(1, Release);
    }

    /// In this order: if both numbers are the same, nothing was claimed when the first was read.
    pub(crate) fn look(&self) -> Claimed {
        let ended = self.ended.load(Acquire);
        let begun = self.begun.load(Acquire);
        Claimed { begun, ended }
    }
}

#[cfg_attr(
    target_vendor = "apple",
    allow(dead_code, reason = "no semaphore is claimed")
)]
impl Claimed {
    /// Whether somebody claims or holds the token.
    pub(crate) fn any(self) -> bool {
        self.begun != self.ended
    }
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
    #[cfg(feature = "diagnostics")]
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
            &self.claims.begun,
            &self.claims.ended,
        ] {
            field.store(0, Relaxed);
        }
        self.took.store(0, Relaxed);
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
