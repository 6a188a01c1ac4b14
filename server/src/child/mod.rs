//! A child: gives up root, serves until it is told to stop or its supervisor is gone.
//!
//! `identity` is who it is, `slots` how many requests it works on, `siblings` what it knows of the other children, `stack` how big the
//! stacks of its workers are.

mod identity;
mod siblings;
pub(crate) mod slots;
mod stack;

use crate::log::access::AccessLogs;
use crate::log::{Level, write};
use crate::scoreboard::{Board, State};
use crate::settings::Settings;
use crate::site::Site;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use parkade::{Runtime, Workers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use siblings::Siblings;
use slots::Slots;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long requests in progress may take when a child is told to go.
const GRACE: Duration = Duration::from_secs(10);
/// How long the workers may take to end when nothing is waited for any more; a handler that is stuck holds its thread.
const END: Duration = Duration::from_secs(1);

/// The exit code of a child that cannot become what it must be: the server stops.
pub(crate) const FATAL: i32 = 15;
/// The exit code of a child that lacked descriptors, memory or threads: it may be tried again.
pub(crate) const SICK: i32 = 7;

/// What goes over the control socket.
pub(crate) mod word {
    /// To a child: end at once.
    pub(crate) const STOP: u8 = b's';
    /// From a child: it accepts and answers.
    pub(crate) const READY: u8 = b'r';
}

/// The signals that a process of the server takes through a descriptor.
pub(crate) fn signals() -> SigSet {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
        Signal::SIGQUIT,
        Signal::SIGCHLD,
    ] {
        set.add(signal);
    }
    set
}

/// Why a process is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// At once.
    Stop,
    /// When it has finished what was begun.
    Finish,
    /// As before: the supervisor is gone.
    Orphaned,
}

/// A child's place on the scoreboard.
pub(crate) struct Place {
    pub(crate) board: Arc<Board>,
    pub(crate) record: usize,
}

/// Home workers of a child with so many threads: one per processor; the rest are reserves.
pub(crate) fn homes(threads_per_child: u32) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (threads_per_child.max(1) as usize).min(cores)
}

