//! TCP for tasks: sockets that belong to a spawned future instead of a burst.

mod listener;
mod stream;

pub use listener::{Incoming, TcpListener};
pub use stream::TcpStream;
