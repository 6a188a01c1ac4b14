//! Sockets of macOS: made non-blocking, close-on-exec and silent about SIGPIPE one after the other. A supervisor has one
//! thread, and its children start no programs, so nothing is inherited in between.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket, socketpair, sockopt,
};

/// No SIGPIPE: an option of the socket.
pub(crate) const SEND: SendFlags = SendFlags::empty();
pub(crate) const RECEIVE: RecvFlags = RecvFlags::empty();

/// Room for messages on their way: as much as other systems give a channel.
const ROOM: usize = 208 * 1024;

/// socket(2).
pub(crate) fn open(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Errno> {
    let socket = socket(family, kind, None)?;
    prepare(&socket)?;
    Ok(socket)
}

/// socketpair(2): whole messages, in order. There is no SOCK_SEQPACKET here; the end of one side is an error at the other.
pub(crate) fn channel() -> Result<(OwnedFd, OwnedFd), Errno> {
    let kind = SocketType::DGRAM;
    let (one, other) = socketpair(AddressFamily::UNIX, kind, SocketFlags::empty(), None)?;
    for end in [&one, &other] {
        prepare(end)?;
        sockopt::set_socket_send_buffer_size(end, ROOM)?;
        sockopt::set_socket_recv_buffer_size(end, ROOM)?;
    }
    Ok((one, other))
}

fn prepare(socket: &OwnedFd) -> Result<(), Errno> {
    fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    ioctl_fionbio(socket, true)?;
    sockopt::set_socket_nosigpipe(socket, true)
}

/// Whether it waits for connections.
pub(crate) fn listens(socket: &OwnedFd) -> bool {
    let mut listens: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: a valid descriptor, and an int of the length given.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ACCEPTCONN,
            (&raw mut listens).cast(),
            &raw mut size,
        )
    };
    done == 0 && listens != 0
}

/// After descriptors have come.
pub(crate) fn received(fds: &[OwnedFd]) {
    for fd in fds {
        let _ = fcntl_setfd(fd, FdFlags::CLOEXEC);
    }
}
