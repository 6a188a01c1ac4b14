//! The calls that a worker makes on its connections' sockets: one by one, or through a ring for many at once.
//!
//! With a ring, a turn claims the connections at rest of a part of its batch first, receives from all of them in one call,
//! and then starts their bursts, each of which finds its input here. What a burst has not asked for is kept, in order,
//! until it is.

use crate::reactor::choice::Backend;
use crate::sys::socket;
use std::io;
use std::os::fd::BorrowedFd;

#[cfg(all(target_os = "linux", feature = "io-uring"))]
mod batched;
#[cfg(all(target_os = "linux", feature = "io-uring"))]
pub(crate) use batched::{Batched, Claimed};

/// Stands in where there is no ring: it cannot be made.
#[cfg(not(all(target_os = "linux", feature = "io-uring")))]
pub(crate) enum Batched {}

/// How a worker makes its calls.
pub(crate) struct Calls {
    batched: Option<Batched>,
}

impl Calls {
    /// For the calling thread. A ring that cannot be had is said once, and done without.
    pub(crate) fn new(backend: Backend, first: bool) -> Self {
        #[cfg(all(target_os = "linux", feature = "io-uring"))]
        if backend == Backend::IoUring {
            match Batched::new() {
                Ok(batched) => {
                    return Self {
                        batched: Some(batched),
                    };
                }
                Err(e) if first => {
                    tracing::warn!(target: "parkade", "io_uring cannot be had here ({e}): going on with epoll alone");
                }
                Err(_) => {}
            }
        }
        let _ = (backend, first);
        Self { batched: None }
    }

    #[inline]
    pub(crate) fn batched(&self) -> Option<&Batched> {
        self.batched.as_ref()
    }

    /// recv(2), non-blocking.
    #[inline]
    pub(crate) fn recv(&self, fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
        #[cfg(all(target_os = "linux", feature = "io-uring"))]
        if let Some(batched) = &self.batched {
            return batched.recv(fd, buf);
        }
        socket::recv(fd, buf)
    }

    /// send(2), non-blocking and without SIGPIPE.
    #[inline]
    pub(crate) fn send(&self, fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(all(target_os = "linux", feature = "io-uring"))]
        if let Some(batched) = &self.batched {
            return batched.send(fd, bytes);
        }
        socket::send(fd, bytes)
    }
}
