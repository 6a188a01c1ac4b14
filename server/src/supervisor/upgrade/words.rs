//! What an old supervisor and its successor say to each other: whole messages over a SOCK_SEQPACKET pair.
//!
//! | to the new one | |
//! |---|---|
//! | `H`, version of these words (u16), pid (u32) | the first word |
//! | `L`, address as asked for; its sockets come along | a listener |
//! | `G` | that was all: go |
//! | `T`; a socket comes along | a child may take connections from it |
//!
//! | to the old one | |
//! |---|---|
//! | `R`, oldest and newest version of records read (u16 each), children (u32) | it serves |
//! | `N` | another child serves: it takes connections, too |
//!
//! Numbers are little-endian. A word that is not known is passed over, so that later versions may say more.

use crate::control::{receive, send};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Changes when a word changes its meaning.
pub(super) const VERSION: u16 = 1;
/// Sockets of one listener.
pub(super) const SOCKETS: usize = 253;
/// An address is shorter.
const MOST: usize = 128;

#[derive(Debug)]
pub(super) enum ToNew {
    Hello { version: u16, pid: u32 },
    Listener(SocketAddr, Vec<OwnedFd>),
    Go,
    Take(OwnedFd),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ToOld {
    Ready {
        oldest: u16,
        newest: u16,
        children: u32,
    },
    Newcomer,
}

pub(super) fn hello(to: &OwnedFd) -> io::Result<()> {
    let mut bytes = vec![b'H'];
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&std::process::id().to_le_bytes());
    send(to, &bytes, &[])
}

/// A listener with its sockets; waits for the other side if it has too much to read already.
pub(super) fn listener(
    to: &OwnedFd,
    asked: SocketAddr,
    sockets: &[BorrowedFd<'_>],
    until: Instant,
) -> io::Result<()> {
    let bytes = format!("L{asked}").into_bytes();
    loop {
        match send(to, &bytes, sockets) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => wait(to, PollFlags::OUT, until)?,
            done => return done,
        }
    }
}

pub(super) fn go(to: &OwnedFd) -> io::Result<()> {
    send(to, b"G", &[])
}

pub(super) fn take(to: &OwnedFd, socket: BorrowedFd<'_>) -> io::Result<()> {
    send(to, b"T", &[socket])
}

pub(super) fn ready(to: &OwnedFd, versions: (u16, u16), children: u32) -> io::Result<()> {
    let mut bytes = vec![b'R'];
    bytes.extend_from_slice(&versions.0.to_le_bytes());
    bytes.extend_from_slice(&versions.1.to_le_bytes());
    bytes.extend_from_slice(&children.to_le_bytes());
    send(to, &bytes, &[])
}

pub(super) fn newcomer(to: &OwnedFd) -> io::Result<()> {
    send(to, b"N", &[])
}

/// The next word of the old supervisor, or the error `WouldBlock`.
pub(super) fn hear_old(from: &OwnedFd) -> io::Result<ToNew> {
    loop {
        let mut bytes = [0; MOST];
        let (length, mut fds) = receive(from, &mut bytes)?;
        let said = bytes.get(..length).unwrap_or_default();
        let word = match said {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            [b'H', v0, v1, p0, p1, p2, p3] => ToNew::Hello {
                version: u16::from_le_bytes([*v0, *v1]),
                pid: u32::from_le_bytes([*p0, *p1, *p2, *p3]),
            },
            [b'G'] => ToNew::Go,
            [b'L', address @ ..] => {
                let address = std::str::from_utf8(address).ok();
                match address.and_then(|a| a.parse().ok()) {
                    Some(address) => ToNew::Listener(address, fds),
                    None => continue,
                }
            }
            [b'T'] => match fds.pop() {
                Some(fd) => ToNew::Take(fd),
                None => continue,
            },
            _ => continue,
        };
        return Ok(word);
    }
}

/// The next word of the new supervisor, or the error `WouldBlock`.
pub(super) fn hear_new(from: &OwnedFd) -> io::Result<ToOld> {
    loop {
        let mut bytes = [0; MOST];
        let (length, _) = receive(from, &mut bytes)?;
        match bytes.get(..length).unwrap_or_default() {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            [b'R', a, b, c, d, e, f, g, h] => {
                return Ok(ToOld::Ready {
                    oldest: u16::from_le_bytes([*a, *b]),
                    newest: u16::from_le_bytes([*c, *d]),
                    children: u32::from_le_bytes([*e, *f, *g, *h]),
                });
            }
            [b'N'] => return Ok(ToOld::Newcomer),
            _ => {}
        }
    }
}

/// Until the channel can be read or written.
///
/// # Errors
/// `TimedOut`.
pub(super) fn wait(channel: &OwnedFd, what: PollFlags, until: Instant) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let left = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(channel, what)], Some(&left)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::control::channel;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    #[test]
    fn what_is_said_is_heard() {
        let (old, new) = channel().unwrap();
        let soon = Instant::now() + Duration::from_secs(5);
        let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        hello(&old).unwrap();
        let asked: SocketAddr = "[::]:80".parse().unwrap();
        let fds: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        listener(&old, asked, &fds, soon).unwrap();
        // Of a later version.
        send(&old, b"?later", &[]).unwrap();
        go(&old).unwrap();
        take(&old, sockets[0].as_fd()).unwrap();
        let pid = std::process::id();
        assert!(
            matches!(hear_old(&new).unwrap(), ToNew::Hello { version: VERSION, pid: p } if p == pid)
        );
        let ToNew::Listener(address, fds) = hear_old(&new).unwrap() else {
            unreachable!()
        };
        assert_eq!((address, fds.len()), (asked, 3));
        let same = TcpListener::from(fds.into_iter().next_back().unwrap());
        assert_eq!(same.local_addr().unwrap(), sockets[2].local_addr().unwrap());
        assert!(matches!(hear_old(&new).unwrap(), ToNew::Go));
        assert!(matches!(hear_old(&new).unwrap(), ToNew::Take(_)));
        let nothing = hear_old(&new).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);

        ready(&new, (1, 2), 7).unwrap();
        newcomer(&new).unwrap();
        let word = ToOld::Ready {
            oldest: 1,
            newest: 2,
            children: 7,
        };
        assert_eq!(hear_new(&old).unwrap(), word);
        assert_eq!(hear_new(&old).unwrap(), ToOld::Newcomer);
        drop(new);
        let ended = hear_new(&old).unwrap_err();
        assert_ne!(ended.kind(), io::ErrorKind::WouldBlock);
    }
}
