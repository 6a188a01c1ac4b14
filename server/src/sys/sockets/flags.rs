//! Sockets that are non-blocking and close-on-exec from the start.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with, socketpair, sockopt,
};

/// No SIGPIPE from a send to somebody who is gone.
pub(crate) const SEND: SendFlags = SendFlags::NOSIGNAL;
/// Descriptors that come are close-on-exec.
pub(crate) const RECEIVE: RecvFlags = RecvFlags::CMSG_CLOEXEC;

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// socket(2).
pub(crate) fn open(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Errno> {
    socket_with(family, kind, FLAGS, None)
}

/// socketpair(2): whole messages, in order; the end of one side shows at the other.
pub(crate) fn channel() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, FLAGS, None)
}

/// Whether it waits for connections.
pub(crate) fn listens(socket: &OwnedFd) -> bool {
    sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// After descriptors have come.
pub(crate) fn received(_fds: &[OwnedFd]) {}
