//! What only Linux offers, and nothing depends on: done without.

use rustix::mm::MapFlags;
use rustix::net::SocketAddrUnix;
use rustix::time::ClockId;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

pub(crate) const COARSE: ClockId = ClockId::Monotonic;
/// The BSDs set nothing aside anyway.
pub(crate) const LAZY: MapFlags = MapFlags::empty();

pub(crate) fn enlarge(_pipe: &OwnedFd, _bytes: usize) {}

/// The system's settings decide (`kern.sugid_coredump`).
pub(crate) fn make_dumpable() -> io::Result<()> {
    Ok(())
}

/// Connections are announced at once.
pub(crate) fn defer_accept(_socket: &TcpListener, _seconds: libc::c_int) -> io::Result<()> {
    Ok(())
}

pub(crate) fn is_remote(_file: &File) -> bool {
    false
}

pub(crate) fn abstract_name(_name: &[u8]) -> Option<SocketAddrUnix> {
    None
}
