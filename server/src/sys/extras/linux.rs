//! What only Linux offers, and nothing depends on.

use rustix::mm::MapFlags;
use rustix::net::SocketAddrUnix;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::time::ClockId;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

/// A monotonic clock that is as exact as the kernel's tick.
pub(crate) const COARSE: ClockId = ClockId::MonotonicCoarse;
/// Of a mapping: nothing is set aside for pages before they are touched.
pub(crate) const LAZY: MapFlags = MapFlags::NORESERVE;

/// fcntl(2), F_SETPIPE_SZ: what may be on its way through a pipe.
pub(crate) fn enlarge(pipe: &OwnedFd, bytes: usize) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, bytes);
}

/// The kernel may dump this process, though it has given up root.
pub(crate) fn make_dumpable() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::Dumpable)?)
}

/// Connections are announced when they have said something, at most so many seconds late (tcp(7), TCP_DEFER_ACCEPT).
pub(crate) fn defer_accept(socket: &TcpListener, seconds: libc::c_int) -> io::Result<()> {
    // SAFETY: a valid descriptor and an int of the length given.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    } != 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether a file is on another machine.
pub(crate) fn is_remote(file: &File) -> bool {
    // statfs(2).
    const NFS: i64 = 0x6969;
    rustix::fs::fstatfs(file).is_ok_and(|s| s.f_type == NFS)
}

/// The address of a socket whose name is in no file system (unix(7)).
pub(crate) fn abstract_name(name: &[u8]) -> Option<SocketAddrUnix> {
    SocketAddrUnix::new_abstract_name(name).ok()
}
