//! TCP for tasks: sockets that belong to a spawned future instead of a burst.

mod connect;

use super::family::{Calls, Family};
use super::listener::StreamListener;
use super::stream::StreamSocket;
use crate::error::{Error, Result};
use crate::sys::socket;
use rustix::io::Errno;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

/// TCP, over IPv4 and IPv6: tcp(7).
#[derive(Clone, Copy, Debug)]
pub enum Tcp {}

/// A TCP connection of a task.
pub type TcpStream = StreamSocket<Tcp>;

/// A TCP listener of a task.
pub type TcpListener = StreamListener<Tcp>;

impl Family for Tcp {}

impl Calls for Tcp {
    type Address = SocketAddr;
    const NAMES: [&'static str; 2] = ["TcpStream", "TcpListener"];

    fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, SocketAddr), Errno> {
        socket::accept_address(listener)
    }
    fn peer(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
        socket::peer(socket)
    }
    fn local(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
        socket::local(socket)
    }
}

impl StreamListener<Tcp> {
    /// Listens on `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// The address cannot be bound; no descriptor or slot is left; not called on a worker.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let failed = |e| Error::new("bind", address.to_string(), e);
        Self::from_std(std::net::TcpListener::bind(address).map_err(failed)?).map_err(failed)
    }

    /// Takes over a listener that exists.
    ///
    /// # Errors
    /// It cannot be made non-blocking or registered; not called on a worker.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::registered(listener.into())
    }
}
