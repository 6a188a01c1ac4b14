//! An async runtime that parks idle connections.
//!
//! A web connection spends its life idle between two requests. In other runtimes an idle connection is a suspended
//! task with its buffers and timers; here it is a slot of 56 bytes. A [`Service`] is started when a parked connection
//! has input and *returns* it ([`Next::Park`]) when the input is used up; the future, its buffers and everything it
//! held are gone in between. Deadlines cost one store, parking costs no system call.
//!
//! See [`bursts`] for a server in one screen.

mod blocking;
mod buf;
mod error;
mod executor;
mod metrics;
#[doc(hidden)]
pub mod micro;
mod net;
mod park;
mod reactor;
mod runtime;
pub mod signal;
mod sync;
mod sys;
pub mod time;
mod worker;

pub use blocking::{Blocking, spawn_blocking};
pub use buf::Buffer;
pub use error::{Error, Result};
pub use executor::remote::Remote;
pub use executor::task::{JoinHandle, spawn};
pub use executor::yielding::{Yield, yield_now};
pub use metrics::{Metrics, WorkerCounters, WorkerMetrics};
pub use net::accept::Siblings;
pub use net::conn::Conn;
pub use net::family::Family;
pub use net::foreign::Async;
pub use net::idle::Idle;
pub use net::listener::{Incoming, StreamListener};
pub use net::moving::{Arriving, Departing, Record};
pub use net::next::{Carry, Copying, FileRange, Next, Output, Then};
pub use net::parked::{Parked, ParkedHandle, Unpark};
pub use net::service::{Attempt, Bursts, Fallible, Service, bursts};
pub use net::stream::StreamSocket;
pub use net::stream::options::Probes;
pub use net::stream::split::{
    Finishing, OwnedReadHalf, OwnedWriteHalf, ReadHalf, Strangers, WriteHalf,
};
pub use net::tcp::{Tcp, TcpListener, TcpStream};
pub use net::turns::AcceptLock;
pub use net::udp::UdpSocket;
pub use net::unix::{Unix, UnixListener, UnixStream};
pub use net::written::Written;
pub use park::peer::Peer;
pub use reactor::choice::Backend;
pub use runtime::{Affinity, Builder, Handle, Runtime, Workers, block_on};
pub use time::{Deadline, Keepalive};
