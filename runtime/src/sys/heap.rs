//! The allocator's own free memory.

/// Asks the C library to give free memory back to the system; other allocators see to that themselves.
pub(crate) fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
    // SAFETY: malloc_trim has no preconditions; it takes the locks it needs.
    unsafe {
        libc::malloc_trim(0);
    }
}
