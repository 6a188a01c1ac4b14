//! The kernel's kqueue(2), by rustix.
//!
//! rustix does not show `fflags`: why a connection has failed is asked of the socket, by whoever reads from it. There are
//! no timers here, waits have their own limit.

use super::event::{ADD, CLEAR, Change, DELETE, EOF, ERROR, Filter, Happened, RECEIPT};
use super::{Kqueue, Sys};
use crate::reactor::BATCH;
use rustix::event::Timespec;
use rustix::event::kqueue::{self, Event, EventFilter, EventFlags};
use rustix::io::{Errno, FdFlags};
use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

// NetBSD 10 and OpenBSD 7.7 have events of the program's own too, but rustix does not know them there.
#[cfg_attr(
    any(target_os = "netbsd", target_os = "openbsd"),
    path = "native/no_user.rs"
)]
mod user;

/// The kernel's queue.
pub(crate) struct Native(OwnedFd);

/// A token travels in a pointer.
const _: () = assert!(size_of::<*mut ()>() == size_of::<u64>());
/// Our numbers are the system's.
const _: () = assert!(
    ADD == EventFlags::ADD.bits()
        && DELETE == EventFlags::DELETE.bits()
        && CLEAR == EventFlags::CLEAR.bits()
        && RECEIPT == EventFlags::RECEIPT.bits()
        && ERROR == EventFlags::ERROR.bits()
        && EOF == EventFlags::EOF.bits()
);

/// Entries of one call at most: a batch of events, or two changes.
type List = [MaybeUninit<Event>; BATCH];

thread_local! {
    // Any thread may harvest any set, so the kernel's list belongs to the thread, not to the set.
    static LIST: RefCell<List> = const { RefCell::new([const { MaybeUninit::uninit() }; BATCH]) };
}

impl Kqueue<Native> {
    /// A new queue, close-on-exec. It is not inherited by fork(2).
    pub(crate) fn new() -> io::Result<Self> {
        let queue = kqueue::kqueue()?;
        rustix::io::fcntl_setfd(&queue, FdFlags::CLOEXEC)?;
        Self::over(Native(queue))
    }
}

impl Sys for Native {
    fn user_events(&self) -> bool {
        user::AVAILABLE
    }

    fn kevent(
        &self,
        changes: &[Change],
        room: usize,
        timeout: Option<Duration>,
        each: &mut dyn FnMut(Happened),
    ) -> Result<(), Errno> {
        let timeout = timeout.map(|t| Timespec {
            tv_sec: t.as_secs() as _,
            tv_nsec: t.subsec_nanos() as _,
        });
        let made = |n: usize| changes.get(n).map_or_else(nothing, event);
        let (made, count) = ([made(0), made(1)], changes.len().min(2));
        LIST.with_borrow_mut(|list| {
            let list = &mut list[..room.min(BATCH)];
            // SAFETY: a descriptor that is closed leaves the queue by that (kqueue(2)); its number in a change is looked
            // up by the kernel, which answers for one that is not open with EBADF.
            let (entries, _) = unsafe {
                kqueue::kevent_timespec(&self.0, &made[..count], list, timeout.as_ref())?
            };
            entries.iter().filter_map(happened).for_each(each);
            Ok(())
        })
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn event(change: &Change) -> Event {
    let filter = match change.filter {
        Filter::Read => EventFilter::Read(change.ident),
        Filter::Write => EventFilter::Write(change.ident),
        Filter::User => user::filter(change.trigger),
    };
    let flags = EventFlags::from_bits_retain(change.flags);
    Event::new(filter, flags, change.token as usize as *mut _)
}

/// What fills up the list of changes and is not handed over.
fn nothing() -> Event {
    Event::new(
        EventFilter::Read(-1),
        EventFlags::empty(),
        std::ptr::null_mut(),
    )
}

fn happened(event: &Event) -> Option<Happened> {
    let filter = match event.filter() {
        EventFilter::Read(_) => Filter::Read,
        EventFilter::Write(_) => Filter::Write,
        other if user::is(&other) => Filter::User,
        _ => return None,
    };
    Some(Happened {
        filter,
        flags: event.flags().bits(),
        token: event.udata() as usize as u64,
        data: event.data(),
    })
}
