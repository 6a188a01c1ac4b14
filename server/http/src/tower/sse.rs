//! Server-sent events that are silent for long: comment lines keep proxies patient and find clients that have gone.
//!
//! axum's own `keep_alive` needs tokio's timer; this one has the runtime's and takes any response.

use super::Sleep;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// An empty comment (section 9.2 of the HTML standard): clients pass over it.
const COMMENT: &[u8] = b":\n\n";
/// Nobody needs them more often, and without any period there would be nothing but comments.
const SHORTEST: Duration = Duration::from_millis(1);

/// The same response with a comment line whenever its body has been silent for `period`.
///
/// ```
/// use axum::response::{IntoResponse, Sse, sse::Event};
/// use axum::{Router, routing::get};
/// use parkade_http::tower::sse;
/// use std::convert::Infallible;
/// use std::time::Duration;
/// # struct News;
/// # impl futures_core::Stream for News {
/// #     type Item = Result<Event, Infallible>;
/// #     fn poll_next(
/// #         self: std::pin::Pin<&mut Self>,
/// #         _: &mut std::task::Context<'_>,
/// #     ) -> std::task::Poll<Option<Self::Item>> {
/// #         std::task::Poll::Ready(None)
/// #     }
/// # }
///
/// async fn news() -> impl IntoResponse {
///     sse::keep_alive(Sse::new(News).into_response(), Duration::from_secs(15))
/// }
///
/// let router: Router = Router::new().route("/news", get(news));
/// ```
#[must_use]
pub fn keep_alive<B>(response: http::Response<B>, period: Duration) -> http::Response<KeepAlive<B>>
where
    B: http_body::Body<Data = Bytes>,
{
    response.map(|body| KeepAlive {
        body: Box::pin(body),
        period: period.max(SHORTEST),
        // Set when there is first something to wait for.
        sleep: None,
        between: true,
    })
}

/// The body of [`keep_alive`].
pub struct KeepAlive<B> {
    body: Pin<Box<B>>,
    period: Duration,
    sleep: Option<Sleep>,
    /// The last piece ended an event: a comment may stand here.
    between: bool,
}

impl<B> http_body::Body for KeepAlive<B>
where
    B: http_body::Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Self {
            body,
            period,
            sleep,
            between,
        } = &mut *self;
        if let Poll::Ready(frame) = body.as_mut().poll_frame(cx) {
            if let Some(Ok(frame)) = &frame
                && let Some(data) = frame.data_ref()
                && !data.is_empty()
            {
                *between = data.ends_with(b"\n\n") || data.ends_with(b"\r\n\r\n");
            }
            *sleep = None;
            return Poll::Ready(frame);
        }
        let silence = sleep.get_or_insert_with(|| Sleep::new(*period));
        // Where none may stand, another period is waited for: half an event must be followed by the other half.
        while Pin::new(&mut *silence).poll(cx).is_ready() {
            *silence = Sleep::new(*period);
            if *between {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))));
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Comments come on top of what the body says.
        SizeHint::default()
    }
}

impl<B> fmt::Debug for KeepAlive<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepAlive")
            .field("period", &self.period)
            .finish_non_exhaustive()
    }
}
