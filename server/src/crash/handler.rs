//! Catching a fatal signal, once: it ends the process all the same.

use super::fault::Fault;
use super::out::Out;
use super::report;
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use std::ffi::CString;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};

/// The signals that mean a mistake in the program.
const FATAL: [Signal; 5] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGABRT,
    Signal::SIGILL,
    Signal::SIGFPE,
];

/// Where to change to before dying. The release store of [`change_to`] pairs with the handler's acquire load.
static DIRECTORY: AtomicPtr<CString> = AtomicPtr::new(std::ptr::null_mut());
/// Some thread is already at it. One number: it orders nothing else.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// The channel to the supervisor; below zero for none. The release store of [`tell`] pairs with the handler's acquire load.
static CONTROL: AtomicI32 = AtomicI32::new(-1);
/// Whose channel that is: a process forked later has none. Stored before it.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// From now on a dying process says so there first: its end reaches the supervisor only when the kernel has written the
/// core and closed every connection. The descriptor must stay open.
pub(super) fn tell(control: &'static OwnedFd) {
    OWNER.store(std::process::id(), Ordering::Relaxed);
    CONTROL.store(control.as_raw_fd(), Ordering::Release);
}

/// From now on a dying process changes to this directory first. To be called by one thread only.
pub(super) fn change_to(directory: Option<CString>) {
    let old = DIRECTORY.load(Ordering::Acquire);
    // SAFETY: null, or from the box below, which is never freed and never changed.
    if unsafe { old.as_ref() } == directory.as_ref() {
        return;
    }
    // Never freed: a handler may be using it. One path for each time that it was another one.
    let new = directory.map_or(std::ptr::null_mut(), |d| Box::into_raw(Box::new(d)));
    DIRECTORY.store(new, Ordering::Release);
}

/// Installs the handler, in place of the standard library's, which watches for stack overflows. Every thread of the
/// standard library has an alternative stack for that one already, at least as large as the kernel asks for plus 4 KiB
/// on today's processors, and so has the main thread; forking keeps both.
pub(super) fn install() -> io::Result<()> {
    // While the handler runs, a fault in it ends the process at once instead of entering it again.
    let mask: SigSet = FATAL.into_iter().collect();
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK | SaFlags::SA_RESETHAND;
    let action = SigAction::new(SigHandler::SigAction(caught), flags, mask);
    for signal in FATAL {
        // SAFETY: the handler makes async-signal-safe calls only.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

extern "C" fn caught(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if BEGUN.swap(true, Ordering::Relaxed) {
        // Another thread has met another signal: it ends the process in a moment.
        let moment = rustix::time::Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let _ = rustix::thread::nanosleep(&moment);
    } else {
        // SAFETY: with SA_SIGINFO the kernel hands over both, for as long as the handler runs.
        let (info, context) = unsafe { (&*info, &*context.cast::<ucontext_t>()) };
        die(&Fault::new(signal, info, context));
    }
    // SA_RESETHAND has brought the default action back, and the signal is blocked until this returns: then it ends the
    // process just where it was met, which is what a core shows and what the parent is told.
    if let Ok(signal) = Signal::try_from(signal) {
        let _ = raise(signal);
    }
}

/// What is done before the end.
fn die(fault: &Fault) {
    let control = CONTROL.load(Ordering::Acquire);
    if control >= 0 && OWNER.load(Ordering::Relaxed) == std::process::id() {
        // SAFETY: `tell` was given a descriptor that stays open.
        let control = unsafe { BorrowedFd::borrow_raw(control) };
        let _ = rustix::net::shutdown(control, rustix::net::Shutdown::Both);
    }
    let thread = ThreadName::read();
    if fault.is_stack_overflow() {
        // The standard library's handler would have said so.
        let mut bytes = [0; 64];
        let mut out = Out::new(rustix::stdio::stderr(), &mut bytes);
        let _ = writeln!(out, "\nthread '{}' has overflowed its stack", thread.text());
        out.flush();
    }
    // SAFETY: null or a string that is never freed.
    if let Some(directory) = unsafe { DIRECTORY.load(Ordering::Acquire).as_ref() } {
        let _ = rustix::process::chdir(directory.as_c_str());
    }
    // SAFETY: BEGUN has let nobody else come here, and never will.
    unsafe { report::write(fault, thread.text()) };
}

/// The name of the calling thread.
struct ThreadName([u8; 16]);

impl ThreadName {
    fn read() -> Self {
        Self(crate::sys::thread::name())
    }

    fn text(&self) -> &str {
        let len = self.0.iter().position(|b| *b == 0).unwrap_or(0);
        std::str::from_utf8(&self.0[..len]).unwrap_or("?")
    }
}
