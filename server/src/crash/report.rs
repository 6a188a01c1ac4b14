//! `crash.<pid>.txt`: what a child says of its end.

use super::fault::{Fault, Origin};
use super::out::Out;
use super::trace::{self, Piece, Program};
use crate::scoreboard::{Board, Doing};
use rustix::fd::AsFd as _;
use rustix::fs::{Mode, OFlags};
use std::cell::UnsafeCell;
use std::ffi::{CStr, CString};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Requests, and addresses, that are named.
const REQUESTS: usize = 64;
const ADDRESSES: usize = 64;

/// What a report needs, made ready before.
struct Prepared {
    file: CString,
    board: Arc<Board>,
    record: usize,
    program: Option<Program>,
}

/// Memory to work with: the stack that a handler runs on is a small one.
struct Scratch {
    text: [u8; 1024],
    piece: Piece,
}

struct Shared(UnsafeCell<Scratch>);

// SAFETY: only `write` touches it, and its caller comes but once.
unsafe impl Sync for Shared {}

static SCRATCH: Shared = Shared(UnsafeCell::new(Scratch {
    text: [0; _],
    piece: [0; _],
}));

/// Null: no report. The release store of [`enable`] pairs with the acquire load of [`write`].
static PREPARED: AtomicPtr<Prepared> = AtomicPtr::new(std::ptr::null_mut());

/// From now on this process, a child, reports its end.
pub(super) fn enable(file: CString, board: Arc<Board>, record: usize) {
    let prepared = Prepared {
        file,
        board,
        record,
        program: Program::find(),
    };
    // For the life of the process.
    PREPARED.store(Box::into_raw(Box::new(prepared)), Ordering::Release);
}

/// Writes the report, if this is a child without root's rights that is to write one. Async-signal-safe.
///
/// # Safety
/// To be called once in the life of a process.
pub(super) unsafe fn write(fault: &Fault, thread: &str) {
    // SAFETY: null or a value that is never freed and never changed.
    let Some(prepared) = (unsafe { PREPARED.load(Ordering::Acquire).as_ref() }) else {
        return;
    };
    // Root's files are not to be made by a process in ruins.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let Ok(file) = create(&prepared.file) else {
        return;
    };
    // SAFETY: nobody else has it, as this function's caller promises.
    let scratch = unsafe { &mut *SCRATCH.0.get() };
    let mut out = Out::new(file.as_fd(), &mut scratch.text);
    prepared.describe(&mut out, fault, thread);
    prepared.requests(&mut out);
    // Whatever happens now, this much is there.
    out.flush();
    prepared.addresses(&mut out, &mut scratch.piece, fault);
    out.flush();
}

/// A file of our own: neither a link that lay there nor what another process with this number had written.
fn create(path: &CStr) -> rustix::io::Result<rustix::fd::OwnedFd> {
    let _ = rustix::fs::unlink(path);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
}

impl Prepared {
    fn describe(&self, out: &mut Out<'_>, fault: &Fault, thread: &str) {
        let _ = writeln!(out, "{} crash report", crate::cli::VERSION);
        let _ = writeln!(out, "signal: {} ({})", fault.signal, fault.name());
        let _ = match fault.origin {
            Origin::Address(at) => writeln!(out, "fault address: {at:#x} (code {})", fault.code),
            Origin::Sent { pid, uid } => writeln!(out, "sent by: pid {pid} of uid {uid}"),
        };
        if fault.is_stack_overflow() {
            let _ = writeln!(out, "cause: the thread has overflowed its stack");
        }
        let pid = rustix::process::getpid().as_raw_nonzero();
        let _ = writeln!(out, "pid: {pid}");
        let _ = writeln!(out, "child: {}", self.record);
        let tid = crate::sys::thread::id();
        let _ = writeln!(out, "thread: {thread} (tid {tid})");
    }

    /// The requests that hold a slot, those of this thread marked. The scoreboard is plain memory: it can be read here.
    fn requests(&self, out: &mut Out<'_>) {
        let details = self.board.details(self.record);
        if details.is_empty() {
            let _ = writeln!(out, "requests in progress: not known (ExtendedStatus Off)");
            return;
        }
        let me = crate::sys::thread::id();
        let states = self.board.slots(self.record).iter().map(Doing::of);
        let busy = |doing: &Doing| matches!(doing, Doing::Reading | Doing::Writing);
        let count = states.clone().filter(busy).count();
        let _ = writeln!(out, "requests in progress: {count}");
        let held = states.zip(details).filter(|(doing, _)| busy(doing));
        for (_, detail) in held.take(REQUESTS) {
            let (line, thread) = detail.glance();
            let mark = if thread == me { " (this thread)" } else { "" };
            let _ = write!(out, "request: ");
            out.visible(line.bytes());
            let _ = writeln!(out, "{mark}");
        }
    }

    fn addresses(&self, out: &mut Out<'_>, piece: &mut Piece, fault: &Fault) {
        let (Some((pc, sp)), Some(program)) = (fault.registers, self.program) else {
            return;
        };
        let _ = writeln!(
            out,
            "addresses on the stack, the last call first (program+offset, for addr2line; some may be left-overs):"
        );
        if program.offset(pc).is_none() {
            let _ = writeln!(out, "{pc:#x} (outside the program)");
        }
        let mut left = ADDRESSES;
        let mut show = |address: usize| {
            if let Some(offset) = program.offset(address) {
                let _ = writeln!(out, "{address:#x} parkade+{offset:#x}");
                left -= 1;
            }
            left > 0
        };
        show(pc);
        trace::words(sp, piece, show);
    }
}

#[cfg(test)]
mod tests {
    use super::super::handler;
    use super::*;
    use crate::scoreboard::Size;
    use nix::sys::signal::{Signal, raise};
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, Uid, fork, setuid};
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;

    /// Forks a process that becomes `user` and meets a signal; says how it ended.
    fn end(user: Uid) -> WaitStatus {
        // SAFETY: the child makes system calls only, and ends without running anything of the tests'.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let _ = setuid(user).and_then(|()| raise(Signal::SIGBUS));
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        }
    }

    #[test]
    fn root_writes_no_report_and_the_signal_is_the_true_one_either_way() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let path = folder.path().join("crash.txt");
        let c_string = |path: &std::path::Path| CString::new(path.as_os_str().as_bytes()).unwrap();
        let size = Size {
            children: 1,
            workers: 1,
            slots: 1,
            extended: false,
        };
        let board = Arc::new(Board::new(size, 0, None).unwrap());
        let record = board.claim(1, 0).unwrap();
        handler::change_to(Some(c_string(folder.path())));
        handler::install().unwrap();
        enable(c_string(&path), board, record);
        let ended = |status| matches!(status, WaitStatus::Signaled(_, Signal::SIGBUS, _));
        let mut user = Uid::current();
        if user.is_root() {
            assert!(ended(end(user)));
            assert!(!path.exists());
            user = Uid::from_raw(65534);
        } else {
            eprintln!("skipped in part: only root can show that root writes nothing");
        }
        assert!(ended(end(user)));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("signal: 7 (SIGBUS)\n"), "{text}");
        assert!(text.contains("not known (ExtendedStatus Off)\n"), "{text}");
    }
}
