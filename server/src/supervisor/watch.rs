//! The supervisor's loop: signals, what children say, and what is due.

use super::children::{Child, Children, Phase};
use super::detach::Detached;
use super::handover;
use super::notify::Notifier;
use super::pidfile::PidFile;
use super::plan::Plan;
use super::restart::{Kind, Next};
use super::spare::{self, Load, Spare, Step};
use super::upgrade::{self, Heir, Upgrade};
use crate::child;
use crate::cli::Options;
use crate::control::{self, Order};
use crate::crash;
use crate::log::{Level, write};
use crate::sys::signals::{self, Signals};
use nix::sys::signal::Signal;
use nix::unistd::ForkResult;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long a draining child may take, unless GracefulDrainTimeout says otherwise.
const DRAIN: Duration = Duration::from_secs(300);
pub(super) struct Supervisor {
    pub(super) options: Options,
    /// What serves.
    pub(super) current: Plan,
    /// What will.
    pub(super) next: Option<Next>,
    /// A restart that was asked for during another.
    pub(super) again: Option<Kind>,
    pub(super) children: Children,
    pub(super) pid_file: Option<PidFile>,
    /// Children of the generation that serves.
    pub(super) wanted: usize,
    pub(super) signals: Signals,
    spare: Spare,
    /// Whether the number of children is looked at again when its window is over.
    pub(super) watches: bool,
    /// What an upgrade starts.
    pub(super) program: PathBuf,
    /// The new server that is to take over, and whether one is to be started when that is possible.
    pub(super) upgrade: Option<Upgrade>,
    pub(super) upgrade_wanted: bool,
    /// The old server that this one takes over from.
    pub(super) heir: Option<Heir>,
    /// Whoever started this server and wants to hear of it.
    pub(super) notifier: Notifier,
}

/// What a signal comes to.
pub(super) enum Wish {
    Stop(Signal),
    GracefulStop(Signal),
    Restart(Kind),
    Upgrade,
}

impl Supervisor {
    pub(super) fn new(
        options: &Options,
        plan: Plan,
        pid_file: Option<PidFile>,
        heir: Option<Heir>,
    ) -> io::Result<Self> {
        Ok(Self {
            options: options.clone(),
            wanted: plan.start_servers(),
            current: plan,
            next: None,
            again: None,
            children: Children::new(),
            pid_file,
            signals: Signals::new(&child::signals())?,
            spare: Spare::new(),
            watches: true,
            program: upgrade::program(),
            upgrade: None,
            upgrade_wanted: false,
            heir,
            notifier: Notifier::from_environment(),
        })
    }

    /// The number of the generation that serves.
    pub(super) fn generation(&self) -> u32 {
        self.current.board.header().generation.load(Relaxed)
    }

    /// How long a draining child may take; `None` for as long as it likes.
    pub(super) fn drain_timeout(&self) -> Option<Duration> {
        let set = &self.current.settings.config.graceful_drain_timeout;
        let time = set.as_ref().map_or(DRAIN, |t| t.value);
        (!time.is_zero()).then_some(time)
    }

    /// Sleeps until a signal comes, a child speaks or something is due.
    pub(super) fn watch(&mut self, detached: &mut Option<Detached>) -> io::Result<()> {
        self.fill(detached)?;
        let version = crate::cli::VERSION;
        let text = format!("{version} configured -- resuming normal operations");
        write("mpm_event", Level::Notice, &text);
        loop {
            self.children
                .sleep(&self.signals, self.other(), self.due())?;
            while let Some(wish) = self.next_wish()? {
                match wish {
                    Wish::Stop(name) => {
                        let text = format!("caught {name}, shutting down");
                        write("mpm_event", Level::Notice, &text);
                        let drain = self.current.settings.config.term_drain_timeout.value;
                        if name == Signal::SIGTERM && !drain.is_zero() {
                            return self.stop_gracefully(Some(drain));
                        }
                        return self.stop();
                    }
                    Wish::GracefulStop(name) => {
                        let text = format!("caught {name}, shutting down gracefully");
                        write("mpm_event", Level::Notice, &text);
                        let timeout = self.current.settings.config.graceful_shutdown_timeout.value;
                        return self.stop_gracefully((!timeout.is_zero()).then_some(timeout));
                    }
                    Wish::Restart(kind) => {
                        self.notifier.reloading();
                        self.begin_restart(kind);
                    }
                    Wish::Upgrade => self.begin_upgrade(),
                }
            }
            self.children.listen();
            if let Some(fatal) = self.reap() {
                self.stop()?;
                let text = format!("{fatal}; shutting down");
                write("mpm_event", Level::Alert, &text);
                return Err(io::Error::other(text));
            }
            if self.children.any_ready() {
                if let Some(detached) = detached.take() {
                    detached.ready();
                }
                // Of an heir, its old server speaks first.
                if self.next.is_none() && self.heir.as_ref().is_none_or(Heir::is_ready) {
                    self.notifier.ready(crate::cli::VERSION);
                }
            }
            self.notifier.live();
            self.fill(detached)?;
            self.see_to_the_next();
            let number = self.generation();
            let newcomers = handover::introduce_newcomers(&mut self.children, number);
            self.see_to_the_heritage(newcomers)?;
            if self.see_to_the_upgrade() {
                return self.give_way();
            }
            self.replace_leaving();
            self.keep_spare_threads();
            self.children.end_overdue();
        }
    }

