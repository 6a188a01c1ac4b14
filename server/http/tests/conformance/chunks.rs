//! Chunked bodies (RFC 9112 section 7.1).

use super::wire::*;

#[test]
fn chunked_bodies() {
    let hello = Says("hello");
    let rows = [
        ("5\r\nhello\r\n0\r\n\r\n", hello),
        ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", hello),
        (
            "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
            hello,
        ),
        ("0\r\n\r\n", Says("")),
        ("000\r\n\r\n", Says("")),
        ("A\r\n0123456789\r\n0\r\n\r\n", Says("0123456789")),
        ("a\r\n0123456789\r\n0\r\n\r\n", Says("0123456789")),
        ("0005\r\nhello\r\n0\r\n\r\n", hello),
        ("4\r\n0\r\n\r\n", BAD),
        ("7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", Says("0\r\n\r\n\r\n")),
        // Section 7.1.1: extensions are read past.
        ("5;a\r\nhello\r\n0\r\n\r\n", hello),
        ("5;a=b\r\nhello\r\n0;c=d\r\n\r\n", hello),
        ("5;a=b;c;d=\"e\"\r\nhello\r\n0\r\n\r\n", hello),
        ("5;a=\"\"\r\nhello\r\n0\r\n\r\n", hello),
        ("5;a=\"b;c \\\" \\\\ \u{e9}\"\r\nhello\r\n0\r\n\r\n", hello),
        ("5 ;a=b\r\nhello\r\n0\r\n\r\n", hello),
        ("5\t; a = b ; c\r\nhello\r\n0\r\n\r\n", hello),
        ("5;\r\nhello\r\n0\r\n\r\n", BAD),
        ("5; \r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a;\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;;a\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;=b\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a=\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a==b\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a=b=c\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a \r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a b\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a=b c\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a=\"b\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a\"b\"\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;\"a\"\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a=\"\0\"\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a@b\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a\0\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a\nb\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a\rb\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;a\n\r\nhello\r\n0\r\n\r\n", BAD),
        ("5;\u{e9}\r\nhello\r\n0\r\n\r\n", BAD),
        // Sizes are hex digits and nothing else.
        ("\r\nhello\r\n0\r\n\r\n", BAD),
        ("5 \r\nhello\r\n0\r\n\r\n", BAD),
        ("5\t\r\nhello\r\n0\r\n\r\n", BAD),
        (" 5\r\nhello\r\n0\r\n\r\n", BAD),
        ("\t5\r\nhello\r\n0\r\n\r\n", BAD),
        ("+5\r\nhello\r\n0\r\n\r\n", BAD),
        ("-5\r\nhello\r\n0\r\n\r\n", BAD),
        ("-1\r\nhello\r\n0\r\n\r\n", BAD),
        ("0x5\r\nhello\r\n0\r\n\r\n", BAD),
        ("5h\r\nhello\r\n0\r\n\r\n", BAD),
        ("1_0\r\n0123456789abcdef\r\n0\r\n\r\n", BAD),
        ("5.0\r\nhello\r\n0\r\n\r\n", BAD),
        ("5,5\r\nhello\r\n0\r\n\r\n", BAD),
        ("\"5\"\r\nhello\r\n0\r\n\r\n", BAD),
        ("g\r\nhello\r\n0\r\n\r\n", BAD),
        ("\0\r\nhello\r\n0\r\n\r\n", BAD),
        (";a\r\nhello\r\n0\r\n\r\n", BAD),
        ("+0\r\nX", BAD),
        ("-0\r\n\r\n", BAD),
        ("0 \r\n\r\n", BAD),
        // More than 60 bits.
        ("10000000000000005\r\nhello\r\n0\r\n\r\n", BAD),
        ("ffffffffffffffff\r\nhello\r\n0\r\n\r\n", BAD),
        ("fffffffffffffffff\r\nhello\r\n0\r\n\r\n", BAD),
        ("0000000000000000000000005\r\nhello\r\n0\r\n\r\n", BAD),
        // Every line ends in CRLF.
        ("5\nhello\r\n0\r\n\r\n", BAD),
        ("5\rhello\r\n0\r\n\r\n", BAD),
        ("5\r\r\nhello\r\n0\r\n\r\n", BAD),
        ("5\n\r\nhello\r\n0\r\n\r\n", BAD),
        ("5\r\nhello\n0\r\n\r\n", BAD),
        ("5\r\nhello\r0\r\n\r\n", BAD),
        ("5\r\nhello\r\r\n0\r\n\r\n", BAD),
        ("5\r\nhello0\r\n\r\n", BAD),
        ("5\r\nhello\r\n0\n\r\n", BAD),
        ("5\r\nhello\r\n0\r\n\n", BAD),
        ("5\r\nhello\r\n0\r\rX", BAD),
        ("5\r\nhello\r\n\r\n0\r\n\r\n", BAD),
        ("5\r\nhello!!\r\n0\r\n\r\n", BAD),
        ("6\r\nhello\r\n0\r\n\r\n", BAD),
        // Section 7.1.2: trailers are read past, and held to the rules of fields.
        ("5\r\nhello\r\n0\r\nX: y\r\n\r\n", hello),
        ("5\r\nhello\r\n0\r\nX:\r\nY:\tz \r\n\r\n", hello),
        (
            "5\r\nhello\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\nHost: b\r\n\r\n",
            hello,
        ),
        ("5\r\nhello\r\n0\r\nX : y\r\n\r\n", BAD),
        ("5\r\nhello\r\n0\r\n: y\r\n\r\n", BAD),
        ("5\r\nhello\r\n0\r\n X: y\r\n\r\n", BAD),
        ("5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n", BAD),
        ("5\r\nhello\r\n0\r\nno colon\r\n\r\n", BAD),
        ("5\r\nhello\r\n0\r\nX: y\n\r\n", BAD),
        ("5\r\nhello\r\n0\r\nX: y\rZ: z\r\n\r\n", BAD),
        ("5\r\nhello\r\n0\r\nX: \0\r\n\r\n", BAD),
        ("5\r\nhello\r\n0\r\nX: \u{7f}\r\n\r\n", BAD),
        ("5\r\nhello\r\n0\r\nX[]: y\r\n\r\n", BAD),
        // What stands where the trailers stand is one, not a request.
        (
            "5\r\nhello\r\n0\r\nGET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n",
            BAD,
        ),
    ];
    for path in ["/echo", "/unread"] {
        let unread = |v| match (path, v) {
            ("/unread", Says(_)) => OK,
            (_, v) => v,
        };
        let rows: Vec<_> = rows.iter().map(|(b, v)| (*b, unread(*v))).collect();
        table(
            &format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{{}}"),
            &rows,
        );
    }
}

