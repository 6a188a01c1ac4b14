//! A socket of a task: one more slot of its worker's own home, claimed for as long as the socket lives.
//!
//! Registration, state word and waiters are those of every connection, so reading and waiting cost the same: one
//! `epoll_ctl` when the socket is made, one more on the first full send buffer, none per operation.

use super::claim::Claim;
use crate::park::state::{ACTIVE, OUT_ARMED, RDHUP, READY, WREADY};
use crate::reactor::{Interest, token};
use crate::worker::Worker;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

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
                ErrorKind::Unsupported,
                "not on a worker of a runtime",
            ));
        };
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let home = worker.home.clone();
        let Ok((index, generation)) = home.slots.allocate(socket, nobody, 0) else {
            return Err(io::Error::new(
                ErrorKind::QuotaExceeded,
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

    /// Does what needs input (or a backlog), as soon as it no longer says `WouldBlock`.
    pub(crate) fn poll_input<T>(
        &self,
        cx: &mut Context<'_>,
        attempt: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let wait = |cx: &mut Context<'_>| self.claim().poll_edge(cx, READY | RDHUP, false);
        poll_attempts(cx, attempt, wait)
    }

    /// Does what needs room for output, as soon as it no longer says `WouldBlock`. A failure counts as room.
    pub(crate) fn poll_output<T>(
        &self,
        cx: &mut Context<'_>,
        attempt: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let claim = self.claim();
        let wait = |cx: &mut Context<'_>| {
            let armed = claim
                .home
                .arm_output(claim.slot(), claim.generation, claim.index);
            match armed {
                Ok(()) => claim.poll_edge(cx, WREADY, false),
                Err(e) => Poll::Ready(Err(e)),
            }
        };
        poll_attempts(cx, attempt, wait)
    }

    /// Before an attempt at input that sees for itself what was announced so far: the end, too, is asked for anew. For
    /// what is no stream, where a failure passes and must not be taken for one again and again.
    pub(crate) fn forget_edges(&self) {
        let state = &self.claim().slot().state;
        if state.peek().has(READY | RDHUP) {
            state.mark(0, READY | RDHUP);
        }
    }

    /// Ends the registration by name: the kernel does so by itself only if this is the last descriptor of its kind.
    pub(crate) fn unregister(&self) {
        if let Err(e) = self.worker.home.pollset.delete(self.fd()) {
            tracing::error!(target: "parkade", "taking a descriptor out of the pollset: {e}");
        }
    }

    /// The runtime accepts no more.
    pub(crate) fn ending(&self) -> bool {
        !self.worker.shared.running()
    }
}

fn poll_attempts<T>(
    cx: &mut Context<'_>,
    mut attempt: impl FnMut() -> io::Result<T>,
    mut wait: impl FnMut(&mut Context<'_>) -> Poll<io::Result<()>>,
) -> Poll<io::Result<T>> {
    loop {
        match attempt() {
            Err(e) if e.kind() == ErrorKind::WouldBlock => ready!(wait(cx))?,
            done => return Poll::Ready(done),
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.worker.forget_waiter(self.claim().slot());
        self.worker.home.close(self.index);
    }
}