    /// Starts or ends children, so that neither too few nor too many threads are idle.
    fn keep_spare_threads(&mut self) {
        let number = self.generation();
        self.watches |= self.children.were_busy();
        // While children come or go, their number says little.
        let settled = self.children.serving(number) == self.wanted && self.next.is_none();
        if !self.watches || !settled {
            return;
        }
        let limits = self.current.settings.config.limits;
        let serves = |c: &&Child| c.generation == number && c.phase == Phase::Serving;
        let serving = self.children.iter().filter(serves);
        let loads: Vec<(Load, usize, nix::unistd::Pid)> = serving
            .filter_map(|c| {
                let record = c.board.child(c.record)?;
                let load = Load {
                    busy: record.busy.load(Relaxed),
                    slots: record.slots.load(Relaxed),
                };
                Some((load, c.record, c.pid))
            })
            .collect();
        let all: Vec<Load> = loads.iter().map(|(load, ..)| *load).collect();
        if Instant::now() < self.spare.next() {
            return;
        }
        let (step, words) = self.spare.look(&limits, &all, Instant::now());
        if let Some(words) = words {
            write("mpm_event", Level::Error, &words);
        }
        match step {
            Step::Nothing => {}
            Step::Grow(n) => self.wanted += n as usize,
            Step::Shrink => {
                // The one with the fewest requests in progress; a socket keeps a child that accepts from it.
                let buckets = self.current.board.buckets();
                let of = |at: usize| at % buckets;
                let alone = |at: usize| loads.iter().filter(|l| of(l.1) == of(at)).count() == 1;
                let free = loads.iter().filter(|(_, at, _)| !alone(*at));
                if let Some((_, _, pid)) = free.min_by_key(|(load, ..)| load.busy) {
                    self.wanted -= 1;
                    let grace = self.drain_timeout();
                    handover::drain(&mut self.children, &[*pid], number, grace);
                }
            }
        }
        self.watches = step != Step::Nothing || self.spare.watches(&limits, &all);
        let low = if self.watches || limits.fixed {
            0
        } else {
            spare::low_water(&limits, all.len())
        };
        self.current.board.header().low_water.store(low, Relaxed);
    }

    /// When something is to be done though nothing happens.
    fn due(&self) -> Option<Instant> {
        let starts = self.children.staying(self.generation()) < self.wanted
            || self.next.as_ref().is_some_and(|n| {
                let number = n.plan.board.header().generation.load(Relaxed);
                self.children.staying(number) < n.wanted
            });
        let starts = starts.then(|| self.children.not_before());
        let next = self.next.as_ref().map(Next::deadline);
        let overdue = self.children.next_overdue();
        let settled = self.children.serving(self.generation()) == self.wanted;
        let fixed = self.current.settings.config.limits.fixed;
        let spare =
            (self.watches && settled && !fixed && self.next.is_none()).then(|| self.spare.next());
        let upgrade = self.upgrade.as_ref().map(Upgrade::deadline);
        let recovery = self.children.next_recovery();
        let alive = self.notifier.next();
        [starts, next, overdue, spare, upgrade, recovery, alive]
            .into_iter()
            .flatten()
            .min()
    }

