//! A service as a handler.

use super::{BoxError, RequestBody, incoming, outgoing};
use crate::head::Method;
use crate::request::Request;
use crate::response::Response;
use crate::server::Handler;
use std::future::poll_fn;
use std::pin::pin;
use tower_service::Service;

/// Makes a handler of a service, which is cloned for each request.
///
/// A service that fails, or whose body fails at once, is answered 500 and the connection closed; a body that fails
/// later ends the connection. Services that never fail say so by `Infallible`.
///
/// ```
/// use parkade_http::tower::{self, RequestBody};
/// use std::convert::Infallible;
/// use std::future::{Ready, ready};
/// use std::task::{Context, Poll};
///
/// /// Answers every request by its path.
/// #[derive(Clone)]
/// struct Echo;
///
/// impl tower_service::Service<http::Request<RequestBody>> for Echo {
///     type Response = http::Response<axum::body::Body>;
///     type Error = Infallible;
///     type Future = Ready<Result<Self::Response, Infallible>>;
///
///     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
///         Poll::Ready(Ok(()))
///     }
///
///     fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
///         ready(Ok(http::Response::new(request.uri().path().to_owned().into())))
///     }
/// }
///
/// let server = parkade_http::Server::new(tower::handler(Echo));
/// ```
pub fn handler<S, B>(service: S) -> impl Handler
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>>,
    S: Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    move |request| answer(service.clone(), request)
}

async fn answer<S, B>(mut service: S, request: Request) -> Response
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    let to_head = request.method() == Method::Head;
    let Some((request, mut feed)) = incoming::convert(request) else {
        return Response::error(400);
    };
    if let Err(e) = poll_fn(|cx| service.poll_ready(cx)).await {
        return failed(e.into());
    }
    let mut answering = pin!(service.call(request));
    let answered = match &mut feed {
        None => answering.await,
        Some(feed) => poll_fn(|cx| feed.turn(cx, |cx| answering.as_mut().poll(cx))).await,
    };
    let response = match answered {
        Ok(response) => response,
        Err(e) => return failed(e.into()),
    };
    // Where nobody can ask for more of the request, it is not kept any longer.
    let feed = feed.filter(|feed| feed.is_wanted());
    match outgoing::convert(response, to_head, feed).await {
        Ok(response) => response,
        Err(e) => failed(e),
    }
}

fn failed(error: BoxError) -> Response {
    tracing::error!(target: "parkade", "a service failed: {error}");
    Response::error(500).closing()
}
