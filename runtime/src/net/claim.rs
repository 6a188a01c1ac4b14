//! What the owner of a slot does with its socket, whether a burst or a task holds it.

use crate::park::slots::Slot;
use crate::park::state::{RDHUP, READY};
use crate::park::wheel::before;
use crate::worker::calls::Claimed;
use crate::worker::{Home, Side, Worker};
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
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
    #[inline]
    pub(crate) fn recv(self, buf: &mut [u8]) -> (io::Result<usize>, bool) {
        if let Some((read, room)) = self.ahead(buf) {
            return self.judge(read, room);
        }
        let room = buf.len();
        self.read_once(room, |socket| self.worker.calls.recv(socket, buf))
    }

    /// [`Claim::recv`] by another call, which has `room` bytes to fill.
    #[inline]
    pub(crate) fn read_once(
        self,
        room: usize,
        read: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> (io::Result<usize>, bool) {
        let slot = self.slot();
        // An edge recorded so far announced what this read finds: kept, it would start a burst for nothing.
        if slot.state.peek().has(READY) {
            slot.state.mark(0, READY);
        }
        let read = read(slot.fd());
        self.judge(read, room)
    }

    #[inline]
    fn judge(self, read: io::Result<usize>, room: usize) -> (io::Result<usize>, bool) {
        let drained = match &read {
            Ok(0) => true,
            // With a FIN announced only the end itself says that nothing more comes (one edge for both).
            Ok(n) => *n < room && !self.slot().state.peek().has(RDHUP),
            Err(e) => e.kind() == ErrorKind::WouldBlock,
        };
        (read, drained)
    }

    /// What the worker has received for this connection already. Edges since then announce something else.
    #[inline]
    fn ahead(self, buf: &mut [u8]) -> Option<(io::Result<usize>, usize)> {
        let batched = self.worker.calls.batched()?;
        // Connections of others are served one by one.
        let own = self.home.id == self.worker.home.id;
        own.then(|| batched.ahead(self.name(), buf)).flatten()
    }

    /// The connection ends: what was received for it is nobody's.
    #[inline]
    pub(crate) fn forget_input(self) {
        if let Some(batched) = self.worker.calls.batched() {
            batched.forget(self.name());
        }
    }

    fn name(self) -> Claimed {
        Claimed {
            index: self.index,
            generation: self.generation,
        }
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
        if self.home.is_one_shot() {
            let (input, output) = self.worker.awaits(slot);
            self.home
                .ask_for(self.index, self.generation, input, output);
        }
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
