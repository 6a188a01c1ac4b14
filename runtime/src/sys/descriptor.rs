//! Calls on descriptors of any kind.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{BorrowedFd, OwnedFd};
use std::io;

/// fcntl(2), `F_DUPFD_CLOEXEC`: another descriptor of the same description.
pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 0)?)
}

/// poll(2) without waiting: whether a write would not wait, or would fail.
pub(crate) fn writable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    let now = Timespec::default();
    matches!(rustix::event::poll(&mut polled, Some(&now)), Ok(1..))
}