/// Extensions and trailers may weigh 16 KiB in all, then it is 431.
#[test]
fn what_is_read_past_is_bounded() {
    let rows = [
        (
            format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(8000)),
            Says("hello"),
        ),
        (
            format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(20_000)),
            Closed(&[431]),
        ),
        (
            format!("5;a=\"{}\"\r\nhello\r\n0\r\n\r\n", " ".repeat(20_000)),
            Closed(&[431]),
        ),
        (
            format!("{}0\r\n\r\n", "1;a;b;c;d;e;f;g;h\r\nx\r\n".repeat(3000)),
            Closed(&[431]),
        ),
        (
            format!("5{};a\r\nhello\r\n0\r\n\r\n", " ".repeat(20_000)),
            Closed(&[431]),
        ),
        (
            format!("0\r\nX: {}\r\n\r\n", "a".repeat(20_000)),
            Closed(&[431]),
        ),
        (format!("0\r\n{}\r\n", "X: y\r\n".repeat(2000)), Says("")),
        (
            format!("0\r\n{}\r\n", "X: y\r\n".repeat(9000)),
            Closed(&[431]),
        ),
        (
            format!("0\r\n{}\r\n", "X:\r\n".repeat(9000)),
            Closed(&[431]),
        ),
    ];
    for (body, verdict) in &rows {
        table(
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            &[(body, *verdict)],
        );
    }
}
