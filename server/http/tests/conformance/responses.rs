//! The answers' side: which have a body, how its length is told, what stands in a head (RFC 9110 sections 6, 8, 15;
//! RFC 9112 section 6). `wire::answers` checks dates, lengths and Allow for every row of all tables.

use super::wire::*;
use parkade_http::{Body, Limits, Prepared, Request, Response};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

fn ask(request: &str) -> Vec<Answer> {
    let wire = Wire::new(Limits::default());
    answers(request.as_bytes(), &wire.talk([request.as_bytes()]))
}

#[test]
fn statuses_without_a_body_have_none() {
    let rows = [
        ("200", Says("a body")),
        ("404", Kept(&[404])),
        ("204", Kept(&[204])),
        ("205", Kept(&[205])),
        ("304", Kept(&[304])),
        // What is no final status is a fault of the handler.
        ("100", Kept(&[500])),
        ("101", Kept(&[500])),
        ("999", Kept(&[500])),
    ];
    table("GET /status/{} HTTP/1.1\r\nHost: a\r\n\r\n", &rows);
    for status in [204, 205, 304] {
        let got = ask(&format!("GET /status/{status} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((got.len(), &*got[0].body), (1, ""));
        let length = (status == 205).then_some("0");
        assert_eq!(got[0].field("content-length"), length, "{status}");
        assert_eq!(got[0].field("transfer-encoding"), None);
    }
}

/// RFC 9110 section 9.3.2: the same head as for GET, and no body.
#[test]
fn head_is_get_without_a_body() {
    for path in ["/", "/stream", "/big", "/status/404", "/status/204", "/405"] {
        let of = |method: &str| {
            let mut answer = ask(&format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n")).remove(0);
            answer.fields.retain(|(name, _)| name != "date");
            // The text of `/` names the method.
            answer
                .fields
                .iter_mut()
                .filter(|(n, v)| path == "/" && n == "content-length" && v == "10")
                .for_each(|(_, v)| *v = "9".into());
            answer
        };
        let (get, head) = (of("GET"), of("HEAD"));
        assert_eq!(
            (get.status, &get.fields),
            (head.status, &head.fields),
            "{path}"
        );
        assert_eq!(head.body, "");
    }
    let refused = ask("HEAD / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n");
    assert_eq!((refused[0].status, &*refused[0].body), (417, ""));
}

#[test]
fn streams_are_chunked_or_end_with_the_connection() {
    table(
        "GET /stream {}\r\n\r\n",
        &[
            ("HTTP/1.1\r\nHost: a", Says("one two three")),
            ("HTTP/1.2\r\nHost: a", Says("one two three")),
            ("HTTP/1.1\r\nHost: a\r\nConnection: close", Closed(&[200])),
            // HTTP/1.0 knows no chunks, so keep-alive cannot be granted.
            ("HTTP/1.0", Closed(&[200])),
            ("HTTP/1.0\r\nConnection: keep-alive", Closed(&[200])),
        ],
    );
    let got = ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(&*got[0].body, "one two three");
    assert_eq!(
        (
            got[0].field("transfer-encoding"),
            got[0].field("keep-alive")
        ),
        (None, None)
    );
}

/// RFC 9112 section 8: the client must see that something is missing.
#[test]
fn a_stream_that_fails_ends_without_its_last_chunk() {
    let wire = Wire::new(Limits::default());
    let came = wire
        .talk([&b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]]);
    let came = String::from_utf8(came).unwrap();
    assert!(came.ends_with("\r\n\r\n4\r\none \r\n"), "{came}");
}

/// Where only the end of the connection says how long a body is, a FIN would make a part of it pass for the whole.
#[test]
fn a_body_without_a_length_that_fails_ends_in_a_reset() {
    let wire = Wire::new(Limits::default());
    for (path, resets) in [("/broken", true), ("/torn", true), ("/stream", false)] {
        let mut stream = wire.connect();
        stream
            .write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
            .unwrap();
        let mut came = Vec::new();
        let end = stream.read_to_end(&mut came).map_err(|e| e.kind());
        let came = String::from_utf8_lossy(&came);
        assert_eq!(
            end.err(),
            resets.then_some(ErrorKind::ConnectionReset),
            "{path}: {came}"
        );
    }
}

/// An answer names the server's version, not the request's (RFC 9110 section 6.2), and who answers.
#[test]
fn every_answer_has_a_server_and_refusals_have_a_text() {
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
    ] {
        let got = ask(request);
        assert_eq!(got[0].field("server"), Some("test"), "{request:?}");
        if got[0].status != 200 {
            assert_eq!(
                got[0].field("content-type"),
                Some("text/html; charset=utf-8")
            );
            assert!(got[0].body.contains("<h1>"), "{got:?}");
        }
    }
}

/// Answers that say for themselves what the server would say otherwise; `/prepared/N` is `/N`, prepared.
fn own(path: &str) -> Response {
    const KIND: &str = "Content-Type";
    if let Some(rest) = path.strip_prefix("/prepared") {
        return Response::prepared(Arc::new(Prepared::new(own(rest))));
    }
    if let Some(rest) = path.strip_prefix("/framing") {
        let mut response = own(rest);
        for (name, value) in FRAMING {
            assert!(response.add_field(name, value.as_bytes()).is_err());
            response = response.with_field(name, value);
        }
        return response;
    }
    match path {
        "/type" => Response::text("a body").with_field(KIND, "a/b"),
        "/type/twice" => Response::text("a body")
            .with_field("content-TYPE", "c/d")
            .with_field("X-Kept", "1")
            .with_field(KIND, "a/b"),
        "/type/then" => Response::new(200)
            .with_body(Body::Static(b"a body"))
            .with_field(KIND, "c/d")
            .with_field("X-Kept", "1")
            .with_type("a/b"),
        "/type/late" => own("/prepared/plain").with_field(KIND, "a/b"),
        "/type/late/then" => own("/prepared/plain").with_type("a/b"),
        "/type/404" => Response::error(404).with_field(KIND, "a/b"),
        "/server" => Response::text("a body").with_field("Server", "mine"),
        "/server/twice" => Response::text("a body")
            .with_field("SERVER", "yours")
            .with_field("X-Kept", "1")
            .with_field("Server", "mine"),
        "/server/late" => own("/prepared/plain").with_field("Server", "mine"),
        "/server/404" => Response::error(404).with_field("Server", "mine"),
        "/plain" => Response::text("a body").with_field("X-Kept", "1"),
        _ => Response::text("a body"),
    }
}

/// What only the server may say of a message and its connection.
const FRAMING: [(&str, &str); 5] = [
    ("Content-Length", "3"),
    ("TRANSFER-ENCODING", "chunked"),
    ("connection", "close"),
    ("Keep-Alive", "timeout=1000"),
    ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"),
];

/// The head as it came for GET, for HEAD, on a connection that says keep-alive and on one that closes.
fn heads(path: &str) -> Vec<Answer> {
    let wire = Wire::serving(Limits::default(), async |request: Request| {
        own(&String::from_utf8_lossy(request.path()))
    });
    let forms = [
        ("GET", "HTTP/1.1"),
        ("HEAD", "HTTP/1.1"),
        ("GET", "HTTP/1.0"),
        ("GET", "HTTP/1.0\r\nConnection: keep-alive"),
        ("GET", "HTTP/1.1\r\nConnection: close"),
    ];
    let all = forms.map(|(method, rest)| {
        let request = format!("{method} {path} {rest}\r\nHost: a\r\n\r\n");
        let came = wire.talk([request.as_bytes()]);
        answers(request.as_bytes(), &came).remove(0)
    });
    all.into()
}

/// A handler's `Server` or `Content-Type` stood beside the server's: two lines of which each reader takes another.
#[test]
fn a_handlers_own_server_and_type_stand_alone() {
    let rows = [
        ("/type", "test", "a/b"),
        ("/type/twice", "test", "a/b"),
        ("/type/then", "test", "a/b"),
        ("/type/late", "test", "a/b"),
        ("/type/late/then", "test", "a/b"),
        ("/type/404", "test", "a/b"),
        ("/server", "mine", "text/plain; charset=utf-8"),
        ("/server/twice", "mine", "text/plain; charset=utf-8"),
        ("/server/late", "mine", "text/plain; charset=utf-8"),
        ("/server/404", "mine", "text/html; charset=utf-8"),
        ("/plain", "test", "text/plain; charset=utf-8"),
    ];
    for (path, server, kind) in rows {
        for prefix in ["", "/prepared"] {
            for answer in heads(&format!("{prefix}{path}")) {
                assert_eq!(answer.field("server"), Some(server), "{prefix}{path}");
                assert_eq!(answer.field("content-type"), Some(kind), "{prefix}{path}");
                let kept = ["twice", "then", "late", "plain"].map(|part| path.contains(part));
                let kept = kept.contains(&true).then_some("1");
                assert_eq!(answer.field("x-kept"), kept, "{prefix}{path}: {answer:?}");
                let length = answer.field("content-length").map(str::parse);
                assert!(path.ends_with("404") || length == Some(Ok(6)), "{answer:?}");
            }
        }
    }
}

/// Two words on where a message ends are two messages to somebody (RFC 9112 section 6.3): only the server's is sent.
#[test]
fn framing_fields_of_a_handler_are_refused() {
    for path in ["/plain", "/type", "/server", "/prepared/plain", "/404"] {
        let dateless = |path: &str| {
            let mut all = heads(path);
            all.iter_mut()
                .for_each(|a| a.fields.retain(|(name, _)| name != "date"));
            all
        };
        let (without, with) = (dateless(path), dateless(&format!("/framing{path}")));
        assert_eq!(with, without, "{path}");
        for answer in heads(&format!("/framing{path}")) {
            assert_ne!(answer.field("date"), Some(FRAMING[4].1), "{answer:?}");
        }
    }
}
