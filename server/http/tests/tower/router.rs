//! An unmodified router: routes, extractors, and what the server adds around its answers.

use crate::wire::{Wire, get, post, talk, text};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode, Uri, Version, header};
use axum::response::IntoResponse;
use axum::routing::{any, post as on_post};
use axum::{Extension, Form, Json, Router, routing};
use parkade_http::tower::Client;
use parkade_tests::{client, ready};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

type Words = BTreeMap<String, String>;

fn router() -> Router {
    Router::new()
        .route("/", routing::get(|| async { "Hello, World!" }))
        .route(
            "/user/{id}",
            routing::get(|Path(id): Path<u64>| async move { format!("user {id}") }),
        )
        .route(
            "/query",
            routing::get(|Query(words): Query<Words>| async move { Json(words) }),
        )
        .route(
            "/form",
            on_post(|Form(words): Form<Words>| async move { Json(words) }),
        )
        .route(
            "/json",
            on_post(|Json(words): Json<Words>| async move { Json(words) }),
        )
        .route(
            "/who",
            routing::get(|Extension(client): Extension<Client>| async move {
                client.address.to_string()
            }),
        )
        .route(
            "/told",
            any(
                |uri: Uri, version: Version, headers: HeaderMap| async move {
                    let many: Vec<_> = headers
                        .get_all("x-many")
                        .iter()
                        .map(|v| v.to_str().unwrap().to_owned())
                        .collect();
                    format!("{uri} {version:?} {}", many.join("+"))
                },
            ),
        )
        .route(
            "/fields",
            routing::get(|| async {
                let fields = [
                    ("x-one", "1"),
                    ("server", "mine"),
                    ("date", "never"),
                    ("transfer-encoding", "gzip"),
                    ("content-length", "3"),
                ];
                (StatusCode::IM_A_TEAPOT, fields, "a body")
            }),
        )
        .route(
            "/cookies",
            routing::get(|| async {
                let mut fields = HeaderMap::new();
                fields.append(header::SET_COOKIE, "a=1".parse().unwrap());
                fields.append(header::SET_COOKIE, "b=2".parse().unwrap());
                fields
            }),
        )
        .route(
            "/close",
            routing::get(|| async { ([(header::CONNECTION, "close")], "bye") }),
        )
        .route(
            "/nothing",
            routing::get(|| async { StatusCode::NO_CONTENT }),
        )
        .route(
            "/moved",
            routing::get(|| async { axum::response::Redirect::to("/") }),
        )
        .fallback(|| async { (StatusCode::NOT_FOUND, "nothing here").into_response() })
}

#[test]
fn routes_extract_what_they_ask_for() {
    let wire = Wire::new(router());
    let json = "application/json";
    for (request, status, said) in [
        (get("/"), 200, "Hello, World!"),
        (get("/user/42"), 200, "user 42"),
        (get("/query?b=%20x&a=1"), 200, r#"{"a":"1","b":" x"}"#),
        (
            post("/form", "application/x-www-form-urlencoded", "a=1&b=two"),
            200,
            r#"{"a":"1","b":"two"}"#,
        ),
        (post("/json", json, r#"{"a":"b"}"#), 200, r#"{"a":"b"}"#),
        (get("/who"), 200, "127.0.0.1"),
        (get("/told?x"), 200, "/told?x HTTP/1.1 "),
        (
            get("http://b.example/told"),
            200,
            "http://b.example/told HTTP/1.1 ",
        ),
        (
            "GET /told HTTP/1.0\r\nX-Many: a\r\nX-many: b\r\n\r\n".into(),
            200,
            "/told HTTP/1.0 a+b",
        ),
        (get("/gone"), 404, "nothing here"),
    ] {
        let answer = wire.ask(&request);
        assert_eq!((answer.status, text(&answer)), (status, said), "{request}");
        let length = said.len().to_string();
        assert_eq!(answer.header("content-length"), Some(&*length), "{request}");
        assert!(answer.header("date").is_some());
    }
    for (request, status) in [
        (post("/json", json, "{"), 400),
        (post("/json", json, "[]"), 422),
        (post("/json", "text/plain", "{}"), 415),
        (get("/user/x"), 400),
        (post("/", json, "{}"), 405),
    ] {
        assert_eq!(wire.ask(&request).status, status, "{request}");
    }
    let refused = wire.ask("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET,HEAD"))
    );
}

#[test]
fn fields_of_the_service_are_sent_and_the_servers_own_are_not() {
    let wire = Wire::new(router());
    let answer = wire.get("/fields");
    assert_eq!((answer.status, text(&answer)), (418, "a body"));
    let of = |name: &str| -> Vec<_> {
        let same = |(n, v): &(String, String)| n.eq_ignore_ascii_case(name).then(|| v.clone());
        answer.headers.iter().filter_map(same).collect()
    };
    assert_eq!(of("x-one"), ["1"]);
    assert_eq!(of("server"), ["mine"]);
    assert_eq!(of("content-length"), ["6"]);
    assert_eq!(of("transfer-encoding"), [""; 0]);
    assert!(of("date").len() == 1 && of("date")[0].ends_with("GMT"));
    let cookies = wire.get("/cookies").headers;
    assert_eq!(cookies.iter().filter(|(n, _)| n == "set-cookie").count(), 2);
    let nothing = wire.get("/nothing");
    assert_eq!(
        (nothing.status, nothing.header("content-length")),
        (204, None)
    );
    let moved = wire.get("/moved");
    assert_eq!((moved.status, moved.header("location")), (303, Some("/")));
}

#[test]
fn head_has_the_length_of_get_and_no_body() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    let answer = talk(&mut stream, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("13"))
    );
    // The next answer begins where a body would.
    assert_eq!(text(&talk(&mut stream, get("/"))), "Hello, World!");
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    let all: String = (0..90).map(|n| get(&format!("/user/{n}"))).collect();
    stream.write_all(all.as_bytes()).unwrap();
    let mixed = [post("/json", "application/json", r#"{"k":"v"}"#), get("/")].concat();
    stream.write_all(mixed.as_bytes()).unwrap();
    for n in 0..90 {
        let answer = client::read(&mut stream, false).unwrap();
        assert_eq!(text(&answer), format!("user {n}"));
    }
    for said in [r#"{"k":"v"}"#, "Hello, World!"] {
        assert_eq!(text(&client::read(&mut stream, false).unwrap()), said);
    }
}

#[test]
fn connections_park_between_requests() {
    let wire = Wire::new(router());
    let mut kept: Vec<_> = (0..20).map(|_| wire.connect()).collect();
    for round in 0..3 {
        for stream in &mut kept {
            let answer = match round {
                1 => talk(stream, post("/json", "application/json", "{}")),
                _ => talk(stream, get("/")),
            };
            assert_eq!(answer.status, 200);
        }
    }
    // Only what is parked can be taken: a slot with a record, no future and no buffer.
    let mut taken = Vec::new();
    ready::until("all are parked", Duration::from_secs(20), || {
        wire.runtime.handle().take_parked(20, &mut taken);
        taken.len() == 20
    })
    .unwrap();
}

#[test]
fn a_service_can_end_its_connection() {
    let wire = Wire::new(router());
    let mut stream = wire.connect();
    let answer = talk(&mut stream, get("/close"));
    assert_eq!(
        (answer.header("connection"), text(&answer)),
        (Some("close"), "bye")
    );
    assert!(client::read(&mut stream, false).is_err());
}
