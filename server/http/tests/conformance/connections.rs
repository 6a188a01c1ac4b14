//! Which connections live on (RFC 9112 section 9), and requests that come in a row.

use super::wire::*;
use parkade_http::Limits;

#[test]
fn who_stays_and_who_goes() {
    let gone = Closed(&[200]);
    let rows = [
        ("HTTP/1.1\r\nHost: a", OK),
        ("HTTP/1.1\r\nHost: a\r\nConnection: keep-alive", OK),
        ("HTTP/1.1\r\nHost: a\r\nConnection: close", gone),
        ("HTTP/1.1\r\nHost: a\r\nconnection:CLOSE", gone),
        ("HTTP/1.1\r\nHost: a\r\nConnection: x, close", gone),
        (
            "HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close",
            gone,
        ),
        ("HTTP/1.1\r\nHost: a\r\nConnection: ,close,", gone),
        ("HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive", gone),
        ("HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close", gone),
        // Only the whole token counts.
        ("HTTP/1.1\r\nHost: a\r\nConnection: xclose", OK),
        ("HTTP/1.1\r\nHost: a\r\nConnection: closex", OK),
        ("HTTP/1.1\r\nHost: a\r\nConnection: clo se", OK),
        ("HTTP/1.1\r\nHost: a\r\nConnection: \"close\"", OK),
        ("HTTP/1.1\r\nHost: a\r\nConnection:", OK),
        ("HTTP/1.1\r\nHost: a\r\nConnection: host", OK),
        ("HTTP/1.1\r\nHost: a\r\nX-Connection: close", OK),
        ("HTTP/1.1\r\nHost: a\r\nProxy-Connection: close", OK),
        ("HTTP/1.2\r\nHost: a\r\nConnection: close", gone),
        ("HTTP/1.0", gone),
        ("HTTP/1.0\r\nConnection: keep-alive", OK),
        ("HTTP/1.0\r\nConnection: Keep-Alive", OK),
        ("HTTP/1.0\r\nConnection: x, keep-alive", OK),
        ("HTTP/1.0\r\nConnection: keep-alive, close", gone),
        ("HTTP/1.0\r\nConnection: keepalive", gone),
        ("HTTP/1.0\r\nConnection: xkeep-alive", gone),
        ("HTTP/1.0\r\nConnection: x", gone),
        ("HTTP/1.0\r\nProxy-Connection: keep-alive", gone),
        ("HTTP/1.0\r\nKeep-Alive: 300", gone),
    ];
    table("GET / {}\r\n\r\n", &rows);
    table(
        "GET /panic HTTP/1.1\r\nHost: a\r\n{}\r\n",
        &[("", Closed(&[500]))],
    );
}

#[test]
fn requests_in_a_row() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
    let chunked =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (parts, verdict) in [
        (&[get, get, get, get][..], Kept(&[200, 200, 200, 200])),
        (
            &[post, chunked, get, chunked, post],
            Kept(&[200, 200, 200, 200, 200]),
        ),
        (
            &["HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", get],
            Kept(&[200, 200]),
        ),
        (
            &["GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", get],
            Kept(&[200, 200]),
        ),
        (
            &["GET /status/204 HTTP/1.1\r\nHost: a\r\n\r\n", get],
            Kept(&[204, 200]),
        ),
        (
            &["GET /405 HTTP/1.1\r\nHost: a\r\n\r\n", get],
            Kept(&[405, 200]),
        ),
        (&[get, "\r\n", get, "\r\n\r\n", get], Kept(&[200, 200, 200])),
        // Behind an end nothing is served.
        (&[get, last, get, get], Closed(&[200, 200])),
        (&["GET / HTTP/1.0\r\n\r\n", get], Closed(&[200])),
        (&[get, "GET / HTTP/1.1\r\n\r\n", get], Closed(&[200, 400])),
        (&[get, "nonsense\r\n\r\n", get], Closed(&[200, 400])),
        (&[post, "X", get], Closed(&[200, 501])),
        (
            &["GET /panic HTTP/1.1\r\nHost: a\r\n\r\n", get],
            Closed(&[500]),
        ),
        // A proxy would have sent these to a tunnel.
        (
            &["CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", get],
            Closed(&[405]),
        ),
    ] {
        table("{}", &[(&parts.concat(), verdict)]);
    }
}

#[test]
fn keep_alive_tells_its_limits_and_keeps_them() {
    let wire = Wire::new(Limits {
        requests: 3,
        ..Limits::default()
    });
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n".repeat(5);
    let got = answers(&request, &wire.talk([&request[..]]));
    let told: Vec<_> = got
        .iter()
        .map(|a| (a.field("connection"), a.field("keep-alive")))
        .collect();
    let stays = Some("Keep-Alive");
    assert_eq!(
        told,
        [
            (stays, Some("timeout=5, max=2")),
            (stays, Some("timeout=5, max=1")),
            (Some("close"), None)
        ]
    );
    let one = Wire::new(Limits {
        requests: 1,
        ..Limits::default()
    });
    one.judge(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Closed(&[200]));
    // Bodies and refused requests are counted like any other.
    let two = Wire::new(Limits {
        requests: 2,
        ..Limits::default()
    });
    let post = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok".repeat(3);
    two.judge(&post, Closed(&[200, 200]));
    let none = Wire::new(Limits {
        requests: 0,
        ..Limits::default()
    });
    let many = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(300);
    let got = answers(&many, &none.talk([&many[..]]));
    assert!(got.len() == 300 && got[299].field("keep-alive") == Some("timeout=5"));
}
