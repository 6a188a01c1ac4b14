//! A symbolic link, opened itself (O_PATH) and read through that descriptor.

use super::Link;
use rustix::fs::{FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// A directory on the way: it need not be readable.
pub(crate) const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// `None` if it is no link.
pub(crate) fn read(at: BorrowedFd<'_>, name: &str) -> Result<Option<Link>, Errno> {
    let itself = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = openat(at, name, itself, Mode::empty())?;
    let stat = fstat(&link)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return Ok(None);
    }
    Ok(Some(Link {
        owner: stat.st_uid,
        target: readlinkat(&link, c"", Vec::new())?,
    }))
}
