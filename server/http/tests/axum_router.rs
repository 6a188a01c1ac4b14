//! The example `axum_router`, from outside: a router that knows nothing of this server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::client::{self, Response};
use parkade_tests::example::Example;
use parkade_tests::procfs;
use std::io::{Read, Write};
use std::net::TcpStream;

fn start() -> Example {
    Example::start_with("parkade-http", "axum_router", "tower").unwrap()
}

fn request(method: &str, target: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn talk(stream: &mut TcpStream, request: &str) -> Response {
    stream.write_all(request.as_bytes()).unwrap();
    client::read(stream, request.starts_with("HEAD ")).unwrap()
}

fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

/// Status and body of requests on one connection, which lives through all of them.
#[test]
fn routes_queries_forms_and_json() {
    let example = start();
    let mut stream = client::connect(example.address()).unwrap();
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    for (request, status, said) in [
        (get("/"), 200, "Hello, World!"),
        (get("/greet?name=you"), 200, "Hello, you!"),
        (get("/user/me"), 200, "me from 127.0.0.1"),
        (
            request("POST", "/form", form, "b=2&a=1"),
            200,
            r#"{"a":"1","b":"2"}"#,
        ),
        (
            request("POST", "/sum", json, "[1,2,-4]"),
            200,
            r#"{"count":3,"sum":-1}"#,
        ),
        (get("/slow"), 503, ""),
        (get("/nowhere"), 404, ""),
        (request("POST", "/", json, "{}"), 405, ""),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 200, ""),
    ] {
        let answer = talk(&mut stream, &request);
        assert_eq!(
            (answer.status, &*text(&answer)),
            (status, said),
            "{request}"
        );
        if request.starts_with("HEAD") {
            assert_eq!(answer.header("content-length"), Some("13"));
        }
    }
    for (request, status) in [
        (get("/greet"), 400),
        (request("POST", "/sum", json, "[1,"), 400),
        (request("POST", "/sum", json, "{}"), 422),
        (request("POST", "/sum", form, "[]"), 415),
    ] {
        assert_eq!(talk(&mut stream, &request).status, status, "{request}");
    }
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let example = start();
    let mut stream = client::connect(example.address()).unwrap();
    let all: String = (0..500).map(|n| get(&format!("/user/{n}"))).collect();
    stream.write_all(all.as_bytes()).unwrap();
    for n in 0..500 {
        let answer = client::read(&mut stream, false).unwrap();
        assert_eq!(text(&answer), format!("{n} from 127.0.0.1"));
    }
}

#[test]
fn bodies_stream_in_and_out() {
    let example = start();
    let mut stream = client::connect(example.address()).unwrap();
    let big = "x".repeat(1 << 20);
    let answer = talk(&mut stream, &request("PUT", "/size", "a/b", &big));
    assert_eq!(text(&answer), "1048576 bytes");
    let head = "PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut came = Vec::new();
    for chunk in ["3\r\none\r\n", "5\r\nthree\r\n"] {
        stream.write_all(chunk.as_bytes()).unwrap();
        while !came.ends_with(chunk.as_bytes()) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            came.push(byte[0]);
        }
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut end = [0; 5];
    stream.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
    assert_eq!(text(&talk(&mut stream, &get("/"))), "Hello, World!");
}

/// The server's limit is for every body, axum's for those that it collects.
#[test]
fn bodies_beyond_the_limits_are_refused() {
    let example = start();
    let ask = |request: String| client::exchange(example.address(), request.as_bytes()).unwrap();
    let big = "1".repeat((1 << 20) + 1);
    for target in ["/size", "/sum"] {
        let answer = ask(request("POST", target, "application/json", &big));
        let close = Some("close");
        assert_eq!((answer.status, answer.header("connection")), (413, close));
    }
    let middle = format!("[{}1]", "1,".repeat(40_000));
    let answer = ask(request("POST", "/sum", "application/json", &middle));
    assert_eq!(answer.status, 413);
    let answer = ask(request("POST", "/size", "application/json", &middle));
    assert_eq!((answer.status, &*text(&answer)), (200, "80003 bytes"));
}

#[test]
fn events_have_comments_between_them() {
    let example = start();
    let mut stream = client::connect(example.address()).unwrap();
    let answer = talk(&mut stream, &get("/ticks"));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let said = text(&answer);
    let events = said.replace(":\n\n", "");
    let ticks: String = (0..3)
        .map(|n| format!("event: tick\ndata: {n}\n\n"))
        .collect();
    assert_eq!(events, ticks);
    assert!(
        said.contains("data: 0\n\n:\n\n") && said.contains("data: 1\n\n:\n\n"),
        "{said}"
    );
    assert_eq!(text(&talk(&mut stream, &get("/"))), "Hello, World!");
}

/// A connection that waits for its next request has neither a future nor buffers.
#[test]
fn connections_between_two_requests_cost_next_to_nothing() {
    const MANY: u64 = 400;
    let example = start();
    let open = |n: u64| -> Vec<TcpStream> {
        let mut streams: Vec<_> = (0..n)
            .map(|_| client::connect(example.address()).unwrap())
            .collect();
        for stream in &mut streams {
            assert_eq!(talk(stream, &get("/user/1")).status, 200);
        }
        streams
    };
    // The allocator has what it needs for a few at once.
    let first = open(50);
    let before = procfs::anonymous(example.pid()).unwrap();
    let more = open(MANY);
    let after = procfs::anonymous(example.pid()).unwrap();
    let each = after.saturating_sub(before) / MANY;
    assert!(each <= 200, "{each} bytes per parked connection");
    for mut stream in first.into_iter().chain(more) {
        assert_eq!(talk(&mut stream, &get("/user/1")).status, 200);
    }
}
