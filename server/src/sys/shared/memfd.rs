//! Memory that processes share, with a name that /proc/PID/maps shows.

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap};
use std::ffi::c_void;

/// A new mapping of so many zeroes, shared with processes that are forked later.
pub(crate) fn map(name: &str, bytes: usize) -> Result<*mut c_void, Errno> {
    let memory = memfd_create(name, MemfdFlags::CLOEXEC)?;
    ftruncate(&memory, bytes as u64)?;
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    let anywhere = std::ptr::null_mut();
    // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
    unsafe { mmap(anywhere, bytes, rights, MapFlags::SHARED, &memory, 0) }
}
