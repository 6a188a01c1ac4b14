//! kqueue(2), for FreeBSD, NetBSD, OpenBSD, DragonFly and macOS: the logic, without a word of theirs.
//!
//! `Kqueue` is a [`Pollset`] over [`Sys`], one call with plain values. `native` gives that call to the kernel. On Linux
//! `model` takes it instead, which keeps to the manual's rules over real descriptors, so everything here is tested where
//! there is no such kernel; what a kernel does beyond its manual is not. Built with `--cfg as_bsd`, whole runtimes
//! wait with it (`PARKADE_BACKEND=kqueue`).
//!
//! How epoll's words are said here:
//!
//! | there | here |
//! |---|---|
//! | `IN, RDHUP, ET` | `EVFILT_READ` with `EV_CLEAR`; `EV_EOF` is the FIN or the failure |
//! | `OUT` as well | `EVFILT_WRITE` with `EV_CLEAR`: also after bytes were acknowledged that nobody waited for |
//! | a listener, level-triggered | `EVFILT_READ` alone |
//! | `EXCLUSIVE` | none: every waiting pollset is told, all but one accept in vain |
//! | a pollset in a pollset | the same, `EVFILT_READ` |
//! | a failed connection | `IN` and `RDHUP`, with `OUT` only where output was asked for |
//! | `MOD` looks again | so does `EV_ADD` of what is there |
//!
//! There is no table of registrations: the kernel has one, and forgets a descriptor when it is closed. Whether output was
//! asked for is not known here, so a deletion of it that finds nothing is none the worse.
//!
//! A change with `EV_RECEIPT` is always answered, and a call with an answer takes no events out: changes may be made from
//! any thread, also while another one waits.

mod event;
#[cfg(all(target_os = "linux", any(as_bsd, all(test, not(loom)))))]
pub(crate) mod model;
#[cfg(not(target_os = "linux"))]
mod native;
mod wake;

use super::{BATCH, Event, IN, Interest, OUT, Pollset, RDHUP, WAKE};
use event::{ADD, CLEAR, Change, DELETE, EOF, ERROR, Filter, Happened, RECEIPT};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;
use wake::Wake;

/// Some kernels refuse times above 10^8 seconds; a wait may end early.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The kernel's side.
pub(crate) trait Sys: Send + Sync {
    /// Whether [`Filter::User`] can be had.
    fn user_events(&self) -> bool;
    /// kevent(2): makes the changes, then waits for events, at most `room` entries in all. A failed change is an entry
    /// where there is room, else the call's error; after any such entry it does not wait.
    fn kevent(
        &self,
        changes: &[Change],
        room: usize,
        timeout: Option<Duration>,
        each: &mut dyn FnMut(Happened),
    ) -> Result<(), Errno>;
    /// The queue itself.
    fn descriptor(&self) -> BorrowedFd<'_>;
}

/// A queue and what wakes who waits for it.
pub(crate) struct Kqueue<S> {
    sys: S,
    wake: Wake,
}

impl<S: Sys> Kqueue<S> {
    /// A pollset over an empty queue.
    pub(crate) fn over(sys: S) -> io::Result<Self> {
        let wake = Wake::new(sys.user_events())?;
        let queue = Self { sys, wake };
        queue.change(&mut [queue.wake.registration()])?;
        Ok(queue)
    }

    /// Makes changes, no two of which have the same filter.
    fn change(&self, changes: &mut [Change]) -> io::Result<()> {
        for change in &mut *changes {
            change.flags |= RECEIPT;
        }
        let mut outcome = Ok(());
        let made = self.sys.kevent(
            changes,
            changes.len(),
            Some(Duration::ZERO),
            &mut |receipt| {
                let failed = receipt.flags & ERROR != 0 && receipt.data != 0;
                if failed && outcome.is_ok() && !was_optional(changes, &receipt) {
                    outcome = Err(io::Error::from_raw_os_error(receipt.data as i32));
                }
            },
        );
        match made {
            // An interrupted call has made its changes.
            Ok(()) | Err(Errno::INTR) => outcome,
            Err(e) => Err(e.into()),
        }
    }

