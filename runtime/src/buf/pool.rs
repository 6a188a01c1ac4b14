//! One worker's free list of equal buffers.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Bytes a buffer holds.
pub(crate) const CAPACITY: usize = 16 * 1024;
/// Free buffers a worker keeps: enough for a batch of bursts that await at once, little enough to forget.
const KEPT: usize = 16;

/// The free list.
#[derive(Clone, Default)]
pub(crate) struct BufferPool(Rc<RefCell<Vec<Box<[u8]>>>>);

impl BufferPool {
    /// A free buffer, or a new one.
    pub(crate) fn take(&self) -> Buffer {
        let memory = self
            .0
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| vec![0; CAPACITY].into_boxed_slice());
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
        let mut free = self.pool.0.borrow_mut();
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.memory));
        }
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
        let pool = BufferPool::default();
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
}
