//! Memory that processes share, without a name.

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::ffi::c_void;

/// A new mapping of so many zeroes, shared with processes that are forked later.
pub(crate) fn map(_name: &str, bytes: usize) -> Result<*mut c_void, Errno> {
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
    unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, rights, MapFlags::SHARED) }
}
