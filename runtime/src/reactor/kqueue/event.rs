//! What goes into kevent(2) and comes out of it, in values of our own, so that the logic compiles everywhere.
//!
//! The flags have the same numbers on every system that has kqueue; `native` makes the compiler check that.

use std::os::fd::RawFd;

/// Makes a registration, or changes the one that is there.
pub(crate) const ADD: u16 = 0x0001;
/// Ends a registration.
pub(crate) const DELETE: u16 = 0x0002;
/// Reports what has happened since the last report, not what holds.
pub(crate) const CLEAR: u16 = 0x0020;
/// The change is answered by an entry with [`ERROR`], also if it went well.
pub(crate) const RECEIPT: u16 = 0x0040;
/// Not an event: the outcome of a change.
pub(crate) const ERROR: u16 = 0x4000;
/// The direction has ended, or the connection has failed.
pub(crate) const EOF: u16 = 0x8000;

/// What is watched.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Filter {
    /// Input of a descriptor.
    Read,
    /// Output of a descriptor.
    Write,
    /// An event that the program itself triggers, where the system has such.
    User,
}

/// One element of the list of changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// The descriptor; for [`Filter::User`] any number.
    pub(crate) ident: RawFd,
    pub(crate) filter: Filter,
    pub(crate) flags: u16,
    /// Comes back with every event of the registration.
    pub(crate) token: u64,
    /// Only with [`Filter::User`]: it happens now (`NOTE_TRIGGER`).
    pub(crate) trigger: bool,
}

/// One element of the list of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Happened {
    pub(crate) filter: Filter,
    pub(crate) flags: u16,
    pub(crate) token: u64,
    /// With [`ERROR`] the error's number, 0 if there was none.
    pub(crate) data: i64,
}
