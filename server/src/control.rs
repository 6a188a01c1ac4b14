//! What the supervisor and a child say to each other: whole messages over a SOCK_SEQPACKET pair, some with a descriptor.
//!
//! The pair's other end closing means that the other process has died.

use crate::sys::sockets;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// To a child.
#[derive(Debug)]
pub(crate) enum Order {
    /// End at once.
    Stop,
    /// Accept no more, and give parked connections away if there is somebody to take them; requests in progress have so
    /// long, `None` for as long as they take.
    Drain(Option<Duration>),
    /// The same, but parked connections are closed politely: the server ends.
    Finish(Option<Duration>),
    /// Connections may be given away through this.
    Give(OwnedFd),
    /// Connections come from this.
    Take(OwnedFd),
}

/// To the supervisor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum News {
    /// It accepts and answers.
    Ready,
    /// It has accepted as many connections as it may, or was told by a signal to go: it is to be replaced.
    Leaving,
    /// Few of its request slots are free.
    Busy,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Heard<T> {
    Said(T),
    /// Nothing more for now.
    Nothing,
    /// The other process has died.
    Ended,
}

/// Both ends of a new channel; neither blocks.
pub(crate) fn channel() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(sockets::channel()?)
}

const STOP: u8 = b's';
const DRAIN: u8 = b'd';
const FINISH: u8 = b'f';
const GIVE: u8 = b'g';
const TAKE: u8 = b't';
const READY: u8 = b'r';
const LEAVING: u8 = b'l';
const BUSY: u8 = b'b';
/// Milliseconds that stand for "as long as they take".
const UNBOUNDED: u64 = u64::MAX;
/// The longest message.
const MOST: usize = 9;

impl Order {
    /// Sends it. `Err` if the child does not listen; it does not wait for it.
    pub(crate) fn send(&self, to: &OwnedFd) -> io::Result<()> {
        match self {
            Self::Stop => send(to, &[STOP], &[]),
            Self::Drain(grace) => send(to, &timed(DRAIN, *grace), &[]),
            Self::Finish(grace) => send(to, &timed(FINISH, *grace), &[]),
            Self::Give(fd) => send(to, &[GIVE], &[fd.as_fd()]),
            Self::Take(fd) => send(to, &[TAKE], &[fd.as_fd()]),
        }
    }

    /// What the supervisor has said.
    pub(crate) fn hear(from: &OwnedFd) -> Heard<Self> {
        loop {
            let mut bytes = [0; MOST];
            let (length, mut fds) = match receive(from, &mut bytes) {
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
                Err(_) => return Heard::Ended,
            };
            return Heard::Said(match (length, bytes[0], fds.pop()) {
                (0, ..) => return Heard::Ended,
                (1, STOP, _) => Self::Stop,
                (MOST, DRAIN, _) => Self::Drain(grace(&bytes)),
                (MOST, FINISH, _) => Self::Finish(grace(&bytes)),
                (1, GIVE, Some(fd)) => Self::Give(fd),
                (1, TAKE, Some(fd)) => Self::Take(fd),
                // A word of another version, or one whose descriptor found no place here.
                _ => continue,
            });
        }
    }
}

impl News {
    pub(crate) fn send(self, to: &OwnedFd) -> io::Result<()> {
        let word = match self {
            Self::Ready => READY,
            Self::Leaving => LEAVING,
            Self::Busy => BUSY,
        };
        send(to, &[word], &[])
    }

    /// What a child has said.
    pub(crate) fn hear(from: &OwnedFd) -> Heard<Self> {
        loop {
            let mut bytes = [0; MOST];
            return match receive(from, &mut bytes) {
                Ok((0, _)) => Heard::Ended,
                Ok((1, _)) if bytes[0] == READY => Heard::Said(Self::Ready),
                Ok((1, _)) if bytes[0] == LEAVING => Heard::Said(Self::Leaving),
                Ok((1, _)) if bytes[0] == BUSY => Heard::Said(Self::Busy),
                Ok(_) => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
                Err(_) => Heard::Ended,
            };
        }
    }
}

/// A word with a time.
fn timed(word: u8, grace: Option<Duration>) -> [u8; MOST] {
    let ms = grace.map_or(UNBOUNDED, |g| {
        u64::try_from(g.as_millis()).unwrap_or(UNBOUNDED)
    });
    let mut bytes = [word; MOST];
    bytes[1..].copy_from_slice(&ms.to_le_bytes());
    bytes
}

fn grace(bytes: &[u8; MOST]) -> Option<Duration> {
    let mut ms = [0; 8];
    ms.copy_from_slice(&bytes[1..]);
    let ms = u64::from_le_bytes(ms);
    (ms != UNBOUNDED).then_some(Duration::from_millis(ms))
}

/// Descriptors of one message (unix(7): SCM_MAX_FD).
const FDS: usize = 253;

/// Sends a message with descriptors, without waiting.
pub(crate) fn send(to: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    let flags = sockets::SEND | SendFlags::DONTWAIT;
    rustix::io::retry_on_intr(|| sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, flags))?;
    Ok(())
}

/// Receives a message and at most `FDS` descriptors, without waiting.
pub(crate) fn receive(from: &OwnedFd, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = sockets::RECEIVE | RecvFlags::DONTWAIT;
    let got = rustix::io::retry_on_intr(|| {
        recvmsg(from, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags)
    })?;
    let mut all = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            all.extend(fds);
        }
    }
    sockets::received(&all);
    Ok((got.bytes, all))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_and_an_end_is_seen() {
        let (ours, theirs) = channel().unwrap();
        assert!(matches!(Order::hear(&theirs), Heard::Nothing));
        let second = Duration::from_secs(1);
        for grace in [None, Some(Duration::ZERO), Some(second)] {
            Order::Drain(grace).send(&ours).unwrap();
            let heard = Order::hear(&theirs);
            assert!(matches!(heard, Heard::Said(Order::Drain(g)) if g == grace));
        }
        let (reader, writer) = std::io::pipe().unwrap();
        Order::Give(writer.into()).send(&ours).unwrap();
        let Heard::Said(Order::Give(writer)) = Order::hear(&theirs) else {
            unreachable!()
        };
        drop(writer);
        // The last writer has gone: both copies were closed.
        assert_eq!(std::io::read_to_string(reader).unwrap(), "");
        // A word of another version is passed over.
        send(&ours, b"?", &[]).unwrap();
        Order::Stop.send(&ours).unwrap();
        assert!(matches!(Order::hear(&theirs), Heard::Said(Order::Stop)));
        News::Ready.send(&theirs).unwrap();
        assert!(matches!(News::hear(&ours), Heard::Said(News::Ready)));
        drop(theirs);
        assert!(matches!(News::hear(&ours), Heard::Ended));
        drop(ours);
    }
}
