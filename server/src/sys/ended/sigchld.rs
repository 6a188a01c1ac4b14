//! A program's end, by SIGCHLD; for processes that start one program at a time and nothing else.

use crate::sys::signals::Signals;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command};

/// Readable when a program has ended.
pub(crate) struct Ended {
    signals: Signals,
    pid: Option<Pid>,
}

impl Ended {
    /// Starts a program, whose end is waited for.
    pub(crate) fn start(command: &mut Command) -> io::Result<(Child, Self)> {
        let all = SigSet::from(nix::sys::signal::Signal::SIGCHLD);
        // What has come of an earlier one is forgotten with its pipe.
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&all), None)?;
        let signals = Signals::new(&all)?;
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok((child, Self { signals, pid }))
    }

    /// Sends it a signal, if it is still there: it is nobody else as long as it has not been waited for.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            let _ = kill_process(pid, signal);
        }
    }
}

impl AsFd for Ended {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}
