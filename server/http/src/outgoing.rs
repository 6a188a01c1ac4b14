//! Bodies on their way out.

use crate::burst::Streaming;
use crate::chunked;
use crate::response::{Body, Prepared, Response};
use bytes::Bytes;
use futures_core::Stream;
use parkade::{Conn, Deadline, FileRange};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A body that is made while it is sent.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

/// Up to here a body is copied behind its head: one call sends both.
const SMALL: usize = 16 * 1024;

/// How a body is sent.
pub(crate) enum Outgoing {
    Nothing,
    Static(&'static [u8]),
    Small(Bytes),
    Prepared(Arc<Prepared>),
    Large(Bytes),
    File(FileRange),
    Stream(Pieces),
}

/// Takes the body out of a response.
pub(crate) fn take(response: &mut Response) -> Outgoing {
    if let Some(prepared) = response.prepared.take() {
        return if prepared.body().len() <= SMALL {
            Outgoing::Prepared(prepared)
        } else {
            Outgoing::Large(prepared.body().clone())
        };
    }
    match std::mem::replace(&mut response.body, Body::Empty) {
        Body::Empty => Outgoing::Nothing,
        Body::Static(b) if b.len() <= SMALL => Outgoing::Static(b),
        Body::Static(b) => Outgoing::Large(Bytes::from_static(b)),
        Body::Bytes(b) => bytes(b),
        Body::File(range) if range.is_empty() => Outgoing::Nothing,
        Body::File(range) => Outgoing::File(range),
        Body::Stream(stream) => Outgoing::Stream(stream),
    }
}

fn bytes(b: Bytes) -> Outgoing {
    if b.len() <= SMALL {
        Outgoing::Small(b)
    } else {
        Outgoing::Large(b)
    }
}

/// Copies a body that is in memory behind its head.
pub(crate) fn append_small(out: &mut Vec<u8>, response: &Response) {
    match &response.body {
        Body::Static(b) => out.extend_from_slice(b),
        Body::Bytes(b) => out.extend_from_slice(b),
        _ => {}
    }
}

/// Sends what is in `out`, then a stream, but for its last piece, which waits in `out`.
///
/// # Errors
/// The stream or the connection failed, or the client took nothing for so long: it can only be closed.
pub(crate) async fn send_stream(
    conn: &mut Conn,
    streaming: &mut Streaming,
    out: &mut Vec<u8>,
    patience: Duration,
) -> io::Result<()> {
    let Streaming {
        pieces, chunked, ..
    } = streaming;
    loop {
        if !out.is_empty() {
            conn.set_io_deadline(Some(Deadline::after(conn.now(), patience)));
            conn.send(out).await?;
            out.clear();
        }
        match poll_fn(|cx| pieces.as_mut().poll_next(cx)).await {
            Some(Ok(piece)) if piece.is_empty() => {}
            Some(Ok(piece)) if *chunked => {
                chunked::size_line(piece.len(), out);
                out.extend_from_slice(&piece);
                out.extend_from_slice(b"\r\n");
            }
            Some(Ok(piece)) => out.extend_from_slice(&piece),
            Some(Err(e)) => {
                tracing::error!(target: "parkade", "a response body failed: {e}");
                return Err(e);
            }
            None => {
                if *chunked {
                    out.extend_from_slice(b"0\r\n\r\n");
                }
                return Ok(());
            }
        }
    }
}
