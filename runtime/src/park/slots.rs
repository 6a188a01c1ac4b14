//! The slot store: 32 bytes hot and 24 cold per connection, at addresses that never change.
//!
//! Other threads compare-and-swap state words, so slots live in a NORESERVE mapping, not in a growing vector. Indices
//! are handed out lowest-free-first; when a block of 1,024 is empty its pages go back to the kernel, which zeroes
//! them: generation 0 means free, and generations come from a counter of the store, so a stale token of an emptied
//! block still meets a word it does not match. (Two pages of the first block stay if no more of it was used.)
//! Allocation, release and wheel links are under one mutex per worker, taken at accept, close, tick and relink only.

use super::bitmap::{BLOCK, Bitmap};
use super::peer::Peer;
use super::state::{PARKED, StateWord};
use super::wheel::{Links, NIL, UNLINKED, Wheel};
use crate::sys::mapping::{Table, ZeroedAtomics};
use std::io;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst, fence,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The hot part of a connection.
///
/// Relaxed accesses everywhere but in the state word: the claim that makes a thread the owner acquires what the
/// previous owner released with its rest. `next`, `prev` and `due` are written under the store's mutex.
#[repr(C, align(32))]
pub(crate) struct Slot {
    pub(crate) state: StateWord,
    /// Wrapping milliseconds.
    pub(crate) deadline: AtomicU32,
    fd: AtomicI32,
    next: AtomicU32,
    prev: AtomicU32,
    pub(crate) due: AtomicU32,
    /// Which burst or waiter of the owner an edge wakes, plus one.
    pub(crate) waiter: AtomicU32,
}

/// The cold part: what must survive a park but is not needed to take one up.
#[repr(C)]
pub(crate) struct Cold {
    peer_high: AtomicU64,
    peer_low: AtomicU64,
    pub(crate) requests: AtomicU32,
    /// listener (8 bits) | rare part (24 bits, 0 = none)
    listener_rare: AtomicU32,
}

// SAFETY: atomics only; zero is a free slot.
unsafe impl ZeroedAtomics for Slot {}
// SAFETY: atomics only; zero is a valid address, count and "no rare part".
unsafe impl ZeroedAtomics for Cold {}

impl Slot {
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.load(Relaxed)
    }

    /// The descriptor of a slot that the caller owns (ACTIVE or CLOSING by its own doing).
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: only the owner closes, and the caller is the owner for as long as it borrows.
        unsafe { BorrowedFd::borrow_raw(self.raw_fd()) }
    }
}

impl Cold {
    pub(crate) fn packed_peer(&self) -> Peer {
        Peer([self.peer_high.load(Relaxed), self.peer_low.load(Relaxed)])
    }
    fn set_peer(&self, peer: Peer) {
        self.peer_high.store(peer.0[0], Relaxed);
        self.peer_low.store(peer.0[1], Relaxed);
    }
    pub(crate) fn listener(&self) -> u8 {
        (self.listener_rare.load(Relaxed) >> 24) as u8
    }
    /// The key of the rare part.
    pub(crate) fn rare(&self) -> Option<usize> {
        (self.listener_rare.load(Relaxed) & 0xFF_FFFF)
            .checked_sub(1)
            .map(|k| k as usize)
    }
    pub(crate) fn set_rare(&self, key: Option<usize>) {
        let low = key.map_or(0, |k| k as u32 + 1) & 0xFF_FFFF;
        self.listener_rare.store(
            self.listener_rare.load(Relaxed) & 0xFF00_0000 | low,
            Relaxed,
        );
    }
}

/// A server that has few connections at a time, and none of them for long, would return its first pages with each of
/// them and get them anew for the next: a seventh of what a connection with one request costs. So two pages stay.
const KEPT: u32 = 128;

/// What the mutex guards.
pub(crate) struct Books {
    pub(crate) bitmap: Bitmap,
    pub(crate) wheel: Wheel,
    generation: u32,
    /// The highest index of the first block that was in use since its pages were given back.
    highest: u32,
}

