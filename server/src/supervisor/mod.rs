//! The supervisor: one thread, never a request. It opens listeners and logs, forks children before any thread exists,
//! replaces those that die and stops everything when it is told to.
//!
//! `listeners` opens the sockets, `pidfile` keeps the PidFile, `detach` leaves the terminal, `children` forks, reaps and
//! ends children.

mod children;
mod detach;
mod listeners;
pub(crate) mod pidfile;

use crate::child;
use crate::cli::Options;
use crate::log::access::AccessLogs;
use crate::log::{self, Level, write};
use crate::scoreboard::{Board, Size};
use crate::settings::Settings;
use children::Children;
use detach::Detached;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::signal::{sigaction, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use pidfile::{Found, PidFile};
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Records for children that still end while others have taken their place.
const SPARE_RECORDS: usize = 16;

/// What children are made from.
struct Plan {
    settings: Settings,
    listeners: Vec<TcpListener>,
    logs: AccessLogs,
    board: Arc<Board>,
}

/// Runs the server until it is told to stop.
pub(crate) fn run(options: &Options, settings: Settings) -> io::Result<()> {
    let pid_path = settings
        .config
        .pid_file
        .as_ref()
        .filter(|_| !settings.builtin)
        .map(|p| p.value.clone());
    let found = pid_path.as_deref().map(pidfile::look);
    if let Some(Found::Server(pid)) = found
        && options.detach
    {
        println!("parkade (pid {pid}) already running");
        return Ok(());
    }
    log::error::open(&settings.config)?;
    let listeners = listeners::open(&settings.config)?;
    let logs = AccessLogs::open(&settings.config)?;
    if let (Some(path), Some(found)) = (&pid_path, &found) {
        pidfile::may_write(path, found)?;
    }
    if !options.detach {
        return run_here(
            options,
            settings,
            listeners,
            logs,
            pid_path.as_deref(),
            &mut None,
        );
    }
    let mut detached = Some(detach::detach()?);
    let end = run_here(
        options,
        settings,
        listeners,
        logs,
        pid_path.as_deref(),
        &mut detached,
    );
    if let (Err(e), Some(detached)) = (&end, detached) {
        detached.failed(e);
    }
    end
}

/// The same, in the process that stays.
fn run_here(
    options: &Options,
    settings: Settings,
    listeners: Vec<TcpListener>,
    logs: AccessLogs,
    pid_path: Option<&Path>,
    detached: &mut Option<Detached>,
) -> io::Result<()> {
    block_signals()?;
    let _pid_file = pid_path.map(PidFile::create).transpose()?;
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            write(
                "core",
                Level::Notice,
                &format!("listening on http://{address}/"),
            );
        }
    }
    let limits = &settings.config.limits;
    let records = if options.one_process {
        1
    } else {
        limits.server_limit.max(limits.children) as usize * 2 + SPARE_RECORDS
    };
    let size = Size {
        children: records,
        workers: child::homes(limits.threads_per_child),
        slots: limits.slots_per_child as usize,
        extended: settings.config.extended_status(),
    };
    let board = Board::new(size, 0)
        .map_err(|e| io::Error::new(e.kind(), format!("could not make the scoreboard: {e}")))?;
    let planned = if options.one_process {
        1
    } else {
        limits.children
    };
    board.header().planned.store(planned, Relaxed);
    let plan = Plan {
        settings,
        listeners,
        logs,
        board: Arc::new(board),
    };
    if options.one_process {
        return alone(&plan);
    }
    Supervisor::new(plan)?.watch(detached)
}

/// `-X`: this process is the only one.
fn alone(plan: &Plan) -> io::Result<()> {
    let slots = plan.settings.config.limits.slots_per_child;
    let Some(record) = plan.board.claim(slots) else {
        return Err(io::Error::other("no record on the scoreboard"));
    };
    let board = plan.board.clone();
    let place = child::Place { board, record };
    child::serve(&plan.settings, &plan.listeners, &plan.logs, place, None)
}

/// Signals come through descriptors; a log that has grown to its limit is an error, not the end.
fn block_signals() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&child::signals()), None)?;
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { sigaction(Signal::SIGXFSZ, &ignore) }?;
    Ok(())
}

struct Supervisor {
    plan: Plan,
    signals: SignalFd,
    children: Children,
    wanted: usize,
}

impl Supervisor {
    fn new(plan: Plan) -> io::Result<Self> {
        let signals = SignalFd::with_flags(
            &child::signals(),
            SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
        )?;
        let limits = &plan.settings.config.limits;
        let wanted = limits.start_servers.min(limits.children).max(1) as usize;
        Ok(Self {
            plan,
            signals,
            children: Children::new(),
            wanted,
        })
    }

    /// Sleeps until a signal comes, a child speaks or a start is due.
    fn watch(&mut self, detached: &mut Option<Detached>) -> io::Result<()> {
        self.children.fill(&self.plan, self.wanted, detached)?;
        let text = format!(
            "{} configured -- resuming normal operations",
            crate::cli::VERSION
        );
        write("mpm_event", Level::Notice, &text);
        loop {
            let due = self.children.next_start(self.wanted);
            self.children.sleep(&self.signals, due)?;
            while let Some(signal) = self.signals.read_signal()? {
                match Signal::try_from(signal.ssi_signo as i32) {
                    Ok(Signal::SIGCHLD) => {}
                    Ok(name @ (Signal::SIGTERM | Signal::SIGINT)) => {
                        let text = format!("caught {name}, shutting down");
                        write("mpm_event", Level::Notice, &text);
                        return self.stop();
                    }
                    Ok(name) => {
                        let text =
                            format!("caught {name}: restarts are not built yet, nothing changes");
                        write("mpm_event", Level::Notice, &text);
                    }
                    Err(_) => {}
                }
            }
            self.children.listen(&self.plan.board);
            if let Some(fatal) = self.children.reap(&self.plan.board) {
                self.stop()?;
                let text = format!("{fatal}; shutting down");
                write("mpm_event", Level::Alert, &text);
                return Err(io::Error::other(text));
            }
            if self.children.any_ready()
                && let Some(detached) = detached.take()
            {
                detached.ready();
            }
            self.children.fill(&self.plan, self.wanted, detached)?;
        }
    }

    /// Ends every child: told at once, reminded, and killed if that does not help.
    fn stop(&mut self) -> io::Result<()> {
        self.plan.listeners.clear();
        self.wanted = 0;
        self.children.say(child::word::STOP);
        let began = Instant::now();
        let steps = [3, 5, 7].map(|s| (s, Some(Signal::SIGTERM)));
        for (second, signal) in steps.into_iter().chain([(9, None)]) {
            let end = began + Duration::from_secs(second);
            while !self.children.is_empty() && Instant::now() < end {
                self.children.sleep(&self.signals, Some(end))?;
                while let Some(_signal) = self.signals.read_signal()? {}
                self.children.listen(&self.plan.board);
                let _ = self.children.reap(&self.plan.board);
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