/// Serves. `control` is the supervisor's end of life: a word means what it says, its end means that the supervisor has
/// died. Without it this is the only process, and the interrupt key ends it.
pub(crate) fn serve(
    settings: &Settings,
    listeners: &[TcpListener],
    logs: &AccessLogs,
    place: Place,
    control: Option<&OwnedFd>,
) -> io::Result<()> {
    if let Some(identity) = &settings.identity {
        identity::drop_privileges(identity)?;
    }
    identity::raise_descriptor_limit();
    let runtime = start(settings, listeners, logs, &place)?;
    if let Some(control) = control {
        // If the supervisor is gone, the first look at the socket says so.
        let _ = rustix::io::write(control, &[word::READY]);
    }
    let signals = SignalFd::with_flags(&signals(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let why = loop {
        if let Some(why) = told(&signals, control, None)? {
            break why;
        }
    };
    if let Some(child) = place.board.child(place.record) {
        child.set_state(State::Stopping);
    }
    end(runtime, why, &signals, control)
}

/// The runtime with its listeners.
fn start(
    settings: &Settings,
    listeners: &[TcpListener],
    logs: &AccessLogs,
    place: &Place,
) -> io::Result<Runtime> {
    let config = &settings.config;
    let threads = config.limits.threads_per_child.max(1) as usize;
    let homes = homes(config.limits.threads_per_child);
    let header = &config.main.request_read_timeout.header;
    // For the life of the process: workers count in it until the very end.
    let board: &'static Arc<Board> = Box::leak(Box::new(place.board.clone()));
    let runtime = Runtime::builder()
        .workers(Workers::Count(homes))
        .reserves(threads - homes)
        .name("worker")
        .free_memory(*config.max_mem_free as usize * 1024)
        .stack_size(stack::size(*config.thread_stack_size))
        .first_byte_timeout(if header.initial.is_zero() {
            *config.main.timeout
        } else {
            header.initial
        })
        .counters(board.workers(place.record).iter().collect())
        .siblings(Siblings::new(board.clone(), place.record))
        .build()?;
    let slots = Slots::new(board.clone(), place.record, config.limits.slots_per_child);
    let site = Arc::new(Site::new(settings, slots));
    if let Some(child) = board.child(place.record) {
        child.pid.store(std::process::id(), Relaxed);
        child.set_state(State::Serving);
    }
    for listener in listeners {
        let mut server = site.server(listener.local_addr()?);
        if !logs.is_empty() {
            let logs = logs.clone();
            server = server.observe(move || logs.writer());
        }
        runtime.listen(listener.try_clone()?, server.service())?;
    }
    Ok(runtime)
}

/// Sleeps until something is said (or `most` is over). `Some`: this process is to end.
fn told(
    signals: &SignalFd,
    control: Option<&OwnedFd>,
    most: Option<Duration>,
) -> io::Result<Option<Told>> {
    let most = most.map(|d| Timespec {
        tv_sec: d.as_secs() as i64,
        tv_nsec: i64::from(d.subsec_nanos()),
    });
    let mut waits = vec![PollFd::new(signals, PollFlags::IN)];
    waits.extend(control.map(|c| PollFd::new(c, PollFlags::IN)));
    match poll(&mut waits, most.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(e) => return Err(e.into()),
    }
    let spoken = waits.get(1).is_some_and(|w| !w.revents().is_empty());
    if spoken && let Some(control) = control {
        let mut byte = [0];
        return Ok(match rustix::io::read(control, &mut byte[..]) {
            Ok(1) if byte[0] == word::STOP => Some(Told::Stop),
            // A word of another version.
            Ok(1) => None,
            _ => Some(Told::Orphaned),
        });
    }
    if let Ok(Some(signal)) = signals.read_signal() {
        match Signal::try_from(signal.ssi_signo as i32) {
            // A child that is told to go itself finishes its requests; the only process stops.
            Ok(Signal::SIGTERM) if control.is_some() => return Ok(Some(Told::Finish)),
            Ok(Signal::SIGTERM | Signal::SIGINT) if control.is_none() => {
                return Ok(Some(Told::Stop));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// Ends the workers, sooner if that is said meanwhile. What is stuck is left behind.
fn end(
    runtime: Runtime,
    why: Told,
    signals: &SignalFd,
    control: Option<&OwnedFd>,
) -> io::Result<()> {
    let handle = runtime.handle();
    let grace = if why == Told::Stop {
        Duration::ZERO
    } else {
        GRACE
    };
    handle.shutdown(grace);
    let mut last = Instant::now() + grace + END;
    let (done, ended) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    std::thread::Builder::new()
        .name("end".into())
        .spawn(move || {
            runtime.wait();
            drop(ended);
            // Its threads are joined by nobody: the process ends.
            std::mem::forget(runtime);
        })?;
    // A dead supervisor has said all it will.
    let mut control = control.filter(|_| why != Told::Orphaned);
    loop {
        let left = last.saturating_duration_since(Instant::now());
        if left.is_zero() {
            write(
                "mpm_event",
                Level::Warn,
                "requests that did not finish in time are cut",
            );
            return Ok(());
        }
        let most = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut waits = vec![
            PollFd::new(&done, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        waits.extend(control.map(|c| PollFd::new(c, PollFlags::IN)));
        match poll(&mut waits, Some(&most)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        if !waits[0].revents().is_empty() {
            return Ok(());
        }
        if waits[1..].iter().any(|w| !w.revents().is_empty()) {
            match told(signals, control, Some(Duration::ZERO))? {
                Some(Told::Stop) => {
                    handle.shutdown(Duration::ZERO);
                    last = last.min(Instant::now() + END);
                }
                Some(Told::Orphaned) => control = None,
                Some(Told::Finish) | None => {}
            }
        }
    }
}
