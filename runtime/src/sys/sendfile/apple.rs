//! macOS's sendfile(2): its length goes in and comes out, beside the error if there is one.

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
    let mut length = libc::off_t::try_from(most).map_err(|_| Errno::OVERFLOW)?;
    if length == 0 {
        // It would mean: to the end.
        return Ok(0);
    }
    // SAFETY: the descriptors are borrowed, there are no headers, and `length` outlives the call.
    let done = unsafe {
        libc::sendfile(
            from.as_raw_fd(),
            to.as_raw_fd(),
            start,
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    let sent = usize::try_from(length).unwrap_or(0);
    if done != 0 && sent == 0 {
        let why = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&why).unwrap_or(Errno::IO));
    }
    *offset += sent as u64;
    Ok(sent)
}
