//! The calls that a worker makes on its connections' sockets: one by one, or through a ring for many at once.
//!
//! With a ring, a turn claims the connections at rest of a part of its batch first, receives from all of them in one call,
//! and then starts their bursts, each of which finds its input here. What a burst has not asked for is kept, in order,
//! until it is.

use crate::reactor::choice::Backend;
use crate::sys::socket;
use rustix::io::Errno;
use std::io;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[cfg_attr(
    not(all(target_os = "linux", feature = "io-uring")),
    path = "calls/without.rs"
)]
mod batched;
pub(crate) use batched::Batched;

/// A connection as it was claimed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Claimed {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// An accepted connection and who it is.
pub(crate) type Accepted = Result<(OwnedFd, IpAddr), Errno>;

/// How a worker makes its calls.
pub(crate) struct Calls {
    batched: Option<Batched>,
}

impl Calls {
    /// For the calling thread. A ring that cannot be had is done without, and that is said once.
    pub(crate) fn new(backend: Backend, said: &AtomicBool) -> Self {
        let batched = (backend == Backend::IoUring).then(Batched::new);
        let batched = batched.and_then(|made| {
            made.inspect_err(|e| {
                if !said.swap(true, Relaxed) {
                    tracing::warn!(target: "parkade", "io_uring cannot be had here ({e}): going on with epoll alone");
                }
            })
            .ok()
        });
        Self { batched }
    }

    #[inline]
    pub(crate) fn batched(&self) -> Option<&Batched> {
        self.batched.as_ref()
    }

    /// accept4(2), non-blocking: `most` times in one system call where that can be had, otherwise once.
    pub(crate) fn accept(
        &self,
        listener: BorrowedFd<'_>,
        most: usize,
        results: &mut Vec<Accepted>,
    ) {
        let batched = self.batched.as_ref();
        if !batched.is_some_and(|batched| batched.accept(listener, most, results)) {
            results.push(socket::accept(listener));
        }
    }

    /// recv(2), non-blocking.
    #[inline]
    pub(crate) fn recv(&self, fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
        match &self.batched {
            None => socket::recv(fd, buf),
            Some(batched) => batched.recv(fd, buf),
        }
    }

    /// send(2), non-blocking and without SIGPIPE.
    #[inline]
    pub(crate) fn send(&self, fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        match &self.batched {
            None => socket::send(fd, bytes),
            Some(batched) => batched.send(fd, bytes),
        }
    }
}
