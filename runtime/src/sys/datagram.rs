//! Calls on datagram sockets.

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::io;
use std::net::SocketAddr;

/// recvfrom(2), which takes the datagram or, with `peek`, leaves it.
pub(crate) fn recv_from(
    socket: BorrowedFd<'_>,
    buf: &mut [u8],
    peek: bool,
) -> io::Result<(usize, SocketAddr)> {
    let flags = match peek {
        true => RecvFlags::PEEK,
        false => RecvFlags::empty(),
    };
    loop {
        match rustix::net::recvfrom(socket, &mut *buf, flags) {
            Ok((_, n, from)) => {
                let from = from.ok_or(Errno::AFNOSUPPORT)?;
                return Ok((n.min(buf.len()), SocketAddr::try_from(from)?));
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// sendto(2).
pub(crate) fn send_to(
    socket: BorrowedFd<'_>,
    datagram: &[u8],
    to: &SocketAddr,
) -> io::Result<usize> {
    loop {
        match rustix::net::sendto(socket, datagram, SendFlags::empty(), to) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}
