//! Giving parked connections to other children.
//!
//! Each stays ours until it is answered for: if its taker dies before that, it is laid back to rest and offered to
//! another one.

use super::message::{Batch, read_answer};
use crate::sys::sockets;
use parkade::{Departing, Handle};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Descriptors of one message (unix(7): SCM_MAX_FD).
const MOST: usize = 253;
/// Messages on their way to one taker.
const UNANSWERED: usize = 4;
/// Unfinished heads in one message, in bytes: with the records it must fit a socket's buffer.
const HEADS: usize = 96 * 1024;
/// Bytes of the longest answer.
const ANSWER: usize = 4 + 2 + 2 * MOST;

/// A child that takes connections.
struct Taker {
    socket: OwnedFd,
    /// How many more it can take.
    credit: usize,
    unanswered: VecDeque<Vec<Departing>>,
    /// The socket took no more.
    full: bool,
    /// The kernel has too much of it on its way: tried again later.
    stalled: bool,
    gone: bool,
}

/// What is given, and to whom.
#[derive(Default)]
pub(in crate::child) struct Giving {
    takers: Vec<Taker>,
    /// The one whose turn it is.
    turn: usize,
    /// Could not be sent yet.
    waiting: Vec<Departing>,
    /// The last look found nothing parked.
    nothing_parked: bool,
    /// How many have arrived.
    pub(in crate::child) given: usize,
}

impl Giving {
    pub(in crate::child) fn add(&mut self, socket: OwnedFd) {
        self.takers.push(Taker {
            socket,
            credit: 0,
            unanswered: VecDeque::new(),
            full: false,
            stalled: false,
            gone: false,
        });
    }

    /// Whether it is to be tried again though nothing happens.
    pub(in crate::child) fn is_stalled(&self) -> bool {
        self.takers.iter().any(|t| t.stalled)
    }

    /// Whether there is anybody to give to.
    pub(in crate::child) fn has_takers(&self) -> bool {
        !self.takers.is_empty()
    }

    /// Whether nothing is parked and nothing on its way.
    pub(in crate::child) fn is_settled(&self) -> bool {
        self.nothing_parked
            && self.waiting.is_empty()
            && self.takers.iter().all(|t| t.unanswered.is_empty())
    }

    /// What is to be waited for.
    pub(in crate::child) fn waits(&self) -> impl Iterator<Item = (&OwnedFd, PollFlags)> {
        self.takers.iter().map(|t| {
            let out = if t.full {
                PollFlags::OUT
            } else {
                PollFlags::empty()
            };
            (&t.socket, PollFlags::IN | out)
        })
    }

    /// Hears answers and gives as much as there is. `listeners` are the addresses by number.
    pub(in crate::child) fn go_on(&mut self, handle: &Handle, listeners: &[SocketAddr]) {
        for taker in &mut self.takers {
            self.given += taker.hear();
            taker.stalled = false;
        }
        // What was on its way to one that has died is laid back to rest by being dropped.
        self.takers.retain(|t| !t.gone);
        self.nothing_parked = false;
        while let Some(taker) = self.next_taker() {
            let most = self.takers[taker].credit.min(MOST);
            if self.waiting.is_empty() {
                handle.take_parked(most, &mut self.waiting);
            }
            self.nothing_parked = self.waiting.is_empty();
            if self.nothing_parked {
                return;
            }
            let mut batch = std::mem::take(&mut self.waiting);
            self.waiting = batch.split_off(fitting(&batch, most));
            let taker = &mut self.takers[taker];
            if let Some(back) = taker.send(batch, listeners) {
                self.waiting.splice(0..0, back);
            }
        }
    }

    /// One that can take more, in turn.
    fn next_taker(&mut self) -> Option<usize> {
        let n = self.takers.len();
        let ready = |t: &Taker| {
            !t.gone && !t.full && !t.stalled && t.credit > 0 && t.unanswered.len() < UNANSWERED
        };
        let found = (0..n)
            .map(|k| (self.turn + k) % n)
            .find(|at| ready(&self.takers[*at]))?;
        self.turn = found + 1;
        Some(found)
    }

    /// The time is over: what is on its way belongs to its taker, if that lives. Ours are closed without a word to the
    /// client.
    pub(in crate::child) fn let_go(&mut self) {
        for taker in self.takers.drain(..) {
            for departing in taker.unanswered.into_iter().flatten() {
                departing.arrived();
            }
        }
        self.waiting.clear();
    }
}

/// How many of these one message carries; at least one.
fn fitting(batch: &[Departing], most: usize) -> usize {
    let mut bytes = 0;
    let heads = batch.iter().take(most).take_while(|d| {
        bytes += d.record().carry.as_ref().map_or(0, |c| c.bytes.len());
        bytes <= HEADS
    });
    heads.count().max(1)
}

impl Taker {
    /// Hears answers; gives how many connections have arrived.
    fn hear(&mut self) -> usize {
        let mut arrived = 0;
        let mut bytes = [0; ANSWER];
        while !self.gone {
            let length = match recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => 0,
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(_) => 0,
            };
            match read_answer(&bytes[..length]) {
                Some((credit, refused)) => {
                    self.credit += credit as usize;
                    if let Some(refused) = refused {
                        arrived += self.answered(&refused);
                    }
                    self.full = false;
                }
                None => self.gone = true,
            }
        }
        arrived
    }

    fn answered(&mut self, refused: &[u16]) -> usize {
        let Some(batch) = self.unanswered.pop_front() else {
            self.gone = true;
            return 0;
        };
        let mut arrived = 0;
        for (n, departing) in batch.into_iter().enumerate() {
            // What was refused is laid back to rest.
            if !refused.iter().any(|r| usize::from(*r) == n) {
                departing.arrived();
                arrived += 1;
            }
        }
        if arrived == 0 {
            // It has no place for any: until it says otherwise.
            self.credit = 0;
        }
        arrived
    }

    /// Sends them; gives them back if that is not possible now.
    fn send(&mut self, batch: Vec<Departing>, listeners: &[SocketAddr]) -> Option<Vec<Departing>> {
        let mut message = Batch::new();
        for departing in &batch {
            let record = departing.record();
            let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
            let listener = listeners.get(usize::from(record.listener));
            message.push(*listener.unwrap_or(&unknown), record);
        }
        let fds: Vec<BorrowedFd<'_>> = batch.iter().map(Departing::socket).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let flags = sockets::SEND | SendFlags::DONTWAIT;
        let pieces = [IoSlice::new(message.bytes())];
        match sendmsg(&self.socket, &pieces, &mut ancillary, flags) {
            Ok(_) => {
                drop(fds);
                self.credit -= batch.len().min(self.credit);
                self.unanswered.push_back(batch);
                None
            }
            Err(e) => {
                drop(fds);
                match e {
                    Errno::AGAIN => self.full = true,
                    Errno::TOOMANYREFS | Errno::INTR | Errno::NOBUFS | Errno::NOMEM => {
                        self.stalled = true;
                    }
                    _ => self.gone = true,
                }
                Some(batch)
            }
        }
    }
}
