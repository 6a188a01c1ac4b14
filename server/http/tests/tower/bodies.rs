//! Bodies in both directions, piece by piece.

use crate::wire::{Wire, get, post, talk, text};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::{Request, StatusCode};
use axum::routing::{get as on_get, post as on_post};
use futures_core::Stream;
use http_body::Body as _;
use parkade_http::Limits;
use parkade_tests::client;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// `pieces` times "abc", one a poll, every other poll pending.
struct Pieces {
    left: usize,
    pause: bool,
}

impl Stream for Pieces {
    type Item = Result<&'static str, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pause = !self.pause;
        if self.pause {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.left.checked_sub(1) {
            None => Poll::Ready(None),
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok("abc")))
            }
        }
    }
}

fn pieces(left: usize) -> Body {
    let pause = false;
    Body::from_stream(Pieces { left, pause })
}

async fn frame(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

/// How many bytes, and a sum of them.
async fn sum(request: Request<Body>) -> String {
    let hint = request.body().size_hint().exact();
    let mut body = request.into_body();
    let (mut n, mut sum) = (0, 0u64);
    loop {
        match frame(&mut body).await {
            Some(Ok(piece)) => {
                n += piece.len();
                sum += piece.iter().map(|b| u64::from(*b)).sum::<u64>();
            }
            Some(Err(e)) => return format!("failed: {e}"),
            None => return format!("{n} {sum} {hint:?}"),
        }
    }
}

/// Reads the body on another thread.
async fn elsewhere(mut body: Body) -> String {
    let reader = std::thread::spawn(move || {
        parkade::block_on(async {
            let mut n = 0;
            while let Some(piece) = frame(&mut body).await {
                n += piece.expect("a piece").len();
            }
            n
        })
    });
    // Not blocked meanwhile: the pieces come from here.
    while !reader.is_finished() {
        parkade_http::tower::Sleep::new(Duration::from_millis(1)).await;
    }
    reader.join().expect("the reader").to_string()
}

fn router() -> Router {
    Router::new()
        .route("/sum", on_post(sum))
        .route("/echo", on_post(|body: Body| async { body }))
        .route("/bytes", on_post(|body: Bytes| async { body }))
        .route("/elsewhere", on_post(elsewhere))
        .route("/ignore", on_post(|| async { "ignored" }))
        .route("/stream", on_get(|| async { pieces(3) }))
        .route(
            "/sized",
            on_get(|| async { ([("content-length", "9")], pieces(3)) }),
        )
        .route(
            "/short",
            on_get(|| async { ([("content-length", "10")], pieces(3)) }),
        )
        .route(
            "/long",
            on_get(|| async { ([("content-length", "8")], pieces(3)) }),
        )
        .route("/big", on_get(|| async { vec![b'~'; 4 << 20] }))
        .layer(DefaultBodyLimit::disable())
}

fn chunked(target: &str, chunks: &[&str]) -> String {
    let body: String = chunks
        .iter()
        .map(|c| format!("{:x}\r\n{c}\r\n", c.len()))
        .collect();
    format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n"
    )
}

#[test]
fn request_bodies_come_piece_by_piece() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    for (request, said) in [
        (post("/sum", "a/b", "abc"), "3 294 Some(3)"),
        (post("/sum", "a/b", ""), "0 0 Some(0)"),
        (get("/sum").replace("GET", "POST"), "0 0 Some(0)"),
        (chunked("/sum", &["a", "bc"]), "3 294 None"),
        (post("/bytes", "a/b", "all of it"), "all of it"),
        (post("/elsewhere", "a/b", "abc"), "3"),
        (chunked("/elsewhere", &["ab", "cde", "f"]), "6"),
        (post("/ignore", "a/b", "abc"), "ignored"),
    ] {
        assert_eq!(text(&talk(&mut stream, &request)), said, "{request}");
    }
    let large = "x".repeat(3 << 20);
    let said = format!(
        "{} {} Some({})",
        large.len(),
        large.len() as u64 * 120,
        large.len()
    );
    assert_eq!(text(&wire.ask(post("/sum", "a/b", &large))), said);
    assert_eq!(
        text(&wire.ask(post("/elsewhere", "a/b", &large))),
        large.len().to_string()
    );
}

#[test]
fn a_body_can_be_answered_while_it_comes() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    for round in 0..2 {
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut began = Vec::new();
        for piece in ["one", "two", "three"] {
            let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
            stream.write_all(chunk.as_bytes()).unwrap();
            // It comes back before the next one is sent.
            while !began.ends_with(chunk.as_bytes()) {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                began.push(byte[0]);
            }
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        let mut end = [0; 5];
        stream.read_exact(&mut end).unwrap();
        assert_eq!(&end, b"0\r\n\r\n", "round {round}");
    }
    // Known lengths go through as such, and the connection lives on.
    let answer = talk(&mut stream, post("/echo", "a/b", "known"));
    assert_eq!(
        (answer.header("content-length"), text(&answer)),
        (Some("5"), "known")
    );
    assert_eq!(text(&talk(&mut stream, post("/bytes", "a/b", "x"))), "x");
}

