//! The memory of a scoreboard: shared with every process that is forked later, gone with the last of them. If it is a
//! file's, also with whoever reads that.

use super::Size;
use super::record::{Child, Header, MAGIC, VERSION};
use super::slot::{Detail, Doing};
use crate::sys::{extras, preallocate};
use parkade::WorkerCounters;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A shared mapping with the layout of [`super::record`].
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    size: Size,
    /// Bytes of one child's part.
    stride: usize,
}

/// Bytes of so many slots' states.
fn states(slots: usize) -> usize {
    slots.next_multiple_of(128)
}

/// Bytes of one child's part.
fn stride(size: &Size) -> Option<usize> {
    let details = if size.extended { size.slots } else { 0 };
    let workers = size.workers.checked_mul(size_of::<WorkerCounters>())?;
    details
        .checked_mul(size_of::<Detail>())?
        .checked_add(states(size.slots))?
        .checked_add(workers)?
        .checked_add(size_of::<Child>())
}

// SAFETY: the memory belongs to the mapping, and what is handed out are shared references to atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// In a file that is empty, or in memory without a name.
    pub(super) fn new(size: Size, file: Option<&File>) -> io::Result<Self> {
        let stride = stride(&size).ok_or(io::ErrorKind::OutOfMemory)?;
        let len = size
            .children
            .checked_mul(stride)
            .and_then(|n| n.checked_add(size_of::<Header>()))
            .ok_or(io::ErrorKind::OutOfMemory)?;
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        let anywhere = std::ptr::null_mut();
        let base = match file {
            Some(file) => {
                // A disk that is full must say so here: later it would be a fatal signal at some store.
                preallocate::preallocate(file, len)?;
                // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
                unsafe { mmap(anywhere, len, rights, MapFlags::SHARED, file, 0)? }
            }
            // Records that no child ever takes cost address space only.
            None => {
                let flags = MapFlags::SHARED | extras::LAZY;
                // SAFETY: as above.
                unsafe { mmap_anonymous(anywhere, len, rights, flags)? }
            }
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Self {
            base,
            len,
            size,
            stride,
        };
        let header = mapping.header();
        header.magic.store(MAGIC, Relaxed);
        header.version.store(VERSION, Relaxed);
        header.children.store(size.children as u32, Relaxed);
        header.workers.store(size.workers as u32, Relaxed);
        header.slots.store(size.slots as u32, Relaxed);
        header.extended.store(size.extended.into(), Relaxed);
        Ok(mapping)
    }

    pub(super) fn children(&self) -> usize {
        self.size.children
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: the mapping begins with a header; pages are aligned, and zero bytes are valid atomics.
        unsafe { self.base.cast().as_ref() }
    }

    /// The first byte of a child's part.
    fn part(&self, at: usize) -> Option<NonNull<u8>> {
        // SAFETY: `at` is below `children`, so this is inside the mapping.
        (at < self.size.children)
            .then(|| unsafe { self.base.add(size_of::<Header>() + at * self.stride) })
    }

    pub(super) fn child(&self, at: usize) -> Option<&Child> {
        // SAFETY: each part begins with a record, at a multiple of its alignment (all sizes are multiples of 128).
        self.part(at).map(|p| unsafe { p.cast().as_ref() })
    }

    pub(super) fn workers(&self, at: usize) -> &[WorkerCounters] {
        let Some(part) = self.part(at) else {
            return &[];
        };
        // SAFETY: the counters follow the record, `workers` of them, inside the mapping; zero bytes are valid.
        unsafe {
            let first = part.add(size_of::<Child>()).cast::<WorkerCounters>();
            std::slice::from_raw_parts(first.as_ptr(), self.size.workers)
        }
    }

    /// What the slots of a child do.
    pub(super) fn slots(&self, at: usize) -> &[AtomicU8] {
        let Some(part) = self.part(at) else {
            return &[];
        };
        let before = size_of::<Child>() + self.size.workers * size_of::<WorkerCounters>();
        // SAFETY: the states follow the counters, `slots` of them, inside the mapping; any byte is valid.
        unsafe {
            let first = part.add(before).cast::<AtomicU8>();
            std::slice::from_raw_parts(first.as_ptr(), self.size.slots)
        }
    }

    /// What the slots of a child did last; empty without ExtendedStatus.
    pub(super) fn details(&self, at: usize) -> &[Detail] {
        let Some(part) = self.part(at).filter(|_| self.size.extended) else {
            return &[];
        };
        let before = size_of::<Child>()
            + self.size.workers * size_of::<WorkerCounters>()
            + states(self.size.slots);
        // SAFETY: the details follow the states at a multiple of their alignment, `slots` of them, inside the mapping;
        // zero bytes are valid.
        unsafe {
            let first = part.add(before).cast::<Detail>();
            std::slice::from_raw_parts(first.as_ptr(), self.size.slots)
        }
    }

    /// Zeroes the part of a child that has ended: no process counts there any more.
    pub(super) fn clear(&self, at: usize) {
        for counters in self.workers(at) {
            counters.reset();
        }
        let details = self.details(at);
        for (slot, state) in self.slots(at).iter().enumerate() {
            // What was never touched has no memory yet, and need not get any.
            if Doing::of(state) == Doing::Untouched {
                continue;
            }
            Doing::Untouched.show(state);
            if let Some(detail) = details.get(slot) {
                detail.clear();
            }
        }
        if let Some(child) = self.child(at) {
            child.clear();
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and no reference into it outlives `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}
