//! Connecting.

use super::Tcp;
use crate::error::{Error, Result};
use crate::net::stream::StreamSocket;
use crate::reactor::Interest;
use crate::sys::socket;
use crate::time::timeout;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

impl StreamSocket<Tcp> {
    /// Connects to `address`: connect(2). Cancel safe: dropping the future gives the attempt up and closes its socket.
    ///
    /// # Errors
    /// connect(2)'s, with the address; no descriptor or slot is left; not called on a worker.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let failed = |e: io::Error| Error::new("connect", address.to_string(), e);
        // Begun before it is registered: an unconnected socket counts as hung up.
        let socket = socket::connect(address).map_err(failed)?;
        // The end of the attempt is an output edge, so this registration asks for them from the start.
        let stream = Self::registered(socket, Interest::ConnectionOut).map_err(failed)?;
        let attempt = || match socket::connected(stream.socket.fd()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ErrorKind::WouldBlock.into()),
            Err(e) => Err(e),
        };
        poll_fn(|cx| stream.socket.poll_output(cx, attempt))
            .await
            .map_err(failed)?;
        Ok(stream)
    }

    /// Connects to `address` within `most`. Cancel safe.
    ///
    /// # Errors
    /// Of kind `TimedOut` when the time is over first; otherwise as [`StreamSocket::connect`].
    pub async fn connect_timeout(address: SocketAddr, most: Duration) -> Result<Self> {
        let late = |_| Error::new("connect", address.to_string(), ErrorKind::TimedOut);
        timeout(most, Self::connect(address)).await.map_err(late)?
    }

    /// Takes over a connection that exists.
    ///
    /// # Errors
    /// It cannot be made non-blocking or registered; not called on a worker.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::registered(stream.into(), Interest::Connection)
    }
}
