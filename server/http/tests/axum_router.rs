//! The example `axum_router`, from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::client::{self, Response};
use parkade_tests::example::Example;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;

fn example() -> &'static Example {
    static EXAMPLE: OnceLock<Example> = OnceLock::new();
    EXAMPLE.get_or_init(|| Example::start_with("parkade-http", "axum_router", "tower").unwrap())
}
