//! Linux's sendfile(2).

use rustix::fd::BorrowedFd;
use rustix::io::Errno;

/// Sends at most `most` bytes from `offset`, which it advances; 0 at the end of the file.
pub(crate) fn sendfile(
    to: BorrowedFd<'_>,
    from: BorrowedFd<'_>,
    offset: &mut u64,
    most: usize,
) -> Result<usize, Errno> {
    rustix::fs::sendfile(to, from, Some(offset), most)
}
