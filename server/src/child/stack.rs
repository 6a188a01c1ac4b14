//! The stack of a worker thread.

use std::mem::MaybeUninit;

/// Bytes for `ThreadStackSize`; 0 asks for what the system gives a thread that asks for nothing, which on Linux is the
/// limit of stacks (`ulimit -s`) at the start.
pub(super) fn size(asked: u64) -> usize {
    match usize::try_from(asked) {
        Ok(0) => of_the_system().unwrap_or(2 << 20),
        Ok(bytes) => bytes,
        Err(_) => usize::MAX,
    }
}

fn of_the_system() -> Option<usize> {
    let mut attributes = MaybeUninit::uninit();
    let mut bytes = 0;
    // SAFETY: the attributes are initialised before they are read, and given back once (pthread_attr_init(3)).
    unsafe {
        if libc::pthread_attr_init(attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let failed = libc::pthread_attr_getstacksize(attributes.as_ptr(), &raw mut bytes);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        (failed == 0 && bytes > 0).then_some(bytes)
    }
}
