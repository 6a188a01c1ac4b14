//! Calls through a ring, and the input that was received before anybody asked for it.

use super::{Accepted, Claimed};
use crate::reactor::ring::{self, ROOM, Ring, TOGETHER};
use crate::sys::socket;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::BorrowedFd;

/// A ring, and what it has read ahead.
pub(crate) struct Batched {
    ring: RefCell<Ring>,
    results: RefCell<Vec<io::Result<usize>>>,
    accepted: RefCell<Vec<ring::Accepted>>,
    /// Whose burst begins, and where its input is.
    present: Cell<Option<(Claimed, usize)>>,
    /// Input of bursts that began without asking for it.
    kept: RefCell<HashMap<Claimed, VecDeque<u8>>>,
}

impl Batched {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            ring: RefCell::new(Ring::new()?),
            results: RefCell::default(),
            accepted: RefCell::default(),
            present: Cell::new(None),
            kept: RefCell::default(),
        })
    }

    /// How many connections go together.
    pub(crate) const TOGETHER: usize = TOGETHER;

    /// Reads ahead for all of them.
    pub(crate) fn receive<'a>(&self, count: usize, socket: impl Fn(usize) -> BorrowedFd<'a>) {
        let mut results = self.results.borrow_mut();
        self.ring.borrow_mut().receive(count, socket, &mut results);
    }

    /// The burst of the connection at this place of the last [`Batched::receive`] begins.
    pub(crate) fn begin(&self, claimed: Claimed, at: usize) {
        self.present.set(Some((claimed, at)));
    }

    /// It has begun. Bytes that it has not asked for are kept; an end or an error is found again by whoever looks.
    pub(crate) fn begun(&self) {
        let Some((claimed, at)) = self.present.take() else {
            return;
        };
        if let Some(Ok(n @ 1..)) = self.results.borrow().get(at) {
            let ring = self.ring.borrow();
            let mut kept = self.kept.borrow_mut();
            kept.entry(claimed)
                .or_default()
                .extend(ring.received(at, *n));
        }
    }

    /// What was read ahead for this connection, and the room there was for it.
    #[inline]
    pub(crate) fn ahead(
        &self,
        claimed: Claimed,
        buf: &mut [u8],
    ) -> Option<(io::Result<usize>, usize)> {
        match self.present.get() {
            Some((whose, at)) if whose == claimed => {
                self.present.set(None);
                self.take(claimed, at, buf)
            }
            _ if self.kept.borrow().is_empty() => None,
            _ => self.take_kept(claimed, buf),
        }
    }

    fn take(
        &self,
        claimed: Claimed,
        at: usize,
        buf: &mut [u8],
    ) -> Option<(io::Result<usize>, usize)> {
        let mut results = self.results.borrow_mut();
        let result = std::mem::replace(results.get_mut(at)?, Ok(0));
        let Ok(n) = result else {
            return Some((result, ROOM));
        };
        let ring = self.ring.borrow();
        let bytes = ring.received(at, n);
        let fits = bytes.len().min(buf.len());
        buf[..fits].copy_from_slice(&bytes[..fits]);
        if fits < bytes.len() {
            let mut kept = self.kept.borrow_mut();
            kept.entry(claimed).or_default().extend(&bytes[fits..]);
            // As if the buffer had been filled: there is more.
            return Some((Ok(fits), fits));
        }
        Some((Ok(n), ROOM))
    }

    #[cold]
    fn take_kept(&self, claimed: Claimed, buf: &mut [u8]) -> Option<(io::Result<usize>, usize)> {
        let mut kept = self.kept.borrow_mut();
        let bytes = kept.get_mut(&claimed)?;
        let n = bytes.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(bytes.drain(..n)) {
            *to = from;
        }
        if bytes.is_empty() {
            kept.remove(&claimed);
        }
        // The socket may have more.
        Some((Ok(n), n))
    }

    /// The connection has ended.
    #[inline]
    pub(crate) fn forget(&self, claimed: Claimed) {
        if self
            .present
            .get()
            .is_some_and(|(whose, _)| whose == claimed)
        {
            self.present.set(None);
        }
        if !self.kept.borrow().is_empty() {
            self.kept.borrow_mut().remove(&claimed);
        }
    }

    /// `false` if this kernel's accepts would wait.
    pub(super) fn accept(
        &self,
        listener: BorrowedFd<'_>,
        most: usize,
        results: &mut Vec<Accepted>,
    ) -> bool {
        let mut answered = self.accepted.borrow_mut();
        let could = self.ring.borrow_mut().accept(listener, most, &mut answered);
        results.extend(
            answered
                .drain(..)
                .map(|accepted| accepted.map(|(socket, peer)| (socket, socket::ip_or_local(peer)))),
        );
        could
    }

    pub(super) fn recv(&self, fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
        self.ring.borrow_mut().receive_one(fd, buf)
    }

    pub(super) fn send(&self, fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        self.ring.borrow_mut().send_one(fd, bytes)
    }

    /// Sends each once.
    pub(crate) fn send_all<'a>(
        &self,
        count: usize,
        answer: impl Fn(usize) -> (BorrowedFd<'a>, &'a [u8]),
        results: &mut Vec<io::Result<usize>>,
    ) {
        self.ring.borrow_mut().send(count, answer, results);
    }
}
