//! Services that are no routers: they fail, panic, or are not ready.

use crate::wire::{Wire, get, post, text};
use axum::body::Body;
use parkade_http::tower::RequestBody;
use parkade_tests::client;
use std::future::{Ready, ready};
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Asked for readiness twice before it is ready; `/fail` is an error, `/panic` panics, `/torn` has a body that fails.
#[derive(Clone, Default)]
struct Moody {
    asked: u32,
}

impl tower_service::Service<http::Request<RequestBody>> for Moody {
    type Response = http::Response<Body>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.asked += 1;
        if self.asked < 3 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        let body = match request.uri().path() {
            "/fail" => return ready(Err(io::Error::other("asked to"))),
            "/panic" => panic!("asked to"),
            "/torn" => Body::new(Torn(0)),
            "/at-once" => Body::new(Torn(1)),
            _ => format!("asked {} times", self.asked).into(),
        };
        ready(Ok(http::Response::new(body)))
    }
}

/// Fails, perhaps behind a piece.
struct Torn(u32);

impl http_body::Body for Torn {
    type Data = axum::body::Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<http_body::Frame<Self::Data>>>> {
        self.0 += 1;
        Poll::Ready(Some(match self.0 {
            1 => Ok(http_body::Frame::data("half".into())),
            _ => Err(io::Error::other("asked to")),
        }))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(8)
    }
}

#[test]
fn a_service_is_asked_when_it_is_ready() {
    let wire = Wire::new(Moody::default());
    assert_eq!(text(&wire.get("/")), "asked 3 times");
    assert_eq!(text(&wire.ask(post("/", "a/b", "body"))), "asked 3 times");
}

#[test]
fn failures_are_answered_500_and_end_the_connection() {
    let wire = Wire::new(Moody::default());
    for target in ["/fail", "/panic", "/at-once"] {
        let answer = wire.get(target);
        let close = Some("close");
        assert_eq!(
            (answer.status, answer.header("connection")),
            (500, close),
            "{target}"
        );
    }
    let mut stream = wire.connect();
    stream.write_all(get("/torn").as_bytes()).unwrap();
    assert!(client::read(&mut stream, false).is_err());
    assert_eq!(wire.get("/").status, 200);
}
