//! Pages of a private anonymous mapping, given back by madvise(2).

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, madvise};
use std::ffi::c_void;

/// Address space alone: nothing is set aside for pages before they are touched.
pub(super) const MAP: MapFlags = MapFlags::PRIVATE.union(MapFlags::NORESERVE);

/// Gives whole pages back; they read as zero afterwards.
///
/// # Safety
/// They belong to a private anonymous mapping, and zeroes are valid for whoever still looks at them.
pub(super) unsafe fn release(start: *mut c_void, bytes: usize) -> Result<(), Errno> {
    // SAFETY: the caller's.
    unsafe { madvise(start, bytes, Advice::LinuxDontNeed) }
}
