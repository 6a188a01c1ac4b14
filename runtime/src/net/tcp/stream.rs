//! A connection of a task.

use crate::error::{Error, Result};
use crate::net::idle::{Idle, Idling};
use crate::net::registered::Registered;
use crate::park::state::{RDHUP, READY, WREADY};
use crate::reactor::Interest;
use crate::sys::socket;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A TCP connection of a task, on the worker that made it.
///
/// All calls take `&self`: one task may read while another writes, through an `Rc` or a `&`. Of several readers (or
/// writers) that wait at once, the last one that was polled is woken. Deadlines come from [`crate::time::timeout`]:
/// reading and connecting are cancel safe, so nothing is lost when one ends first. Dropping it closes the connection.
///
/// ```no_run
/// # use parkade::{TcpStream, time};
/// # use std::{io, net::SocketAddr, time::Duration};
/// async fn ask(server: SocketAddr, question: &[u8]) -> parkade::Result<Vec<u8>> {
///     let late = |_| io::Error::from(io::ErrorKind::TimedOut);
///     let second = Duration::from_secs(1);
///     let stream = time::timeout(second, TcpStream::connect(server)).await.map_err(late)??;
///     stream.write_all(question).await?;
///     let mut answer = vec![0; 4096];
///     let n = time::timeout(second, stream.read(&mut answer)).await.map_err(late)??;
///     answer.truncate(n);
///     Ok(answer)
/// }
/// ```
pub struct TcpStream {
    socket: Registered,
    /// The last read left nothing behind.
    drained: Cell<bool>,
}

impl TcpStream {
    /// Connects to `address`. Cancel safe: dropping the future gives the attempt up and closes its socket.
    ///
    /// # Errors
    /// connect(2)'s, with the address; no descriptor or slot is left; not called on a worker.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let failed = |e: io::Error| Error::new("connect", address.to_string(), e);
        // Begun before it is registered: an unconnected socket counts as hung up.
        let socket = socket::connect(address).map_err(failed)?;
        // The end of the attempt is an output edge, so this registration asks for them from the start.
        let stream = Self {
            socket: Registered::new(socket, Interest::ConnectionOut).map_err(failed)?,
            drained: Cell::new(false),
        };
        poll_fn(|cx| stream.poll_connected(cx))
            .await
            .map_err(failed)?;
        Ok(stream)
    }

    fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if socket::connected(self.socket.fd())? {
                return Poll::Ready(Ok(()));
            }
            ready!(self.socket.claim().poll_edge(cx, WREADY, false))?;
        }
    }

    /// Takes over a connection that exists.
    ///
    /// # Errors
    /// It cannot be made non-blocking or registered; not called on a worker.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::registered(stream.into())
    }

    pub(super) fn registered(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket: Registered::new(socket, Interest::Connection)?,
            drained: Cell::new(false),
        })
    }

    /// Reads what is there, once.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing now; otherwise recv(2)'s.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let (read, drained) = self.socket.claim().recv(buf);
        self.drained.set(drained && !buf.is_empty());
        read
    }

    /// Reads at least one byte, waiting until there is one; `Ok(0)` is the peer's FIN. Cancel safe.
    ///
    /// # Errors
    /// recv(2)'s.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    /// [`TcpStream::read`] for hand-written futures.
    ///
    /// # Errors
    /// As [`TcpStream::read`].
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.try_read(buf) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
            ready!(self.socket.claim().poll_edge(cx, READY | RDHUP, false))?;
        }
    }

    /// Fills all of `buf`. Not cancel safe: a part may have been read.
    ///
    /// # Errors
    /// `UnexpectedEof` if the peer's FIN comes first; otherwise recv(2)'s.
    pub async fn read_exact(&self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read(buf).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => buf = &mut buf[n..],
            }
        }
        Ok(())
    }

    /// Writes what the socket takes now.
    ///
    /// # Errors
    /// `WouldBlock` if that is nothing; otherwise send(2)'s.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        socket::send(self.socket.fd(), bytes)
    }

    /// Writes some of `bytes`, waiting until the socket takes any. Cancel safe: nothing was written then.
    ///
    /// # Errors
    /// send(2)'s.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write(cx, bytes)).await
    }

    /// [`TcpStream::write`] for hand-written futures.
    ///
    /// # Errors
    /// As [`TcpStream::write`].
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let claim = self.socket.claim();
        loop {
            match self.try_write(bytes) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            claim
                .home
                .arm_output(claim.slot(), claim.generation, claim.index)?;
            ready!(claim.poll_edge(cx, WREADY, false))?;
        }
    }

    /// Writes all of `bytes`. Not cancel safe: a part may have been written.
    ///
    /// # Errors
    /// send(2)'s.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = self.write(bytes).await?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Waits for input without a buffer, at most `most` (six days at the farthest), at the price of one store: between
    /// two requests, give the buffers back and be idle. Ends at once if the last read may have left something. Cancel
    /// safe. One task at a time may be idle on a stream.
    pub async fn idle(&self, most: Duration) -> Idle {
        if !self.drained.get() {
            return Idle::Input;
        }
        let outcome = Idling::new(self.socket.claim(), most).await;
        self.drained.set(outcome != Idle::Input);
        outcome
    }

    /// Ends one direction or both: shutdown(2).
    ///
    /// # Errors
    /// `NotConnected` when the peer has reset it.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        socket::shutdown(self.socket.fd(), how)
    }

    /// The peer's address and port: getpeername(2).
    ///
    /// # Errors
    /// `NotConnected` when the peer has gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        socket::peer(self.socket.fd())
    }

    /// Our own address and port: getsockname(2).
    ///
    /// # Errors
    /// That of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::local(self.socket.fd())
    }

    /// Whether small writes are sent at once (TCP_NODELAY, tcp(7)); off at first.
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_tcp_nodelay(self.socket.fd(), on)?)
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("local", &self.local_addr().ok())
            .field("peer", &self.peer_addr().ok())
            .finish()
    }
}
