//! New sockets, where they cannot be made non-blocking and close-on-exec in one call (macOS).

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{Errno, FdFlags};
use rustix::net::{AddressFamily, SocketAddrAny, SocketType};

#[cfg_attr(target_vendor = "apple", path = "pipe_option.rs")]
#[cfg_attr(not(target_vendor = "apple"), path = "pipe_flag.rs")]
mod pipe;
pub(super) use pipe::SEND;

/// accept(2) and what it leaves to do.
pub(super) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    let (socket, peer) = rustix::net::acceptfrom(listener)?;
    prepare(&socket)?;
    Ok((socket, peer))
}

/// socket(2) for a stream.
pub(super) fn stream(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    prepare(&socket)?;
    Ok(socket)
}

fn prepare(socket: &OwnedFd) -> Result<(), Errno> {
    rustix::io::fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(socket, true)?;
    // A peer that is gone already: whoever reads will see.
    let _ = pipe::silence(socket);
    Ok(())
}
