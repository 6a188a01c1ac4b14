//! A symbolic link, looked at before and after it is read: what is the same both times was not exchanged in between.

use super::Link;
use rustix::fs::{AtFlags, FileType, OFlags, Stat, readlinkat, statat};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// A directory on the way: it has to be readable.
pub(crate) const STEP: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// `None` if it is no link. ELOOP if it changes while it is looked at.
pub(crate) fn read(at: BorrowedFd<'_>, name: &str) -> Result<Option<Link>, Errno> {
    let look = || statat(at, name, AtFlags::SYMLINK_NOFOLLOW);
    let is_link = |stat: &Stat| FileType::from_raw_mode(stat.st_mode as _) == FileType::Symlink;
    let before = look()?;
    if !is_link(&before) {
        return Ok(None);
    }
    let target = readlinkat(at, name, Vec::new())?;
    let after = look()?;
    let same = (before.st_dev, before.st_ino, before.st_ctime)
        == (after.st_dev, after.st_ino, after.st_ctime);
    if !same {
        return Err(Errno::LOOP);
    }
    Ok(Some(Link {
        owner: before.st_uid,
        target,
    }))
}
