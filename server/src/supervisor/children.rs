//! Forking, hearing, reaping and ending children.

use super::Plan;
use super::detach::Detached;
use crate::child::{self, FATAL, SICK, word};
use crate::log::{Level, write};
use crate::scoreboard::Board;
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A child that ends sooner, and not of its own accord, counts as a failed start.
const HEALTHY: Duration = Duration::from_secs(1);
/// Failed starts in a row that are made up for at once.
const AT_ONCE: u32 = 2;
/// The wait before the next start; it doubles with each failure, at most so often (6.4 s).
const FIRST_WAIT: Duration = Duration::from_millis(100);
const DOUBLINGS: u32 = 6;

struct Child {
    pid: Pid,
    control: OwnedFd,
    born: Instant,
    /// Its place on the scoreboard.
    record: usize,
    /// It has said that it serves.
    ready: bool,
    /// It will say no more.
    silent: bool,
}

impl Child {
    /// Hears what it has said; true when it says for the first time that it serves.
    fn hear(&mut self) -> bool {
        let mut byte = [0];
        let flags = rustix::net::RecvFlags::DONTWAIT;
        match rustix::net::recv(&self.control, &mut byte[..], flags) {
            Ok((1, _)) => {
                let news = byte[0] == word::READY && !self.ready;
                self.ready |= news;
                news
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            // It is dying: the signal is on its way.
            _ => {
                self.silent = true;
                false
            }
        }
    }
}

/// The children there are.
pub(super) struct Children {
    all: Vec<Child>,
    /// Some child was ready once: what fails later may be a passing want.
    ever_ready: bool,
    /// Failed starts in a row, and when the next one may be tried.
    failures: u32,
    not_before: Instant,
}

impl Children {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            ever_ready: false,
            failures: 0,
            not_before: Instant::now(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn any_ready(&self) -> bool {
        self.ever_ready
    }

    /// When the next child is to be started; `None` if there are enough.
    pub(super) fn next_start(&self, wanted: usize) -> Option<Instant> {
        (self.all.len() < wanted).then_some(self.not_before)
    }

    /// Forks until there are as many children as wanted.
    ///
    /// # Errors
    /// None can be started and none ever was.
    pub(super) fn fill(
        &mut self,
        plan: &Plan,
        wanted: usize,
        detached: &mut Option<Detached>,
    ) -> io::Result<()> {
        while self.all.len() < wanted && Instant::now() >= self.not_before {
            if let Err(e) = self.start(plan, detached) {
                if self.all.is_empty() && !self.ever_ready {
                    return Err(io::Error::new(
                        e.kind(),
                        format!("no child could be started: {e}"),
                    ));
                }
                let text = format!("a child could not be started: {e}; trying again");
                write("mpm_event", Level::Error, &text);
                self.not_before = Instant::now() + HEALTHY;
            }
        }
        Ok(())
    }

    /// Forks one child. What only the supervisor needs is dropped in it.
    fn start(&mut self, plan: &Plan, detached: &mut Option<Detached>) -> io::Result<()> {
        let named = |what: &str, e: io::Error| io::Error::new(e.kind(), format!("{what}: {e}"));
        let slots = plan.settings.config.limits.slots_per_child;
        let Some(record) = plan.board.claim(slots) else {
            return Err(io::Error::other("no free record on the scoreboard"));
        };
        let pair = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        );
        let (ours, theirs) = match pair {
            Ok(pair) => pair,
            Err(e) => {
                plan.board.release(record);
                return Err(named("socketpair", e.into()));
            }
        };
        // SAFETY: the supervisor has no other thread, so the child may do whatever it likes.
        match unsafe { fork() } {
            Ok(ForkResult::Parent { child: pid }) => {
                if let Some(child) = plan.board.child(record) {
                    child.pid.store(pid.as_raw().unsigned_abs(), Relaxed);
                }
                self.all.push(Child {
                    pid,
                    control: ours,
                    born: Instant::now(),
                    record,
                    ready: false,
                    silent: false,
                });
            }
            Ok(ForkResult::Child) => {
                // The siblings' ends must go: a child sees the supervisor's death by the last copy's end.
                self.all.clear();
                *detached = None;
                drop(ours);
                std::process::exit(serve(plan, record, &theirs));
            }
            Err(e) => {
                plan.board.release(record);
                return Err(named("fork", e.into()));
            }
        }
        Ok(())
    }

