//! The two halves of a connection, borrowed for a scope or owned by two tasks.

use super::StreamSocket;
use crate::net::family::Family;
use crate::net::idle::Idle;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The half that reads; `P` points to the stream.
pub struct ReadHalf<P>(P);

/// The half that writes; `P` points to the stream.
pub struct WriteHalf<P>(P);

/// The half that reads, owned: from [`StreamSocket::into_split`].
pub type OwnedReadHalf<F> = ReadHalf<Rc<StreamSocket<F>>>;

/// The half that writes, owned: from [`StreamSocket::into_split`]. Dropping it sends our FIN; the other half may go on.
pub type OwnedWriteHalf<F> = WriteHalf<Finishing<F>>;

/// What an owned writing half points with: dropping it ends our direction.
pub struct Finishing<F: Family>(Option<Rc<StreamSocket<F>>>);

impl<F: Family> StreamSocket<F> {
    /// Lends the two halves. They go into two futures of one task, polled side by side.
    pub fn split(&mut self) -> (ReadHalf<&Self>, WriteHalf<&Self>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Takes the stream apart, for two tasks of this worker. The connection is closed when both halves are gone;
    /// [`ReadHalf::reunite`] makes one stream of them again.
    ///
    /// ```
    /// use parkade::{TcpStream, spawn};
    ///
    /// async fn echo(stream: TcpStream) -> std::io::Result<()> {
    ///     let (reader, writer) = stream.into_split();
    ///     let copying = spawn(async move {
    ///         let mut buf = [0; 4096];
    ///         loop {
    ///             match reader.read(&mut buf).await? {
    ///                 0 => return Ok(()),
    ///                 n => writer.write_all(&buf[..n]).await?,
    ///             }
    ///         }
    ///     });
    ///     copying.await
    /// }
    /// ```
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf<F>, OwnedWriteHalf<F>) {
        let stream = Rc::new(self);
        (ReadHalf(stream.clone()), WriteHalf(Finishing(Some(stream))))
    }
}

impl<F: Family> ReadHalf<Rc<StreamSocket<F>>> {
    /// The stream again.
    ///
    /// # Errors
    /// [`Strangers`], with both, if the halves are of different streams.
    pub fn reunite(self, writer: OwnedWriteHalf<F>) -> Result<StreamSocket<F>, Strangers<F>> {
        let WriteHalf(mut finishing) = writer;
        match finishing.0.take() {
            Some(theirs) if Rc::ptr_eq(&self.0, &theirs) => {
                drop(theirs);
                Rc::try_unwrap(self.0)
                    .map_err(|stream| Strangers(ReadHalf(stream), WriteHalf(finishing)))
            }
            theirs => {
                finishing.0 = theirs;
                Err(Strangers(self, WriteHalf(finishing)))
            }
        }
    }
}

impl<F: Family, P: Deref<Target = StreamSocket<F>>> ReadHalf<P> {
    /// The stream: for its addresses, options and everything else.
    #[must_use]
    pub fn stream(&self) -> &StreamSocket<F> {
        &self.0
    }

    /// [`StreamSocket::try_read`].
    ///
    /// # Errors
    /// As there.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }

    /// [`StreamSocket::read`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).await
    }

    /// [`StreamSocket::poll_read`].
    ///
    /// # Errors
    /// As there.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buf)
    }

    /// [`StreamSocket::read_exact`]. Not cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn read_exact(&self, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(buf).await
    }

    /// [`StreamSocket::read_vectored`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0.read_vectored(bufs).await
    }

    /// [`StreamSocket::idle`]. Cancel safe.
    pub async fn idle(&self, most: Duration) -> Idle {
        self.0.idle(most).await
    }
}

impl<F: Family, P: Deref<Target = StreamSocket<F>>> WriteHalf<P> {
    /// The stream: for its addresses, options and everything else.
    #[must_use]
    pub fn stream(&self) -> &StreamSocket<F> {
        &self.0
    }

    /// [`StreamSocket::try_write`].
    ///
    /// # Errors
    /// As there.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    /// [`StreamSocket::write`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).await
    }

    /// [`StreamSocket::poll_write`].
    ///
    /// # Errors
    /// As there.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    /// [`StreamSocket::write_all`]. Not cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// [`StreamSocket::write_vectored`]. Cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(pieces).await
    }

    /// [`StreamSocket::write_all_vectored`]. Not cancel safe.
    ///
    /// # Errors
    /// As there.
    pub async fn write_all_vectored(&self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.0.write_all_vectored(pieces).await
    }

    /// Sends our FIN: shutdown(2).
    ///
    /// # Errors
    /// `NotConnected` when the peer has reset it.
    pub fn shutdown(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
}

impl<F: Family> Deref for Finishing<F> {
    type Target = StreamSocket<F>;

    #[allow(
        clippy::unreachable,
        reason = "empty only while `reunite` or `drop` holds it, and both own it"
    )]
    fn deref(&self) -> &StreamSocket<F> {
        match &self.0 {
            Some(stream) => stream,
            None => unreachable!("a half that was taken apart is gone"),
        }
    }
}

impl<F: Family> Drop for Finishing<F> {
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            // A peer that is gone needs no FIN.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

/// Two halves of different streams cannot be reunited; here they are.
pub struct Strangers<F: Family>(pub OwnedReadHalf<F>, pub OwnedWriteHalf<F>);

impl<F: Family> fmt::Display for Strangers<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves belong to different streams")
    }
}

impl<F: Family> std::error::Error for Strangers<F> {}

impl<F: Family> fmt::Debug for Strangers<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let halves = (self.0.stream(), self.1.stream());
        f.debug_tuple("Strangers").field(&halves).finish()
    }
}

impl<F: Family, P: Deref<Target = StreamSocket<F>>> fmt::Debug for ReadHalf<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadHalf").field(self.stream()).finish()
    }
}

impl<F: Family, P: Deref<Target = StreamSocket<F>>> fmt::Debug for WriteHalf<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteHalf").field(self.stream()).finish()
    }
}
