//! Opening a path within bounds, by openat2(2).

use super::How;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::path::Arg;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Opens `path` below `at`. ENOSYS or EPERM where there is no such call.
pub(crate) fn open(
    at: BorrowedFd<'_>,
    path: impl Arg,
    flags: OFlags,
    how: How,
) -> Result<OwnedFd, Errno> {
    let mut resolve = ResolveFlags::empty();
    for (flag, set) in [
        (ResolveFlags::BENEATH, how.beneath),
        (ResolveFlags::NO_SYMLINKS, how.no_links),
        (ResolveFlags::NO_MAGICLINKS, how.no_magic),
        (ResolveFlags::CACHED, how.cached),
    ] {
        resolve.set(flag, set);
    }
    openat2(at, path, flags, Mode::empty(), resolve)
}
