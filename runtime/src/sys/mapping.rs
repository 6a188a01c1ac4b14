//! Anonymous memory that costs nothing until touched and can be given back page by page.

use super::pages;
use rustix::mm::{ProtFlags, mmap_anonymous, munmap};
use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// A table of `T` in zeroed, lazily committed memory. Elements never move.
pub(crate) struct Table<T> {
    base: NonNull<T>,
    len: usize,
    _own: PhantomData<T>,
}

/// What may live in memory that the kernel zeroes: all zero bytes are a valid value and nothing needs dropping.
///
/// # Safety
/// The implementor must be valid when zeroed, and every field an atomic (it is shared between threads).
pub(crate) unsafe trait ZeroedAtomics: Sync {}

impl<T: ZeroedAtomics> Table<T> {
    /// Reserves address space for `len` elements.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                len * size_of::<T>(),
                ProtFlags::READ | ProtFlags::WRITE,
                pages::MAP,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            base,
            len,
            _own: PhantomData,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The element at `i`; `None` beyond the end.
    pub(crate) fn get(&self, i: u32) -> Option<&T> {
        // SAFETY: within the mapping, aligned (pages are), zeroed or written through `T`'s own atomics.
        ((i as usize) < self.len).then(|| unsafe { self.base.add(i as usize).as_ref() })
    }

    /// The element at `i`, which is known to exist.
    pub(crate) fn at(&self, i: u32) -> &T {
        assert!((i as usize) < self.len, "slot {i} of {}", self.len);
        // SAFETY: as in `get`.
        unsafe { self.base.add(i as usize).as_ref() }
    }

    /// Gives the whole pages of `count` elements from `from` back; they read as zero afterwards.
    pub(crate) fn discard(&self, from: u32, count: u32) {
        let page = rustix::param::page_size();
        let end = (from as usize + count as usize).min(self.len) * size_of::<T>();
        // Inwards: a page that is shared with other elements is theirs too.
        let start = (from as usize * size_of::<T>()).next_multiple_of(page);
        let end = end / page * page;
        if start >= end {
            return;
        }
        let bytes = end - start;
        // SAFETY: inside the mapping; zeroed elements are valid (`ZeroedAtomics`).
        let _ = unsafe { pages::release(self.base.as_ptr().byte_add(start).cast(), bytes) };
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and no reference into it outlives `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len * size_of::<T>()) };
    }
}

// SAFETY: the table hands out shared references to `Sync` elements only.
unsafe impl<T: ZeroedAtomics> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: ZeroedAtomics> Sync for Table<T> {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    struct Cell(AtomicU64);
    // SAFETY: one atomic.
    unsafe impl ZeroedAtomics for Cell {}

    #[test]
    fn only_whole_pages_inside_the_range_are_given_back() {
        let per_page = (rustix::param::page_size() / 8) as u32;
        let table: Table<Cell> = Table::new(4 * per_page as usize).unwrap();
        for i in 0..4 * per_page {
            table.at(i).0.store(7, Relaxed);
        }
        table.discard(1, 3 * per_page - 2);
        let value = |i: u32| table.at(i).0.load(Relaxed);
        assert_eq!((value(per_page - 1), value(per_page)), (7, 0));
        assert_eq!((value(2 * per_page - 1), value(2 * per_page)), (0, 7));
    }
}
