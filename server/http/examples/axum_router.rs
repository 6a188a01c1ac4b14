//! A router of axum as others write them, unmodified, on a server that parks its idle connections: no tokio, no hyper.
//!
//! `cargo run --release -p parkade-http --features tower --example axum_router -- 127.0.0.1:8080`
//!
//! ```text
//! curl localhost:8080/                                 Hello, World!
//! curl localhost:8080/greet?name=you                   a query
//! curl -d 'a=1&b=2' localhost:8080/form                a form, answered as JSON
//! curl --json '[1,2,3]' localhost:8080/sum             JSON in and out
//! curl -T FILE localhost:8080/size                     a body that is counted while it comes
//! curl -T - localhost:8080/echo                        a body that is answered while it comes
//! curl localhost:8080/ticks                            server-sent events, with comments between them
//! curl localhost:8080/slow                             503: the route has a time limit
//! ```

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query};
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Form, Json, Router};
use futures_core::Stream;
use http_body::Body as _;
use parkade::{Affinity, Runtime, Workers};
use parkade_http::tower::{self, Client, Sleep, TimeoutLayer, sse};
use parkade_http::{Limits, Server};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

fn router() -> Router {
    Router::new()
        .route("/", get(hello))
        .route("/greet", get(greet))
        .route("/user/{name}", get(user))
        .route("/form", post(form))
        .route("/sum", post(sum))
        .route("/size", post(size).put(size))
        .route("/echo", post(echo).put(echo))
        .route("/ticks", get(ticks))
        .route(
            "/slow",
            get(slow).layer(TimeoutLayer::new(Duration::from_millis(500))),
        )
        // axum's own limit is for what is collected; the server's, below, is for every body.
        .layer(DefaultBodyLimit::max(64 * 1024))
}

async fn hello() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain")], "Hello, World!")
}

#[derive(Deserialize)]
struct Greeting {
    name: String,
}

async fn greet(Query(greeting): Query<Greeting>) -> String {
    format!("Hello, {}!", greeting.name)
}

async fn user(Path(name): Path<String>, Extension(client): Extension<Client>) -> String {
    format!("{name} from {}", client.address)
}

async fn form(Form(words): Form<BTreeMap<String, String>>) -> Json<BTreeMap<String, String>> {
    Json(words)
}

#[derive(Serialize)]
struct Sum {
    count: usize,
    sum: i64,
}

async fn sum(Json(numbers): Json<Vec<i64>>) -> Json<Sum> {
    Json(Sum {
        count: numbers.len(),
        sum: numbers.iter().fold(0, |sum, n| sum.wrapping_add(*n)),
    })
}

/// Whatever the size, no more than a piece of it is in memory.
async fn size(mut body: Body) -> Result<String, (axum::http::StatusCode, String)> {
    let mut bytes = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|e| (axum::http::StatusCode::BAD_REQUEST, e.to_string()))?;
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(format!("{bytes} bytes"))
}

async fn echo(body: Body) -> Body {
    body
}

/// Three events, a tenth of a second apart.
struct Ticks {
    next: u32,
    pause: Sleep,
}

impl Stream for Ticks {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.next == 3 {
            return Poll::Ready(None);
        }
        if Pin::new(&mut self.pause).poll(cx).is_pending() {
            return Poll::Pending;
        }
        let event = Event::default().event("tick").data(self.next.to_string());
        self.next += 1;
        self.pause = Sleep::new(Duration::from_millis(100));
        Poll::Ready(Some(Ok(event)))
    }
}

async fn ticks() -> Response {
    let ticks = Sse::new(Ticks {
        next: 0,
        pause: Sleep::new(Duration::ZERO),
    });
    sse::keep_alive(ticks.into_response(), Duration::from_millis(30)).into_response()
}

async fn slow() -> &'static str {
    Sleep::new(Duration::from_secs(3600)).await;
    "an hour later"
}

fn main() -> parkade::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".into());
    let address = address
        .parse()
        .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidInput, e))?;
    let limits = Limits {
        requests: 0,
        keep_alive: Duration::from_secs(300),
        body: 1 << 20,
        ..Limits::default()
    };
    let server = Server::new(tower::handler(router()))
        .limits(limits)
        .name("parkade/0");
    Runtime::builder()
        .workers(Workers::Count(1))
        .affinity(Affinity::PerCore)
        .build()?
        .serve(address, server.service())
}
