//! A hello server as most are written: a router of axum and its own `serve`, on hyper and tokio. `serve` writes the
//! names of fields in small letters.

use std::io;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response};
use axum::routing::get;
use parkade_rivals::{answer, on_tokio};
use tokio::net::TcpListener;

static ANSWER: LazyLock<(HeaderMap, &'static str)> = LazyLock::new(|| {
    let (fields, body) = answer::parts();
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(name, HeaderValue::from_static(value));
    }
    (map, body)
});

fn main() -> io::Result<()> {
    on_tokio::run(serve)
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    axum::serve(listener, Router::new().route("/", get(hello))).await
}

async fn hello() -> Response<Body> {
    let (fields, body) = &*ANSWER;
    let mut response = Response::new(Body::from(*body));
    *response.headers_mut() = fields.clone();
    response
}
