//! Where a request's body ends (RFC 9112 section 6, RFC 9110 section 8.6): one reading or none.

use super::wire::*;

/// A request that would run if a body were taken for shorter than it is.
const EMBEDDED: &str = "GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n";

#[test]
fn content_lengths() {
    let rows = [
        ("Content-Length: 5", Says("hello")),
        ("content-length:5", Says("hello")),
        ("CONTENT-LENGTH: \t 5 \t", Says("hello")),
        // Leading zeros are decimal digits.
        ("Content-Length: 005", Says("hello")),
        ("Content-Length: 0000000000000000005", Says("hello")),
        ("Content-Length: 00000000000000000005", BAD),
        // Equal values, in one field or in two, might be taken for one: refused, so that nobody can disagree.
        ("Content-Length: 5, 5", BAD),
        ("Content-Length: 5,5,5", BAD),
        ("Content-Length: 5\r\nContent-Length: 5", BAD),
        ("Content-Length: 5, 10", BAD),
        ("Content-Length: 5\r\nContent-Length: 10", BAD),
        ("Content-Length: 5\r\nX: y\r\ncontent-length: 0", BAD),
        ("Content-Length: 0\r\nContent-Length: 5", BAD),
        ("Content-Length: 5,", BAD),
        ("Content-Length: ,5", BAD),
        ("Content-Length:", BAD),
        ("Content-Length: \t", BAD),
        ("Content-Length: abc", BAD),
        ("Content-Length: 5abc", BAD),
        ("Content-Length: +5", BAD),
        ("Content-Length: -5", BAD),
        ("Content-Length: -1", BAD),
        ("Content-Length: -0", BAD),
        ("Content-Length: -18446744073709551611", BAD),
        ("Content-Length: 0x5", BAD),
        ("Content-Length: 0o5", BAD),
        ("Content-Length: 0b1", BAD),
        ("Content-Length: 5.0", BAD),
        ("Content-Length: 5e0", BAD),
        ("Content-Length: 1_0", BAD),
        ("Content-Length: 1 0", BAD),
        ("Content-Length: \"5\"", BAD),
        ("Content-Length: 5;x", BAD),
        ("Content-Length: \u{b2}", BAD),
        ("Content-Length: 5\0", BAD),
        ("Content-Length: \u{b}5", BAD),
        ("Content-Length : 5", BAD),
        (" Content-Length: 5", BAD),
        ("Content-Length: 5\r\n 0", BAD),
        ("Content-Length:\r\n 5", BAD),
        ("Content-Length: 18446744073709551615", BAD),
        ("Content-Length: 18446744073709551616", BAD),
        ("Content-Length: 18446744073709551621", BAD),
        ("Content-Length: 99999999999999999999999999", BAD),
        // Valid, but more than the limit.
        ("Content-Length: 9223372036854775807", Closed(&[413])),
        ("Content-Length: 1073741825", Closed(&[413])),
    ];
    table("POST /echo HTTP/1.1\r\nHost: a\r\n{}\r\n\r\nhello", &rows);
    table(
        "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\n{}\r\n\r\nhello",
        &rows,
    );
}

/// A body belongs to its request whatever the method, and whether or not somebody reads it.
#[test]
fn bodies_never_become_requests() {
    let length = EMBEDDED.len();
    for (line, verdict) in [
        ("POST /echo", Says(EMBEDDED)),
        ("GET /echo", Says(EMBEDDED)),
        ("PUT /x", OK),
        ("GET /x", OK),
        ("HEAD /x", OK),
        ("DELETE /x", OK),
        ("OPTIONS /x", OK),
        ("PATCH /x", OK),
        // Nobody reads these bodies: the connection ends behind the answer.
        ("OPTIONS *", Closed(&[200])),
        ("TRACE /x", Closed(&[405])),
        ("BREW /x", Closed(&[501])),
    ] {
        table(
            &format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{{}}"),
            &[(EMBEDDED, verdict)],
        );
        table(
            &format!(
                "{line} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{{}}\r\n0\r\n\r\n"
            ),
            &[(EMBEDDED, verdict)],
        );
    }
}

