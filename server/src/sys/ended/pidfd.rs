//! A program's end, by pidfd_open(2).

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};

/// Readable when a program has ended.
pub(crate) struct Ended(OwnedFd);

impl Ended {
    /// Starts a program, whose end is waited for.
    pub(crate) fn start(command: &mut Command) -> io::Result<(Child, Self)> {
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(ErrorKind::InvalidData)?;
        Ok((child, Self(pidfd_open(pid, PidfdFlags::empty())?)))
    }

    /// Sends it a signal, if it is still there.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.0, signal);
    }
}

impl AsFd for Ended {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
