//! Limits on what a client can grow: lines, fields, bodies (RFC 9110 sections 15.5.14 and 15.5.15, RFC 6585).

use super::wire::*;
use parkade_http::{HeadLimits, Limits};

#[test]
fn lines_and_fields() {
    let long = Closed(&[414]);
    let large = Closed(&[431]);
    let line = |n: usize| "a".repeat(n - "GET / HTTP/1.1".len());
    for (filling, verdict) in [
        (line(8000), OK),
        (line(8190), OK),
        (line(8191), long),
        (line(16_000), long),
        (line(70_000), long),
    ] {
        let wire = Wire::new(Limits::default());
        wire.judge(
            format!("GET /{filling} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
            verdict,
        );
    }
    let rows = [
        (format!("X: {}\r\n", "a".repeat(8187)), OK),
        (format!("X: {}\r\n", "a".repeat(8188)), large),
        (format!("{}: x\r\n", "a".repeat(8187)), OK),
        (format!("{}: x\r\n", "a".repeat(8188)), large),
        // White space around a value weighs as much as the value.
        (format!("X:{}y\r\n", " ".repeat(8187)), OK),
        (format!("X:{}y\r\n", " ".repeat(8188)), large),
        (format!("X: y{}\r\n", " ".repeat(9000)), large),
        ("X: y\r\n".repeat(99), OK),
        ("X: y\r\n".repeat(100), large),
        ("X: y\r\n".repeat(255), large),
        ("X: y\r\n".repeat(256), large),
        ("X: y\r\n".repeat(2000), large),
        (format!("X: {}\r\n", "a".repeat(5000)).repeat(5), large),
    ];
    for (fields, verdict) in &rows {
        table("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", &[(fields, *verdict)]);
    }
    // What never ends is refused when it is too much, not when it ends.
    table(
        "{}",
        &[
            (&"G".repeat(8192), long),
            (&format!("GET /{}", "a".repeat(9000)), long),
        ],
    );
    table(
        "GET / HTTP/1.1\r\n{}",
        &[
            (&"X".repeat(8192), large),
            (&format!("X: {}", "a".repeat(9000)), large),
        ],
    );
}

#[test]
fn limits_are_held_to_the_byte() {
    let head = HeadLimits {
        line: 16,
        field: 7,
        fields: 2,
    };
    let wire = Wire::new(Limits {
        head,
        ..Limits::default()
    });
    let rows = [
        ("GET /ab HTTP/1.0\r\n\r\n", Closed(&[200])),
        ("GET /abc HTTP/1.0\r\n\r\n", Closed(&[414])),
        ("GET / HTTP/1.0\r\nX: abcd\r\n\r\n", Closed(&[200])),
        ("GET / HTTP/1.0\r\nX: abcde\r\n\r\n", Closed(&[431])),
        (
            "GET / HTTP/1.0\r\nX: abc\r\nX: abcd\r\n\r\n",
            Closed(&[200]),
        ),
        (
            "GET / HTTP/1.0\r\nX: y\r\nX: y\r\nX: y\r\n\r\n",
            Closed(&[431]),
        ),
    ];
    for (request, verdict) in rows {
        wire.judge(request.as_bytes(), verdict);
    }
}

#[test]
fn bodies() {
    let wire = Wire::new(Limits {
        body: 5,
        ..Limits::default()
    });
    let large = Closed(&[413]);
    let sized = [
        ("Content-Length: 5\r\n\r\nhello", Says("hello")),
        ("Content-Length: 6\r\n\r\nhello!", large),
        ("Content-Length: 99999999999\r\n\r\nhello", large),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            Says("hello"),
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
            large,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n0\r\n\r\n",
            large,
        ),
    ];
    table_with(&wire, "POST /echo HTTP/1.1\r\nHost: a\r\n{}", &sized);
    // A handler that does not look at it changes nothing about what is too much.
    table_with(
        &wire,
        "POST /unread HTTP/1.1\r\nHost: a\r\n{}",
        &[sized[1], sized[2], sized[4], sized[5]],
    );
    table_with(
        &wire,
        "GET / HTTP/1.1\r\nHost: a\r\n{}",
        &[sized[1], sized[5]],
    );
}

/// A body that nobody read is read to its end if little is left of it; else the connection ends.
#[test]
fn unread_bodies_end_the_connection_only_if_they_are_large() {
    let wire = Wire::new(Limits::default());
    for (length, verdict) in [(1000, OK), (65_536, OK), (200_000, Closed(&[200]))] {
        let body = "x".repeat(length);
        wire.judge(
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
            verdict,
        );
    }
}
