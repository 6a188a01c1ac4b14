//! Services of others behind the server's own framing, limits and parking. `wire` is the server under test, `router` what
//! it serves.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

mod bodies;
mod ends;
mod router;
mod services;
mod times;
mod wire;
