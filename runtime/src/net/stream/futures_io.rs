//! The traits of futures-io, for code that was written for no runtime in particular.

use super::StreamSocket;
use super::split::{ReadHalf, WriteHalf};
use crate::net::family::Family;
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Reading, for whatever owns or points to a stream.
macro_rules! read_through {
    ($([$($generics:tt)*] $type:ty, $this:ident => $stream:expr;)*) => {$(
        impl<$($generics)*> AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let $this = &*self;
                StreamSocket::poll_read($stream, cx, buf)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                let $this = &*self;
                StreamSocket::poll_read_vectored($stream, cx, bufs)
            }
        }
    )*};
}

/// Writing. Nothing is held back, so flushing has nothing to do; closing sends our FIN.
macro_rules! write_through {
    ($([$($generics:tt)*] $type:ty, $this:ident => $stream:expr;)*) => {$(
        impl<$($generics)*> AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                let $this = &*self;
                StreamSocket::poll_write($stream, cx, bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                pieces: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let $this = &*self;
                StreamSocket::poll_write_vectored($stream, cx, pieces)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $this = &*self;
                Poll::Ready(StreamSocket::shutdown($stream, Shutdown::Write))
            }
        }
    )*};
}

read_through! {
    [F: Family] StreamSocket<F>, this => this;
    [F: Family] &StreamSocket<F>, this => this;
    [F: Family, P: Deref<Target = StreamSocket<F>> + Unpin] ReadHalf<P>, this => this.stream();
}

write_through! {
    [F: Family] StreamSocket<F>, this => this;
    [F: Family] &StreamSocket<F>, this => this;
    [F: Family, P: Deref<Target = StreamSocket<F>> + Unpin] WriteHalf<P>, this => this.stream();
}
