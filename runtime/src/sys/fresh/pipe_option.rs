//! No SIGPIPE, by an option of the socket.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, sockopt};

pub(in crate::sys) const SEND: SendFlags = SendFlags::empty();

/// socket(7), `SO_NOSIGPIPE`.
pub(super) fn silence(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_socket_nosigpipe(socket, true)
}
