//! Stream connections of tasks, of every kind: reading, writing, being idle.
//!
//! `vectored` is reading and writing in several pieces, `split` the two halves, `options` what a socket can be told,
//! `futures_io` the traits of that crate. How connections are made is with their kinds, in `tcp` and `unix`.

#[cfg(feature = "futures-io")]
mod futures_io;
pub(crate) mod options;
pub(crate) mod split;
mod vectored;

use super::family::Family;
use super::idle::{Idle, Idling};
use super::registered::Registered;
use crate::reactor::Interest;
use crate::sys::socket;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::Duration;

/// A stream connection of a task, on the worker that made it: [`crate::TcpStream`] or [`crate::UnixStream`].
///
/// All calls take `&self`: one task may read while another writes, through an `Rc`, a `&` or the halves of
/// [`StreamSocket::into_split`]. Of several readers (or writers) that wait at once, the last one that was polled is
/// woken. Deadlines come from [`crate::time::timeout`]: reading and connecting are cancel safe, so nothing is lost when
/// one ends first. Dropping it closes the connection.
///
/// ```no_run
/// # use parkade::{TcpStream, time};
/// # use std::{io, net::SocketAddr, time::Duration};
/// async fn ask(server: SocketAddr, question: &[u8]) -> parkade::Result<Vec<u8>> {
///     let second = Duration::from_secs(1);
///     let stream = TcpStream::connect_timeout(server, second).await?;
///     stream.write_all(question).await?;
///     let mut answer = vec![0; 4096];
///     let late = |_| io::Error::from(io::ErrorKind::TimedOut);
///     let n = time::timeout(second, stream.read(&mut answer)).await.map_err(late)??;
///     answer.truncate(n);
///     Ok(answer)
/// }
/// ```
pub struct StreamSocket<F: Family> {
    pub(in crate::net) socket: Registered,
    /// The last read left nothing behind.
    drained: Cell<bool>,
    family: PhantomData<F>,
}

impl<F: Family> StreamSocket<F> {
    /// Takes a socket, which must be non-blocking.
    pub(in crate::net) fn registered(socket: OwnedFd, interest: Interest) -> io::Result<Self> {
        Ok(Self {
            socket: Registered::new(socket, interest)?,
            drained: Cell::new(false),
            family: PhantomData,
        })
    }

    /// One read, by whatever call, with room for so many bytes.
    fn read_by(
        &self,
        room: usize,
        read: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let (read, drained) = self.socket.claim().read_once(room, read);
        self.drained.set(drained && room > 0);
        read
    }

    /// Reads what is there, once: recv(2).
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

    /// [`StreamSocket::read`] for hand-written futures.
    ///
    /// # Errors
    /// As [`StreamSocket::read`].
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_input(cx, || self.try_read(buf))
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

    /// Writes what the socket takes now: send(2).
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

    /// [`StreamSocket::write`] for hand-written futures.
    ///
    /// # Errors
    /// As [`StreamSocket::write`].
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_output(cx, || self.try_write(bytes))
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

    /// The peer's address: getpeername(2).
    ///
    /// # Errors
    /// `NotConnected` when the peer has gone.
    pub fn peer_addr(&self) -> io::Result<F::Address> {
        F::peer(self.socket.fd())
    }

    /// Our own address: getsockname(2).
    ///
    /// # Errors
    /// That of getsockname(2).
    pub fn local_addr(&self) -> io::Result<F::Address> {
        F::local(self.socket.fd())
    }
}

impl<F: Family> AsFd for StreamSocket<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd()
    }
}

impl<F: Family> fmt::Debug for StreamSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(F::NAMES[0])
            .field("local", &self.local_addr().ok())
            .field("peer", &self.peer_addr().ok())
            .finish()
    }
}