    /// The other server there is during an upgrade.
    fn other(&self) -> Option<&OwnedFd> {
        let new = self.upgrade.as_ref().map(Upgrade::channel);
        // Before that it is not listened to: its end would be seen again and again.
        let heir = self.heir.as_ref().filter(|heir| heir.is_ready());
        new.or_else(|| heir.map(Heir::channel))
    }

    /// A server that is not ready ends with this one.
    fn end_upgrade(&mut self) {
        if let Some(upgrade) = self.upgrade.take() {
            upgrade.end(Signal::SIGTERM);
        }
    }

    /// What the next signal asks for.
    pub(super) fn next_wish(&self) -> io::Result<Option<Wish>> {
        while let Some(caught) = self.signals.next()? {
            let name = caught.signal;
            return Ok(Some(match name {
                Signal::SIGTERM | Signal::SIGINT => Wish::Stop(name),
                Signal::SIGHUP => Wish::Restart(Kind::Hard),
                Signal::SIGUSR1 => Wish::Restart(Kind::Graceful),
                // The size of a terminal is nobody's wish.
                Signal::SIGWINCH if caught.by_kernel => continue,
                Signal::SIGWINCH | Signal::SIGQUIT => Wish::GracefulStop(name),
                Signal::SIGUSR2 => Wish::Upgrade,
                _ => continue,
            }));
        }
        Ok(None)
    }

    /// Takes note of children that have ended. `Some(why)` if no child can start.
    pub(super) fn reap(&mut self) -> Option<String> {
        let mut fatal = None;
        let gone = self.children.reap(&self.current.board);
        self.children.recover();
        if !gone.is_empty() {
            self.current.board.inherit();
        }
        for gone in gone {
            let of_next = self
                .next
                .as_ref()
                .is_some_and(|n| n.plan.board.header().generation.load(Relaxed) == gone.generation);
            if of_next && gone.unready && gone.failed && !gone.killed {
                self.give_up("a child of the new generation could not start");
            } else if gone.generation == self.generation() {
                fatal = fatal.or(gone.fatal);
            }
        }
        fatal
    }

    /// The new generation takes over when all its children serve, and is given up when that takes too long.
    fn see_to_the_next(&mut self) {
        let Some(next) = &self.next else { return };
        let number = next.plan.board.header().generation.load(Relaxed);
        if self.children.serving(number) >= next.wanted {
            self.commit();
        } else if Instant::now() >= next.deadline() {
            self.give_up("the new children do not come to serve");
        }
    }

    /// Children that are to be replaced go when another one serves in their place.
    fn replace_leaving(&mut self) {
        let number = self.generation();
        let own = |c: &&Child| c.generation == number;
        let starting = |c: &Child| c.phase == Phase::Starting;
        if self.children.iter().filter(own).any(starting) || self.children.serving(number) == 0 {
            return;
        }
        let leaving = |c: &&Child| c.phase == Phase::Leaving;
        let leaving: Vec<_> = self
            .children
            .iter()
            .filter(leaving)
            .map(|c| c.pid)
            .collect();
        if !leaving.is_empty() {
            let grace = self.drain_timeout();
            handover::drain(&mut self.children, &leaving, number, grace);
        }
    }

    /// Forks until there are as many children as wanted.
    ///
    /// # Errors
    /// None can be started and none ever was.
    fn fill(&mut self, detached: &mut Option<Detached>) -> io::Result<()> {
        while self.children.staying(self.generation()) < self.wanted
            && Instant::now() >= self.children.not_before()
        {
            if let Err(e) = self.start(false, detached) {
                if self.children.is_empty() && !self.children.any_ready() {
                    let text = format!("no child could be started: {e}");
                    return Err(io::Error::new(e.kind(), text));
                }
                self.no_start(&e);
            }
        }
        while let Some(next) = &self.next {
            let number = next.plan.board.header().generation.load(Relaxed);
            let enough = self.children.staying(number) >= next.wanted;
            if enough || Instant::now() < self.children.not_before() {
                break;
            }
            if let Err(e) = self.start(true, detached) {
                self.no_start(&e);
            }
        }
        Ok(())
    }

    fn no_start(&mut self, e: &io::Error) {
        let text = format!("a child could not be started: {e}; trying again");
        write("mpm_event", Level::Error, &text);
        self.children.wait_for_better_times();
    }

