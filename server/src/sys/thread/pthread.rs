//! The calling thread, as the C library of a BSD or of macOS knows it.

/// Its number; its last 32 bits where it is longer.
#[cfg(any(target_os = "freebsd", target_os = "dragonfly"))]
pub(crate) fn id() -> u32 {
    // SAFETY: there is nothing to it.
    unsafe { libc::pthread_getthreadid_np() }.unsigned_abs()
}

/// Its number; its last 32 bits where it is longer.
#[cfg(target_vendor = "apple")]
pub(crate) fn id() -> u32 {
    let mut id = 0;
    // SAFETY: it writes the number, and the thread is the one that calls.
    unsafe { libc::pthread_threadid_np(libc::pthread_self(), &raw mut id) };
    id as u32
}

/// Its number; its last 32 bits where it is longer.
#[cfg(target_os = "netbsd")]
pub(crate) fn id() -> u32 {
    // SAFETY: there is nothing to it.
    unsafe { libc::_lwp_self() }.unsigned_abs()
}

/// Its number; its last 32 bits where it is longer.
#[cfg(target_os = "openbsd")]
pub(crate) fn id() -> u32 {
    // SAFETY: there is nothing to it.
    unsafe { libc::getthrid() }.unsigned_abs()
}

/// Its name, with a zero behind it. It may be called by a process in ruins: it reads what the thread itself has.
pub(crate) fn name() -> [u8; 16] {
    let mut name = [0u8; 16];
    // SAFETY: it writes at most 16 bytes, a zero behind the name among them.
    unsafe {
        libc::pthread_getname_np(libc::pthread_self(), name.as_mut_ptr().cast(), name.len());
    }
    name
}
