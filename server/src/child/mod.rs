//! A child: gives up root, serves until it is told to stop or its supervisor is gone.
//!
//! `identity` is who it is, `slots` how many requests it works on, `siblings` what it knows of the other children, `stack`
//! how big the stacks of its workers are, `life` what it hears and how it ends, `moving` how its parked connections
//! outlive it, `held` what keeps it from ending.

pub(crate) mod held;
mod identity;
mod life;
mod moving;
mod siblings;
pub(crate) mod slots;
mod stack;

use crate::accept_mutex::{AcceptMutex, Lock};
use crate::control::News;
use crate::crash;
use crate::log::access::AccessLogs;
use crate::scoreboard::{Board, State};
use crate::settings::Settings;
use crate::site::Site;
use crate::sys::bell::Bell;
use life::Started;
pub(crate) use moving::RECORDS;
use moving::Taking;
use nix::sys::signal::{SigSet, Signal};
use parkade::{Backend, Runtime, Workers};
use parkade_config::ReactorBackend;
use siblings::{Bound, Siblings, Spent};
use slots::Slots;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The exit code of a child that cannot become what it must be: the server stops.
pub(crate) const FATAL: i32 = 15;
/// The exit code of a child that lacked descriptors, memory or threads: it may be tried again.
pub(crate) const SICK: i32 = 7;
/// The whole server ends: nobody should send this process anything new.
pub(crate) static ENDING: AtomicBool = AtomicBool::new(false);

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

/// Places for counters that a child with so many threads needs: its workers', and behind them its reserves', which count
/// what they serve for a worker that is stuck.
pub(crate) fn places(threads_per_child: u32) -> usize {
    threads_per_child.max(1) as usize
}

/// Serves until it is told to end, taking `turns` at accepting. Without `control` there is no supervisor.
pub(crate) fn serve(
    settings: &Settings,
    listeners: Vec<TcpListener>,
    logs: &AccessLogs,
    place: Place,
    turns: Option<&AcceptMutex>,
    control: Option<&OwnedFd>,
) -> io::Result<()> {
    let turns = turns.map(|mutex| mutex.enter(&place.board, place.record));
    let turns = turns.transpose()?;
    if let Some(identity) = &settings.identity {
        identity::drop_privileges(identity)?;
    }
    crash::enter(settings, &place, control.is_some())?;
    if let Some(control) = control {
        crash::tell(control)?;
    }
    identity::raise_descriptor_limit();
    let started = start(settings, listeners, logs, &place, turns, control.is_some())?;
    if let Some(control) = control {
        // If the supervisor is gone, the first look at the socket says so.
        let _ = News::Ready.send(control);
    }
    life::live(started, &place, control)
}

/// The runtime with its listeners, and what takes connections from other children.
fn start(
    settings: &Settings,
    listeners: Vec<TcpListener>,
    logs: &AccessLogs,
    place: &Place,
    turns: Option<Lock>,
    supervised: bool,
) -> io::Result<Started> {
    let config = &settings.config;
    let threads = config.limits.threads_per_child.max(1) as usize;
    let homes = homes(config.limits.threads_per_child);
    let header = &config.main.request_read_timeout.header;
    let spent = Bell::new()?;
    let most = config.limits.max_requests_per_child;
    let limit = match supervised && most > 0 {
        true => Some(Spent {
            // Each other worker may be accepting one more just now.
            most: u64::from(most).saturating_sub(homes as u64 - 1).max(1),
            tell: spent.clone(),
            told: AtomicBool::new(false),
        }),
        // Nobody would replace it.
        false => None,
    };
    let factor = config.async_request_worker_factor.as_ref();
    let bound = factor.map(|factor| Bound {
        threads: config.limits.threads_per_child.max(1),
        factor: factor.value,
    });
    // For the life of the process: workers count in it until the very end.
    let board: &'static Arc<Board> = Box::leak(Box::new(place.board.clone()));
    let mut builder = Runtime::builder()
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
        // For benches: what it is worth is measured with and without.
        .stealing(std::env::var_os("PARKADE_STEALING").is_none_or(|v| v != "off"))
        .backend(match config.reactor_backend.value {
            ReactorBackend::Auto => Backend::Auto,
            ReactorBackend::Epoll => Backend::Epoll,
            ReactorBackend::IoUring => Backend::IoUring,
            ReactorBackend::Kqueue => Backend::Kqueue,
        })
        .coalescing(*config.wake_coalescing)
        .counters(board.workers(place.record).iter().collect())
        .siblings(Siblings::new(board.clone(), place.record, limit, bound));
    if let Some(lock) = &turns {
        builder = builder.accept_lock(lock.clone());
    }
    let runtime = builder.build()?;
    let busy = Bell::new()?;
    let tell = supervised.then(|| busy.clone());
    let most = board
        .child(place.record)
        .map_or(0, |c| c.slots.load(Relaxed));
    let slots = Slots::new(board.clone(), place.record, most, tell);
    let site = Arc::new(Site::new(settings, slots, turns, runtime.handle()));
    if let Some(child) = board.child(place.record) {
        child.pid.store(std::process::id(), Relaxed);
        child.set_state(State::Serving);
    }
    let mut numbers = Vec::new();
    for listener in listeners {
        let address = listener.local_addr()?;
        let mut server = site.server(address);
        if !logs.is_empty() {
            let logs = logs.clone();
            server = server.observe(move || logs.writer());
        }
        numbers.push((address, runtime.listen(listener, server.service())?));
    }
    let addresses = numbers.iter().map(|(address, _)| *address).collect();
    Ok(Started {
        runtime,
        taking: Taking::new(site, logs.clone(), numbers),
        addresses,
        spent,
        busy,
        grace: Some(*config.graceful_shutdown_timeout).filter(|grace| !grace.is_zero()),
    })
}

/// How a child ends that could not serve.
pub(crate) fn exit_code(e: &io::Error) -> i32 {
    let text = format!("child could not serve: {e}");
    crate::log::write("core", crate::log::Level::Alert, &text);
    // The operating system's error inside one of the runtime's.
    let inner = || e.get_ref()?.downcast_ref::<parkade::Error>()?.os_error();
    match e.raw_os_error().or_else(inner) {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN | libc::ENOBUFS) => SICK,
        _ => FATAL,
    }
}
