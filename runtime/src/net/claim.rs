//! What the owner of a slot does with its socket, whether a burst or a task holds it.

use crate::park::slots::Slot;
use crate::park::state::{RDHUP, READY};
use crate::park::wheel::before;
use crate::sys::socket;
use crate::worker::{Home, Side, Worker};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

/// A slot that the holder has claimed, borrowed for one call.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) home: &'a Home,
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl<'a> Claim<'a> {
    pub(crate) fn slot(self) -> &'a Slot {
        self.home.slots.claimed(self.index)
    }

    /// Reads once. Also says whether nothing was left behind, so that an edge will announce what comes next.
    pub(crate) fn recv(self, buf: &mut [u8]) -> (io::Result<usize>, bool) {
        let room = buf.len();
        let slot = self.slot();
        // An edge recorded so far announced what this read finds: kept, it would start a burst for nothing.
        if slot.state.peek().has(READY) {
            slot.state.mark(0, READY);
        }
        let read = socket::recv(slot.fd(), buf);
        let drained = match &read {
            Ok(0) => true,
            // With a FIN announced only the end itself says that nothing more comes (one edge for both).
            Ok(n) => *n < room && !slot.state.peek().has(RDHUP),
            Err(e) => e.kind() == ErrorKind::WouldBlock,
        };
        (read, drained)
    }

    /// Waits for one of `edges`, or with `timed` until the slot's deadline: `TimedOut`.
    pub(crate) fn poll_edge(
        self,
        cx: &mut Context<'_>,
        edges: u64,
        timed: bool,
    ) -> Poll<io::Result<()>> {
        let slot = self.slot();
        let side = if edges & READY != 0 {
            Side::Input
        } else {
            Side::Output
        };
        // Before the wait is announced: from then on any thread may look the waiter up.
        slot.waiter
            .store(self.worker.waiter(slot, cx.waker(), side) + 1, Relaxed);
        loop {
            match slot.state.wait_for(edges, timed) {
                Ok(()) => {
                    if timed {
                        self.home.relink(self.index, self.generation, self.worker);
                    }
                    return Poll::Pending;
                }
                Err(seen) if seen.has(edges) => return Poll::Ready(Ok(())),
                // Only the holder stores the deadline: if it lies ahead, an earlier wait's has run out.
                Err(_) if before(self.worker.now.get(), slot.deadline.load(Relaxed)) => {}
                Err(_) => return Poll::Ready(Err(ErrorKind::TimedOut.into())),
            }
        }
    }
}
