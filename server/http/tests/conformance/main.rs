//! The wire by the rules of RFC 9110 and 9112, row by row: what is sent, what comes back, and whether the connection
//! lives on. Each row is sent at once and byte by byte. Where a rule leaves a choice, the table says what is chosen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod chunks;
mod connections;
mod expect;
mod fields;
mod framing;
mod host;
mod limits;
mod methods;
mod preconditions;
mod request_line;
mod responses;
mod rude;
mod splits;
mod wire;
