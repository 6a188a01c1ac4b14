//! Counting another process's system calls from outside, with ptrace(2).
//!
//! One thread of ours does all the tracing, because ptrace ties a traced thread to the one that
//! seized it. It never collects exits, so a traced child can be waited for once counting is over;
//! not before, because the kernel shows a child's trace stops to any of the tracer's threads that
//! waits for it.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::procfs;
use crate::syscall_names;

type Counts = BTreeMap<u64, u64>;

/// Counts until it is stopped or dropped.
///
/// Seizing a thread that waits interrupts it, and it calls again, whenever it gets to it: the first
/// call of each thread that was there is not counted. [`reset`](Self::reset) after a first request.
#[derive(Debug)]
pub struct SyscallCounter {
    shared: Arc<Shared>,
    tracer: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Relaxed both ways: it carries no data, and joining the thread orders everything else.
    ended: AtomicBool,
    counts: Mutex<Counts>,
}

impl SyscallCounter {
    /// Seizes every thread of `pid`, and later ones as they are born; not the process's children.
    ///
    /// # Errors
    /// `EPERM` where ptrace is not allowed (another user's process, a container without the right,
    /// or a process that is traced already); `ESRCH` when the process is not there.
    pub fn attach(pid: u32) -> io::Result<SyscallCounter> {
        let shared = Arc::new(Shared::default());
        let (ready, attached) = mpsc::channel();
        let theirs = Arc::clone(&shared);
        let tracer = std::thread::Builder::new()
            .name("syscall-counter".into())
            .spawn(move || {
                let seized = seize_all(pid);
                let (result, threads) = match seized {
                    Ok(threads) => (Ok(()), Some(threads)),
                    Err(e) => (Err(e), None),
                };
                // The receiver waits below, so this cannot fail while it matters.
                let _ = ready.send(result);
                if let Some(threads) = threads {
                    trace(&theirs, threads);
                }
            })?;
        let counter = SyscallCounter {
            shared,
            tracer: Some(tracer),
        };
        attached
            .recv()
            .map_err(|_| io::Error::other("the tracing thread ended"))??;
        Ok(counter)
    }

    /// Forgets what was counted so far.
    pub fn reset(&self) {
        self.lock().clear();
    }

    /// What has been counted since attaching or the last reset, by name.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.lock()
            .iter()
            .map(|(number, n)| (syscall_names::name(*number), *n))
            .collect()
    }

    /// Lets the process go and returns the counts.
    #[must_use]
    pub fn stop(mut self) -> BTreeMap<String, u64> {
        self.end();
        self.counts()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.shared
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.tracer.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for SyscallCounter {
    fn drop(&mut self) {
        self.end();
    }
}

/// The threads that were there.
fn seize_all(pid: u32) -> io::Result<Vec<u32>> {
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE;
    let mut seized = Vec::new();
    // Again until a pass finds nothing new: a thread may be born while the list is read.
    loop {
        let fresh: Vec<u32> = procfs::threads(pid)?
            .into_iter()
            .filter(|tid| !seized.contains(tid))
            .collect();
        if fresh.is_empty() {
            return Ok(seized);
        }
        for tid in fresh {
            seized.push(tid);
            match request(libc::PTRACE_SEIZE, tid, options as usize) {
                // Ended since, or seized by the clone event of a thread seized before.
                Err(e)
                    if tid != pid
                        && matches!(e.raw_os_error(), Some(libc::ESRCH | libc::EPERM)) => {}
                other => other.map_err(|e| {
                    io::Error::new(e.kind(), format!("tracing thread {tid} of {pid}: {e}"))
                })?,
            }
            // Its first stop, from which it goes on to its next system call.
            let _ = request(libc::PTRACE_INTERRUPT, tid, 0);
        }
    }
}

fn trace(shared: &Shared, mut interrupted: Vec<u32>) {
    let mut quiet = 0_u32;
    loop {
        match next_stop() {
            Some((tid, status)) => {
                quiet = 0;
                handle(shared, &mut interrupted, tid, status);
            }
            None => {
                // Only with nothing pending, so that what was stopped before the end is counted.
                if shared.ended.load(Ordering::Relaxed) {
                    // This thread's end lets every traced thread go.
                    return;
                }
                quiet = quiet.saturating_add(1);
                if quiet < 64 {
                    std::thread::yield_now();
                } else {
                    std::thread::sleep(Duration::from_micros(100));
                }
            }
        }
    }
}

/// A traced thread that has stopped, and why. Never a zombie: those belong to their parent.
fn next_stop() -> Option<(u32, i32)> {
    // SAFETY: all-zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WSTOPPED | libc::WNOHANG | libc::__WALL | libc::__WNOTHREAD;
    // SAFETY: `info` is writable and outlives the call.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) };
    // SAFETY: waitid filled in the child's fields, or left zeroes.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    (result == 0 && pid > 0).then_some((pid as u32, status))
}

fn handle(shared: &Shared, interrupted: &mut Vec<u32>, tid: u32, status: i32) {
    let (signal, event) = (status & 0xff, status >> 8);
    let mut deliver = 0;
    if signal == libc::SIGTRAP | 0x80 {
        if let Some(number) = entered(tid) {
            if let Some(at) = interrupted.iter().position(|t| *t == tid) {
                interrupted.swap_remove(at);
            } else {
                *shared
                    .counts
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(number)
                    .or_default() += 1;
            }
        }
    } else if event == libc::PTRACE_EVENT_STOP && signal != libc::SIGTRAP {
        // A group stop (SIGSTOP and the like): it stays stopped until SIGCONT.
        let _ = request(libc::PTRACE_LISTEN, tid, 0);
        return;
    } else if event == 0 {
        // A signal on its way to the process: passed on.
        deliver = signal;
    }
    // Fails only for a thread killed meanwhile.
    let _ = request(libc::PTRACE_SYSCALL, tid, deliver as usize);
}

/// The number of the system call being entered; `None` when it is being left.
fn entered(tid: u32) -> Option<u64> {
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::ptrace_syscall_info>();
    // SAFETY: the kernel writes at most `size` bytes to `info`.
    let got = unsafe {
        libc::ptrace(
            libc::PTRACE_GET_SYSCALL_INFO,
            tid as libc::pid_t,
            size,
            &raw mut info,
        )
    };
    if got <= 0 || info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: `op` says that the entry variant of the union is the one filled in.
    Some(unsafe { info.u.entry.nr })
}

fn request(what: libc::c_uint, tid: u32, data: usize) -> io::Result<()> {
    // SAFETY: none of the requests made here reads or writes memory of ours.
    match unsafe { libc::ptrace(what, tid as libc::pid_t, 0_usize, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