    /// Sleeps until a signal comes, a starting child speaks, or it is `due`.
    pub(super) fn sleep(&self, signals: &SignalFd, due: Option<Instant>) -> io::Result<()> {
        let most = due.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        let starting = self.all.iter().filter(|c| !c.ready && !c.silent);
        let mut waits = vec![PollFd::new(signals, PollFlags::IN)];
        // The end of a child comes as a signal.
        waits.extend(starting.map(|c| PollFd::new(&c.control, PollFlags::IN)));
        match poll(&mut waits, most.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Hears what starting children have to say.
    pub(super) fn listen(&mut self, board: &Board) {
        for child in self.all.iter_mut().filter(|c| !c.ready && !c.silent) {
            if child.hear() {
                self.ever_ready = true;
                let generation = board.header().generation.load(Relaxed);
                let text = format!("child {} started: generation {generation}", child.pid);
                write("mpm_event", Level::Debug, &text);
            }
        }
    }

    /// Takes note of children that have ended. `Some(why)` if one says that no child can start.
    pub(super) fn reap(&mut self, board: &Board) -> Option<String> {
        let mut fatal = None;
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let Some(pid) = status.pid() else { break };
            // Minders of log programs are nobody's concern here.
            let Some(at) = self.all.iter().position(|c| c.pid == pid) else {
                continue;
            };
            let mut gone = self.all.swap_remove(at);
            self.ever_ready |= gone.hear();
            board.release(gone.record);
            note_times(board);
            let failed = match status {
                WaitStatus::Signaled(_, signal, core) => {
                    let core = if core { ", a core was dumped" } else { "" };
                    let number = signal as i32;
                    let text = format!("child pid {pid} exit signal {signal} ({number}){core}");
                    write("core", Level::Notice, &text);
                    true
                }
                WaitStatus::Exited(_, 0) => false,
                WaitStatus::Exited(_, code) => {
                    let text = format!("child pid {pid} exited with status {code}");
                    write("core", Level::Error, &text);
                    if (code == FATAL && !gone.ready) || (code == SICK && !self.ever_ready) {
                        let what = format!("child pid {pid} could not start (see the error log)");
                        fatal = Some(what);
                    }
                    true
                }
                _ => false,
            };
            if failed {
                self.throttle(gone.born.elapsed());
            }
        }
        fatal
    }

    /// A crash loop: the first replacements come at once, the next ever more slowly.
    fn throttle(&mut self, lived: Duration) {
        if lived >= HEALTHY {
            self.failures = 0;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let Some(doublings) = self.failures.checked_sub(AT_ONCE + 1) else {
            return;
        };
        let wait = FIRST_WAIT * (1 << doublings.min(DOUBLINGS));
        let text = format!(
            "children die right after their start, {} in a row; next try in {wait:?}",
            self.failures
        );
        write("mpm_event", Level::Warn, &text);
        self.not_before = Instant::now() + wait;
    }

    /// Says a word to every child.
    pub(super) fn say(&self, word: u8) {
        for child in &self.all {
            let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
            let _ = rustix::net::send(&child.control, &[word], flags);
        }
    }

    /// Signals children that should be gone.
    pub(super) fn remind(&self, signal: Signal) {
        for child in &self.all {
            let text = format!(
                "child pid {} still did not exit, sending {signal}",
                child.pid
            );
            write("core", Level::Warn, &text);
            let _ = kill(child.pid, signal);
        }
    }

    /// Ends children that nothing else ends.
    pub(super) fn kill(&mut self) {
        for child in self.all.drain(..) {
            let text = format!(
                "child pid {} still did not exit, sending SIGKILL",
                child.pid
            );
            write("core", Level::Error, &text);
            let _ = kill(child.pid, Signal::SIGKILL);
            let _ = waitpid(child.pid, None);
        }
    }
}

/// Shows the processor time of everything that has ended and was waited for.
fn note_times(board: &Board) {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    if let Ok(used) = getrusage(UsageWho::RUSAGE_CHILDREN) {
        let micros = |n: i64| n.unsigned_abs();
        let header = board.header();
        header
            .gone_user
            .store(micros(used.user_time().num_microseconds()), Relaxed);
        header
            .gone_system
            .store(micros(used.system_time().num_microseconds()), Relaxed);
    }
}

/// A child's life; gives its exit code.
fn serve(plan: &Plan, record: usize, control: &OwnedFd) -> i32 {
    let place = child::Place {
        board: plan.board.clone(),
        record,
    };
    let served = child::serve(
        &plan.settings,
        &plan.listeners,
        &plan.logs,
        place,
        Some(control),
    );
    let Err(e) = served else { return 0 };
    let text = format!("child could not serve: {e}");
    write("core", Level::Alert, &text);
    match e.raw_os_error().or_else(|| os_error(&e)) {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN | libc::ENOBUFS) => SICK,
        _ => FATAL,
    }
}

/// The operating system's error inside one of the runtime's.
fn os_error(e: &io::Error) -> Option<i32> {
    e.get_ref()?.downcast_ref::<parkade::Error>()?.os_error()
}
