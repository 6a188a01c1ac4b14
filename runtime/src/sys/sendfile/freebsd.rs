//! FreeBSD's sendfile(2): what was sent comes beside the error, if there is one.

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// Sends at most `most` bytes from `offset`, which it advances; 0 at the end of the file.
pub(crate) fn sendfile(
    to: BorrowedFd<'_>,
    from: BorrowedFd<'_>,
    offset: &mut u64,
    most: usize,
) -> Result<usize, Errno> {
    let start = libc::off_t::try_from(*offset).map_err(|_| Errno::OVERFLOW)?;
    if most == 0 {
        // It would mean: to the end.
        return Ok(0);
    }
    let mut sent: libc::off_t = 0;
    // SAFETY: the descriptors are borrowed, there are no headers, and `sent` outlives the call.
    let done = unsafe {
        libc::sendfile(
            from.as_raw_fd(),
            to.as_raw_fd(),
            start,
            most,
            std::ptr::null_mut(),
            &raw mut sent,
            0,
        )
    };
    let sent = usize::try_from(sent).unwrap_or(0);
    if done != 0 && sent == 0 {
        let why = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&why).unwrap_or(Errno::IO));
    }
    *offset += sent as u64;
    Ok(sent)
}
