//! Memory for one value that every process forked later shares, under a name where the system
//! shows one.

use crate::sys::shared;
use rustix::mm::munmap;
use std::io;
use std::ptr::NonNull;

/// A zeroed `T` in a mapping of its own. It is the owner's to say who may touch what in it, and how.
pub(crate) struct Shared<T>(NonNull<T>);

// SAFETY: this is a pointer to memory that is this value's own; access goes through `as_ptr` alone, whose users see to it.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        // As long as a `T`, and its pages are aligned for any.
        let base = shared::map(name, size_of::<T>())?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self(base))
    }

    pub(crate) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nobody else has a pointer into it.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}
