//! Request lines and targets (RFC 9112 sections 2.2, 2.3, 3; RFC 3986).

use super::wire::*;

#[test]
fn request_lines() {
    let rows = [
        ("GET / HTTP/1.1\r\n", Says("GET a / -")),
        // Section 2.2: a server may forgive empty lines before a request; four are, whatever else stands there is not.
        ("\r\nGET / HTTP/1.1\r\n", OK),
        ("\r\n\r\nGET / HTTP/1.1\r\n", OK),
        ("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", OK),
        ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", BAD),
        ("\nGET / HTTP/1.1\r\n", BAD),
        ("\r\n\nGET / HTTP/1.1\r\n", BAD),
        ("\rGET / HTTP/1.1\r\n", BAD),
        (" GET / HTTP/1.1\r\n", BAD),
        (" \r\nGET / HTTP/1.1\r\n", BAD),
        ("\tGET / HTTP/1.1\r\n", BAD),
        ("\0GET / HTTP/1.1\r\n", BAD),
        ("\u{16}\u{3}\u{1}\0\u{a5}\u{1}", BAD),
        // A line ends in CRLF; a bare LF or CR might be tolerated and is not.
        ("GET / HTTP/1.1\n", BAD),
        ("GET / HTTP/1.1\r", BAD),
        ("GET / HTTP/1.1\r\r\n", BAD),
        ("GET / HTTP/1.1 \r\n", BAD),
        ("GET / HTTP/1.1\t\r\n", BAD),
        ("GET / HTTP/1.1\0\r\n", BAD),
        // Section 3: single spaces; a lenient reading of white space might be tolerated and is not.
        ("GET  / HTTP/1.1\r\n", BAD),
        ("GET /  HTTP/1.1\r\n", BAD),
        ("GET\t/ HTTP/1.1\r\n", BAD),
        ("GET /\tHTTP/1.1\r\n", BAD),
        ("GET\u{b}/ HTTP/1.1\r\n", BAD),
        ("GET / x HTTP/1.1\r\n", BAD),
        ("GET /a b HTTP/1.1\r\n", BAD),
        ("GET HTTP/1.1\r\n", BAD),
        ("GET  HTTP/1.1\r\n", BAD),
        ("GET\r\n", BAD),
        ("GET /\r\n", BAD),
        ("GET / \r\n", BAD),
        ("/ HTTP/1.1\r\n", BAD),
        ("Extra lineGET / HTTP/1.1\r\n", BAD),
        ("GET / HTTP/1.1 Extra\r\n", BAD),
        ("GET / HTTP/1.1\r\n \r\n", BAD),
        ("GE\0T / HTTP/1.1\r\n", BAD),
        ("G\u{c9}T / HTTP/1.1\r\n", BAD),
        ("G@T / HTTP/1.1\r\n", BAD),
        ("G[]T / HTTP/1.1\r\n", BAD),
        ("GET: / HTTP/1.1\r\n", BAD),
    ];
    table("{}Host: a\r\n\r\n", &rows);
}

#[test]
fn versions() {
    // Section 2.3, and RFC 9110 section 2.5: a later 1.x is served as 1.1; another major version is 505.
    let rows = [
        ("HTTP/1.1", OK),
        ("HTTP/1.0", Closed(&[200])),
        ("HTTP/1.2", OK),
        ("HTTP/1.9", OK),
        ("HTTP/0.9", Closed(&[505])),
        ("HTTP/2.0", Closed(&[505])),
        ("HTTP/3.1", Closed(&[505])),
        ("HTTP/9.9", Closed(&[505])),
        ("HTTP/1", BAD),
        ("HTTP/1.", BAD),
        ("HTTP/.1", BAD),
        ("HTTP/11", BAD),
        ("HTTP/1.10", BAD),
        ("HTTP/1.1.1", BAD),
        ("HTTP/01.1", BAD),
        ("HTTP/1.01", BAD),
        ("HTTP/01.01", BAD),
        ("HTTP/ 1.1", BAD),
        ("HTTP /1.1", BAD),
        ("HTTP/1 .1", BAD),
        ("HTTP/-1.1", BAD),
        ("HTTP/+1.1", BAD),
        ("HTTP/1,1", BAD),
        ("HTTP/a.b", BAD),
        ("HTTP/1.\u{b9}", BAD),
        ("HTTP", BAD),
        ("HTTP-1.1", BAD),
        ("http/1.1", BAD),
        ("Http/1.1", BAD),
        ("HTPT/1.1", BAD),
        ("HTTPS/1.1", BAD),
        ("ICY/1.1", BAD),
        ("HTTP/1.1\u{a0}", BAD),
        ("HTTP/9.9 HTTP/1.1", Closed(&[505])),
        ("HTTP/1.0 HTTP/1.1", BAD),
    ];
    table("GET / {}\r\nHost: a\r\n\r\n", &rows);
    let wire = Wire::new(parkade_http::Limits::default());
    wire.judge(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Closed(&[505]));
}