    /// Forks one child, of the generation that serves or of the next. What only the supervisor needs is dropped in it.
    fn start(&mut self, of_next: bool, detached: &mut Option<Detached>) -> io::Result<()> {
        let named = |what: &str, e: io::Error| io::Error::new(e.kind(), format!("{what}: {e}"));
        let plan = match &self.next {
            Some(next) if of_next => &next.plan,
            _ => &self.current,
        };
        let board = plan.board.clone();
        let generation = board.header().generation.load(Relaxed);
        let bucket = self.children.emptiest(generation, board.buckets());
        let limits = &plan.settings.config.limits;
        let full = self.children.with_slots(generation, limits.slots_per_child);
        let slots = limits.slots_of_next(full);
        let Some(record) = board.claim(slots, bucket) else {
            return Err(io::Error::other("no free record on the scoreboard"));
        };
        let (ours, theirs) = match control::channel() {
            Ok(pair) => pair,
            Err(e) => {
                board.release(record);
                return Err(named("socketpair", e));
            }
        };
        // SAFETY: the supervisor has no other thread, so the child may do whatever it likes.
        match unsafe { signals::fork() } {
            Ok(ForkResult::Parent { child: pid }) => {
                if let Some(child) = board.child(record) {
                    child.pid.store(pid.as_raw().unsigned_abs(), Relaxed);
                }
                let cores = crash::directory(&plan.settings).map(Path::to_owned);
                self.children.push(Child {
                    pid,
                    control: ours,
                    born: Instant::now(),
                    board,
                    record,
                    mutex: plan.mutex.clone(),
                    generation,
                    cores,
                    phase: Phase::Starting,
                    silent: false,
                    busy: false,
                    introduced: false,
                });
                Ok(())
            }
            Ok(ForkResult::Child) => {
                self.children.forget();
                (self.upgrade, self.heir) = (None, None);
                *detached = None;
                drop(ours);
                let plan = match &mut self.next {
                    Some(next) if of_next => {
                        self.current.leave();
                        next.forget_logs();
                        &mut next.plan
                    }
                    next => {
                        if let Some(next) = next {
                            next.leave();
                        }
                        &mut self.current
                    }
                };
                std::process::exit(plan.serve(record, &theirs))
            }
            Err(e) => {
                board.release(record);
                Err(named("fork", e.into()))
            }
        }
    }

    /// Ends when the requests in progress are finished, or `grace` is over.
    fn stop_gracefully(&mut self, grace: Option<Duration>) -> io::Result<()> {
        self.notifier.stopping();
        self.end_upgrade();
        self.give_up("the server ends");
        self.current.listeners.clear();
        self.pid_file = None;
        self.wanted = 0;
        for child in self.children.iter_mut() {
            child.finish(grace);
        }
        while !self.children.is_empty() {
            let due = [
                self.children.next_overdue(),
                self.children.next_recovery(),
                self.notifier.next(),
            ];
            self.children
                .sleep(&self.signals, None, due.into_iter().flatten().min())?;
            self.notifier.live();
            while let Some(wish) = self.next_wish()? {
                if let Wish::Stop(name) = wish {
                    let text = format!("caught {name}, shutting down");
                    write("mpm_event", Level::Notice, &text);
                    return self.stop();
                }
            }
            self.children.listen();
            self.reap();
            self.children.end_overdue();
        }
        Ok(())
    }

    /// Ends every child: told at once, reminded, and killed if that does not help.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        self.notifier.stopping();
        self.end_upgrade();
        self.current.listeners.clear();
        self.next = None;
        self.wanted = 0;
        for child in self.children.iter() {
            child.tell(&Order::Stop);
        }
        let began = Instant::now();
        let steps = [3, 5, 7].map(|s| (s, Some(Signal::SIGTERM)));
        for (second, signal) in steps.into_iter().chain([(9, None)]) {
            let end = began + Duration::from_secs(second);
            while !self.children.is_empty() && Instant::now() < end {
                self.children.sleep(&self.signals, None, Some(end))?;
                while self.signals.next()?.is_some() {}
                self.children.listen();
                self.reap();
            }
            match signal {
                _ if self.children.is_empty() => break,
                Some(signal) => self.children.remind(signal),
                None => self.children.kill(),
            }
        }
        Ok(())
    }
}
