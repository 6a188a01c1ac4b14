//! The wire, row by row: what is sent, and what must come back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Runtime, Workers};
use parkade_http::{Body, Limits, Method, Pace, Request, Response, Server};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// `/` a text, `/echo` the body, `/big` 8 MiB, `/ignore` does not read its body, `/panic`.
async fn handler(mut request: Request) -> Response {
    match (request.method(), request.path()) {
        (_, b"/echo") => match request.collect(1 << 20).await {
            Ok(body) => Response::new(200)
                .with_type("text/plain")
                .with_body(Body::Bytes(body)),
            Err(_) => Response::error(400),
        },
        (_, b"/big") => Response::new(200).with_body(Body::Bytes(vec![b'~'; 8 << 20].into())),
        (_, b"/panic") => panic!("asked to"),
        (Method::Get | Method::Head | Method::Post | Method::Options, _) => {
            Response::text("hello\n")
        }
        _ => Response::error(405).with_field("Allow", "GET, HEAD, POST"),
    }
}

fn serve(limits: Limits) -> (Runtime, SocketAddr) {
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    runtime
        .listen(
            listener,
            Server::new(handler).limits(limits).name("test").service(),
        )
        .unwrap();
    (runtime, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends, half-closes, and reads all that comes.
fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answer: &str) -> Vec<u16> {
    answer
        .match_indices("HTTP/1.1 ")
        .filter_map(|(i, _)| answer[i + 9..].get(..3)?.parse().ok())
        .collect()
}

#[test]
fn requests_are_judged_by_the_rules() {
    let (_runtime, address) = serve(Limits::default());
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(7990));
    let too_long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8300));
    let wide = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "a".repeat(8300)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(101)
    );
    let cases: &[(&str, &[u16])] = &[
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
        ("GET / HTTP/1.1\nHost: a\n\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", &[400]),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\n\r\n", &[400]),
        ("GET / HTTP/9.9\r\nHost: a\r\n\r\n", &[505]),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", &[200]),
        ("GET / HTTP/1\r\nHost: a\r\n\r\n", &[400]),
        ("GET / HTTP/01.01\r\nHost: a\r\n\r\n", &[400]),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", &[400]),
        ("GET HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\r\nX[]: b\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: \r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", &[200]),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x07\r\n\r\n", &[400]),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
        ("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", &[501]),
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", &[501]),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", &[405]),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", &[405]),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", &[417]),
        (&long, &[200]),
        (&too_long, &[414]),
        (&wide, &[431]),
        (&many, &[431]),
        // Bodies and what follows them.
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 200],
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 200],
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 200],
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 200],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 200],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\n",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 10\r\n\r\nhello",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 200],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999\r\n\r\n",
            &[413],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            &[501],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n",
            &[400],
        ),
        // Who stays and who goes.
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200],
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: xclose\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[200, 200],
        ),
        ("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", &[200]),
        (
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            &[200, 200],
        ),
        (
            "GET /panic HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[500],
        ),
    ];
    for (request, expected) in cases {
        let answer = talk(address, request.as_bytes());
        assert_eq!(statuses(&answer), *expected, "{request:?} -> {answer:?}");
        for head in answer.split("HTTP/1.1 ").skip(1) {
            assert!(head.contains("\r\nDate: "), "{answer}");
        }
    }
    assert_eq!(
        talk(address, b"GET / HTTP/1.1\r\nHost: a"),
        "",
        "an unfinished head and a FIN"
    );
}

#[test]
fn every_split_of_a_request_gives_the_same_answer() {
    let (_runtime, address) = serve(Limits::default());
    let request = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut whole = None;
    for cut in 1..request.len() {
        let mut stream = connect(address);
        stream.write_all(&request[..cut]).unwrap();
        std::thread::yield_now();
        stream.write_all(&request[cut..]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(statuses(&answer), [200, 200], "cut at {cut}: {answer}");
        let bodies = (
            answer.contains("hello!"),
            answer.ends_with("hello\n"),
            answer.len(),
        );
        assert_eq!(*whole.get_or_insert(bodies), bodies);
    }
    // Byte by byte.
    let mut stream = connect(address);
    for byte in request {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(statuses(&answer), [200, 200]);
}

#[test]
fn a_pipelining_client_that_reads_late_gets_every_answer() {
    let (_runtime, address) = serve(Limits {
        requests: 0,
        ..Limits::default()
    });
    let mut stream = connect(address);
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        writer
            .write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20_000))
            .unwrap();
        writer
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
    });
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    sender.join().unwrap();
    assert_eq!(statuses(&answer).len(), 20_001);
}

#[test]
fn keep_alive_tells_its_limits_and_keeps_them() {
    let (_runtime, address) = serve(Limits {
        requests: 3,
        ..Limits::default()
    });
    let answer = talk(
        address,
        &b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n".repeat(5),
    );
    assert_eq!(statuses(&answer), [200, 200, 200]);
    assert!(
        answer.contains("Keep-Alive: timeout=5, max=2\r\nConnection: Keep-Alive"),
        "{answer}"
    );
    assert_eq!(answer.matches("Connection: close").count(), 1);
}

#[test]
fn head_has_no_body_and_100_is_said_when_the_body_is_wanted() {
    let (_runtime, address) = serve(Limits::default());
    let answer = talk(address, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        answer.contains("Content-Length: 6\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );

    let mut stream = connect(address);
    stream
        .write_all(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        )
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("ok"), "{answer}");
    let old = talk(
        address,
        b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    );
    assert_eq!(statuses(&old), [200], "no interim answer to HTTP/1.0");
}

#[test]
fn a_refused_upload_still_gets_its_413() {
    let (_runtime, address) = serve(Limits {
        body: 1000,
        ..Limits::default()
    });
    for head in ["Content-Length: 10000000", "Transfer-Encoding: chunked"] {
        let mut stream = connect(address);
        stream
            .write_all(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n").as_bytes())
            .unwrap();
        let mut sent = true;
        for _ in 0..600 {
            let piece = if head.starts_with('C') {
                "x".repeat(16_000)
            } else {
                format!("3e80\r\n{}\r\n", "x".repeat(16_000))
            };
            sent &= stream.write_all(piece.as_bytes()).is_ok();
        }
        assert!(sent, "{head}: the upload was reset");
        let mut answer = vec![0; 64];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(statuses(&String::from_utf8_lossy(&answer)), [413], "{head}");
    }
}

#[test]
fn slow_heads_and_bodies_are_told_408() {
    let pace = Pace {
        initial: Duration::from_millis(300),
        max: None,
        min_rate: 0,
    };
    let (_runtime, address) = serve(Limits {
        head_pace: pace,
        body_pace: pace,
        ..Limits::default()
    });
    for begin in [
        "GET / HT",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe",
    ] {
        let start = Instant::now();
        let mut stream = connect(address);
        stream.write_all(begin.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(statuses(&answer), [408], "{begin:?} {answer}");
        let took = start.elapsed();
        assert!(
            took >= Duration::from_millis(290) && took < Duration::from_secs(2),
            "{took:?}"
        );
    }
}

#[test]
fn a_large_answer_needs_no_attention_and_the_connection_lives_on() {
    let (_runtime, address) = serve(Limits::default());
    let mut stream = connect(address);
    for _ in 0..2 {
        stream
            .write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        let mut other = connect(address);
        other
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        other.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("hello\n"));
        let mut seen = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while !seen.ends_with(b"hello\n") {
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "closed after {}", seen.len());
            seen.extend_from_slice(&buffer[..n]);
        }
        assert_eq!(seen.iter().filter(|b| **b == b'~').count(), 8 << 20);
    }
}
