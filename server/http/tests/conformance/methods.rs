//! Methods (RFC 9110 section 9).

use super::wire::*;

#[test]
fn methods() {
    // What is not known may be a rest of something else, so the connection ends.
    let not_known = Closed(&[501]);
    let rows = [
        ("GET /", Says("GET a / -")),
        ("POST /", Says("POST a / -")),
        ("PUT /", Says("PUT a / -")),
        ("DELETE /", Says("DELETE a / -")),
        ("PATCH /", Says("PATCH a / -")),
        ("OPTIONS /", Says("OPTIONS a / -")),
        ("HEAD /", OK),
        ("HEAD /stream", OK),
        ("HEAD /status/404", Kept(&[404])),
        // Section 9.3.7: the server as a whole, by both names (RFC 9112 section 3.2.4).
        ("OPTIONS *", OK),
        ("OPTIONS http://b", OK),
        ("OPTIONS http://b/", Says("OPTIONS b / -")),
        ("OPTIONS http://b?x", Says("OPTIONS b / x")),
        ("OPTIONS **", BAD),
        ("OPTIONS *?x", BAD),
        ("OPTIONS a", BAD),
        ("POST *", BAD),
        ("HEAD *", BAD),
        // Section 9.3.8: never echoed.
        ("TRACE /", Kept(&[405])),
        ("TRACE *", BAD),
        // Section 9.3.6: this is no proxy; what follows was meant for a tunnel.
        ("CONNECT a:1", Closed(&[405])),
        ("CONNECT [::1]:1", Closed(&[405])),
        ("CONNECT a", BAD),
        ("CONNECT a:", BAD),
        ("CONNECT :1", BAD),
        ("CONNECT [::1]", BAD),
        ("CONNECT a:1/x", BAD),
        ("CONNECT u@a:1", BAD),
        ("CONNECT /", BAD),
        ("CONNECT *", BAD),
        ("CONNECT http://a/", BAD),
        // Section 9.1: methods are case-sensitive, and tokens.
        ("get /", not_known),
        ("Get /", not_known),
        ("GETT /", not_known),
        ("GE /", not_known),
        ("BREW /", not_known),
        ("!#$%&'*+-.^_`|~ /", not_known),
        ("PROPFIND /", not_known),
    ];
    table("{} HTTP/1.1\r\nHost: a\r\n\r\n", &rows);
}

/// A method that is not allowed, or not known, comes with those that are (sections 15.5.6 and 9.3.7).
#[test]
fn allowed_methods_are_named() {
    let wire = Wire::new(parkade_http::Limits::default());
    for line in [
        "OPTIONS *",
        "OPTIONS http://b",
        "TRACE /",
        "CONNECT a:1",
        "BREW /",
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n");
        let got = answers(request.as_bytes(), &wire.talk([request.as_bytes()]));
        let allow = got[0].field("allow").unwrap_or_default();
        assert!(allow.contains("GET, HEAD, POST"), "{line}: {got:?}");
        assert!(!got[0].body.contains("secret"), "{line}");
    }
}
