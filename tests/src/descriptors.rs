//! Tests with thousands of connections take turns, because one process has only so many descriptors.

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other test of this process holds many descriptors, raises the limit as far as it goes, and returns it.
#[allow(clippy::unnecessary_cast, reason = "signed on FreeBSD")]
pub fn many() -> (u64, MutexGuard<'static, ()>) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a valid out-parameter.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: a valid parameter.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    (limit.rlim_max as u64, turn)
}
