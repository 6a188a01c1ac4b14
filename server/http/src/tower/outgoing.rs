//! Responses of a service on their way to the connection.

use super::BoxError;
use super::pipe::Feed;
use crate::encode;
use crate::framing;
use crate::response::{Body, Response};
use bytes::{Buf, Bytes};
use futures_core::Stream;
use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SERVER, TRAILER};
use http_body::Frame;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Takes a response apart. A body whose bytes are all there is sent as bytes; any other goes on as a stream, and with it
/// what feeds the request's body.
///
/// # Errors
/// Those of the body, as far as it has been asked.
pub(super) async fn convert<B>(
    response: http::Response<B>,
    to_head: bool,
    feed: Option<Feed>,
) -> Result<Response, BoxError>
where
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = response.into_parts();
    let mut answer = Response::new(parts.status.as_u16());
    let declared = fields(&mut answer, &parts.headers);
    let exact = body.size_hint().exact();
    answer.body = match (exact, declared) {
        // Nothing of a body is sent, and its length may have been told before it was taken away.
        _ if to_head => unsent(declared.or(exact.filter(|n| *n > 0))),
        (Some(0), _) => Body::Empty,
        (Some(n), _) => known(Box::pin(body), n, feed).await?,
        (None, _) if body.is_end_stream() => Body::Empty,
        (None, declared) => {
            let frames = Box::pin(Frames {
                first: None,
                body: Box::pin(body),
                feed,
            });
            match declared {
                Some(n) => Body::Sized(n, frames),
                None => Body::Stream(frames),
            }
        }
    };
    Ok(answer)
}

/// A body of so many bytes, whole if it is there.
async fn known<B>(mut body: Pin<Box<B>>, n: u64, feed: Option<Feed>) -> Result<Body, BoxError>
where
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    let first = match poll_fn(|cx| Poll::Ready(body.as_mut().poll_frame(cx))).await {
        Poll::Ready(Some(Ok(frame))) => bytes(frame),
        Poll::Ready(Some(Err(e))) => return Err(e.into()),
        Poll::Ready(None) => return Err("a body is shorter than it said".into()),
        Poll::Pending => None,
    };
    Ok(match first {
        Some(all) if all.len() as u64 == n => Body::Bytes(all),
        first => Body::Sized(n, Box::pin(Frames { first, body, feed })),
    })
}

/// The body of an answer to HEAD.
fn unsent(length: Option<u64>) -> Body {
    match length {
        Some(n) => Body::Sized(n, Box::pin(Nothing)),
        None => Body::Stream(Box::pin(Nothing)),
    }
}

/// Data of a frame; trailers are nothing.
fn bytes<D: Buf>(frame: Frame<D>) -> Option<Bytes> {
    let mut data = frame.into_data().ok()?;
    Some(data.copy_to_bytes(data.remaining()))
}

/// Writes the fields but for the server's own, and says what `Content-Length` was among them. Names and values are valid
/// already.
fn fields(answer: &mut Response, map: &HeaderMap) -> Option<u64> {
    let mut length = None;
    for (name, value) in map {
        if name == CONTENT_LENGTH {
            length = value.to_str().ok().and_then(|n| n.parse().ok());
        } else if name == CONNECTION {
            let mut options = value.as_bytes().split(|b| *b == b',');
            answer.close |= options.any(|o| o.trim_ascii().eq_ignore_ascii_case(b"close"));
        } else if name == CONTENT_TYPE || name == SERVER {
            // Of several the last one stands.
            let _ = answer.add_field(name.as_str(), value.as_bytes());
        } else if name != TRAILER && !framing::is_servers_own(name.as_str()) {
            encode::field(&mut answer.fields, name.as_str(), value.as_bytes());
        }
    }
    length
}

/// A body as a stream.
struct Frames<B> {
    /// What has been taken out already.
    first: Option<Bytes>,
    body: Pin<Box<B>>,
    feed: Option<Feed>,
}

impl<B> Stream for Frames<B>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let Self { first, body, feed } = &mut *self;
        if let Some(first) = first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        loop {
            let polled = match feed {
                None => body.as_mut().poll_frame(cx),
                Some(feed) => feed.turn(cx, |cx| body.as_mut().poll_frame(cx)),
            };
            return match polled {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Ready(Some(Err(e))) => Poll::Ready(Some(Err(io::Error::other(e)))),
                Poll::Ready(Some(Ok(frame))) => match bytes(frame) {
                    Some(piece) => Poll::Ready(Some(Ok(piece))),
                    None => continue,
                },
            };
        }
    }
}

/// A stream that is never asked.
struct Nothing;

impl Stream for Nothing {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Ready(None)
    }
}
