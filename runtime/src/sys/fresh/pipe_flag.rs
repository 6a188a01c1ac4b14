//! No SIGPIPE, by a flag of each send.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::SendFlags;

pub(in crate::sys) const SEND: SendFlags = SendFlags::NOSIGNAL;

pub(super) fn silence(_socket: &OwnedFd) -> Result<(), Errno> {
    Ok(())
}
