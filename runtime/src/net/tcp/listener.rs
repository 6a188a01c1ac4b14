//! Accepting in a task.

use super::TcpStream;
use crate::error::{Error, Result};
use crate::net::registered::Registered;
use crate::park::state::{RDHUP, READY};
use crate::reactor::Interest;
use crate::sys::socket;
use futures_core::Stream;
use rustix::io::Errno;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A listening socket of a task, on the worker that made it.
///
/// Its connections stay on that worker and belong to whoever accepted them. A server whose connections are to park, and
/// to spread over all workers, gives its listener to [`crate::Runtime::listen`] instead.
///
/// ```
/// use parkade::{Runtime, TcpListener, TcpStream, Workers, spawn};
///
/// async fn hello() -> parkade::Result<[u8; 5]> {
///     let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
///     let address = listener.local_addr()?;
///     let server = spawn(async move {
///         let (stream, _peer) = listener.accept().await?;
///         stream.write_all(b"hello").await
///     });
///     let stream = TcpStream::connect(address).await?;
///     let mut said = [0; 5];
///     stream.read_exact(&mut said).await?;
///     server.await?;
///     Ok(said)
/// }
///
/// let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
/// let said = parkade::block_on(runtime.handle().spawn_on(0, hello))?;
/// assert_eq!(&said, b"hello");
/// # Ok::<(), parkade::Error>(())
/// ```
pub struct TcpListener(Registered);

impl TcpListener {
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
        Ok(Self(Registered::new(
            listener.into(),
            Interest::Connection,
        )?))
    }

    /// The next connection and its peer. Cancel safe: what was not returned stays in the backlog.
    ///
    /// # Errors
    /// `NotConnected` from the moment the runtime shuts down; otherwise accept(2)'s, such as too many open files. The
    /// listener remains usable.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// [`TcpListener::accept`] for hand-written futures. Of several that wait, the last one that was polled is woken.
    ///
    /// # Errors
    /// As [`TcpListener::accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        loop {
            // The end wakes every waiter of this thread once; who comes later sees it here.
            if self.0.ending() {
                let why = "the runtime is shutting down";
                return Poll::Ready(Err(io::Error::new(ErrorKind::NotConnected, why)));
            }
            match socket::accept_address(self.0.fd()) {
                Ok((socket, peer)) => {
                    return Poll::Ready(TcpStream::registered(socket).map(|s| (s, peer)));
                }
                Err(Errno::AGAIN) => ready!(self.0.claim().poll_edge(cx, READY | RDHUP, false))?,
                // The client has gone again, or a signal came: the next one.
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
                Err(e) => return Poll::Ready(Err(e.into())),
            }
        }
    }

    /// The connections as a stream that ends when the runtime shuts down.
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming(self)
    }

    /// The address it listens on: getsockname(2).
    ///
    /// # Errors
    /// That of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::local(self.0.fd())
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("local", &self.local_addr().ok())
            .finish()
    }
}

/// The stream of [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a>(&'a TcpListener);

impl Stream for Incoming<'_> {
    type Item = io::Result<(TcpStream, SocketAddr)>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.poll_accept(cx) {
            Poll::Ready(Err(_)) if self.0.0.ending() => Poll::Ready(None),
            polled => polled.map(Some),
        }
    }
}
