//! A warm keep-alive request to a handler that is ready at once allocates nothing on its worker.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Runtime, Workers};
use parkade_http::{Body, Limits, Request, Response, Server};
use parkade_tests::allocations::{self, CountingAllocator};
use parkade_tests::client;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Long enough for the date to change twice.
const LONG: Duration = Duration::from_millis(2_500);

async fn handler(request: Request) -> Response {
    match request.path() {
        b"/allocate" => Response::new(200).with_body(Body::Bytes(vec![b'x'; 13].into())),
        _ => Response::text("Hello, World!"),
    }
}

/// Starts a runtime whose one worker is called `name`, and some warm connections to it.
fn start(name: &str) -> (Runtime, Vec<TcpStream>) {
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .name(name)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        requests: 0,
        ..Limits::default()
    };
    runtime
        .listen(listener, Server::new(handler).limits(limits).service())
        .unwrap();
    let mut streams: Vec<_> = (0..8).map(|_| client::connect(address).unwrap()).collect();
    for n in 0..20 {
        ask(&mut streams, "/", n);
    }
    (runtime, streams)
}

/// One request on each connection, each unlike the one before.
fn ask(streams: &mut [TcpStream], path: &str, n: usize) {
    for (k, stream) in streams.iter_mut().enumerate() {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {n}-{k}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
    }
    for stream in streams {
        assert_eq!(client::read(stream, false).unwrap().body.len(), 13);
    }
}

#[test]
fn a_warm_request_allocates_nothing() {
    let (_runtime, mut streams) = start("ready");
    let before = allocations::of_threads("ready").unwrap();
    let (began, mut n) = (Instant::now(), 0);
    while began.elapsed() < LONG || n < 100 {
        ask(&mut streams, "/", n);
        n += 1;
    }
    let after = allocations::of_threads("ready").unwrap();
    assert_eq!(before, after, "{n} requests on each of 8 connections");
}

#[test]
fn what_a_handler_allocates_is_seen() {
    let (_runtime, mut streams) = start("wasteful");
    let before = allocations::of_threads("wasteful").unwrap();
    ask(&mut streams, "/allocate", 0);
    let after = allocations::of_threads("wasteful").unwrap();
    assert!(after.count >= before.count + 8, "{before:?} {after:?}");
}
