//! `Expect: 100-continue` (RFC 9110 section 10.1.1).

use super::wire::*;
use parkade_http::Limits;
use std::io::{Read, Write};
use std::net::Shutdown;

#[test]
fn expectations_whose_body_is_there_or_absent() {
    let rows = [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            OK,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nexpect: 100-CONTINUE \r\n\r\n",
            OK,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
            OK,
        ),
        // Section 10.1.1: no interim answer to HTTP/1.0, whose expectation is ignored.
        (
            "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
            Says("ok"),
        ),
        // An expectation that is not known might be ignored; it is refused.
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n",
            Closed(&[417]),
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n",
            Closed(&[417]),
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, magic\r\n\r\n",
            Closed(&[417]),
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue=x\r\n\r\n",
            Closed(&[417]),
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 2\r\n\r\nok",
            Closed(&[417]),
        ),
        ("GET / HTTP/1.0\r\nExpect: magic\r\n\r\n", Closed(&[417])),
    ];
    table("{}", &rows);
    // The body is already on its way: nobody waits for an interim answer.
    let wire = Wire::new(Limits::default());
    let whole =
        b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok";
    let got = answers(whole, &wire.talk([&whole[..]]));
    assert_eq!((got.len(), &*got[0].body), (1, "ok"));
}

fn head(path: &str, length: u32) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[test]
fn the_client_is_told_to_go_on_when_the_body_is_wanted() {
    let wire = Wire::new(Limits::default());
    let mut stream = wire.connect();
    for _ in 0..3 {
        stream.write_all(head("/echo", 2).as_bytes()).unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"ok").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert_eq!(answers(b"", &answer)[0].status, 200);
    }
}

/// Answered without a look at the body: whether it still comes cannot be known, so the connection ends.
#[test]
fn a_body_that_nobody_wants_is_not_asked_for() {
    let wire = Wire::new(Limits {
        body: 100,
        ..Limits::default()
    });
    for (path, length, status) in [("/unread", 2, 200), ("/echo", 101, 413), ("/405", 2, 405)] {
        let mut stream = wire.connect();
        stream.write_all(head(path, length).as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let got = answers(b"", &answer);
        assert_eq!((got.len(), got[0].status), (1, status), "{path}");
        assert_eq!(got[0].field("connection"), Some("close"));
        let _ = stream.shutdown(Shutdown::Both);
    }
}
