//! Field lines (RFC 9112 section 5, RFC 9110 section 5).

use super::wire::*;

#[test]
fn field_lines() {
    let rows = [
        ("X: y\r\n", OK),
        ("X:y\r\n", OK),
        ("X:\r\n", OK),
        ("X: \r\n", OK),
        ("X:\t\r\n", OK),
        ("X:\ty\t\r\n", OK),
        ("x:  y  \r\n", OK),
        ("X: a\tb\r\n", OK),
        ("X: \"quoted, \\\" text\"\r\n", OK),
        ("X: a: b\r\n", OK),
        ("X: :\r\n", OK),
        ("X: y\r\nX: y\r\n", OK),
        ("!#$%&'*+-.^_`|~09azAZ: y\r\n", OK),
        ("X: \u{80}\u{ff}\r\n", OK),
        ("X: \u{c3}\u{a9}\r\n", OK),
        // Section 5.1: no white space before the colon, no empty name, only tokens.
        ("X : y\r\n", BAD),
        ("X\t: y\r\n", BAD),
        (": y\r\n", BAD),
        (":\r\n", BAD),
        (" : y\r\n", BAD),
        ("no colon\r\n", BAD),
        ("nocolon\r\n", BAD),
        ("X y: z\r\n", BAD),
        ("X[]: y\r\n", BAD),
        ("X(): y\r\n", BAD),
        ("X/Y: y\r\n", BAD),
        ("X@: y\r\n", BAD),
        ("X\\: y\r\n", BAD),
        ("X\": y\r\n", BAD),
        ("X{}: y\r\n", BAD),
        ("X,Y: z\r\n", BAD),
        ("X=Y: z\r\n", BAD),
        ("X;Y: z\r\n", BAD),
        ("X\0: y\r\n", BAD),
        ("X\u{7f}: y\r\n", BAD),
        ("X\u{e9}: y\r\n", BAD),
        ("\0\r\n", BAD),
        // Section 5.2: folded lines might be unfolded; they are refused.
        ("X: y\r\n z\r\n", BAD),
        ("X: y\r\n\tz\r\n", BAD),
        ("X:\r\n y\r\n", BAD),
        ("X: y\r\n \r\n", BAD),
        // RFC 9110 section 5.5: no control bytes in values.
        ("X: \0\r\n", BAD),
        ("X: a\0b\r\n", BAD),
        ("X: \u{1}\r\n", BAD),
        ("X: \u{7}\r\n", BAD),
        ("X: \u{8}\r\n", BAD),
        ("X: \u{b}\r\n", BAD),
        ("X: \u{c}\r\n", BAD),
        ("X: \u{1b}[31m\r\n", BAD),
        ("X: \u{1f}\r\n", BAD),
        ("X: \u{7f}\r\n", BAD),
        // Section 2.2: a bare LF or CR never ends a line here.
        ("X: y\n", BAD),
        ("X: y\nZ: z\r\n", BAD),
        ("X:\n", BAD),
        ("X: y\r", BAD),
        ("X: y\rZ: z\r\n", BAD),
        ("X: y\r\r\n", BAD),
        ("X: y\n\r\n", BAD),
        ("X: y\r\n\n", BAD),
        ("X: y\r\n\r", BAD),
        ("X: y\r\n\rtext", BAD),
        ("X: y\n\nGET /smuggled HTTP/1.1\r\nHost: b\r\n", BAD),
        // RFC 9110 section 5.3: two of what may come once cannot both be right.
        ("Content-Type: a/b\r\n", OK),
        ("Content-Type: a/b\r\nContent-Type: a/b\r\n", BAD),
        ("Content-Type: a/b\r\ncontent-type: c/d\r\n", BAD),
    ];
    table("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", &rows);
    // The same between the request line and Host: nothing may stand there unseen.
    for (line, verdict) in [
        (" X: y\r\n", BAD),
        ("\tX: y\r\n", BAD),
        (" \r\n", BAD),
        ("\r", BAD),
        ("\n", BAD),
        ("X: y\r\n", OK),
    ] {
        table("GET / HTTP/1.1\r\n{}Host: a\r\n\r\n", &[(line, verdict)]);
    }
}

/// Fields that ask for what is not offered here change nothing.
#[test]
fn upgrades_are_not_followed() {
    let rows = [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            OK,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
            OK,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            OK,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: nonsense/7\r\n\r\n",
            OK,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            OK,
        ),
        (
            "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            Closed(&[200]),
        ),
    ];
    table("{}", &rows);
}
