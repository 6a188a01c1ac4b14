//! Closing what was inherited, by the list that macOS keeps.

/// Closes every descriptor from `first` on.
///
/// # Safety
/// Nobody uses any of them after this call.
pub(crate) unsafe fn close_from(first: libc::c_int) {
    // SAFETY: the caller's.
    unsafe { super::listed::close_from(first, "/dev/fd") }
}
