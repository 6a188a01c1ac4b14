//! Unix stream sockets for tasks: unix(7).

mod connect;

use super::family::{Calls, Family};
use super::listener::StreamListener;
use super::stream::StreamSocket;
use crate::error::{Error, Result};
use crate::sys::unix;
use rustix::io::Errno;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

/// Unix stream sockets, between processes of one machine: unix(7).
#[derive(Clone, Copy, Debug)]
pub enum Unix {}

/// A Unix stream connection of a task.
///
/// ```
/// use parkade::{Runtime, UnixStream, Workers};
///
/// let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
/// let said = parkade::block_on(runtime.handle().spawn_on(0, || async {
///     let (here, there) = UnixStream::pair()?;
///     here.write_all(b"hello").await?;
///     let mut said = [0; 5];
///     there.read_exact(&mut said).await?;
///     std::io::Result::Ok(said)
/// }))?;
/// assert_eq!(&said, b"hello");
/// # Ok::<(), parkade::Error>(())
/// ```
pub type UnixStream = StreamSocket<Unix>;

/// A Unix listener of a task.
pub type UnixListener = StreamListener<Unix>;

impl Family for Unix {}

impl Calls for Unix {
    type Address = SocketAddr;
    const NAMES: [&'static str; 2] = ["UnixStream", "UnixListener"];

    fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, SocketAddr), Errno> {
        unix::accept(listener)
    }
    fn peer(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
        unix::peer(socket)
    }
    fn local(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
        unix::local(socket)
    }
}

impl StreamListener<Unix> {
    /// Listens at `path`, which must not exist; nobody removes it afterwards.
    ///
    /// # Errors
    /// The path exists, is too long (107 bytes on Linux) or cannot be made; no descriptor or slot is left; not called on
    /// a worker.
    pub fn bind(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |e| Error::new("bind", path.display().to_string(), e);
        let listener = std::os::unix::net::UnixListener::bind(path).map_err(failed)?;
        Self::from_std(listener).map_err(failed)
    }

    /// Takes over a listener that exists.
    ///
    /// # Errors
    /// It cannot be made non-blocking or registered; not called on a worker.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::registered(listener.into())
    }
}