#[test]
fn an_echo_larger_than_any_buffer_comes_back_whole() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    let body: Vec<u8> = (0..8 << 20).map(|n: u32| (n >> 8) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let sent = body.clone();
    let writing = std::thread::spawn(move || {
        let head = format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            sent.len()
        );
        writer.write_all(head.as_bytes()).unwrap();
        writer.write_all(&sent).unwrap();
    });
    assert!(client::read(&mut stream, false).unwrap().body == body);
    writing.join().unwrap();
    assert_eq!(text(&talk(&mut stream, post("/bytes", "a/b", "x"))), "x");
}

#[test]
fn expectations_are_answered_when_the_body_is_wanted() {
    let wire = Wire::new(router());
    for target in ["/bytes", "/sum", "/echo"] {
        let mut stream = wire.connect();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n", "{target}");
        stream.write_all(b"ab").unwrap();
        let answer = client::read(&mut stream, false).unwrap();
        assert!(["ab", "2 195 Some(2)"].contains(&text(&answer)), "{target}");
    }
    // Nobody wants this one: no word of it, and the connection ends.
    let head =
        "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let answer = wire.ask(head);
    assert_eq!(
        (answer.header("connection"), text(&answer)),
        (Some("close"), "ignored")
    );
}

#[test]
fn responses_are_sent_piece_by_piece() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    let answer = talk(&mut stream, get("/stream"));
    assert_eq!(
        (answer.header("transfer-encoding"), text(&answer)),
        (Some("chunked"), "abcabcabc")
    );
    let answer = talk(&mut stream, get("/sized"));
    assert_eq!(
        (answer.header("content-length"), text(&answer)),
        (Some("9"), "abcabcabc")
    );
    let head = talk(&mut stream, "HEAD /sized HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (
            head.header("content-length"),
            head.header("transfer-encoding")
        ),
        (Some("9"), None)
    );
    let head = talk(&mut stream, "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.header("content-length"), None);
    assert_eq!(talk(&mut stream, get("/big")).body.len(), 4 << 20);
    // A client of HTTP/1.0 keeps its connection where the length is known.
    let old = |target| format!("GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = talk(&mut stream, old("/sized"));
    assert_eq!(
        (answer.header("connection"), text(&answer)),
        (Some("Keep-Alive"), "abcabcabc")
    );
    let answer = talk(&mut stream, old("/stream"));
    assert_eq!(
        (answer.header("connection"), text(&answer)),
        (Some("close"), "abcabcabc")
    );
}

#[test]
fn a_body_that_is_not_as_long_as_it_said_is_seen_to_be_cut() {
    let wire = Wire::new(router());
    for target in ["/short", "/long"] {
        let mut stream = wire.connect();
        stream.write_all(get(target).as_bytes()).unwrap();
        let error = client::read(&mut stream, false).expect_err(target);
        assert!(
            error.to_string().contains("bytes of a body"),
            "{target}: {error}"
        );
    }
}

#[test]
fn the_servers_limit_holds_whatever_the_service_reads() {
    let limits = Limits {
        body: 1000,
        ..Limits::default()
    };
    let wire = Wire::with(limits, router());
    let big = "x".repeat(1001);
    for request in [
        post("/bytes", "a/b", &big),
        post("/ignore", "a/b", &big),
        chunked("/bytes", &[&big]),
        chunked("/sum", &[&big[..600], &big[600..]]),
    ] {
        let answer = wire.ask(&request);
        assert_eq!(
            (answer.status, answer.header("connection")),
            (413, Some("close"))
        );
    }
    assert_eq!(
        wire.ask(post("/bytes", "a/b", &big[..1000])).body.len(),
        1000
    );
}

#[test]
fn the_services_own_limit_is_answered_by_the_service() {
    let bytes = on_post(|body: Bytes| async { body });
    let limited = Router::new()
        .route("/bytes", bytes)
        .layer(DefaultBodyLimit::max(10));
    let wire = Wire::new(limited);
    let mut stream = wire.connect();
    let answer = talk(&mut stream, post("/bytes", "a/b", "more than ten"));
    assert_eq!(answer.status, 413);
    // The rest was small enough to be read: the connection lives on.
    assert_eq!(answer.header("connection"), None);
    assert_eq!(
        text(&talk(&mut stream, post("/bytes", "a/b", "ten"))),
        "ten"
    );
    // One that is too large to be read to its end costs the connection, and still gets its answer.
    let huge = "x".repeat(1 << 20);
    let answer = wire.ask(post("/bytes", "a/b", &huge));
    assert_eq!(
        (answer.status, answer.header("connection")),
        (413, Some("close"))
    );
}

#[test]
fn a_body_cut_short_fails_at_its_reader() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    let head = "POST /sum HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
    stream.write_all(head.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answer = client::read(&mut stream, false).unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST.as_u16());
}
