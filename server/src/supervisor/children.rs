//! The children there are: hearing, telling, reaping and ending them.

use crate::accept_mutex::AcceptMutex;
use crate::child::{FATAL, SICK, held};
use crate::control::{Heard, News, Order};
use crate::log::{Level, write};
use crate::scoreboard::Board;
use crate::sys::signals::Signals;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A child that ends sooner, and not of its own accord, counts as a failed start.
const HEALTHY: Duration = Duration::from_secs(1);
/// Failed starts in a row that are made up for at once.
const AT_ONCE: u32 = 2;
/// The wait before the next start; it doubles with each failure, at most so often (6.4 s).
const FIRST_WAIT: Duration = Duration::from_millis(100);
const DOUBLINGS: u32 = 6;
/// A child that has not ended so long after its last moment is killed.
const OVERDUE: Duration = Duration::from_secs(3);

/// While others try for the accept mutex, it cannot be told whether a dead child held it: the next look.
const RECOVERY: Duration = Duration::from_millis(5);

/// Where a child is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Starting,
    Serving,
    /// It serves, and is to be replaced.
    Leaving,
    /// It was told to finish, at most until then.
    Draining(Option<Instant>),
}

pub(super) struct Child {
    pub(super) pid: Pid,
    pub(super) control: OwnedFd,
    pub(super) born: Instant,
    /// Its place.
    pub(super) board: Arc<Board>,
    pub(super) record: usize,
    /// What it takes turns by.
    pub(super) mutex: Option<Arc<AcceptMutex>>,
    pub(super) generation: u32,
    /// Where its core goes, if it leaves one.
    pub(super) cores: Option<PathBuf>,
    pub(super) phase: Phase,
    /// It will say no more.
    pub(super) silent: bool,
    /// It has said that few of its slots are free.
    pub(super) busy: bool,
    /// Those that were ending when it began to serve give it their connections.
    pub(super) introduced: bool,
}

impl Child {
    /// Hears what it has said.
    fn listen(&mut self) {
        while !self.silent {
            match News::hear(&self.control) {
                Heard::Said(News::Ready) if self.phase == Phase::Starting => {
                    self.phase = Phase::Serving;
                    let text =
                        format!("child {} started: generation {}", self.pid, self.generation);
                    write("mpm_event", Level::Debug, &text);
                }
                Heard::Said(News::Leaving) if self.phase == Phase::Serving => {
                    self.phase = Phase::Leaving;
                    let text = format!("child {} is to be replaced", self.pid);
                    write("mpm_event", Level::Debug, &text);
                }
                Heard::Said(News::Busy) => self.busy = true,
                Heard::Said(_) => {}
                Heard::Nothing => return,
                // It is dying: the signal is on its way.
                Heard::Ended => self.silent = true,
            }
        }
    }

    /// It served well and is dying: another one may start before its end is seen, which takes the kernel a while with
    /// many connections or a core to write.
    fn is_dying(&self) -> bool {
        self.silent && self.phase == Phase::Serving && self.born.elapsed() >= HEALTHY
    }

    /// Tells it something. Who does not listen is dying, and its end is seen otherwise.
    pub(super) fn tell(&self, order: &Order) {
        if let Err(e) = order.send(&self.control) {
            let text = format!("child {} was not told: {e}", self.pid);
            write("mpm_event", Level::Debug, &text);
        }
    }

    /// Tells it to finish; to give its connections away, or to say goodbye.
    pub(super) fn drain(&mut self, grace: Option<Duration>) {
        self.tell(&Order::Drain(grace));
        self.expect_its_end(grace);
    }

    /// The same when the whole server ends.
    pub(super) fn finish(&mut self, grace: Option<Duration>) {
        self.tell(&Order::Finish(grace));
        self.expect_its_end(grace);
    }

    fn expect_its_end(&mut self, grace: Option<Duration>) {
        let until = grace.and_then(|g| Instant::now().checked_add(g));
        self.phase = Phase::Draining(until);
    }
}

/// How a child has ended.
pub(super) struct Gone {
    pub(super) generation: u32,
    /// It never served.
    pub(super) unready: bool,
    /// It ended by a signal or with an error.
    pub(super) failed: bool,
    /// By SIGKILL: somebody's wish or want of memory, nothing that is wrong with the child.
    pub(super) killed: bool,
    /// It says that no child can start.
    pub(super) fatal: Option<String>,
}

