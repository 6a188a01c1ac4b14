//! What System V semaphores are called: FreeBSD's (sys/sem.h), which libc does not show.

/// semctl(2): sets a value.
pub(crate) const SETVAL: libc::c_int = 8;
/// semop(2): undone when the process ends.
pub(crate) const SEM_UNDO: libc::c_int = 0o10000;

/// The key that a set was made with.
pub(crate) fn key(of: &libc::ipc_perm) -> libc::key_t {
    of.key
}
