//! Closing what was inherited, by close_range(2), or one by one where the kernel has none.

/// Closes every descriptor from `first` on.
///
/// # Safety
/// Nobody uses any of them after this call.
pub(crate) unsafe fn close_from(first: libc::c_int) {
    // SAFETY: the caller's.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0u32) };
    if done == 0 {
        return;
    }
    // SAFETY: the caller's.
    unsafe { super::listed::close_from(first, "/proc/self/fd") }
}
