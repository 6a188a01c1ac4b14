//! The Host field (RFC 9112 section 3.2, RFC 9110 section 7.2): one, valid, and not empty.

use super::wire::*;

#[test]
fn host_fields() {
    let rows = [
        ("Host: a\r\n", Says("GET a / -")),
        ("host:a\r\n", Says("GET a / -")),
        ("HOST: \t a \t \r\n", Says("GET a / -")),
        ("Host: a:80\r\n", Says("GET a:80 / -")),
        ("Host: a:\r\n", OK),
        ("Host: a:0\r\n", OK),
        ("Host: a:65535\r\n", OK),
        ("Host: a.\r\n", OK),
        ("Host: xn--bcher-kva.example\r\n", OK),
        ("Host: a_b\r\n", OK),
        ("Host: a%41\r\n", OK),
        ("Host: 127.0.0.1:8080\r\n", OK),
        ("Host: [::1]\r\n", Says("GET [::1] / -")),
        ("Host: [::1]:80\r\n", OK),
        ("Host: [::ffff:1.2.3.4]\r\n", OK),
        ("", BAD),
        ("X: y\r\n", BAD),
        ("Hos: a\r\n", BAD),
        ("Hostt: a\r\n", BAD),
        ("Host: a\r\nHost: a\r\n", BAD),
        ("Host: a\r\nHost: b\r\n", BAD),
        ("Host: a\r\nX: y\r\nhOsT: b\r\n", BAD),
        ("Host: a\r\nHost:\r\n", BAD),
        ("Host:\r\nHost: a\r\n", BAD),
        // An empty one might be tolerated and is not: there is no host it could be for.
        ("Host:\r\n", BAD),
        ("Host: \t \r\n", BAD),
        ("Host: :80\r\n", BAD),
        ("Host: a b\r\n", BAD),
        ("Host: a, b\r\n", BAD),
        ("Host: a/\r\n", BAD),
        ("Host: a/b\r\n", BAD),
        ("Host: a?b\r\n", BAD),
        ("Host: a#b\r\n", BAD),
        ("Host: a\\b\r\n", BAD),
        ("Host: user@a\r\n", BAD),
        ("Host: user:pw@a\r\n", BAD),
        ("Host: @a\r\n", BAD),
        ("Host: http://a\r\n", BAD),
        ("Host: //a\r\n", BAD),
        ("Host: a:b\r\n", BAD),
        ("Host: a:80:80\r\n", BAD),
        ("Host: a:+80\r\n", BAD),
        ("Host: a:-80\r\n", BAD),
        ("Host: a: 80\r\n", BAD),
        ("Host: a:65536\r\n", BAD),
        ("Host: a:99999\r\n", BAD),
        ("Host: a:00000000080\r\n", OK),
        ("Host: ::1\r\n", BAD),
        ("Host: [::1\r\n", BAD),
        ("Host: ::1]\r\n", BAD),
        ("Host: []\r\n", BAD),
        ("Host: [a]\r\n", BAD),
        ("Host: [::1]a\r\n", BAD),
        ("Host: [::1]:x\r\n", BAD),
        ("Host: [::1%25eth0]\r\n", BAD),
        ("Host: [1.2.3.4]\r\n", BAD),
        ("Host: a%\r\n", BAD),
        ("Host: a%4\r\n", BAD),
        ("Host: a%zz\r\n", BAD),
        ("Host: a\0b\r\n", BAD),
        ("Host: \u{e9}\r\n", BAD),
        ("Host: \"a\"\r\n", BAD),
        ("Host: <a>\r\n", BAD),
        ("Host: a|b\r\n", BAD),
        ("Host : a\r\n", BAD),
        (" Host: a\r\n", BAD),
        ("Host: a\r\n b\r\n", BAD),
        ("Host;: a\r\n", BAD),
    ];
    table("GET / HTTP/1.1\r\n{}\r\n", &rows);
}

/// An absolute target does not excuse a missing or a malformed Host.
#[test]
fn host_beside_an_absolute_target() {
    let rows = [
        ("Host: b\r\n", Says("GET b / -")),
        ("Host: other\r\n", Says("GET b / -")),
        ("", BAD),
        ("Host:\r\n", BAD),
        ("Host: a/b\r\n", BAD),
        ("Host: b\r\nHost: b\r\n", BAD),
    ];
    table("GET http://b/ HTTP/1.1\r\n{}\r\n", &rows);
}

/// HTTP/1.0 may do without, but what it sends is held to the same rules.
#[test]
fn host_in_http_1_0() {
    let rows = [
        ("", Closed(&[200])),
        ("Host: a\r\n", Closed(&[200])),
        ("Host:\r\n", BAD),
        ("Host: a/b\r\n", BAD),
        ("Host: a\r\nHost: a\r\n", BAD),
    ];
    table("GET / HTTP/1.0\r\n{}\r\n", &rows);
    table(
        "GET {} HTTP/1.0\r\n\r\n",
        &[("http://b/", Closed(&[200])), ("b", BAD)],
    );
}
