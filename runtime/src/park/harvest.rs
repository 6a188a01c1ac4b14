//! Who may take events out of a worker's pollset, and how far the worker has got: the harvest word.
//!
//! ```text
//! 63                       24 23        8 7     4   3     2    1   0
//! +--------------------------+-----------+-------+-----+------+-----+
//! |           turn           | neighbour |       |ARMED| OWED |state|
//! +--------------------------+-----------+-------+-----+------+-----+
//! ```
//!
//! | state | meaning | next |
//! |---|---|---|
//! | BUSY | the owner runs handlers | POLLING by the owner, HARVESTED by a neighbour |
//! | POLLING | the owner is in, or about to enter, its wait | BUSY of the next turn by the owner |
//! | HARVESTED | a neighbour takes events out, timeout 0 | BUSY by that neighbour |
//!
//! The turn counts the owner's waits: whoever finds the same turn busy twice knows how long it lasts, and the owner
//! reads no clock for it. A neighbour harvests only in the turn in which it found the owner stuck.
//!
//! The sleep protocol shares the word. An owner that wants to sleep stores POLLING and *then* looks at its inbox; a
//! waker pushes to the inbox and *then* looks at the word (both with a `SeqCst` fence between: Dekker). So either
//! the owner sees the message or the waker sees POLLING and writes the wake descriptor. A neighbour that has harvested
//! a wake leaves OWED with its release, and the owner's next wait then does not sleep: written anew to the descriptor,
//! the wake would be harvested again and again for as long as the owner is stuck.
//!
//! ARMED is the monitor's: it sleeps, and the owner that leaves its wait has to wake it. It is set in POLLING only and
//! taken back by the very exchange that makes the word BUSY, so neither side needs a fence: a monitor that could not
//! arm knows that the owner is awake.
//!
//! The message itself is published by the inbox's own release/acquire; the fences only order the two looks.

use crate::sync::{AtomicU64, Ordering, fence};

const BUSY: u64 = 0;
const POLLING: u64 = 1;
const HARVESTED: u64 = 2;
const STATE: u64 = 3;
const OWED: u64 = 1 << 2;
const ARMED: u64 = 1 << 3;
const NEIGHBOUR_SHIFT: u32 = 8;
const TURN_SHIFT: u32 = 24;
const BELOW_TURN: u64 = (1 << TURN_SHIFT) - 1;

/// The harvest word of one worker.
#[derive(Debug)]
pub(crate) struct HarvestWord(AtomicU64);

/// What an owner that wants to wait finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// It may sleep, once it has looked at its inbox.
    Polling,
    /// It may collect events but not sleep: a neighbour has harvested a wake that was meant for it.
    Woken,
    /// A neighbour is harvesting: local work, then again.
    Harvested,
}

/// What a worker was doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Look(u64);

impl Look {
    /// Not in its wait.
    pub(crate) fn busy(self) -> bool {
        self.0 & STATE != POLLING
    }

    /// The number of the turn; wraps after 2^40.
    pub(crate) fn turn(self) -> u64 {
        self.0 >> TURN_SHIFT
    }

    /// Busy then, and busy with the same turn at `later`.
    pub(crate) fn stuck_until(self, later: Look) -> bool {
        self.busy() && later.busy() && self.turn() == later.turn()
    }
}

/// A harvest in progress; the word as it is meanwhile.
#[derive(Debug)]
#[must_use]
pub(crate) struct Harvest(u64);

/// Why a neighbour may not harvest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// The owner has gone on to its wait or to another turn.
    Moved,
    /// Another neighbour harvests.
    Taken,
}

impl HarvestWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(BUSY))
    }

    /// Owner: about to wait.
    pub(crate) fn enter_poll(&self) -> Entry {
        let seen = self.0.load(Ordering::Relaxed);
        let entry = match seen & (STATE | OWED) {
            BUSY => self.exchange(seen, Entry::Polling),
            _ => self.enter_after_harvest(seen),
        };
        // Pairs with the fence in `must_wake`: POLLING is visible before the inbox is looked at.
        fence(Ordering::SeqCst);
        entry
    }

    fn exchange(&self, seen: u64, entry: Entry) -> Entry {
        let polling = seen & !BELOW_TURN | POLLING;
        match self
            .0
            .compare_exchange(seen, polling, Ordering::AcqRel, Ordering::Relaxed)
        {
            Ok(_) => entry,
            Err(_) => Entry::Harvested,
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_after_harvest(&self, seen: u64) -> Entry {
        if seen & STATE == HARVESTED {
            return Entry::Harvested;
        }
        self.exchange(seen, Entry::Woken)
    }

    /// Owner: back from its wait, or not waiting after all; a new turn begins. True: the monitor sleeps, wake it.
    pub(crate) fn leave_poll(&self) -> bool {
        let turn = self.0.load(Ordering::Relaxed) | BELOW_TURN;
        let was = self.0.swap(turn.wrapping_add(1), Ordering::AcqRel);
        was & ARMED != 0
    }

    /// Owner, busy: a new turn begins without a wait. Only for workers that nobody harvests.
    pub(crate) fn next_turn(&self) {
        let turn = self.0.load(Ordering::Relaxed) | BELOW_TURN;
        self.0.store(turn.wrapping_add(1), Ordering::Release);
    }

    /// Any thread, after it has pushed to the inbox: does the owner have to be woken?
    ///
    /// HARVESTED counts as awake: the owner is busy, it looks at its inbox before its next wait.
    pub(crate) fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) & STATE == POLLING
    }

    /// Any thread: a hint; every decision is a compare-and-swap.
    pub(crate) fn look(&self) -> Look {
        Look(self.0.load(Ordering::Relaxed))
    }

    /// Monitor, about to sleep: the owner's next turn wakes it. False: the owner is busy now.
    pub(crate) fn arm(&self) -> bool {
        let mut seen = self.0.load(Ordering::Relaxed);
        while seen & STATE == POLLING {
            match self
                .0
                .compare_exchange(seen, seen | ARMED, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Neighbour: takes the right to harvest the pollset of an owner that is still in `turn`.
    pub(crate) fn try_harvest(&self, neighbour: u16, turn: u64) -> Result<Harvest, Refused> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if seen >> TURN_SHIFT != turn || seen & STATE == POLLING {
                return Err(Refused::Moved);
            }
            if seen & STATE == HARVESTED {
                return Err(Refused::Taken);
            }
            let mine = seen | HARVESTED | u64::from(neighbour) << NEIGHBOUR_SHIFT;
            match self
                .0
                .compare_exchange(seen, mine, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return Ok(Harvest(mine)),
                Err(now) => seen = now,
            }
        }
    }

    /// Neighbour: gives it back. `wake`: it has harvested a wake of the owner's.
    pub(crate) fn release(&self, harvest: Harvest, wake: bool) {
        let owed = if wake { OWED } else { harvest.0 & OWED };
        // Nobody else writes while it is HARVESTED.
        self.0
            .store(harvest.0 & !BELOW_TURN | BUSY | owed, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod models;