/// The children there are.
pub(super) struct Children {
    all: Vec<Child>,
    /// Some child was ready once: what fails later may be a passing want.
    ever_ready: bool,
    /// Failed starts in a row, and when the next one may be tried.
    failures: u32,
    not_before: Instant,
    /// What children held that have ended, and it is not yet known whether it came back.
    held: Vec<Arc<AcceptMutex>>,
}

impl Children {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            ever_ready: false,
            failures: 0,
            not_before: Instant::now(),
            held: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn any_ready(&self) -> bool {
        self.ever_ready
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Child> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Child> {
        self.all.iter_mut()
    }

    pub(super) fn push(&mut self, child: Child) {
        self.all.push(child);
    }

    /// In a child that was forked: the siblings' ends must go, as a child sees the supervisor's death by the last copy's
    /// end.
    pub(super) fn forget(&mut self) {
        self.all.clear();
        self.held.clear();
    }

    /// Children of a generation that serve or will soon, and stay.
    pub(super) fn staying(&self, generation: u32) -> usize {
        let stays =
            |c: &&Child| matches!(c.phase, Phase::Starting | Phase::Serving) && !c.is_dying();
        let own = self.all.iter().filter(|c| c.generation == generation);
        own.filter(stays).count()
    }

    /// Those of a generation that stay and have so many request slots.
    pub(super) fn with_slots(&self, generation: u32, slots: u32) -> u32 {
        let staying = self.all.iter().filter(|c| {
            c.generation == generation
                && matches!(c.phase, Phase::Starting | Phase::Serving)
                && !c.is_dying()
        });
        let own = |c: &&Child| {
            c.board
                .child(c.record)
                .is_some_and(|r| r.slots.load(Relaxed) == slots)
        };
        staying.filter(own).count() as u32
    }

    /// The bucket, of so many, with the fewest children of a generation that stay.
    pub(super) fn emptiest(&self, generation: u32, buckets: usize) -> usize {
        let stays = |c: &&Child| {
            c.generation == generation
                && matches!(c.phase, Phase::Starting | Phase::Serving)
                && !c.is_dying()
        };
        let mut counts = vec![0; buckets.max(1)];
        for child in self.all.iter().filter(stays) {
            counts[child.record % buckets.max(1)] += 1;
        }
        let fewest = (0..counts.len()).min_by_key(|bucket| counts[*bucket]);
        fewest.unwrap_or(0)
    }

    /// Those of a generation that serve and stay.
    pub(super) fn serving(&self, generation: u32) -> usize {
        let serves =
            |c: &&Child| c.generation == generation && c.phase == Phase::Serving && !c.is_dying();
        self.all.iter().filter(serves).count()
    }

    /// Whether one of them has said that it is busy, since this was asked last.
    pub(super) fn were_busy(&mut self) -> bool {
        let mut any = false;
        for child in &mut self.all {
            any |= std::mem::take(&mut child.busy);
        }
        any
    }

    /// When the next start may be tried.
    pub(super) fn not_before(&self) -> Instant {
        self.not_before
    }

    /// A start has failed in the supervisor itself.
    pub(super) fn wait_for_better_times(&mut self) {
        self.not_before = Instant::now() + HEALTHY;
    }

    /// When a child that should have ended is to be killed.
    pub(super) fn next_overdue(&self) -> Option<Instant> {
        let overdue = |c: &Child| match c.phase {
            Phase::Draining(until) => until?.checked_add(OVERDUE),
            _ => None,
        };
        self.all.iter().filter_map(overdue).min()
    }

    /// Sleeps until a signal comes, a child speaks or `other` does, or it is `due`.
    pub(super) fn sleep(
        &self,
        signals: &Signals,
        other: Option<&OwnedFd>,
        due: Option<Instant>,
    ) -> io::Result<()> {
        let most = due.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        let mut waits = vec![PollFd::new(signals, PollFlags::IN)];
        waits.extend(other.map(|fd| PollFd::new(fd, PollFlags::IN)));
        // The end of a child comes as a signal.
        let speaking = self.all.iter().filter(|c| !c.silent);
        waits.extend(speaking.map(|c| PollFd::new(&c.control, PollFlags::IN)));
        match poll(&mut waits, most.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Hears what children have to say.
    pub(super) fn listen(&mut self) {
        for child in &mut self.all {
            child.listen();
            self.ever_ready |= child.phase == Phase::Serving;
        }
    }

    /// Takes note of children that have ended. Processor times go to the scoreboard given.
    pub(super) fn reap(&mut self, current: &Board) -> Vec<Gone> {
        let mut all = Vec::new();
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let Some(pid) = status.pid() else { break };
            // Minders of log programs are nobody's concern here.
            let Some(at) = self.all.iter().position(|c| c.pid == pid) else {
                continue;
            };
            let mut child = self.all.swap_remove(at);
            child.listen();
            self.ever_ready |= child.phase != Phase::Starting;
            child.board.release(child.record);
            let known = |mutex: &Arc<_>| self.held.iter().any(|held| Arc::ptr_eq(held, mutex));
            self.held.extend(child.mutex.filter(|mutex| !known(mutex)));
            note_times(current);
            let unready = child.phase == Phase::Starting;
            let mut gone = Gone {
                generation: child.generation,
                unready,
                failed: true,
                killed: matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)),
                fatal: None,
            };
            match status {
                WaitStatus::Signaled(_, signal, core) => {
                    let core = if core {
                        core_in(child.cores.as_deref())
                    } else {
                        String::new()
                    };
                    let number = signal as i32;
                    let text = format!("child pid {pid} exit signal {signal} ({number}){core}");
                    write("core", Level::Notice, &text);
                }
                WaitStatus::Exited(_, 0) => gone.failed = false,
                WaitStatus::Exited(_, code) => {
                    let text = format!("child pid {pid} exited with status {code}");
                    write("core", Level::Error, &text);
                    if (code == FATAL && unready) || (code == SICK && !self.ever_ready) {
                        let what = format!("child pid {pid} could not start (see the error log)");
                        gone.fatal = Some(what);
                    }
                }
                _ => gone.failed = false,
            }
            if gone.failed && !matches!(child.phase, Phase::Draining(_)) {
                let blameless = gone.killed && !unready;
                self.throttle(child.born.elapsed(), blameless);
            }
            all.push(gone);
        }
        all
    }

