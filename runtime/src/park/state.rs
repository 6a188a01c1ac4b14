//! The state word: one `AtomicU64` per slot that decides who may touch a connection.
//!
//! ```text
//! 63            32 31       20 19                                0
//! +---------------+-----------+----------------------------------+
//! |  generation   |   owner   |              flags               |
//! +---------------+-----------+----------------------------------+
//! ```
//!
//! A slot is *at rest* in exactly one of PARKED, WRITING, LINGERING and may then be claimed by whoever wins the
//! compare-and-swap. A claimed slot has ACTIVE set (and keeps WRITING or LINGERING, so that the claimer knows what
//! to drive); only its owner touches its descriptor, its cold part and its deadline.
//!
//! | event | from | to |
//! |---|---|---|
//! | claim (readiness, adoption) | at rest, generation equal | ACTIVE, owner = me |
//! | unpark from outside | PARKED, generation equal | ACTIVE, owner = whoever is handed it |
//! | unpark meanwhile | ACTIVE, WRITING, CLOSING, MOVING | + UNPARK: the next park is refused |
//! | readiness while claimed | ACTIVE | ACTIVE + READY (+ RDHUP, WREADY) |
//! | rest (park, write, linger) | ACTIVE without READY/RDHUP/WREADY/UNPARK as asked | at rest |
//! | timeout | at rest | CLOSING (edges are recorded) |
//! | revival (farewell, deadline renewed meanwhile) | CLOSING | ACTIVE |
//! | departure to another process | PARKED | MOVING (edges are dropped: the registration ends) |
//! | landing (arrival here, failed departure) | MOVING | ACTIVE: registered (anew), then rest |
//! | close, arrival there | ACTIVE, CLOSING or MOVING | 0 (generation gone) |
//!
//! Every transition is a read-modify-write of this one word, so they are totally ordered per slot. A claim acquires
//! what the rest before it released (deadline, cold part, rare part). Generation 0 means free: a mapping that the
//! kernel has zeroed reads as free slots.

use crate::sync::{AtomicU64, Ordering};

/// At rest, waiting for input.
pub(crate) const PARKED: u64 = 1;
/// Claimed by its owner.
pub(crate) const ACTIVE: u64 = 1 << 1;
/// At rest or driven: a response is being written as plain data.
pub(crate) const WRITING: u64 = 1 << 2;
/// At rest or driven: input is discarded until the peer closes.
pub(crate) const LINGERING: u64 = 1 << 3;
/// On its way to another process.
pub(crate) const MOVING: u64 = 1 << 4;
/// A timeout or a shutdown has won; the winner closes it.
pub(crate) const CLOSING: u64 = 1 << 5;
/// An input edge came while claimed.
pub(crate) const READY: u64 = 1 << 6;
/// The peer's FIN (or an error) was reported.
pub(crate) const RDHUP: u64 = 1 << 7;
/// The burst awaits input or output: an edge must wake it.
pub(crate) const WAITING: u64 = 1 << 8;
/// An output edge came while claimed.
pub(crate) const WREADY: u64 = 1 << 9;
/// The registration asks for output edges too (set once, never taken back).
pub(crate) const OUT_ARMED: u64 = 1 << 10;
/// The wait has a deadline of its own.
pub(crate) const TIMED: u64 = 1 << 12;
/// The deadline of a pending read or write passed.
pub(crate) const EXPIRED: u64 = 1 << 11;
/// The peer has not been heard yet: goes with the first claim.
pub(crate) const SILENT: u64 = 1 << 13;
/// Somebody outside asks for a burst. Unlike an edge it is not used up by a read: what the asker has to say need not be
/// input.
pub(crate) const UNPARK: u64 = 1 << 14;

const REST: u64 = PARKED | WRITING | LINGERING;
const OWNER_SHIFT: u32 = 20;
const OWNER_MASK: u64 = 0xFFF << OWNER_SHIFT;
const FLAGS_MASK: u64 = (1 << OWNER_SHIFT) - 1;

/// A snapshot of a state word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Snapshot(pub(crate) u64);

impl Snapshot {
    pub(crate) fn new(generation: u32, owner: u16, flags: u64) -> Self {
        Self(u64::from(generation) << 32 | u64::from(owner) << OWNER_SHIFT | flags)
    }
    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
    pub(crate) fn owner(self) -> u16 {
        ((self.0 & OWNER_MASK) >> OWNER_SHIFT) as u16
    }
    pub(crate) fn has(self, flags: u64) -> bool {
        self.0 & flags != 0
    }
    pub(crate) fn at_rest(self) -> bool {
        self.has(REST) && !self.has(ACTIVE | MOVING | CLOSING)
    }
    fn with(self, owner: u16, flags: u64) -> Self {
        Self((self.0 & !(OWNER_MASK | FLAGS_MASK)) | u64::from(owner) << OWNER_SHIFT | flags)
    }
    fn flags(self) -> u64 {
        self.0 & FLAGS_MASK
    }
}

