//! Requests on their way to a service.

use super::pipe::{Feed, Pipe};
use crate::head::Method;
use crate::request::{BodyError, Request};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Who asks: an extension of every request.
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use parkade_http::tower::Client;
///
/// async fn whoami(Extension(client): Extension<Client>) -> String {
///     client.address.to_string()
/// }
///
/// let router: Router = Router::new().route("/whoami", get(whoami));
/// # let _ = parkade_http::tower::handler(router);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    /// The client's address.
    pub address: IpAddr,
    /// The number that [`crate::Hosts::choose`] gave; 0 without hosts.
    pub host: u32,
}

/// The body of a request, read only as far as it is asked for; the first time answers `Expect: 100-continue`.
///
/// It may be read on any thread, until the service has answered or, if the response is a stream, until that has ended.
///
/// ```
/// use http_body::Body;
/// use parkade_http::tower::RequestBody;
///
/// assert!(RequestBody::default().is_end_stream());
/// ```
#[derive(Debug, Default)]
pub struct RequestBody(Option<Arc<Pipe>>);

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &self.0 {
            Some(pipe) => pipe
                .poll_take(cx)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|pipe| pipe.left() == Some(0))
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.as_ref().map_or(Some(0), |pipe| pipe.left()) {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

/// A request as services know it, and what brings it its body, if it has one. `None`: its target is no URI.
pub(super) fn convert(request: Request) -> Option<(http::Request<RequestBody>, Option<Feed>)> {
    let shared = request.shared();
    let mut all = http::Request::new(RequestBody::default());
    *all.method_mut() = method(&request)?;
    *all.uri_mut() = http::Uri::from_maybe_shared(shared.target()).ok()?;
    if request.minor_version() == 0 {
        *all.version_mut() = http::Version::HTTP_10;
    }
    let fields = all.headers_mut();
    fields.reserve(shared.len());
    for (name, value) in shared.fields() {
        let name = http::HeaderName::from_bytes(name).ok()?;
        fields.append(name, http::HeaderValue::from_maybe_shared(value).ok()?);
    }
    drop(shared);
    all.extensions_mut().insert(Client {
        address: request.peer(),
        host: request.host_number(),
    });
    if !request.has_body() {
        return Some((all, None));
    }
    let pipe = Arc::new(Pipe::new(request.body_left()));
    *all.body_mut() = RequestBody(Some(pipe.clone()));
    Some((all, Some(Feed::new(request, pipe))))
}

fn method(request: &Request) -> Option<http::Method> {
    Some(match request.method() {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
        Method::Patch => http::Method::PATCH,
        _ => http::Method::from_bytes(request.method_name().as_bytes()).ok()?,
    })
}
