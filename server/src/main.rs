//! The Parkade HTTP server.
fn main() {}
