//! One worker's free list of equal buffers.

use crate::sys::heap;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// Bytes a buffer holds.
pub(crate) const CAPACITY: usize = 16 * 1024;
/// Bytes of free buffers a worker keeps if nothing else is said: enough for a batch of bursts that await at once, little
/// enough to forget.
pub(crate) const KEPT: usize = 16 * CAPACITY;
/// Bytes of buffers that are given up before it is worth to ask the allocator to give them up as well.
const SURPLUS: usize = 16 * CAPACITY;

/// The free list.
#[derive(Clone)]
pub(crate) struct BufferPool(Rc<Pool>);

struct Pool {
    free: RefCell<Vec<Box<[u8]>>>,
    /// Free buffers that are kept.
    most: usize,
    lent: Cell<usize>,
    /// Bytes given up since the allocator was last asked.
    surplus: Cell<usize>,
    /// Hears how many bytes of free buffers are kept.
    tell: Box<dyn Fn(usize)>,
}

impl Pool {
    /// Keeps a buffer that comes back, or gives it up when there are enough.
    fn give_back(&self, memory: Box<[u8]>) {
        self.lent.set(self.lent.get() - 1);
        let mut free = self.free.borrow_mut();
        if free.len() < self.most {
            free.push(memory);
            return (self.tell)(free.len() * CAPACITY);
        }
        drop(memory);
        self.surplus.set(self.surplus.get() + CAPACITY);
        // More is given up than is still in use: a burst ebbs away. So it is asked a few times only, however big it was.
        if self.surplus.get() >= SURPLUS.max(self.lent.get().saturating_mul(CAPACITY)) {
            self.surplus.set(0);
            heap::trim();
        }
    }
}

impl BufferPool {
    /// Keeps at most so many bytes of free buffers, but never less than one buffer; 0 is without bound. `tell` hears how
    /// many they are.
    pub(crate) fn new(most: usize, tell: impl Fn(usize) + 'static) -> Self {
        Self(Rc::new(Pool {
            free: RefCell::default(),
            most: match most {
                0 => usize::MAX,
                bytes => (bytes / CAPACITY).max(1),
            },
            lent: Cell::new(0),
            surplus: Cell::new(0),
            tell: Box::new(tell),
        }))
    }

    /// A free buffer, or a new one.
    pub(crate) fn take(&self) -> Buffer {
        self.0.lent.set(self.0.lent.get() + 1);
        let mut free = self.0.free.borrow_mut();
        let memory = match free.pop() {
            Some(memory) => {
                (self.0.tell)(free.len() * CAPACITY);
                memory
            }
            None => vec![0; CAPACITY].into_boxed_slice(),
        };
        drop(free);
        Buffer {
            memory,
            start: 0,
            end: 0,
            pool: self.clone(),
        }
    }
}

/// A byte buffer of fixed capacity on loan from its worker's pool; dropping it gives it back.
///
/// Bytes are appended at the end and consumed from the front. It never grows.
pub struct Buffer {
    memory: Box<[u8]>,
    start: usize,
    end: usize,
    pool: BufferPool,
}

impl Buffer {
    /// The bytes received and not yet consumed.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// The same, writable.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.end]
    }

    /// Number of bytes not yet consumed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is left to consume.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes it can hold in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// Free bytes behind the last one.
    #[must_use]
    pub fn spare_len(&self) -> usize {
        self.memory.len() - self.end
    }

    /// Drops `n` bytes from the front; more than there are empties it.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            self.clear();
        }
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Moves the bytes to the front, so that all free space lies behind them.
    pub fn compact(&mut self) {
        if self.start == 0 {
            return;
        }
        self.memory.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    /// Appends as much of `bytes` as fits and says how much that was.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.spare_len());
        self.memory[self.end..self.end + n].copy_from_slice(&bytes[..n]);
        self.end += n;
        n
    }

    /// The free space behind the last byte; [`Buffer::advance`] says how much of it was filled.
    pub(crate) fn spare_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.end..]
    }

    /// The first `n` free bytes now count as filled.
    pub(crate) fn advance(&mut self, n: usize) {
        self.end = (self.end + n).min(self.memory.len());
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.0.give_back(std::mem::take(&mut self.memory));
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_recycled_and_never_grows() {
        let pool = BufferPool::new(KEPT, |_| {});
        let mut buffer = pool.take();
        let at = buffer.memory.as_ptr();
        assert_eq!(buffer.extend_from_slice(&vec![7; CAPACITY + 1]), CAPACITY);
        buffer.consume(CAPACITY - 2);
        buffer.compact();
        assert_eq!(buffer.filled(), [7, 7]);
        drop(buffer);
        let again = pool.take();
        assert_eq!((again.memory.as_ptr(), again.len()), (at, 0));
    }

    #[test]
    fn no_more_is_kept_than_the_bound_and_one_buffer_always() {
        for (bytes, kept) in [(3 * CAPACITY, 3), (4 * CAPACITY - 1, 3), (1, 1), (0, 100)] {
            let told = Rc::new(Cell::new(0));
            let tell = told.clone();
            let pool = BufferPool::new(bytes, move |bytes| tell.set(bytes));
            let lent: Vec<Buffer> = (0..100).map(|_| pool.take()).collect();
            drop(lent);
            let Pool { free, lent, .. } = &*pool.0;
            assert_eq!((free.borrow().len(), lent.get()), (kept, 0), "{bytes}");
            assert_eq!(told.get(), kept * CAPACITY, "{bytes}");
            let again = pool.take();
            assert_eq!(told.get(), (kept - 1) * CAPACITY, "{bytes}");
            drop(again);
        }
    }

    #[test]
    fn the_allocator_is_asked_when_a_burst_ebbs_away_and_not_before() {
        let pool = BufferPool::new(CAPACITY, |_| {});
        let mut lent: Vec<Buffer> = (0..100).map(|_| pool.take()).collect();
        let surplus = || pool.0.surplus.get() / CAPACITY;
        // One is kept; from then on each that comes back is surplus, until that is half of all.
        lent.truncate(51);
        assert_eq!(surplus(), 48);
        lent.truncate(50);
        assert_eq!(surplus(), 49);
        lent.truncate(49);
        assert_eq!(surplus(), 0);
        lent.clear();
        assert!(surplus() < SURPLUS / CAPACITY);
    }
}
