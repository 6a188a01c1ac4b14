//! Accepting in a task.

use super::family::Family;
use super::registered::Registered;
use super::stream::StreamSocket;
use crate::reactor::Interest;
use futures_core::Stream;
use rustix::io::Errno;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A listening socket of a task, on the worker that made it: [`crate::TcpListener`] or [`crate::UnixListener`].
///
/// Its connections stay on that worker and belong to whoever accepted them. A server whose connections are to park, and
/// to spread over all workers, gives its listener to [`crate::Runtime::listen`] or [`crate::Runtime::listen_unix`]
/// instead.
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
pub struct StreamListener<F: Family> {
    socket: Registered,
    family: PhantomData<F>,
}

impl<F: Family> StreamListener<F> {
    /// Takes a listening socket, which must be non-blocking.
    pub(in crate::net) fn registered(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket: Registered::new(socket, Interest::Connection)?,
            family: PhantomData,
        })
    }

    /// The next connection and its peer. Cancel safe: what was not returned stays in the backlog.
    ///
    /// # Errors
    /// `NotConnected` from the moment the runtime shuts down; otherwise accept(2)'s, such as too many open files. The
    /// listener remains usable.
    pub async fn accept(&self) -> io::Result<(StreamSocket<F>, F::Address)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// [`StreamListener::accept`] for hand-written futures. Of several that wait, the last one that was polled is woken.
    ///
    /// # Errors
    /// As [`StreamListener::accept`].
    pub fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(StreamSocket<F>, F::Address)>> {
        self.socket.poll_input(cx, || self.try_accept())
    }

    /// Accepts a connection that is there now.
    ///
    /// # Errors
    /// `WouldBlock` if there is none; otherwise as [`StreamListener::accept`].
    pub fn try_accept(&self) -> io::Result<(StreamSocket<F>, F::Address)> {
        // The end wakes every waiter of this thread once; who comes later sees it here.
        if self.socket.ending() {
            let why = "the runtime is shutting down";
            return Err(io::Error::new(ErrorKind::NotConnected, why));
        }
        self.socket.forget_edges();
        loop {
            match F::accept(self.socket.fd()) {
                Ok((socket, peer)) => {
                    let stream = StreamSocket::registered(socket, Interest::Connection)?;
                    return Ok((stream, peer));
                }
                // The client has gone again, or a signal came: the next one.
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// The connections as a stream that ends when the runtime shuts down.
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_, F> {
        Incoming(self)
    }

    /// The address it listens on: getsockname(2).
    ///
    /// # Errors
    /// That of getsockname(2).
    pub fn local_addr(&self) -> io::Result<F::Address> {
        F::local(self.socket.fd())
    }
}

impl<F: Family> AsFd for StreamListener<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd()
    }
}

impl<F: Family> fmt::Debug for StreamListener<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(F::NAMES[1])
            .field("local", &self.local_addr().ok())
            .finish()
    }
}

/// The stream of [`StreamListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a, F: Family>(&'a StreamListener<F>);

impl<F: Family> Stream for Incoming<'_, F> {
    type Item = io::Result<(StreamSocket<F>, F::Address)>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.poll_accept(cx) {
            Poll::Ready(Err(_)) if self.0.socket.ending() => Poll::Ready(None),
            polled => polled.map(Some),
        }
    }
}
