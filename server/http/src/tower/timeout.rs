//! A time limit for a route, or for all of them.

use super::Sleep;
use http::StatusCode;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// Answers in the place of a service that has not answered in time: 503 without a body, unless another status is asked
/// for. The service's future is dropped then; a body that has begun is not limited.
///
/// ```
/// use axum::{Router, routing::get};
/// use http::StatusCode;
/// use parkade_http::tower::TimeoutLayer;
/// use std::time::Duration;
///
/// async fn report() -> &'static str {
///     "done"
/// }
///
/// let patient = TimeoutLayer::new(Duration::from_secs(60)).with_status(StatusCode::GATEWAY_TIMEOUT);
/// let router: Router = Router::new()
///     .route("/report", get(report).layer(patient))
///     .route("/", get(|| async { "quick" }).layer(TimeoutLayer::new(Duration::from_secs(1))));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    most: Duration,
    status: StatusCode,
}

impl TimeoutLayer {
    /// At most so long.
    #[must_use]
    pub fn new(most: Duration) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { most, status }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, service: S) -> Timeout<S> {
        Timeout {
            service,
            limit: *self,
        }
    }
}

/// The service of [`TimeoutLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S> {
    service: S,
    limit: TimeoutLayer,
}

impl<S, R, B> Service<R> for Timeout<S>
where
    S: Service<R, Response = http::Response<B>>,
    B: Default,
{
    type Response = http::Response<B>;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        TimeoutFuture {
            answering: Box::pin(self.service.call(request)),
            sleep: Sleep::new(self.limit.most),
            status: self.limit.status,
        }
    }
}

/// The future of [`Timeout`].
pub struct TimeoutFuture<F> {
    answering: Pin<Box<F>>,
    sleep: Sleep,
    status: StatusCode,
}

impl<F, B, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<http::Response<B>, E>>,
    B: Default,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let Poll::Ready(answer) = self.answering.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        Pin::new(&mut self.sleep).poll(cx).map(|()| {
            let mut late = http::Response::new(B::default());
            *late.status_mut() = self.status;
            Ok(late)
        })
    }
}

impl<F> fmt::Debug for TimeoutFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutFuture")
            .field("sleep", &self.sleep)
            .finish_non_exhaustive()
    }
}
