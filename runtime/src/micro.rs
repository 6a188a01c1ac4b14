//! Single steps of parking, so that each can be measured alone; for the micro benchmarks and nobody else. Nothing here
//! is promised.
//!
//! The slots are a worker's, with their real sizes and neighbours, but no connection was ever in them.

use crate::park::slots::SlotStore;
use crate::park::state::{PARKED, RDHUP, READY, Readiness, Rest};
use crate::park::wheel::{LOOKS, UNLINKED, Verdict, before};
use std::io;
use std::sync::atomic::Ordering::Relaxed;

const GENERATION: u32 = 1;
const ME: u16 = 0;

/// Slots that are parked, their wheel, and a clock that stands still.
pub struct Parked {
    store: SlotStore,
    now: u32,
}

impl Parked {
    /// So many slots, without deadlines.
    pub fn new(count: u32) -> io::Result<Self> {
        let store = SlotStore::new(count, 0)?;
        for index in 0..count {
            let slot = store.claimed(index);
            slot.due.store(UNLINKED, Relaxed);
            slot.state.publish(GENERATION, ME, PARKED);
        }
        Ok(Self { store, now: 0 })
    }

    /// What a warm request does to the state word: an event claims the slot, and its owner lays it to rest. Whether it
    /// went like that.
    pub fn turn(&self, index: u32) -> bool {
        let state = &self.store.claimed(index).state;
        let claimed = state.readiness(GENERATION, ME, READY);
        matches!(claimed, Readiness::Claimed(_))
            && state.rest(PARKED, READY | RDHUP) == Rest::Resting
    }

    /// The same with a wait for more input between, which comes.
    pub fn wait(&self, index: u32) -> bool {
        let state = &self.store.claimed(index).state;
        let claimed = state.readiness(GENERATION, ME, READY);
        matches!(claimed, Readiness::Claimed(_))
            && state.wait_for(READY, false).is_ok()
            && state.readiness(GENERATION, ME, READY) == Readiness::Wake(ME)
            && state.wait_for(READY, false).is_err()
            && state.rest(PARKED, READY | RDHUP) == Rest::Resting
    }

    /// Sets the deadline of a slot, so many milliseconds ahead. Whether the wheel had to link it anew.
    pub fn renew(&self, index: u32, ahead: u32) -> bool {
        let slot = self.store.claimed(index);
        slot.deadline.store(self.now.wrapping_add(ahead), Relaxed);
        let linked = self.store.link(index, GENERATION, self.now, false);
        linked.is_some()
    }

    /// So many milliseconds pass, and the wheel looks at what is due, as much as a worker does in one turn.
    pub fn tick(&mut self, ms: u32, mut expired: impl FnMut(u32)) {
        self.now = self.now.wrapping_add(ms);
        let (store, now) = (&self.store, self.now);
        let mut books = store.books();
        books.wheel.expire(store, now, LOOKS, |index| {
            let deadline = store.claimed(index).deadline.load(Relaxed);
            if before(now, deadline) {
                return Verdict::Keep(deadline);
            }
            expired(index);
            Verdict::Drop
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_turn_and_a_wait_end_where_they_began() {
        let parked = Parked::new(2).unwrap();
        assert!((0..8).all(|n| parked.turn(n % 2) && parked.wait(n % 2)));
    }

    #[test]
    fn a_deadline_is_linked_once_renewed_often_and_expires() {
        let mut parked = Parked::new(1).unwrap();
        assert!(parked.renew(0, 10_000));
        assert!(!parked.renew(0, 10_000));
        assert!(parked.renew(0, 1_000));
        let mut gone = Vec::new();
        parked.tick(900, |index| gone.push(index));
        assert!(gone.is_empty());
        parked.tick(200, |index| gone.push(index));
        assert_eq!(gone, [0]);
    }
}
