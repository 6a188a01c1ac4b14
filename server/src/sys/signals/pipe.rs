//! Signals through a pipe: where nothing reads them, a handler notes what has come.
//!
//! They are blocked but in the thread that has a `Signals`, and never between fork(2) and the child's own: the handler
//! that a child inherits would write to its parent.

use super::Caught;
use libc::{c_int, c_void, siginfo_t};
use nix::errno::Errno;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction,
};
use nix::unistd::ForkResult;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI32, Ordering};

/// Where the handler writes; below zero for nowhere. The release stores of [`Signals`] pair with the handler's acquire load.
static WRITER: AtomicI32 = AtomicI32::new(-1);
/// What is handled, for those who fork.
static HANDLED: Mutex<Option<SigSet>> = Mutex::new(None);

/// Readable when one of the signals has come.
pub(crate) struct Signals {
    reader: PipeReader,
    writer: PipeWriter,
    all: SigSet,
}

impl Signals {
    /// Of these signals, which are blocked.
    pub(crate) fn new(all: &SigSet) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        WRITER.store(writer.as_raw_fd(), Ordering::Release);
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_RESTART;
        let action = SigAction::new(SigHandler::SigAction(note), flags, *all);
        for signal in all.iter() {
            // SAFETY: the handler makes one async-signal-safe call and keeps errno.
            unsafe { sigaction(signal, &action) }?;
        }
        handled(Some(*all));
        // What has come already is noted here.
        pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(all), None)?;
        Ok(Self {
            reader,
            writer,
            all: *all,
        })
    }

    /// The next one that has come.
    pub(crate) fn next(&self) -> io::Result<Option<Caught>> {
        let mut noted = [0; 2];
        loop {
            match (&self.reader).read(&mut noted) {
                Ok(2) => {}
                Ok(_) => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            if let Ok(signal) = Signal::try_from(c_int::from(noted[0])) {
                let by_kernel = noted[1] != 0;
                return Ok(Some(Caught { signal, by_kernel }));
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let own = self.writer.as_raw_fd();
        let swapped = WRITER.compare_exchange(own, -1, Ordering::AcqRel, Ordering::Relaxed);
        // A child's own have taken the place of those it was forked with.
        if swapped.is_ok() {
            let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&self.all), None);
            forget();
        }
    }
}

extern "C" fn note(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    let errno = Errno::last_raw();
    // SAFETY: with SA_SIGINFO the kernel hands it over for as long as the handler runs. Whoever sends has a number.
    let by_kernel = unsafe { (*info).si_pid() } == 0;
    let writer = WRITER.load(Ordering::Acquire);
    if writer >= 0 {
        // SAFETY: open as long as it is there to be found.
        let writer = unsafe { BorrowedFd::borrow_raw(writer) };
        let _ = rustix::io::write(writer, &[signal as u8, by_kernel.into()]);
    }
    Errno::set_raw(errno);
}

fn handled(all: Option<SigSet>) -> Option<SigSet> {
    let mut handled = HANDLED.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut handled, all)
}

/// fork(2). In the child the signals are blocked, and stay so until it wants them.
///
/// # Safety
/// As fork(2): there is no other thread, or the child makes async-signal-safe calls only.
pub(crate) unsafe fn fork() -> nix::Result<ForkResult> {
    let all = *HANDLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(all) = &all {
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(all), None)?;
    }
    // SAFETY: the caller's.
    let forked = unsafe { nix::unistd::fork() };
    if let Some(all) = &all
        && !matches!(forked, Ok(ForkResult::Child))
    {
        pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(all), None)?;
    }
    forked
}

/// In a child that takes its signals as everybody does.
pub(crate) fn forget() {
    WRITER.store(-1, Ordering::Release);
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in handled(None).iter().flat_map(SigSet::iter) {
        // SAFETY: the default action runs no code of ours.
        let _ = unsafe { sigaction(signal, &default) };
    }
}
