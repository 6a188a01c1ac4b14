//! Pages of a private anonymous mapping, given back by mapping them anew: elsewhere than on Linux madvise(2) does not
//! promise zeroes.

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::ffi::c_void;

/// The BSDs set nothing aside for pages before they are touched.
pub(super) const MAP: MapFlags = MapFlags::PRIVATE;

/// Gives whole pages back; they read as zero afterwards. The kernel puts the new pages in the old ones' place in one step.
///
/// # Safety
/// They belong to a private anonymous mapping that is read and written, and zeroes are valid for whoever still looks at
/// them.
pub(super) unsafe fn release(start: *mut c_void, bytes: usize) -> Result<(), Errno> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: only the caller's own pages are replaced, by pages of the same kind.
    let made = unsafe { mmap_anonymous(start, bytes, protection, MAP | MapFlags::FIXED) };
    made.map(drop)
}
