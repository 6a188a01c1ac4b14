//! The calling thread, as Linux knows it.

/// Its number.
pub(crate) fn id() -> u32 {
    rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs()
}

/// Its name, with a zero behind it. Async-signal-safe.
pub(crate) fn name() -> [u8; 16] {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, a zero behind the name among them. (rustix allocates for it.)
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}
