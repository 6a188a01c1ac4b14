//! A global allocator that counts, for tests that promise zero allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Constant initialisers and no destructors: touching them allocates nothing, and they stay
    // usable while a thread ends.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// Put `#[global_allocator] static A: CountingAllocator = CountingAllocator;` into a test binary.
///
/// Growing counts as an allocation. Counts are per thread, so tests that run beside each other
/// do not disturb one another.
#[derive(Debug, Default, Clone, Copy)]
pub struct CountingAllocator;

/// What one thread has allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocations {
    /// Calls that got or grew memory.
    pub count: u64,
    /// Bytes asked for in them.
    pub bytes: u64,
}

/// What the calling thread allocates while `work` runs, and the result of `work`.
///
/// Both figures are zero in a binary that has not installed [`CountingAllocator`]; a test should
/// first show that it counts something.
pub fn during<T>(work: impl FnOnce() -> T) -> (Allocations, T) {
    let (count, bytes) = (ALLOCATIONS.get(), BYTES.get());
    let result = work();
    (
        Allocations {
            count: ALLOCATIONS.get() - count,
            bytes: BYTES.get() - bytes,
        },
        result,
    )
}

fn count(bytes: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    BYTES.set(BYTES.get() + bytes as u64);
}

// SAFETY: every call goes to `System` unchanged, which upholds the contract; counting neither
// allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.dealloc(pointer, layout) }
    }
}
