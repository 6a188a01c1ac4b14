//! A socket of a task: one more slot of its worker's own home, claimed for as long as the socket lives.
//!
//! Registration, state word and waiters are those of every connection, so reading and waiting cost the same: one
//! `epoll_ctl` when the socket is made, one more on the first full send buffer, none per operation.

use super::claim::Claim;
use crate::park::state::{ACTIVE, OUT_ARMED};
use crate::reactor::{Interest, token};
use crate::worker::Worker;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

/// Owns the slot; dropping it closes the socket.
pub(crate) struct Registered {
    worker: Rc<Worker>,
    index: u32,
    generation: u32,
}

impl Registered {
    /// Registers `socket`, which must be non-blocking, with the current worker.
    pub(crate) fn new(socket: OwnedFd, interest: Interest) -> io::Result<Self> {
        let Some(worker) = Worker::current() else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "not on a worker of a runtime",
            ));
        };
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let home = worker.home.clone();
        let Ok((index, generation)) = home.slots.allocate(socket, nobody, 0) else {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!(
                    "all {} slots of the worker are in use",
                    home.slots.capacity()
                ),
            ));
        };
        home.connections.fetch_add(1, Relaxed);
        home.counters.opened.add(1);
        let armed = if interest == Interest::ConnectionOut {
            OUT_ARMED
        } else {
            0
        };
        let slot = home.slots.claimed(index);
        slot.state.publish(generation, home.id, ACTIVE | armed);
        // From here on the slot, and with it the descriptor, goes when this is dropped.
        let registered = Self {
            worker,
            index,
            generation,
        };
        home.pollset
            .add(slot.fd(), token(generation, index), interest)?;
        Ok(registered)
    }

    pub(crate) fn claim(&self) -> Claim<'_> {
        Claim {
            worker: &self.worker,
            home: &self.worker.home,
            index: self.index,
            generation: self.generation,
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.claim().slot().fd()
    }

    /// The runtime accepts no more.
    pub(crate) fn ending(&self) -> bool {
        !self.worker.shared.running()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.worker.forget_waiter(self.claim().slot());
        self.worker.home.close(self.index);
    }
}
