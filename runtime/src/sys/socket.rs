//! Socket calls, each exactly one system call, on descriptors that stay the caller's.

use super::{fresh, sendfile as kernel};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, Shutdown, SocketAddrAny};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// accept(2), non-blocking and close-on-exec.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, IpAddr), Errno> {
    let (fd, peer) = fresh::accept(listener)?;
    Ok((fd, ip_or_local(peer)))
}

/// A local peer counts as 127.0.0.1.
pub(crate) fn ip_or_local(peer: Option<SocketAddrAny>) -> IpAddr {
    peer.and_then(ip).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// accept(2) with the peer's whole address, for IP listeners.
pub(crate) fn accept_address(listener: BorrowedFd<'_>) -> Result<(OwnedFd, SocketAddr), Errno> {
    let (fd, peer) = fresh::accept(listener)?;
    let peer = peer.and_then(|p| SocketAddr::try_from(p).ok());
    Ok((fd, peer.ok_or(Errno::AFNOSUPPORT)?))
}

/// socket(2) and connect(2): the attempt has begun, [`connected`] says how it went.
pub(crate) fn connect(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = fresh::stream(family)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(e) => Err(e.into()),
    }
}

/// Whether an attempt to connect has succeeded; its error if it has failed.
pub(crate) fn connected(socket: BorrowedFd<'_>) -> io::Result<bool> {
    rustix::net::sockopt::socket_error(socket)??;
    match rustix::net::getpeername(socket) {
        Ok(_) => Ok(true),
        Err(Errno::NOTCONN) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn ip(address: SocketAddrAny) -> Option<IpAddr> {
    SocketAddr::try_from(address).ok().map(|a| a.ip())
}

/// recv(2); `Ok(0)` is the peer's FIN.
pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::net::recv(fd, &mut *buf, RecvFlags::empty()) {
            Ok((_, n)) => return Ok(n.min(buf.len())),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// ioctl(2), `FIONBIO`.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

/// Whether there are bytes to read; a FIN alone is none.
pub(crate) fn has_input(fd: BorrowedFd<'_>) -> bool {
    let mut byte = [0];
    let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(rustix::net::recv(fd, &mut byte[..], peek), Ok((_, 1..)))
}

/// poll(2) without waiting: bytes, a FIN, or for a listener a connection.
pub(crate) fn readable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let now = Timespec::default();
    matches!(rustix::event::poll(&mut polled, Some(&now)), Ok(1..))
}

/// socket(7), `SO_LINGER`: on with no time, or off.
pub(crate) fn set_reset(fd: BorrowedFd<'_>, reset: bool) -> io::Result<()> {
    let linger = reset.then_some(Duration::ZERO);
    Ok(rustix::net::sockopt::set_socket_linger(fd, linger)?)
}

/// Linux throws the bytes away without copying them (tcp(7)); elsewhere the flag means something else.
#[cfg(target_os = "linux")]
const THROW_AWAY: RecvFlags = RecvFlags::TRUNC;
#[cfg(not(target_os = "linux"))]
const THROW_AWAY: RecvFlags = RecvFlags::empty();

/// recv(2) of bytes that nobody wants, in the kernel where it can.
pub(crate) fn discard(fd: BorrowedFd<'_>, scratch: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::net::recv(fd, &mut *scratch, THROW_AWAY) {
            Ok((_, n)) => return Ok(n),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// send(2) without SIGPIPE.
pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::net::send(fd, buf, fresh::SEND) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// sendfile(2) from `offset`, which it advances.
pub(crate) fn sendfile(
    to: BorrowedFd<'_>,
    from: BorrowedFd<'_>,
    offset: &mut u64,
    most: usize,
) -> io::Result<usize> {
    loop {
        match kernel::sendfile(to, from, offset, most) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Sends our FIN; the peer may go on sending.
pub(crate) fn shutdown_write(fd: BorrowedFd<'_>) {
    let _ = rustix::net::shutdown(fd, Shutdown::Write);
}

/// shutdown(2).
pub(crate) fn shutdown(fd: BorrowedFd<'_>, how: std::net::Shutdown) -> io::Result<()> {
    let how = match how {
        std::net::Shutdown::Read => Shutdown::Read,
        std::net::Shutdown::Write => Shutdown::Write,
        std::net::Shutdown::Both => Shutdown::Both,
    };
    Ok(rustix::net::shutdown(fd, how)?)
}

/// getpeername(2).
pub(crate) fn peer(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let address = rustix::net::getpeername(fd)?.ok_or(io::ErrorKind::NotConnected)?;
    SocketAddr::try_from(address).map_err(io::Error::from)
}

/// getsockname(2).
pub(crate) fn local(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    SocketAddr::try_from(rustix::net::getsockname(fd)?).map_err(io::Error::from)
}
