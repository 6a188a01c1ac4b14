//! Calls on Unix stream sockets, and their addresses as the standard library knows them.

use super::fresh;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;

/// accept(2), non-blocking and close-on-exec.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, SocketAddr), Errno> {
    let (socket, peer) = fresh::accept(listener)?;
    let peer = peer.and_then(|any| known(any).ok());
    Ok((socket, peer.map_or_else(nameless, Ok)?))
}

/// socket(2) and connect(2), which is done or fails at once: `WouldBlock` where the backlog is full.
pub(crate) fn connect(address: &SocketAddr) -> io::Result<OwnedFd> {
    let address = unknown(address)?;
    let socket = fresh::stream(AddressFamily::UNIX)?;
    loop {
        match rustix::net::connect(&socket, &address) {
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
            Ok(()) => return Ok(socket),
        }
    }
}

/// getpeername(2).
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    match rustix::net::getpeername(socket)? {
        Some(any) => known(any),
        None => Ok(nameless()?),
    }
}

/// getsockname(2).
pub(crate) fn local(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    known(rustix::net::getsockname(socket)?)
}

/// The address of a socket that was never bound.
fn nameless() -> Result<SocketAddr, Errno> {
    SocketAddr::from_pathname("").map_err(|_| Errno::AFNOSUPPORT)
}

/// Read byte by byte: a peer may have bound a path that fills the address to its end, without a NUL.
fn known(any: SocketAddrAny) -> io::Result<SocketAddr> {
    if any.address_family() != AddressFamily::UNIX {
        return Err(Errno::AFNOSUPPORT.into());
    }
    let start = std::mem::offset_of!(libc::sockaddr_un, sun_path);
    let len = (any.addr_len() as usize).saturating_sub(start);
    // SAFETY: the address has `addr_len` bytes that the kernel has written, and lives as long as `any`.
    let name = unsafe { std::slice::from_raw_parts(any.as_ptr().cast::<u8>().add(start), len) };
    match name.split_first() {
        None => Ok(nameless()?),
        #[cfg(target_os = "linux")]
        Some((0, name @ [_, ..])) => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        Some((0, _)) => Ok(nameless()?),
        Some(_) => {
            let path = name.split(|byte| *byte == 0).next().unwrap_or_default();
            SocketAddr::from_pathname(OsStr::from_bytes(path))
        }
    }
}

fn unknown(address: &SocketAddr) -> io::Result<SocketAddrUnix> {
    #[cfg(target_os = "linux")]
    if let Some(name) = std::os::linux::net::SocketAddrExt::as_abstract_name(address) {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    match address.as_pathname() {
        Some(path) => Ok(SocketAddrUnix::new(path)?),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the address has no name",
        )),
    }
}
