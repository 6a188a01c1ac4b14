//! An async runtime that parks idle connections.

mod error;
mod park;
mod reactor;
mod sync;

pub use error::{Error, Result};
