//! What a panic below a burst leaves behind for others: nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Runtime, Workers, Written};
use parkade_http::{Exchange, Observer, Request, Response, Server};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

struct Fussy;

impl Observer for Fussy {
    fn exchange(&self, exchange: &Exchange<'_>) -> Option<Written> {
        let path = exchange.head.map(|head| head.path());
        assert_ne!(path, Some(&b"/boom"[..]), "asked to panic");
        None
    }
}

async fn handler(_: Request) -> Response {
    Response::text("hello\n")
}

/// The worker's buffers are used again: what was written for a connection that went down must not reach the next one.
#[test]
fn a_panic_between_two_connections_leaks_nothing_from_one_to_the_other() {
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(handler).observe(|| Box::new(Fussy));
    runtime.listen(listener, server.service()).unwrap();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    // Cut off, by an end or a reset: nothing is answered.
    assert_eq!(ask("/boom").unwrap_or_default(), "");
    let answer = ask("/").unwrap();
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello\n"), "{answer}");
}