/// Section 6.3: a request without either field has no body.
#[test]
fn no_field_no_body() {
    let rows = [
        ("POST /echo HTTP/1.1\r\nHost: a\r\n\r\n", Says("")),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            Says(""),
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 00\r\n\r\n",
            Says(""),
        ),
        ("PUT /echo HTTP/1.1\r\nHost: a\r\n\r\n", Says("")),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            Kept(&[200, 200]),
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nokGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            Kept(&[200, 200]),
        ),
        // Some clients send an empty line behind a body.
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok\r\n",
            Says("ok"),
        ),
        // What is too much is the next request, and not one.
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok!\0",
            Closed(&[200, 400]),
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n\0", Closed(&[200, 400])),
    ];
    table("{}", &rows);
}

#[test]
fn transfer_codings() {
    let chunked = "Transfer-Encoding: chunked";
    let not_known = Closed(&[501]);
    let rows = [
        (chunked, Says("hello")),
        ("transfer-encoding:CHUNKED", Says("hello")),
        ("Transfer-Encoding: \t chunked \t", Says("hello")),
        // Section 6.1: what is not understood is 501; a request that does not end in chunked has no end at all.
        ("Transfer-Encoding: gzip", not_known),
        ("Transfer-Encoding: identity", not_known),
        ("Transfer-Encoding: gzip, chunked", not_known),
        (
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            not_known,
        ),
        ("Transfer-Encoding: identity, chunked", not_known),
        ("Transfer-Encoding: xchunked", not_known),
        ("Transfer-Encoding: chunkedx", not_known),
        ("Transfer-Encoding: chunk", not_known),
        ("Transfer-Encoding: \"chunked\"", not_known),
        ("Transfer-Encoding: 'chunked'", not_known),
        ("Transfer-Encoding: chunked;q=1", not_known),
        ("Transfer-Encoding: chunked;", not_known),
        ("Transfer-Encoding: chunked foo", not_known),
        ("Transfer-Encoding: x chunked", not_known),
        ("Transfer-Encoding: chun ked", not_known),
        ("Transfer-Encoding:", not_known),
        ("Transfer-Encoding: ,", not_known),
        ("Transfer-Encoding: \u{ff}chunked", not_known),
        ("Transfer-Encoding: chunked\u{a0}", not_known),
        // RFC 9110 section 5.6.1 would have empty elements ignored; beside chunked they are a disguise.
        ("Transfer-Encoding: , chunked", not_known),
        ("Transfer-Encoding: chunked,", BAD),
        ("Transfer-Encoding: chunked, gzip", BAD),
        ("Transfer-Encoding: chunked, identity", BAD),
        ("Transfer-Encoding: chunked, chunked", BAD),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            BAD,
        ),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", BAD),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding:", BAD),
        ("Transfer-Encoding: \u{b}chunked", BAD),
        ("Transfer-Encoding: chunked\0", BAD),
        ("Transfer-Encoding : chunked", BAD),
        ("Transfer-Encoding\t: chunked", BAD),
        (" Transfer-Encoding: chunked", BAD),
        ("Transfer-Encoding:\r\n chunked", BAD),
        ("Transfer-Encoding: x\r\n chunked", BAD),
        ("X: y\nTransfer-Encoding: chunked", BAD),
        ("X: y\rTransfer-Encoding: chunked", BAD),
        ("Transfer-Encoding: chunked\n", BAD),
        // Names that only look like it frame nothing: what follows is not a request.
        ("Transfer_Encoding: chunked", Closed(&[200, 400])),
        ("Transfer-Encodin: chunked", Closed(&[200, 400])),
        ("Content_Length: 5", Closed(&[200, 400])),
        ("X-Transfer-Encoding: chunked", Closed(&[200, 400])),
        ("TE: chunked", Closed(&[200, 400])),
        // Both: refused, whatever either says.
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", BAD),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", BAD),
        ("tRANSFER-eNCODING: cHUNKED\r\ncONTENT-lENGTH: 15", BAD),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", BAD),
        ("Content-Length: 15\r\nTransfer-Encoding: identity", BAD),
        ("Content-Length: 15\r\nTransfer-Encoding:", BAD),
        (
            "Content-Length: 15\r\nTransfer-Encoding: gzip, chunked",
            BAD,
        ),
        ("Content-Length: 15\r\nTransfer-Encoding: xchunked", BAD),
    ];
    table(
        "POST /echo HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        &rows,
    );
    // Section 6.1: HTTP/1.0 has no transfer codings; such a message is faulty.
    for version in ["HTTP/1.0", "HTTP/1.0\r\nConnection: keep-alive"] {
        let template = format!("POST /echo {version}\r\n{{}}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        table(
            &template,
            &[(chunked, BAD), ("Transfer-Encoding: identity", BAD)],
        );
    }
}
