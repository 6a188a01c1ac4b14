//! Services of others as handlers: a router of axum, or any `tower_service::Service` from `http::Request` to
//! `http::Response`, with hard parking, without tokio and without hyper.
//!
//! [`handler`] makes a handler of a service; everything else is that of [`crate::Server`]: framing, keep-alive, limits,
//! refusals, graceful shutdown. A connection whose requests are answered is parked: service, future and bodies are gone.
//!
//! `service` asks the service, `incoming` makes its request, `pipe` brings it the body, `outgoing` takes its response
//! apart. [`Sleep`], [`TimeoutLayer`] and [`sse`] are what services usually take from tokio, on the runtime's timers.
//!
//! ```
//! use axum::{Json, Router, routing::get};
//! use parkade::{Runtime, Workers};
//! use parkade_http::{Server, tower};
//!
//! # fn main() -> parkade::Result<()> {
//! let router = Router::new().route("/", get(|| async { Json(["Hello", "World"]) }));
//! let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
//! let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
//! let address = listener.local_addr().expect("an address");
//! runtime.listen(listener, Server::new(tower::handler(router)).service())?;
//! # use std::io::{Read, Write};
//! # let mut client = std::net::TcpStream::connect(address).unwrap();
//! # client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
//! # let mut answer = String::new();
//! # client.read_to_string(&mut answer).unwrap();
//! # assert!(answer.ends_with("\r\n\r\n[\"Hello\",\"World\"]"), "{answer}");
//! # Ok(())
//! # }
//! ```
//!
//! What differs from a server on hyper:
//!
//! * A service is polled on one worker, but nothing keeps its futures there: what they hold may be `!Send` where the
//!   service's own types allow it.
//! * Bodies larger than [`crate::Limits::body`], malformed ones and slow ones are answered by the server, whatever the
//!   service says about the error that it gets ([`crate::BodyError`]).
//! * `Content-Length` (but for HEAD and for bodies that do not know their length), `Date`, `Transfer-Encoding` and
//!   `Keep-Alive` are the server's; `Connection: close` is heard, upgrades are not offered. Trailers are dropped.
//! * CONNECT, TRACE and `OPTIONS *` do not reach the service; methods that are not known here do only with
//!   [`crate::Server::any_method`].

mod incoming;
mod outgoing;
mod pipe;
mod service;
mod sleep;
pub mod sse;
mod timeout;

pub use incoming::{Client, RequestBody};
pub use service::handler;
pub use sleep::Sleep;
pub use timeout::{Timeout, TimeoutFuture, TimeoutLayer};

/// Errors of services and bodies, whatever they are.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