/// What an event found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Readiness {
    /// The slot was at rest and is now mine; the flags it rested with are in the snapshot.
    Claimed(Snapshot),
    /// Somebody has it; the edge is recorded and nobody needs waking.
    Recorded,
    /// Its owner awaits this edge: wake the burst on that worker.
    Wake(u16),
    /// Another generation, or on its way to another process: the event means nothing any more.
    Stale,
}

/// What an owner gets when it wants to lay a slot to rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    /// Done; the slot is no longer mine.
    Resting,
    /// An edge came meanwhile; it is cleared now, look at the socket again.
    Again(Snapshot),
}

fn closing(s: Snapshot, me: u16) -> Snapshot {
    s.with(
        me,
        (s.flags() & (OUT_ARMED | RDHUP | READY | UNPARK)) | CLOSING,
    )
}

/// The word itself.
#[derive(Debug)]
pub(crate) struct StateWord(AtomicU64);

impl StateWord {
    #[cfg(any(test, loom))]
    pub(crate) fn new(s: Snapshot) -> Self {
        Self(AtomicU64::new(s.0))
    }

    /// Relaxed: a hint only; every decision is a compare-and-swap.
    pub(crate) fn peek(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Relaxed))
    }

    /// Publishes a new connection. The slot is unreachable before this store: no token of `generation` exists.
    pub(crate) fn publish(&self, generation: u32, owner: u16, flags: u64) {
        self.0
            .store(Snapshot::new(generation, owner, flags).0, Ordering::Release);
    }

    fn update(
        &self,
        mut f: impl FnMut(Snapshot) -> Option<Snapshot>,
    ) -> Result<(Snapshot, Snapshot), Snapshot> {
        let mut old = Snapshot(self.0.load(Ordering::Relaxed));
        loop {
            let Some(new) = f(old) else { return Err(old) };
            match self
                .0
                .compare_exchange_weak(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return Ok((old, new)),
                Err(now) => old = Snapshot(now),
            }
        }
    }

    /// An event (`edges` of READY, WREADY, RDHUP) of `generation` was harvested by worker `me`.
    pub(crate) fn readiness(&self, generation: u32, me: u16, edges: u64) -> Readiness {
        let outcome = self.update(|s| {
            if s.generation() != generation || s.has(MOVING) {
                None
            } else if s.has(CLOSING) {
                // The winner may take it up again; an edge comes only once.
                Some(s.with(s.owner(), s.flags() | edges))
            } else if s.has(PARKED) && edges & (READY | RDHUP) == 0 {
                // An output edge of an armed registration: nobody is writing.
                None
            } else if s.at_rest() {
                // Input of a writing connection comes once: it is remembered until the connection parks.
                let input = if s.has(WRITING) {
                    (s.flags() | edges) & READY
                } else {
                    0
                };
                let kept = s.flags() & (WRITING | LINGERING | OUT_ARMED | RDHUP | UNPARK);
                Some(s.with(me, kept | ACTIVE | input | (edges & RDHUP)))
            } else if s.has(ACTIVE) {
                Some(s.with(s.owner(), (s.flags() & !(WAITING | TIMED)) | edges))
            } else {
                None
            }
        });
        match outcome {
            Err(_) => Readiness::Stale,
            Ok((old, _)) if old.at_rest() => Readiness::Claimed(old),
            Ok((old, _)) if old.has(WAITING) => Readiness::Wake(old.owner()),
            Ok(_) => Readiness::Recorded,
        }
    }

    /// Somebody outside asks for a burst of `generation`, to be started by worker `me` if the slot is parked; otherwise
    /// that is remembered until it parks. A lingering connection is past all bursts.
    pub(crate) fn unpark(&self, generation: u32, me: u16) -> Readiness {
        let outcome = self.update(|s| {
            if s.generation() != generation || s.has(LINGERING) {
                None
            } else if s.has(PARKED) && s.at_rest() {
                Some(s.with(me, (s.flags() & (OUT_ARMED | RDHUP)) | ACTIVE))
            } else {
                Some(s.with(s.owner(), (s.flags() & !(WAITING | TIMED)) | UNPARK))
            }
        });
        match outcome {
            Err(_) => Readiness::Stale,
            Ok((old, _)) if old.has(PARKED) && old.at_rest() => Readiness::Claimed(old),
            Ok((old, _)) if old.has(WAITING) => Readiness::Wake(old.owner()),
            Ok(_) => Readiness::Recorded,
        }
    }

    /// Lays an owned slot to rest as `kind` (PARKED, WRITING or LINGERING), unless one of `unless` came meanwhile;
    /// those edges are then cleared (RDHUP stays: it never comes twice).
    pub(crate) fn rest(&self, kind: u64, unless: u64) -> Rest {
        let outcome = self.update(|s| {
            debug_assert!(s.has(ACTIVE), "only an owner lays to rest");
            if s.has(unless) {
                Some(s.with(s.owner(), s.flags() & !(unless & !RDHUP)))
            } else {
                let input = if kind == WRITING {
                    s.flags() & READY
                } else {
                    0
                };
                let kept = s.flags() & (OUT_ARMED | RDHUP | UNPARK);
                Some(s.with(s.owner(), kept | input | kind))
            }
        });
        match outcome {
            Ok((old, _)) if old.has(unless) => Rest::Again(old),
            _ => Rest::Resting,
        }
    }

    /// The owner is about to await `edges`: either one of them has come (cleared and returned), or a timed wait has run
    /// out (the same), or WAITING is set. An edge goes first, and the expiry then stays for the next timed wait: an
    /// edge that was cleared and told as a timeout would be missing when the connection parks.
    pub(crate) fn wait_for(&self, edges: u64, timed: bool) -> Result<(), Snapshot> {
        let (expired, wait) = if timed {
            (EXPIRED, WAITING | TIMED)
        } else {
            (0, WAITING)
        };
        let outcome = self.update(|s| {
            let flags = if s.has(edges) {
                s.flags() & !(edges & !RDHUP)
            } else if s.has(expired) {
                s.flags() & !EXPIRED
            } else {
                s.flags() | wait
            };
            Some(s.with(s.owner(), flags))
        });
        match outcome {
            Ok((old, _)) if old.has(edges | expired) => Err(old),
            _ => Ok(()),
        }
    }

    /// Sets or clears flags of an owned slot.
    pub(crate) fn mark(&self, set: u64, clear: u64) -> Snapshot {
        match self.update(|s| Some(s.with(s.owner(), (s.flags() & !clear) | set))) {
            Ok((old, _)) | Err(old) => old,
        }
    }

    /// The deadline of a slot at rest passed (or it must go): the winner closes it or says farewell.
    pub(crate) fn expire(&self, generation: u32, me: u16) -> Option<Snapshot> {
        self.update(|s| (s.generation() == generation && s.at_rest()).then(|| closing(s, me)))
            .ok()
            .map(|(old, _)| old)
    }

    /// [`StateWord::expire`] of a parked slot alone.
    pub(crate) fn expire_parked(&self, generation: u32, me: u16) -> Option<Snapshot> {
        self.update(|s| {
            let parked = s.generation() == generation && s.has(PARKED) && s.at_rest();
            parked.then(|| closing(s, me))
        })
        .ok()
        .map(|(old, _)| old)
    }

    /// The winner of [`StateWord::expire`] takes the connection up again, with what came meanwhile.
    pub(crate) fn revive(&self) {
        let kept = OUT_ARMED | RDHUP | READY | WREADY | UNPARK;
        let _ = self.update(|s| Some(s.with(s.owner(), (s.flags() & kept) | ACTIVE)));
    }

    /// A parked slot is to go to another process: whoever wins holds it. Its registration must be ended next; an edge
    /// means nothing any more, as the next registration, here or there, reports again what holds.
    pub(crate) fn depart(&self, generation: u32) -> Option<Snapshot> {
        self.update(|s| {
            (s.generation() == generation && s.has(PARKED) && s.at_rest())
                .then(|| s.with(s.owner(), s.flags() & SILENT | MOVING))
        })
        .ok()
        .map(|(old, _)| old)
    }

    /// The holder of a MOVING slot becomes its owner, to register it and lay it to rest: edges are recorded from here on.
    pub(crate) fn land(&self) -> Snapshot {
        let landed = self.update(|s| {
            debug_assert!(s.has(MOVING), "only its holder lands");
            Some(s.with(s.owner(), (s.flags() & UNPARK) | ACTIVE))
        });
        match landed {
            Ok((old, _)) | Err(old) => old,
        }
    }

    /// The deadline of a pending read or write passed; `Some(owner)` if its burst must be woken.
    pub(crate) fn expire_wait(&self, generation: u32) -> Option<u16> {
        self.update(|s| {
            (s.generation() == generation && s.has(ACTIVE) && s.has(WAITING) && s.has(TIMED))
                .then(|| s.with(s.owner(), (s.flags() & !(WAITING | TIMED)) | EXPIRED))
        })
        .ok()
        .map(|(old, _)| old.owner())
    }

    /// Ends this generation. Comes before `close(fd)`: an event of the old one is stale from here on. A swap, like every
    /// other transition: a late event's own exchange comes before it or fails.
    pub(crate) fn retire(&self) {
        self.0.swap(0, Ordering::AcqRel);
    }
}