/// All connections of one worker.
pub(crate) struct SlotStore {
    slots: Table<Slot>,
    cold: Table<Cold>,
    books: Mutex<Books>,
    /// A bucket of the wheel has become empty before it was due: nobody need wake for it any more.
    emptied: AtomicBool,
}

impl SlotStore {
    /// Address space for `capacity` connections.
    pub(crate) fn new(capacity: u32, now: u32) -> io::Result<Self> {
        let capacity = capacity.next_multiple_of(BLOCK);
        Ok(Self {
            slots: Table::new(capacity as usize)?,
            cold: Table::new(capacity as usize)?,
            books: Mutex::new(Books {
                bitmap: Bitmap::new(capacity),
                wheel: Wheel::new(now),
                generation: 0,
                highest: 0,
            }),
            emptied: AtomicBool::new(false),
        })
    }

    /// Whether the wheel may be due later than it was when this was asked last. For the thread that ticks it.
    pub(crate) fn take_emptied(&self) -> bool {
        self.emptied.load(Relaxed) && self.emptied.swap(false, Relaxed)
    }

    fn unlink(&self, books: &mut Books, index: u32) {
        if books.wheel.remove(self, index) {
            self.emptied.store(true, Relaxed);
        }
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        // A panic under the lock aborts the worker's promises anyway; the books themselves stay consistent.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot, by an index that may come from a stale token.
    pub(crate) fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index)
    }

    /// The cold part that belongs to a slot.
    pub(crate) fn cold(&self, index: u32) -> Option<&Cold> {
        self.cold.get(index)
    }

    /// The slot of a connection that the caller has claimed.
    pub(crate) fn claimed(&self, index: u32) -> &Slot {
        self.slots.at(index)
    }

    /// The cold part of a connection that the caller has claimed.
    pub(crate) fn claimed_cold(&self, index: u32) -> &Cold {
        self.cold.at(index)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Takes a slot for `fd`, claimed by nobody yet: the caller publishes its state word. `None` when full.
    pub(crate) fn allocate(
        &self,
        fd: OwnedFd,
        peer: IpAddr,
        listener: u8,
    ) -> Result<(u32, u32), OwnedFd> {
        use std::os::fd::IntoRawFd;
        let mut books = self.books();
        let Some(index) = books.bitmap.alloc() else {
            return Err(fd);
        };
        books.generation = match books.generation.wrapping_add(1) {
            // 0 is free, and the all-ones halves belong to wake and listener tokens.
            0 | u32::MAX => 1,
            g => g,
        };
        let generation = books.generation;
        if index < BLOCK {
            books.highest = books.highest.max(index);
        }
        if let (Some(slot), Some(cold)) = (self.slot(index), self.cold(index)) {
            slot.fd.store(fd.into_raw_fd(), Relaxed);
            slot.due.store(UNLINKED, Relaxed);
            slot.next.store(NIL, Relaxed);
            slot.waiter.store(0, Relaxed);
            cold.set_peer(peer.into());
            cold.requests.store(0, Relaxed);
            cold.listener_rare.store(u32::from(listener) << 24, Relaxed);
        }
        Ok((index, generation))
    }

    /// Ends a connection that the caller owns: the generation first, then the slot; the descriptor is the caller's
    /// to close after that.
    pub(crate) fn release(&self, index: u32) -> Option<OwnedFd> {
        let slot = self.slot(index)?;
        slot.state.retire();
        let mut books = self.books();
        self.unlink(&mut books, index);
        // SAFETY: the slot held the only copy, and its generation is over.
        let fd = unsafe { OwnedFd::from_raw_fd(slot.raw_fd()) };
        if books.bitmap.free(index) {
            self.give_back(&mut books, index / BLOCK * BLOCK);
        }
        Some(fd)
    }

    /// Returns the pages of a block that has become empty to the kernel.
    fn give_back(&self, books: &mut Books, first: u32) {
        if first == 0 && std::mem::take(&mut books.highest) < KEPT {
            return;
        }
        self.slots.discard(first, BLOCK);
        self.cold.discard(first, BLOCK);
    }

    /// Finds at most `most` parked connections and their generations, going round from `from`; where to go on.
    pub(crate) fn parked(&self, from: u32, most: usize, found: &mut Vec<(u32, u32)>) -> u32 {
        let books = self.books();
        let after = books.bitmap.iter_from(from);
        let before = books.bitmap.iter().take_while(|index| *index < from);
        for index in after.chain(before) {
            if found.len() == most {
                return index;
            }
            let seen = self.claimed(index).state.peek();
            if seen.has(PARKED) {
                found.push((index, seen.generation()));
            }
        }
        from
    }

    /// Finds at most `most` parked connections and their generations from index `from` on; where to go on, if there may be
    /// more.
    pub(crate) fn parked_from(
        &self,
        from: u32,
        most: usize,
        found: &mut Vec<(u32, u32)>,
    ) -> Option<u32> {
        let books = self.books();
        for index in books.bitmap.iter_from(from) {
            if found.len() == most {
                return Some(index);
            }
            let seen = self.claimed(index).state.peek();
            if seen.has(PARKED) {
                found.push((index, seen.generation()));
            }
        }
        None
    }

    /// Sees to it that the wheel looks at `index` in time for its deadline. If it had to be linked anew, says when it
    /// will be looked at: a sleeping home may have to wake earlier.
    ///
    /// `foreign`: the caller is not the thread that ticks this wheel. The tick stores `due = UNLINKED` and then looks
    /// at the deadline; the caller has stored the deadline and now looks at `due`; a fence between on both sides.
    pub(crate) fn link(&self, index: u32, generation: u32, now: u32, foreign: bool) -> Option<u32> {
        let slot = self.slot(index)?;
        if foreign {
            fence(SeqCst);
        }
        if !Wheel::needs_relink(slot.due.load(Relaxed), slot.deadline.load(Relaxed), now) {
            return None;
        }
        self.link_anew(slot, index, generation, now)
    }

    #[cold]
    fn link_anew(&self, slot: &Slot, index: u32, generation: u32, now: u32) -> Option<u32> {
        let mut books = self.books();
        // Somebody may have taken it up and closed it since; a released slot is retired before its books are.
        if slot.state.peek().generation() != generation {
            return None;
        }
        self.unlink(&mut books, index);
        books
            .wheel
            .insert(self, index, slot.deadline.load(Relaxed), now);
        Some(slot.due.load(Relaxed))
    }
}

