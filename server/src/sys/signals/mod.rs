//! The signals that a process takes one after the other, when it likes, instead of being interrupted by them.

#[cfg_attr(all(target_os = "linux", not(as_bsd)), path = "signalfd.rs")]
#[cfg_attr(not(all(target_os = "linux", not(as_bsd))), path = "pipe.rs")]
mod kind;

pub(crate) use kind::{Signals, forget, fork};

/// A signal that has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Caught {
    pub(crate) signal: nix::sys::signal::Signal,
    /// No process has sent it; of SIGWINCH that says that a terminal has changed its size.
    pub(crate) by_kernel: bool,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask, raise};
    use nix::unistd::ForkResult;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn comes(signals: &Signals) -> bool {
        let second = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let mut wait = [PollFd::new(signals, PollFlags::IN)];
        poll(&mut wait, Some(&second)).is_ok_and(|n| n > 0)
    }

    /// In a process of its own: signals are everybody's.
    #[test]
    fn what_was_sent_before_and_after_is_read_and_a_forked_child_has_its_own() {
        // SAFETY: the child allocates little and ends by itself; no other thread holds a lock that it needs.
        let ForkResult::Parent { child } = (unsafe { nix::unistd::fork() }).unwrap() else {
            let done = std::panic::catch_unwind(in_a_child);
            // SAFETY: ends the process, without what the test's would do at its end.
            unsafe { libc::_exit(i32::from(done.is_err())) };
        };
        let status = nix::sys::wait::waitpid(child, None).unwrap();
        assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
    }

    fn in_a_child() {
        // Those of another test.
        forget();
        let all: SigSet = [Signal::SIGUSR1, Signal::SIGUSR2].into_iter().collect();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&all), None).unwrap();
        raise(Signal::SIGUSR1).unwrap();
        let signals = Signals::new(&all).unwrap();
        assert!(comes(&signals));
        let caught = signals.next().unwrap().unwrap();
        assert_eq!((caught.signal, caught.by_kernel), (Signal::SIGUSR1, false));
        assert_eq!(signals.next().unwrap(), None);
        // SAFETY: this process has one thread.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                raise(Signal::SIGUSR2).unwrap();
                let own = Signals::new(&all).unwrap();
                let caught = own.next().unwrap().map(|c| c.signal);
                // SAFETY: as above.
                unsafe { libc::_exit(i32::from(caught != Some(Signal::SIGUSR2))) };
            }
            ForkResult::Parent { child } => {
                let status = nix::sys::wait::waitpid(child, None).unwrap();
                assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
            }
        }
        assert_eq!(signals.next().unwrap(), None, "the child's is not ours");
        raise(Signal::SIGUSR2).unwrap();
        assert_eq!(
            signals.next().unwrap().map(|c| c.signal),
            Some(Signal::SIGUSR2)
        );
    }
}
