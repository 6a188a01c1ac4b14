//! Signals through signalfd(2): they stay blocked, and are read.

use super::Caught;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::ForkResult;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Where a signal comes from that the kernel sends by itself (signalfd(2), `ssi_code`).
const SI_KERNEL: i32 = 0x80;

/// Readable when one of the signals has come.
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Of these signals, which are blocked.
    pub(crate) fn new(all: &SigSet) -> io::Result<Self> {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(all, flags)?))
    }

    /// The next one that has come.
    pub(crate) fn next(&self) -> io::Result<Option<Caught>> {
        while let Some(info) = self.0.read_signal()? {
            if let Ok(signal) = Signal::try_from(info.ssi_signo as i32) {
                let by_kernel = info.ssi_code == SI_KERNEL;
                return Ok(Some(Caught { signal, by_kernel }));
            }
        }
        Ok(None)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// fork(2). Signals are blocked in the child as they are here.
///
/// # Safety
/// As fork(2): there is no other thread, or the child makes async-signal-safe calls only.
pub(crate) unsafe fn fork() -> nix::Result<ForkResult> {
    // SAFETY: the caller's.
    unsafe { nix::unistd::fork() }
}

/// In a child that takes its signals as everybody does.
pub(crate) fn forget() {}
