//! What holds of a descriptor, by poll(2), and what tells that something has happened to it.

use super::{Key, waiting_in};
use crate::reactor::kqueue::event::Filter;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, RawFd};

/// The open file behind a descriptor: another one under the same number is not it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct File {
    device: u64,
    inode: u64,
}

impl File {
    pub(super) fn of(fd: RawFd) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(borrow(fd)).map_err(|_| Errno::BADF)?;
        Ok(Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }
}

/// What a look has found.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Seen {
    /// The filter's condition.
    pub(super) holds: bool,
    /// The direction has ended.
    pub(super) ended: bool,
    /// It has failed.
    failed: bool,
    /// Bytes to read.
    pub(super) amount: i64,
    /// Bytes received or acknowledged so far, where the socket counts them.
    moved: u64,
}

impl Seen {
    /// The condition holds, and something has happened since an earlier look.
    pub(super) fn is_news_after(&self, before: &Seen) -> bool {
        let more = self.moved == 0 && self.amount > before.amount;
        let differs =
            (self.ended, self.failed, self.moved) != (before.ended, before.failed, before.moved);
        self.holds && (!before.holds || differs || more)
    }
}

pub(super) fn look((fd, filter): Key, triggered: bool) -> Seen {
    match filter {
        Filter::User => Seen {
            holds: triggered,
            ..Seen::default()
        },
        Filter::Read => match waiting_in(fd) {
            Some(waiting) => Seen {
                holds: waiting > 0,
                amount: waiting as i64,
                ..Seen::default()
            },
            None => input(fd),
        },
        Filter::Write => output(fd),
    }
}

fn input(fd: RawFd) -> Seen {
    let flags = polled(fd, PollFlags::IN | PollFlags::RDHUP);
    let failed = flags.intersects(PollFlags::ERR);
    let ended = failed || flags.intersects(PollFlags::RDHUP | PollFlags::HUP);
    Seen {
        holds: ended || flags.intersects(PollFlags::IN),
        ended,
        failed,
        amount: rustix::io::ioctl_fionread(borrow(fd)).map_or(0, |n| n as i64),
        moved: moved(fd).map_or(0, |(received, _)| received),
    }
}

fn output(fd: RawFd) -> Seen {
    let flags = polled(fd, PollFlags::OUT);
    let ended = flags.intersects(PollFlags::ERR | PollFlags::HUP);
    Seen {
        holds: ended || flags.intersects(PollFlags::OUT),
        ended,
        failed: ended,
        amount: 0,
        moved: moved(fd).map_or(0, |(_, acknowledged)| acknowledged),
    }
}

fn polled(fd: RawFd, flags: PollFlags) -> PollFlags {
    let mut polled = [PollFd::from_borrowed_fd(borrow(fd), flags)];
    match poll(&mut polled, Some(&Timespec::default())) {
        Ok(1..) => polled[0].revents(),
        _ => PollFlags::empty(),
    }
}

/// Bytes received and bytes acknowledged by the peer. Only TCP sockets have such numbers; elsewhere the amount must do.
fn moved(fd: RawFd) -> Option<(u64, u64)> {
    let info = tcp_info(fd)?;
    Some((info.tcpi_bytes_received, info.tcpi_bytes_acked))
}

/// tcp(7), `TCP_INFO`.
pub(in crate::reactor::kqueue) fn tcp_info(fd: RawFd) -> Option<libc::tcp_info> {
    // SAFETY: all zeros is a valid value of these integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut size = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes of the value that is lent, and does nothing to the socket.
    let got = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut size,
        )
    };
    (got == 0).then_some(info)
}

fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: only looked at, within this room's calls; one that was closed meanwhile gives an error.
    unsafe { BorrowedFd::borrow_raw(fd) }
}
