//! HTTP/1.1 and 1.0 on the parkade runtime.
pub mod chunked;
mod date;
pub mod framing;
pub mod head;
pub mod status;
pub mod target;
