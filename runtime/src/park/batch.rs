//! What a worker has taken out of the kernel and not got to yet, where neighbours can see it.
//!
//! An entry is a token with the edges in the top five bits of its index (slots are fewer than 2^27). Whoever acts on one
//! must win the claim of its slot, so relaxed accesses suffice and a stale entry costs a look for nothing. A neighbour
//! that *takes* an entry serves it in the owner's stead, who passes over it then.

use crate::reactor::{BATCH, Event};
use crate::sync::{AtomicU64, Ordering};

const EDGES_SHIFT: u32 = 27;
/// Behind the last entry.
const END: u64 = 0;
/// A neighbour serves it. No connection has a generation of all ones.
const TAKEN: u64 = u64::MAX;
/// It belongs to no connection: nobody takes it.
const SPECIAL: u64 = 0xFFFF_FFFF_0000_0000;

/// The published events of one worker.
pub(crate) struct Batch<const N: usize = BATCH> {
    entries: [AtomicU64; N],
}

impl<const N: usize> Default for Batch<N> {
    fn default() -> Self {
        Self {
            entries: std::array::from_fn(|_| AtomicU64::new(END)),
        }
    }
}

fn packed(event: &Event) -> u64 {
    match event.token >> 32 {
        0 | 0xFFFF_FFFF => SPECIAL,
        _ => event.token | u64::from(event.edges) << EDGES_SHIFT,
    }
}

fn unpacked(bits: u64) -> Event {
    Event {
        token: bits & !(0x1F << EDGES_SHIFT),
        edges: (bits as u32 >> EDGES_SHIFT) as u8,
    }
}

impl<const N: usize> Batch<N> {
    /// Owner: more than one event was harvested.
    pub(crate) fn publish(&self, events: &[Event]) {
        for (entry, event) in self.entries.iter().zip(events) {
            entry.store(packed(event), Ordering::Relaxed);
        }
        if let Some(end) = self.entries.get(events.len()) {
            end.store(END, Ordering::Relaxed);
        }
    }

    /// Owner: done with them.
    pub(crate) fn withdraw(&self) {
        if let Some(first) = self.entries.first() {
            first.store(END, Ordering::Relaxed);
        }
    }

    /// Owner: whether a neighbour serves the event at this place.
    pub(crate) fn is_taken(&self, at: usize) -> bool {
        let entry = self.entries.get(at);
        entry.is_some_and(|entry| entry.load(Ordering::Relaxed) == TAKEN)
    }

    /// Neighbour: what the owner may not have got to yet.
    pub(crate) fn snapshot(&self, into: &mut Vec<Event>) {
        into.clear();
        let all = self.entries.iter().map(|e| e.load(Ordering::Relaxed));
        let connections = all.take_while(|bits| *bits != END);
        into.extend(connections.filter(|bits| *bits < SPECIAL).map(unpacked));
    }

    /// Neighbour: takes the last event that nobody has taken. It has to be served: the owner will not.
    pub(crate) fn take_last(&self) -> Option<Event> {
        let all = self.entries.iter().map(|e| e.load(Ordering::Relaxed));
        let count = all.take_while(|bits| *bits != END).count();
        for entry in self.entries[..count].iter().rev() {
            let bits = entry.load(Ordering::Relaxed);
            if bits == END || bits >= SPECIAL {
                continue;
            }
            let taken = entry.compare_exchange(bits, TAKEN, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() {
                return Some(unpacked(bits));
            }
        }
        None
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::reactor::{IN, RDHUP, WAKE};

    #[test]
    fn entries_are_taken_from_the_end_and_once() {
        let batch = Batch::<4>::default();
        assert_eq!(batch.take_last(), None);
        let event = |token, edges| Event { token, edges };
        let (a, b) = (event(1 << 32 | 5, IN), event(2 << 32 | 6, IN | RDHUP));
        batch.publish(&[a, event(WAKE, IN), b]);
        let mut seen = Vec::new();
        batch.snapshot(&mut seen);
        assert_eq!(seen, [a, b]);
        assert_eq!(batch.take_last(), Some(b));
        assert!(batch.is_taken(2) && !batch.is_taken(0) && !batch.is_taken(1));
        batch.snapshot(&mut seen);
        assert_eq!(seen, [a]);
        assert_eq!(batch.take_last(), Some(a));
        assert_eq!(batch.take_last(), None);
        batch.publish(&[b, a]);
        assert!(!batch.is_taken(0) && !batch.is_taken(1));
        batch.withdraw();
        assert_eq!(batch.take_last(), None);
    }
}
