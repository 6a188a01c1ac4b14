//! HTTP/1.1 and 1.0 on the parkade runtime: a handler becomes a service whose idle connections are parked.
//!
//! Reading order: `server` (handlers), `burst` (what happens when a connection has input), `head` and `framing` (what
//! a request is and where it ends), `request` and `chunked` (its body), `response`, `encode` and `outgoing` (the
//! answer). `target`, `precondition` and `range` are rules of RFC 9110 and 9112 for those who serve files.
//!
//! With the feature `tower` a router of axum, or any other service of that kind, is a handler: see `tower`.

mod burst;
pub mod chunked;
mod encode;
pub mod framing;
pub mod head;
mod hosts;
mod limits;
mod notes;
mod outgoing;
pub mod precondition;
pub mod range;
mod request;
mod response;
mod server;
pub mod status;
pub mod target;
#[cfg(feature = "tower")]
pub mod tower;

pub use head::{Head, HeadLimits, Method};
pub use hosts::Hosts;
pub use limits::{Limits, Pace};
pub use request::{BodyError, Request};
pub use response::{Body, InvalidField, Prepared, Response};
pub use server::{Exchange, Handler, Observer, Server};
pub use status::Refusal;
