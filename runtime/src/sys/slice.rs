//! How long a thread runs before others that wait for its core.

use std::time::Duration;

/// Asks the scheduler to let this thread run for `slice` at a time: it then gets on sooner when it wakes beside threads
/// that never sleep (sched_setattr(2), `sched_runtime` of a SCHED_OTHER thread; kernels before 6.12 ignore it). Its share
/// stays what it was. Nothing depends on it, so a kernel that does not want to is left alone.
#[cfg(target_os = "linux")]
pub(crate) fn shorten(slice: Duration) {
    // SAFETY: all zeros is a valid value of these integers.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>() as libc::c_uint;
    // SAFETY: 0 is this thread, and the kernel writes at most `size` bytes of the value that is lent.
    let got = unsafe {
        libc::syscall(
            libc::SYS_sched_getattr,
            0,
            &raw mut attributes,
            size,
            0 as libc::c_uint,
        )
    };
    if got != 0 || attributes.sched_policy != libc::SCHED_OTHER as u32 {
        return;
    }
    attributes.sched_runtime = u64::try_from(slice.as_nanos()).unwrap_or(0);
    // SAFETY: as above; the kernel reads `attributes.size` bytes, which is what it has just put there or less.
    unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            0,
            &raw const attributes,
            0 as libc::c_uint,
        )
    };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn shorten(_slice: Duration) {}
