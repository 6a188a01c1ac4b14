//! Reading and writing in several pieces with one system call.

use super::StreamSocket;
use crate::net::family::Family;
use crate::sys::vectored;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context, Poll};

impl<F: Family> StreamSocket<F> {
    /// Reads what is there into several buffers, one after the other: readv(2).
    ///
    /// # Errors
    /// As [`StreamSocket::try_read`]; `InvalidInput` for more than 1,024 buffers.
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let room = bufs.iter().map(|buf| buf.len()).sum();
        self.read_by(room, |socket| vectored::read(socket, bufs))
    }

    /// The same, waiting for at least one byte; `Ok(0)` is the peer's FIN. Cancel safe.
    ///
    /// # Errors
    /// readv(2)'s.
    pub async fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read_vectored(cx, bufs)).await
    }

    /// [`StreamSocket::read_vectored`] for hand-written futures.
    ///
    /// # Errors
    /// As [`StreamSocket::read_vectored`].
    pub fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_input(cx, || self.try_read_vectored(bufs))
    }

    /// Writes what the socket takes now of several pieces: sendmsg(2).
    ///
    /// # Errors
    /// As [`StreamSocket::try_write`]; too many pieces (1,024 on Linux) are refused.
    pub fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        vectored::send(self.socket.fd(), pieces)
    }

    /// Writes some of several pieces, waiting until the socket takes any. Cancel safe: nothing was written then.
    ///
    /// # Errors
    /// sendmsg(2)'s.
    pub async fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write_vectored(cx, pieces)).await
    }

    /// [`StreamSocket::write_vectored`] for hand-written futures.
    ///
    /// # Errors
    /// As [`StreamSocket::write_vectored`].
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket
            .poll_output(cx, || self.try_write_vectored(pieces))
    }

    /// Writes all of several pieces; `pieces` is used up. Not cancel safe: a part may have been written.
    ///
    /// ```
    /// # use parkade::UnixStream;
    /// # use std::io::IoSlice;
    /// async fn answer(stream: &UnixStream, head: &[u8], body: &[u8]) -> std::io::Result<()> {
    ///     let mut pieces = [IoSlice::new(head), IoSlice::new(body)];
    ///     stream.write_all_vectored(&mut pieces).await
    /// }
    /// ```
    ///
    /// # Errors
    /// sendmsg(2)'s.
    pub async fn write_all_vectored(&self, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut pieces, 0);
        while !pieces.is_empty() {
            let n = self.write_vectored(pieces).await?;
            IoSlice::advance_slices(&mut pieces, n);
        }
        Ok(())
    }
}