    fn harvest(
        &self,
        room: usize,
        timeout: Option<Duration>,
        each: &mut dyn FnMut(Filter, Event),
    ) -> io::Result<()> {
        let mut woken = false;
        let waited = self.sys.kevent(&[], room, timeout, &mut |happened| {
            if happened.flags & ERROR != 0 {
                return;
            }
            woken |= happened.token == WAKE;
            each(
                happened.filter,
                Event {
                    token: happened.token,
                    edges: edges(&happened),
                },
            );
        });
        if woken {
            self.wake.settle();
        }
        match waited {
            Ok(()) | Err(Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

impl<S: Sys> Pollset for Kqueue<S> {
    fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let input = change(fd, Filter::Read, input(interest), token);
        let added = match interest {
            Interest::ConnectionOut => {
                let output = change(fd, Filter::Write, ADD | CLEAR, token);
                self.change(&mut [input, output])
            }
            _ => self.change(&mut [input]),
        };
        if added.is_err() {
            let _ = self.delete(fd);
        }
        added
    }

    fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let output = match interest {
            Interest::ConnectionOut => ADD | CLEAR,
            _ => DELETE,
        };
        self.change(&mut [
            change(fd, Filter::Read, input(interest), token),
            change(fd, Filter::Write, output, token),
        ])
    }

    fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.change(&mut [
            change(fd, Filter::Read, DELETE, 0),
            change(fd, Filter::Write, DELETE, 0),
        ])
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let mut wrote = false;
        let timeout = timeout.map(|t| t.min(LONGEST));
        self.harvest(BATCH, timeout, &mut |filter, event| {
            // Input and output of a connection are two entries here. Output is rare, so is the search.
            wrote |= filter == Filter::Write;
            let twin = wrote
                .then(|| events.iter_mut().find(|e| e.token == event.token))
                .flatten();
            match twin {
                Some(twin) => twin.edges |= event.edges,
                None => events.push(event),
            }
        })
    }

    fn take(&self) -> io::Result<Option<Event>> {
        let mut taken = None;
        self.harvest(1, Some(Duration::ZERO), &mut |_, event| taken = Some(event))?;
        Ok(taken)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.sys.descriptor())
    }

    fn wake(&self) {
        if let Some(change) = self.wake.raise() {
            // Its registration is there as long as the queue is.
            let _ = self.change(&mut [change]);
        }
    }
}

/// How input is reported.
fn input(interest: Interest) -> u16 {
    match interest {
        // A queue of this kind is never asked for output alone.
        Interest::Connection | Interest::ConnectionOut | Interest::Output => ADD | CLEAR,
        Interest::Listener | Interest::CommonListener | Interest::Pollset => ADD,
    }
}

fn change(fd: BorrowedFd<'_>, filter: Filter, flags: u16, token: u64) -> Change {
    Change {
        ident: fd.as_raw_fd(),
        filter,
        flags,
        token,
        trigger: false,
    }
}

/// Output that was never asked for needs no deletion.
fn was_optional(changes: &[Change], receipt: &Happened) -> bool {
    let change = changes.iter().find(|c| c.filter == receipt.filter);
    receipt.data == i64::from(Errno::NOENT.raw_os_error())
        && change.is_some_and(|c| c.filter == Filter::Write && c.flags & DELETE != 0)
}

/// The end of our own output also ends [`Filter::Write`]: only input tells of the peer.
fn edges(happened: &Happened) -> u8 {
    match happened.filter {
        Filter::Write => OUT,
        Filter::Read if happened.flags & EOF != 0 => IN | RDHUP,
        Filter::Read | Filter::User => IN,
    }
}

#[cfg(all(test, target_os = "linux", not(loom)))]
mod tests;
