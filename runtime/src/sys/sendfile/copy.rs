//! A part of a file sent by way of memory, where the kernel has no sendfile(2).

use rustix::fd::BorrowedFd;
use rustix::io::Errno;

/// What is read at once: about what a socket's buffer takes.
const PIECE: usize = 32 * 1024;

/// Sends at most `most` bytes from `offset`, which it advances; 0 at the end of the file.
pub(crate) fn sendfile(
    to: BorrowedFd<'_>,
    from: BorrowedFd<'_>,
    offset: &mut u64,
    most: usize,
) -> Result<usize, Errno> {
    let mut piece = [0; PIECE];
    let read = rustix::io::pread(from, &mut piece[..most.min(PIECE)], *offset)?;
    if read == 0 {
        return Ok(0);
    }
    let sent = rustix::net::send(to, &piece[..read], crate::sys::fresh::SEND)?;
    *offset += sent as u64;
    Ok(sent)
}