impl Links for SlotStore {
    fn next(&self, i: u32) -> u32 {
        self.slot(i).map_or(NIL, |s| s.next.load(Relaxed))
    }
    fn set_next(&self, i: u32, to: u32) {
        if let Some(s) = self.slot(i) {
            s.next.store(to, Relaxed);
        }
    }
    fn prev(&self, i: u32) -> u32 {
        self.slot(i).map_or(NIL, |s| s.prev.load(Relaxed))
    }
    fn set_prev(&self, i: u32, to: u32) {
        if let Some(s) = self.slot(i) {
            s.prev.store(to, Relaxed);
        }
    }
    fn due(&self, i: u32) -> u32 {
        self.slot(i).map_or(UNLINKED, |s| s.due.load(Relaxed))
    }
    fn set_due(&self, i: u32, to: u32) {
        if let Some(s) = self.slot(i) {
            s.due.store(to, Relaxed);
        }
    }
}

impl Drop for SlotStore {
    fn drop(&mut self) {
        let used: Vec<u32> = self.books().bitmap.iter().collect();
        for index in used {
            drop(self.release(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_connection_is_56_bytes() {
        assert_eq!(size_of::<Slot>(), 32);
        assert_eq!(size_of::<Cold>(), 24);
    }

    #[test]
    fn a_peer_survives_in_sixteen_bytes() {
        let cold: Table<Cold> = Table::new(1).unwrap();
        let cold = cold.get(0).unwrap();
        for peer in ["127.0.0.1", "::1", "2001:db8::7"] {
            let ip: IpAddr = peer.parse().unwrap();
            cold.set_peer(ip.into());
            assert_eq!(cold.packed_peer().ip().to_string(), peer);
        }
        cold.set_rare(Some(5));
        assert_eq!(cold.rare(), Some(5));
        cold.set_rare(None);
        assert_eq!(cold.rare(), None);
    }
}
