//! The memory of a scoreboard: shared with every process that is forked later, gone with the last of them.

use super::record::{Child, Header, MAGIC, VERSION};
use parkade::WorkerCounters;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;

/// An anonymous shared mapping with the layout of [`super::record`].
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    children: usize,
    workers: usize,
}

// SAFETY: the memory belongs to the mapping, and what is handed out are shared references to atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(children: usize, workers: usize) -> io::Result<Self> {
        let stride = size_of::<Child>() + workers * size_of::<WorkerCounters>();
        let len = children
            .checked_mul(stride)
            .and_then(|n| n.checked_add(size_of::<Header>()))
            .ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                // Records that no child ever takes cost address space only.
                MapFlags::SHARED | MapFlags::NORESERVE,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Self {
            base,
            len,
            children,
            workers,
        };
        let header = mapping.header();
        header.magic.store(MAGIC, Relaxed);
        header.version.store(VERSION, Relaxed);
        header.children.store(children as u32, Relaxed);
        header.workers.store(workers as u32, Relaxed);
        Ok(mapping)
    }

    pub(super) fn children(&self) -> usize {
        self.children
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: the mapping begins with a header; pages are aligned, and zero bytes are valid atomics.
        unsafe { self.base.cast().as_ref() }
    }

    /// The first byte of a child's part.
    fn part(&self, at: usize) -> Option<NonNull<u8>> {
        let stride = size_of::<Child>() + self.workers * size_of::<WorkerCounters>();
        // SAFETY: `at` is below `children`, so this is inside the mapping.
        (at < self.children).then(|| unsafe { self.base.add(size_of::<Header>() + at * stride) })
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
            std::slice::from_raw_parts(first.as_ptr(), self.workers)
        }
    }

    /// Zeroes the part of a child that has ended: no process counts there any more.
    pub(super) fn clear(&self, at: usize) {
        for counters in self.workers(at) {
            counters.reset();
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
