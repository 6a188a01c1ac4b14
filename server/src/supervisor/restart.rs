//! Restarts: the new generation serves before the old one is told to go, and whatever is wrong with it changes nothing.

use super::children::Phase;
use super::pidfile::{self, PidFile};
use super::plan::{Before, Plan};
use super::watch::Supervisor;
use super::{buckets, handover, listeners};
use crate::control::Order;
use crate::crash;
use crate::log::access::AccessLogs;
use crate::log::error::Opened;
use crate::log::{self, Level, write};
use crate::scoreboard::Board;
use crate::settings::{self, Settings};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A new generation that does not serve by then is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was asked for; the greater one wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// Requests in progress are finished, totals go on.
    Graceful,
    /// Requests in progress are cut, totals begin anew.
    Hard,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Graceful => "graceful restart",
            Self::Hard => "restart",
        }
    }
}

/// A generation that is to take over.
pub(super) struct Next {
    pub(super) plan: Plan,
    /// Children that take over.
    pub(super) wanted: usize,
    kind: Kind,
    /// A PidFile at another path than the one before.
    pid_file: Option<PidFile>,
    /// The error logs of the generation that serves.
    logs: Opened,
    began: Instant,
}

impl Next {
    pub(super) fn deadline(&self) -> Instant {
        self.began + PATIENCE
    }

    /// Lets go of everything, in another generation's child.
    pub(super) fn leave(&mut self) {
        self.plan.leave();
        self.forget_logs();
    }

    /// Lets go of the logs of the generation before, in a child of this one.
    pub(super) fn forget_logs(&mut self) {
        self.logs = Opened::none();
    }
}

impl Supervisor {
    /// Reads the configuration anew and starts its children. What is wrong is logged, and changes nothing.
    pub(super) fn begin_restart(&mut self, kind: Kind) {
        if self.upgrade.is_some() {
            return self.refuse(kind, "an upgrade is in progress");
        }
        if self.next.is_some() {
            self.again = self.again.max(Some(kind));
            return;
        }
        let (settings, notes) = match settings::load(&self.options) {
            Ok(loaded) => loaded,
            Err(errors) => {
                for error in errors {
                    for line in error.render().lines() {
                        write("core", Level::Error, line);
                    }
                }
                return self.refuse(kind, "the configuration has errors");
            }
        };
        for note in &notes {
            for line in note.render().lines() {
                write("core", Level::Warn, line);
            }
        }
        match self.prepare(kind, settings) {
            Ok(next) => self.next = Some(next),
            Err(e) => self.refuse(kind, &e.to_string()),
        }
    }

    fn refuse(&self, kind: Kind, why: &str) {
        let text = format!("no {}: {why}; the server goes on as before", kind.name());
        write("mpm_event", Level::Error, &text);
    }

    /// Opens everything that the new generation needs.
    fn prepare(&mut self, kind: Kind, settings: Settings) -> io::Result<Next> {
        let before = &self.current;
        let buckets = buckets::wanted(&settings.config, false);
        let listeners = listeners::open(&settings.config, buckets, &before.listeners)?;
        let logs = AccessLogs::open(&settings.config)?;
        let errors = log::error::prepare(&settings.config)?;
        let pid_file = self.new_pid_file(&settings)?;
        let changes = parkade_config::changes(&before.settings.config, &settings.config);
        let board = before.board.clone();
        let plan = Plan::new(
            settings,
            listeners,
            logs,
            false,
            &Before::Plan(before),
            |size, file| Board::after(&board, size, kind == Kind::Graceful, file),
        )?;
        super::children::note_times(&plan.board);
        for change in changes {
            write("core", Level::Notice, &change);
        }
        // The children of the new generation write there from the first; so does the supervisor.
        let logs = errors.install();
        // As many as now, if there had to be more than at the start.
        let most = plan.settings.config.limits.children as usize;
        Ok(Next {
            wanted: plan.start_servers().max(self.wanted.min(most)),
            plan,
            kind,
            pid_file,
            logs,
            began: Instant::now(),
        })
    }

    fn new_pid_file(&self, settings: &Settings) -> io::Result<Option<PidFile>> {
        let wanted = settings.pid_path();
        let have = self.pid_file.as_ref().map(PidFile::path);
        match wanted {
            Some(path) if have != Some(path) => {
                pidfile::may_write(path, &pidfile::look(path))?;
                PidFile::create(path).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Every child of the new generation serves: the old one is told to go.
    pub(super) fn commit(&mut self) {
        let Some(mut next) = self.next.take() else {
            return;
        };
        if let Err(e) = next.plan.publish() {
            write("core", Level::Error, &format!("{e}; it has no name"));
        }
        let before = &self.current.listeners;
        if let Err(e) = listeners::take_over(&next.plan.listeners, before) {
            write("core", Level::Error, &format!("listeners: {e}"));
        }
        if next.plan.settings.pid_path().is_none() || next.pid_file.is_some() {
            self.pid_file = next.pid_file;
        }
        // Dropping the old plan closes listeners that are not wanted any more and its logs, and removes the file of its
        // scoreboard unless the new one has taken its place.
        self.current = next.plan;
        if let Err(e) = crash::watch(&self.current.settings) {
            write("core", Level::Error, &format!("fatal signals: {e}"));
        }
        let number = self.generation();
        self.wanted = self.children.staying(self.generation());
        self.watches = true;
        let grace = match next.kind {
            Kind::Graceful => self.drain_timeout(),
            Kind::Hard => Some(Duration::ZERO),
        };
        let old: Vec<_> = self
            .children
            .iter()
            .filter(|c| c.generation != number && !matches!(c.phase, Phase::Draining(_)))
            .map(|c| c.pid)
            .collect();
        // Before those go who were to take their connections.
        handover::introduce_newcomers(&mut self.children, number);
        handover::drain(&mut self.children, &old, number, grace);
        if next.kind == Kind::Hard {
            self.hurry(number);
        }
        let text = format!(
            "{} configured -- resuming normal operations ({}, generation {number})",
            crate::cli::VERSION,
            next.kind.name(),
        );
        write("mpm_event", Level::Notice, &text);
        if let Some(kind) = self.again.take() {
            self.begin_restart(kind);
        }
    }

    /// A restart cuts what older graceful restarts have left, too.
    fn hurry(&mut self, number: u32) {
        for child in self.children.iter_mut() {
            if child.generation != number && matches!(child.phase, Phase::Draining(_)) {
                child.drain(Some(Duration::ZERO));
            }
        }
    }

    /// The new generation does not come to serve: everything stays as it was.
    pub(super) fn give_up(&mut self, why: &str) {
        let Some(next) = self.next.take() else { return };
        let _ = listeners::take_over(&self.current.listeners, &next.plan.listeners);
        let number = next.plan.board.header().generation.load(Relaxed);
        let mut serving = Vec::new();
        for child in self.children.iter_mut().filter(|c| c.generation == number) {
            if child.phase == Phase::Starting {
                child.tell(&Order::Stop);
                child.phase = Phase::Draining(Some(Instant::now()));
            } else if !matches!(child.phase, Phase::Draining(_)) {
                serving.push(child.pid);
            }
        }
        // These have accepted connections already, which lose nothing by it.
        let (current, grace) = (self.generation(), self.drain_timeout());
        handover::drain(&mut self.children, &serving, current, grace);
        self.refuse(next.kind, why);
        next.logs.install();
        self.refuse(next.kind, why);
        if let Some(kind) = self.again.take() {
            self.begin_restart(kind);
        }
    }
}
