//! Connecting, and pairs that need no connecting.

use super::Unix;
use crate::error::{Error, Result};
use crate::net::stream::StreamSocket;
use crate::reactor::Interest;
use crate::sys::unix;
use crate::time::{sleep, timeout};
use std::io::{self, ErrorKind};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The first pause where a backlog is full, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(32));

impl StreamSocket<Unix> {
    /// Connects to whoever listens at `path`: connect(2). Cancel safe.
    ///
    /// A full backlog is waited for: the kernel does not tell when there is room, so it is tried again every 1 to 32 ms.
    ///
    /// # Errors
    /// connect(2)'s, with the path; no descriptor or slot is left; not called on a worker.
    pub async fn connect(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |e: io::Error| Error::new("connect", path.display().to_string(), e);
        let address = SocketAddr::from_pathname(path).map_err(failed)?;
        attempt(&address).await.map_err(failed)
    }

    /// Connects to `path` within `most`. Cancel safe.
    ///
    /// # Errors
    /// Of kind `TimedOut` when the time is over first; otherwise as [`StreamSocket::connect`].
    pub async fn connect_timeout(path: impl AsRef<Path>, most: Duration) -> Result<Self> {
        let path = path.as_ref();
        let late = |_| Error::new("connect", path.display().to_string(), ErrorKind::TimedOut);
        timeout(most, Self::connect(path)).await.map_err(late)?
    }

    /// Connects to an address, which on Linux may be an abstract one. Cancel safe.
    ///
    /// # Errors
    /// As [`StreamSocket::connect`]; `InvalidInput` for an address without a name.
    pub async fn connect_addr(address: &SocketAddr) -> Result<Self> {
        let failed = |e: io::Error| Error::new("connect", format!("{address:?}"), e);
        attempt(address).await.map_err(failed)
    }

    /// Two ends of one connection: socketpair(2).
    ///
    /// # Errors
    /// No descriptor or slot is left; not called on a worker.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (here, there) = std::os::unix::net::UnixStream::pair()?;
        Ok((Self::from_std(here)?, Self::from_std(there)?))
    }

    /// Takes over a connection that exists.
    ///
    /// # Errors
    /// It cannot be made non-blocking or registered; not called on a worker.
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::registered(stream.into(), Interest::Connection)
    }
}

async fn attempt(address: &SocketAddr) -> io::Result<StreamSocket<Unix>> {
    let (mut pause, longest) = PAUSES;
    loop {
        match unix::connect(address) {
            Ok(socket) => return StreamSocket::registered(socket, Interest::Connection),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                sleep(pause).await;
                pause = longest.min(pause * 2);
            }
            Err(e) => return Err(e),
        }
    }
}
