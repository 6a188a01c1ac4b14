//! What System V semaphores are called: macOS's.

/// semctl(2): sets a value.
pub(crate) const SETVAL: libc::c_int = libc::SETVAL;
/// semop(2): undone when the process ends.
pub(crate) const SEM_UNDO: libc::c_int = libc::SEM_UNDO;

/// The key that a set was made with.
pub(crate) fn key(of: &libc::ipc_perm) -> libc::key_t {
    of._key
}
