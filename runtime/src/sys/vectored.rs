//! Reading and sending several pieces in one system call.

use super::fresh;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::net::SendAncillaryBuffer;
use std::io::{self, IoSlice, IoSliceMut};

/// readv(2); `Ok(0)` is the peer's FIN.
pub(crate) fn read(socket: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    loop {
        match rustix::io::readv(socket, bufs) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// sendmsg(2) without SIGPIPE.
pub(crate) fn send(socket: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        let mut nothing = SendAncillaryBuffer::default();
        match rustix::net::sendmsg(socket, pieces, &mut nothing, fresh::SEND) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}
