//! The supervisor: one thread, never a request. It opens listeners and logs, forks children before any thread exists,
//! replaces those that die and stops everything when it is told to.
//!
//! `listeners` opens the sockets, `buckets` says how many, `buffers` how much the kernel keeps for each, `pidfile` keeps the PidFile, `detach` leaves the terminal,
//! `plan` is what a generation of children is made from. `watch` is the loop, `restart` puts one generation in another's
//! place, `spare` says how many children there should be, `handover` says
//! whose connections go to whom, `children` are those there are. `upgrade` puts another program in this one's place;
//! `activation` are sockets that a service manager has opened, `notify` what it is told.

mod activation;
mod buckets;
mod buffers;
mod children;
mod detach;
mod handover;
mod listeners;
mod notify;
pub(crate) mod pidfile;
mod plan;
mod restart;
mod spare;
pub(crate) mod upgrade;
mod watch;

use crate::child;
use crate::cli::Options;
use crate::crash;
use crate::log::access::AccessLogs;
use crate::log::{self, Level, write};
use crate::scoreboard::Board;
use crate::settings::Settings;
use detach::Detached;
use listeners::Listener;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::signal::{sigaction, sigprocmask};
use pidfile::{Found, PidFile};
use plan::{Before, Plan};
use std::io;
use std::path::Path;
use upgrade::Heir;
use watch::Supervisor;

/// Runs the server until it is told to stop.
pub(crate) fn run(options: &Options, settings: Settings) -> io::Result<()> {
    let mut heir = upgrade::inherit()?;
    let pid_path = settings.pid_path().map(Path::to_owned);
    let found = pid_path.as_deref().map(pidfile::look);
    if let Some(Found::Server(pid)) = found
        && options.detach
    {
        println!("parkade (pid {pid}) already running");
        return Ok(());
    }
    log::error::open(&settings.config)?;
    let buckets = buckets::wanted(&settings.config, options.one_process);
    let inherited = match &mut heir {
        Some(heir) => std::mem::take(&mut heir.listeners),
        None => activation::inherit(&settings.config),
    };
    let listeners = listeners::open(&settings.config, buckets, &inherited)?;
    // What is listened on has descriptors of its own by now.
    drop(inherited);
    let logs = AccessLogs::open(&settings.config)?;
    // The old server's own: it is replaced when this one serves.
    let ours = heir.as_ref().map(|h| Found::Server(h.pid));
    if let (Some(path), Some(found)) = (&pid_path, found.filter(|f| Some(f) != ours.as_ref())) {
        pidfile::may_write(path, &found)?;
    }
    if !options.detach {
        return run_here(
            options,
            settings,
            listeners,
            logs,
            pid_path.as_deref(),
            heir,
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
        heir,
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
    listeners: Vec<Listener>,
    logs: AccessLogs,
    pid_path: Option<&Path>,
    heir: Option<Heir>,
    detached: &mut Option<Detached>,
) -> io::Result<()> {
    block_signals()?;
    crash::watch(&settings)?;
    // An heir's files get their names when it serves.
    let own = pid_path.filter(|_| heir.is_none());
    let pid_file = own.map(PidFile::create).transpose()?;
    for listener in &listeners {
        if let Ok(address) = listener.address() {
            write(
                "core",
                Level::Notice,
                &format!("listening on http://{address}/"),
            );
        }
    }
    let one = options.one_process;
    let before = heir
        .as_ref()
        .map_or(Before::Nothing, |h| Before::Server(h.pid));
    let mut plan = Plan::new(settings, listeners, logs, one, &before, |size, file| {
        Board::new(size, 0, file)
    })?;
    if heir.is_none() {
        plan.publish()?;
    }
    if options.one_process {
        return alone(&mut plan);
    }
    Supervisor::new(options, plan, pid_file, heir)?.watch(detached)
}

/// `-X`: this process is the only one.
fn alone(plan: &mut Plan) -> io::Result<()> {
    let slots = plan.settings.config.limits.slots_per_child;
    let Some(record) = plan.board.claim(slots, 0) else {
        return Err(io::Error::other("no record on the scoreboard"));
    };
    let board = plan.board.clone();
    let place = child::Place { board, record };
    let sockets = listeners::sockets(&mut plan.listeners, 0);
    let turns = plan.mutex.as_deref();
    child::serve(&plan.settings, sockets, &plan.logs, place, turns, None)
}

/// Signals come through descriptors; a log that has grown to its limit is an error, not the end.
fn block_signals() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&child::signals()), None)?;
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { sigaction(Signal::SIGXFSZ, &ignore) }?;
    Ok(())
}
