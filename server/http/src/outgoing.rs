//! Bodies on their way out.

use crate::burst::Streaming;
use crate::chunked;
use crate::framing::ResponseLength;
use crate::response::{Body, Response};
use bytes::Bytes;
use futures_core::Stream;
use parkade::{Conn, Deadline, FileRange};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A body that is made while it is sent.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

/// Up to here a body is copied behind its head: one call sends both.
const SMALL: usize = 16 * 1024;

/// How a body is sent.
pub(crate) enum Outgoing {
    Nothing,
    Large(Bytes),
    File(FileRange),
    Stream(Pieces),
}

/// A body that is in memory and worth copying behind its head.
pub(crate) fn small(response: &Response) -> Option<&[u8]> {
    let body = match (&response.prepared, &response.body) {
        (Some(prepared), _) => prepared.body(),
        (None, Body::Static(b)) => *b,
        (None, Body::Bytes(b)) => b,
        (None, Body::Empty) => &[],
        (None, _) => return None,
    };
    (body.len() <= SMALL).then_some(body)
}

/// Takes a body that is not [`small`] out of its response.
pub(crate) fn take(response: &mut Response) -> Outgoing {
    if let Some(prepared) = response.prepared.take() {
        return Outgoing::Large(prepared.body().clone());
    }
    match std::mem::replace(&mut response.body, Body::Empty) {
        Body::Empty => Outgoing::Nothing,
        Body::Static(b) => Outgoing::Large(Bytes::from_static(b)),
        Body::Bytes(b) => Outgoing::Large(b),
        Body::File(range) if range.is_empty() => Outgoing::Nothing,
        Body::File(range) => Outgoing::File(range),
        Body::Stream(stream) | Body::Sized(_, stream) => Outgoing::Stream(stream),
    }
}

/// Copies a small body behind its head.
pub(crate) fn append_small(out: &mut Vec<u8>, response: &Response) {
    out.extend_from_slice(small(response).unwrap_or_default());
}

/// Where a stream is sent: a connection, or whoever holds it meanwhile.
pub(crate) trait Way {
    /// From now on a send may take so long.
    fn set_patience(&mut self, patience: Duration);
    /// [`Conn::poll_send`].
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
    /// [`Conn::reset_when_closed`].
    fn reset_when_closed(&self, reset: bool) -> io::Result<()>;
}

impl Way for Conn {
    fn set_patience(&mut self, patience: Duration) {
        self.set_io_deadline(Some(Deadline::after(self.now(), patience)));
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Conn::poll_send(self, cx, bytes)
    }

    fn reset_when_closed(&self, reset: bool) -> io::Result<()> {
        Conn::reset_when_closed(self, reset)
    }
}

/// Sends what is in `out`, then a stream, but for its last piece, which waits in `out`.
///
/// # Errors
/// The stream or the connection failed, or the client took nothing for so long: it can only be closed.
pub(crate) async fn send_stream(
    way: &mut impl Way,
    streaming: &mut Streaming,
    out: &mut Vec<u8>,
    patience: Duration,
) -> io::Result<()> {
    let Streaming { pieces, length, .. } = streaming;
    let until_close = *length == ResponseLength::UntilClose;
    // Only the end of the connection says how long such a body is: until it is whole, whatever ends the connection,
    // be it a panic or the end of this process, must not look like its end (RFC 9112 section 8).
    if until_close {
        way.reset_when_closed(true)?;
    }
    let mut left = match *length {
        ResponseLength::Known(n) => n,
        _ => u64::MAX,
    };
    loop {
        if !out.is_empty() {
            way.set_patience(patience);
            let mut sent = 0;
            while sent < out.len() {
                sent += poll_fn(|cx| way.poll_send(cx, &out[sent..])).await?;
            }
            out.clear();
        }
        match poll_fn(|cx| pieces.as_mut().poll_next(cx)).await {
            Some(Ok(piece)) if piece.is_empty() => {}
            Some(Ok(piece)) if *length == ResponseLength::Chunked => {
                chunked::size_line(piece.len(), out);
                out.extend_from_slice(&piece);
                out.extend_from_slice(b"\r\n");
            }
            Some(Ok(piece)) => {
                let Some(rest) = left.checked_sub(piece.len() as u64) else {
                    return Err(failed(io::Error::other("it is longer than it said")));
                };
                left = rest;
                out.extend_from_slice(&piece);
            }
            Some(Err(e)) => return Err(failed(e)),
            None => {
                match *length {
                    ResponseLength::Chunked => out.extend_from_slice(b"0\r\n\r\n"),
                    ResponseLength::Known(_) if left > 0 => {
                        return Err(failed(io::Error::other("it is shorter than it said")));
                    }
                    ResponseLength::UntilClose => way.reset_when_closed(false)?,
                    ResponseLength::Known(_) | ResponseLength::Absent => {}
                }
                return Ok(());
            }
        }
    }
}

fn failed(error: io::Error) -> io::Error {
    tracing::error!(target: "parkade", "a response body failed: {error}");
    error
}
