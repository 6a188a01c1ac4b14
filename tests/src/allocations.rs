//! A global allocator that counts, for tests that promise zero allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// What one thread has allocated, written by that thread only.
struct Tally {
    thread: AtomicU32,
    count: AtomicU64,
    bytes: AtomicU64,
}

/// More threads than any test binary starts; should one start more, those share the last tally.
const THREADS: usize = 4096;

// All accesses are relaxed: each figure stands for itself, and a test that reads another thread's has just heard from
// it over a socket.
static TALLIES: [Tally; THREADS] = [const {
    Tally {
        thread: AtomicU32::new(0),
        count: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    }
}; THREADS];
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // A constant initialiser and no destructor: touching it allocates nothing, and it stays usable while a thread ends.
    static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
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
    let own = own();
    let count = own.count.load(Ordering::Relaxed);
    let bytes = own.bytes.load(Ordering::Relaxed);
    let result = work();
    (
        Allocations {
            count: own.count.load(Ordering::Relaxed) - count,
            bytes: own.bytes.load(Ordering::Relaxed) - bytes,
        },
        result,
    )
}

/// What the threads of this process whose names begin with `name` have allocated so far.
///
/// # Errors
/// There is no such thread, or /proc is not readable.
pub fn of_threads(name: &str) -> io::Result<Allocations> {
    let mut sum = Allocations { count: 0, bytes: 0 };
    let mut found = false;
    for thread in crate::procfs::threads(std::process::id())? {
        let file = format!("/proc/self/task/{thread}/comm");
        if !fs::read_to_string(file).is_ok_and(|comm| comm.starts_with(name)) {
            continue;
        }
        found = true;
        let used = TAKEN.load(Ordering::Relaxed).min(THREADS);
        for tally in &TALLIES[..used] {
            if tally.thread.load(Ordering::Relaxed) == thread {
                sum.count += tally.count.load(Ordering::Relaxed);
                sum.bytes += tally.bytes.load(Ordering::Relaxed);
            }
        }
    }
    if found {
        Ok(sum)
    } else {
        Err(io::Error::other(format!("no thread is called {name}")))
    }
}

fn own() -> &'static Tally {
    let mut own = OWN.get();
    if own == usize::MAX {
        own = TAKEN.fetch_add(1, Ordering::Relaxed).min(THREADS - 1);
        OWN.set(own);
        // SAFETY: gettid has no preconditions and cannot fail.
        let thread = unsafe { libc::gettid() };
        TALLIES[own].thread.store(thread as u32, Ordering::Relaxed);
    }
    &TALLIES[own]
}

fn count(bytes: usize) {
    let own = own();
    own.count.fetch_add(1, Ordering::Relaxed);
    own.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
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
