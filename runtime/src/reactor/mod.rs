//! Kernel readiness behind one interface.
//!
//! A [`Pollset`] belongs to one worker but may be added to, and harvested, from any thread. Descriptors are
//! registered once, edge-triggered, with a token of `generation << 32 | slot index`; the token is never a descriptor
//! and never a pointer, so that a late event of a closed connection is recognised. `epoll` is the Linux backend,
//! `kqueue` that of the BSDs and macOS, `mock` a deterministic one for tests that deliver what the script says. `system`
//! says which of them there is.

pub(crate) mod choice;
#[cfg(target_os = "linux")]
pub(crate) mod epoll;
#[cfg(any(not(target_os = "linux"), as_bsd, all(test, not(loom))))]
pub(crate) mod kqueue;
#[cfg(all(test, not(loom)))]
pub(crate) mod mock;
#[cfg(all(target_os = "linux", feature = "io-uring"))]
pub(crate) mod ring;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "bsd.rs")]
mod system;

pub(crate) use system::open;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Events harvested at most in one go.
pub(crate) const BATCH: usize = 64;

/// Readable edge.
pub(crate) const IN: u8 = 1;
/// Writable edge.
pub(crate) const OUT: u8 = 2;
/// The peer has finished sending, or the connection failed.
pub(crate) const RDHUP: u8 = 4;

/// One readiness event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Event {
    pub(crate) token: u64,
    /// A set of [`IN`], [`OUT`], [`RDHUP`].
    pub(crate) edges: u8,
}

/// What to report of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interest {
    /// Input, the peer's FIN; edge-triggered.
    Connection,
    /// The same and output edges.
    ConnectionOut,
    /// Output alone: for a pollset that is asked for each event anew, and would tell of input again and again.
    Output,
    /// Input, level-triggered, one of several waiting pollsets is woken.
    Listener,
    /// The same, and every waiting pollset is woken.
    CommonListener,
    /// Another pollset: events wait in it; level-triggered.
    Pollset,
}

/// A set of descriptors whose readiness one worker waits for.
pub(crate) trait Pollset: Send + Sync {
    /// Registers `fd`. Legal from any thread.
    fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()>;
    /// Changes a registration; a condition that already holds is reported again.
    fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()>;
    /// Ends a registration.
    fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()>;
    /// Waits for at most [`BATCH`] events; `None` waits without limit. An interrupted wait is no event.
    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()>;
    /// Takes out one event that is there now.
    fn take(&self) -> io::Result<Option<Event>>;
    /// What can be added to another pollset as [`Interest::Pollset`], where the backend has such a thing.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
    /// Ends the current or the next wait, which then reports [`WAKE`].
    fn wake(&self);
    /// Whether a connection's event ends its interest until [`Pollset::modify`] asks for the next one.
    fn is_one_shot(&self) -> bool {
        false
    }
}

/// The token of the wake descriptor.
pub(crate) const WAKE: u64 = u64::MAX;
/// Tokens of listeners: `LISTENER + n`. No connection has generation 0.
pub(crate) const LISTENER: u64 = 0xFFFF_0000;

pub(crate) fn is_listener(token: u64) -> bool {
    token >> 16 == LISTENER >> 16
}

/// Tokens of pollsets of stuck neighbours: `STUCK + home`. No slot has such an index.
pub(crate) const STUCK: u64 = 0xFFFE_0000;

/// `generation << 32 | index`.
pub(crate) fn token(generation: u32, index: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}