#[test]
fn targets() {
    let rows = [
        ("/", Says("GET a / -")),
        ("/?", Says("GET a / ")),
        ("/a/b?c=d?e/f", Says("GET a /a/b c=d?e/f")),
        ("/a;b=c", Says("GET a /a;b=c -")),
        ("/a%20b", Says("GET a /a%20b -")),
        ("/-._~!$&'()*+,;=:@", Says("GET a /-._~!$&'()*+,;=:@ -")),
        ("//x", Says("GET a //x -")),
        ("/*", Says("GET a /* -")),
        ("/http://x/", Says("GET a /http://x/ -")),
        // Not RFC 3986's, but sent by clients that mean no harm: chosen to be let through.
        ("/[x]^`{|}", Says("GET a /[x]^`{|} -")),
        ("/?a\\b", Says("GET a / a\\b")),
        // Section 3.2.1: a fragment is never sent; it might be tolerated and is not.
        ("/#", BAD),
        ("/a#b", BAD),
        ("/?a#b", BAD),
        ("#", BAD),
        // Bytes that no target may have.
        ("/\"", BAD),
        ("/<x>", BAD),
        ("/?<x>", BAD),
        ("/a\\b", BAD),
        ("\\", BAD),
        ("/\u{0}", BAD),
        ("/\u{1}", BAD),
        ("/\u{7f}", BAD),
        ("/\u{c3}\u{a9}", BAD),
        ("/\u{ff}", BAD),
        ("/?\u{c3}\u{a9}", BAD),
        ("/a\rb", BAD),
        ("/a\nb", BAD),
        // Section 3.2.4: the asterisk is for OPTIONS.
        ("*", BAD),
        ("**", BAD),
        // No form at all.
        ("a", BAD),
        ("a/b", BAD),
        ("?a", BAD),
        ("a:80", BAD),
        ("./", BAD),
        ("http:", BAD),
        ("http:/", BAD),
        ("http:/a", BAD),
        ("http//a/", BAD),
        ("ftp://a/", BAD),
        ("file:///etc/passwd", BAD),
        ("ws://a/", BAD),
        ("urn:x", BAD),
        // Section 3.2.2: absolute targets; their authority counts, whatever Host says.
        ("http://a/", Says("GET a / -")),
        ("HTTP://b/x?y", Says("GET b /x y")),
        ("https://b/", Says("GET b / -")),
        ("http://b", Says("GET b / -")),
        ("http://b?y", Says("GET b / y")),
        ("http://b/?y", Says("GET b / y")),
        ("http://b:81/", Says("GET b:81 / -")),
        ("http://b:/", Says("GET b: / -")),
        ("http://[::1]:80/", Says("GET [::1]:80 / -")),
        ("http://1.2.3.4/", Says("GET 1.2.3.4 / -")),
        ("http://b//x", Says("GET b //x -")),
        ("http://b/http://c/", Says("GET b /http://c/ -")),
        ("http://", BAD),
        ("http:///", BAD),
        ("http:///x", BAD),
        ("http://:80/", BAD),
        ("http://?x", BAD),
        // RFC 9110 section 4.2.4: user information is an error.
        ("http://user@b/", BAD),
        ("http://user:pw@b/", BAD),
        ("http://b:80@c/", BAD),
        ("http://b:x/", BAD),
        ("http://b:65536/", BAD),
        ("http://b:-1/", BAD),
        ("http://[::1/", BAD),
        ("http://[::1]x/", BAD),
        ("http://[v1.x]/", BAD),
        ("http://b\\c/", BAD),
        ("http://b%zz/", BAD),
        ("http://b/#x", BAD),
        ("http://b#x", BAD),
    ];
    table("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", &rows);
}

#[test]
fn unfinished_heads_wait() {
    let whole = "POST /x HTTP/1.1\r\nHost: a\r\nX:\tb \r\nContent-Length: 1\r\n\r\n";
    let wire = Wire::new(parkade_http::Limits::default());
    wire.judge(b"", Kept(&[]));
    for end in 1..whole.len() {
        wire.judge(&whole.as_bytes()[..end], Waits);
    }
    wire.judge(b"\r\n", Waits);
    wire.judge(b"\r\n\r", Waits);
}

/// What cannot become a head is refused at once, without waiting for its end.
#[test]
fn what_cannot_become_a_head_is_not_waited_for() {
    let wire = Wire::new(parkade_http::Limits::default());
    for begin in [
        "GET /\r",
        "GET / HTTP/2",
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\nHost",
        "GET / X",
    ] {
        let next = if begin.ends_with("Host") { " " } else { ".0" };
        let mut stream = wire.connect();
        std::io::Write::write_all(&mut stream, [begin, next].concat().as_bytes()).unwrap();
        let mut came = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut came).unwrap();
        let status = if begin.ends_with('2') { "505" } else { "400" };
        assert_eq!(
            std::str::from_utf8(&came),
            Ok(&*format!("HTTP/1.1 {status}")),
            "{begin:?}"
        );
    }
}