    /// Gives back what children that have ended held of their accept mutex.
    pub(super) fn recover(&mut self) {
        let all = &self.all;
        self.held.retain(|mutex| {
            let with = |c: &&Child| c.mutex.as_ref().is_some_and(|m| Arc::ptr_eq(m, mutex));
            let living = all.iter().filter(with).map(|c| (&*c.board, c.record));
            mutex.recover(living)
        });
    }

    /// When that is to be tried again.
    pub(super) fn next_recovery(&self) -> Option<Instant> {
        let again = || Instant::now().checked_add(RECOVERY);
        (!self.held.is_empty()).then(again).flatten()
    }

    /// A crash loop: the first replacements come at once, the next ever more slowly; not for those who served and were
    /// killed from outside.
    fn throttle(&mut self, lived: Duration, blameless: bool) {
        if lived >= HEALTHY {
            self.failures = 0;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let Some(doublings) = self.failures.checked_sub(AT_ONCE + 1) else {
            return;
        };
        let most = if blameless { 0 } else { DOUBLINGS };
        let wait = FIRST_WAIT * (1 << doublings.min(most));
        let text = format!(
            "children die right after their start, {} in a row; next try in {wait:?}",
            self.failures
        );
        write("mpm_event", Level::Warn, &text);
        self.not_before = Instant::now() + wait;
    }

    /// Kills children whose time to finish was over long ago.
    pub(super) fn end_overdue(&mut self) {
        let now = Instant::now();
        for child in &mut self.all {
            let Phase::Draining(Some(until)) = child.phase else {
                continue;
            };
            if now < until + OVERDUE {
                continue;
            }
            let held = held::of(&child.board, child.record).unwrap_or_else(|| "nothing".into());
            let text = format!(
                "child pid {} has not finished in time and is killed; it held: {held}",
                child.pid
            );
            write("core", Level::Error, &text);
            let _ = kill(child.pid, Signal::SIGKILL);
            child.phase = Phase::Draining(None);
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

/// Where a core may lie: the system's pattern may name another place.
fn core_in(directory: Option<&Path>) -> String {
    match directory {
        Some(directory) => format!(", possible core dump in {}", directory.display()),
        None => ", a core was dumped".to_owned(),
    }
}

/// Shows the processor time of the children that have ended.
pub(super) fn note_times(board: &Board) {
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
