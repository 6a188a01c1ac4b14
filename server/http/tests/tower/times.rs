//! Timers of services, time limits, and comments in streams that are silent.

use crate::wire::{Wire, get, talk, text};
use axum::Router;
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use axum::routing::{get as on_get, post as on_post};
use futures_core::Stream;
use http::StatusCode;
use parkade_http::tower::{Sleep, TimeoutLayer, sse};
use std::convert::Infallible;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(60);

/// Two events, with a silence between them.
struct News(u32, Sleep);

impl Stream for News {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.0 == 1 && Pin::new(&mut self.1).poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.0 += 1;
        let number = self.0;
        Poll::Ready((number <= 2).then(|| Ok(Event::default().data(number.to_string()))))
    }
}

async fn slow() -> &'static str {
    Sleep::new(LONG).await;
    "never"
}

fn router() -> Router {
    let limit = TimeoutLayer::new(SHORT);
    Router::new()
        .route("/slow", on_get(slow).layer(limit))
        .route(
            "/gateway",
            on_get(slow).layer(limit.with_status(StatusCode::GATEWAY_TIMEOUT)),
        )
        .route(
            "/upload",
            on_post(|body: String| async { body }).layer(limit),
        )
        .route("/quick", on_get(|| async { "quick" }).layer(limit))
        .route(
            "/sleep",
            on_get(|| async {
                Sleep::new(SHORT).await;
                "slept"
            }),
        )
        .route(
            "/news",
            on_get(|| async {
                let news = Sse::new(News(0, Sleep::new(SHORT * 10)));
                sse::keep_alive(news.into_response(), SHORT)
            }),
        )
}

#[test]
fn a_route_can_have_a_time_limit_of_its_own() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    for (target, status) in [("/slow", 503), ("/gateway", 504), ("/quick", 200)] {
        assert_eq!(talk(&mut stream, get(target)).status, status, "{target}");
    }
    // A body that does not come counts, too.
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(SHORT * 3);
    stream.write_all(b"abc").unwrap();
    let answer = parkade_tests::client::read(&mut stream, false).unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(text(&talk(&mut stream, get("/quick"))), "quick");
}

#[test]
fn timers_of_services_are_the_runtimes() {
    let wire = Wire::new(router());
    let began = Instant::now();
    assert_eq!(text(&wire.get("/sleep")), "slept");
    assert!(began.elapsed() >= SHORT);
}

#[test]
fn silent_events_get_comments_between_them() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    let began = Instant::now();
    let answer = talk(&mut stream, get("/news"));
    assert!(began.elapsed() >= SHORT * 10);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let said = text(&answer);
    let between = said
        .strip_prefix("data: 1\n\n")
        .and_then(|s| s.strip_suffix("data: 2\n\n"));
    let comments = between.unwrap_or_else(|| panic!("{said:?}"));
    let number = comments.matches(":\n\n").count();
    assert!(number >= 1 && comments.len() == number * 3, "{said:?}");
    // The stream had an end, so the connection goes on.
    assert_eq!(text(&talk(&mut stream, get("/quick"))), "quick");
}

#[test]
fn an_event_is_sent_when_it_happens() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    stream.write_all(get("/news").as_bytes()).unwrap();
    let began = Instant::now();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.any(|line| line.unwrap() == "data: 1"));
    assert!(began.elapsed() < SHORT * 10);
}
