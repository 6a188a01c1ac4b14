//! epoll(7), woken through an eventfd that is never read.
//!
//! Connections are registered once, edge-triggered. The other way, one event for each time it is asked for (`EPOLLONESHOT`),
//! costs an epoll_ctl(2) per rest; it is here so that this can be measured.

use super::{BATCH, Event, IN, Interest, OUT, Pollset, RDHUP, WAKE};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// An epoll instance and its wake descriptor.
pub(crate) struct Epoll {
    epoll: OwnedFd,
    wake: OwnedFd,
    /// How connections' events come.
    trigger: EventFlags,
}

thread_local! {
    // Any thread may harvest any set, so the kernel's array belongs to the thread, not to the set.
    static ARRAY: RefCell<[MaybeUninit<epoll::Event>; BATCH]> = const { RefCell::new([MaybeUninit::uninit(); BATCH]) };
}

impl Epoll {
    /// Opens both descriptors, close-on-exec.
    pub(crate) fn new() -> io::Result<Self> {
        Self::with(EventFlags::ET)
    }

    /// The same; connections tell of one event for each time they are asked.
    pub(crate) fn one_shot() -> io::Result<Self> {
        Self::with(EventFlags::ONESHOT)
    }

    fn with(trigger: EventFlags) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(
            &epoll,
            &wake,
            EventData::new_u64(WAKE),
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok(Self {
            epoll,
            wake,
            trigger,
        })
    }

    fn flags(&self, interest: Interest) -> EventFlags {
        let connection = EventFlags::IN | EventFlags::RDHUP | self.trigger;
        match interest {
            Interest::Connection => connection,
            Interest::ConnectionOut => connection | EventFlags::OUT,
            Interest::Output => EventFlags::OUT | self.trigger,
            Interest::Listener => EventFlags::IN | EventFlags::EXCLUSIVE,
            Interest::CommonListener => EventFlags::IN,
            Interest::Pollset => EventFlags::IN,
        }
    }
}

impl Pollset for Epoll {
    fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            EventData::new_u64(token),
            self.flags(interest),
        )?)
    }

    fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            fd,
            EventData::new_u64(token),
            self.flags(interest),
        )?)
    }

    fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let timeout = timeout.map(|t| Timespec {
            tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        ARRAY.with_borrow_mut(|array| {
            let ready = match epoll::wait(self.epoll.as_fd(), &mut array[..], timeout.as_ref()) {
                Ok((ready, _)) => ready,
                Err(rustix::io::Errno::INTR) => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            events.extend(ready.iter().map(|e| Event {
                token: e.data.u64(),
                edges: edges(e.flags),
            }));
            Ok(())
        })
    }

    fn take(&self) -> io::Result<Option<Event>> {
        let mut array = [MaybeUninit::<epoll::Event>::uninit(); 1];
        let at_once = Timespec::default();
        match epoll::wait(self.epoll.as_fd(), &mut array[..], Some(&at_once)) {
            Ok((ready, _)) => Ok(ready.first().map(|e| Event {
                token: e.data.u64(),
                edges: edges(e.flags),
            })),
            Err(rustix::io::Errno::INTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.epoll.as_fd())
    }

    fn is_one_shot(&self) -> bool {
        self.trigger == EventFlags::ONESHOT
    }

    fn wake(&self) {
        // The counter saturates only after 2^64 wakes; a full one is readable all the same.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

/// A failed connection is readable and writable: whoever looks gets the error.
fn edges(flags: EventFlags) -> u8 {
    let mut edges = 0;
    if flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP) {
        edges |= IN;
    }
    if flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
        edges |= OUT;
    }
    if flags.intersects(EventFlags::RDHUP | EventFlags::ERR | EventFlags::HUP) {
        edges |= RDHUP;
    }
    edges
}
