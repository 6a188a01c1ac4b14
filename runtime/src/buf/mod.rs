//! Buffers that are lent while there are bytes, and given back before a connection parks.

mod pool;
pub use pool::Buffer;
pub(crate) use pool::{BufferPool, KEPT};
