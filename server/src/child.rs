//! A child: gives up root, serves until it is told to stop or its supervisor is gone.

use crate::log::access::AccessLogs;
use crate::log::{Level, write};
use crate::settings::{Identity, Settings};
use crate::site::Site;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Uid, initgroups, setgid, setuid};
use parkade::{Runtime, Workers};
use rustix::event::{PollFd, PollFlags, poll};
use std::ffi::CString;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// How long requests in progress may take when a child is told to go.
const GRACE: Duration = Duration::from_secs(10);

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

/// Serves. `control` is the supervisor's end of life: a byte means stop at once, its end means that the supervisor has
/// died. Without it this is the only process, and the interrupt key ends it.
pub(crate) fn serve(
    settings: &Settings,
    listeners: &[TcpListener],
    logs: &AccessLogs,
    control: Option<&OwnedFd>,
) -> io::Result<()> {
    if let Some(identity) = &settings.identity {
        drop_privileges(identity)?;
    }
    raise_descriptor_limit();
    let config = &settings.config;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = config.limits.threads_per_child.max(1) as usize;
    let homes = threads.min(cores);
    let header = &config.main.request_read_timeout.header;
    let runtime = Runtime::builder()
        .workers(Workers::Count(homes))
        .reserves(threads - homes)
        .name("worker")
        .first_byte_timeout(if header.initial.is_zero() {
            *config.main.timeout
        } else {
            header.initial
        })
        .build()?;
    let site = Arc::new(Site::new(settings));
    for listener in listeners {
        let mut server = site.server(listener.local_addr()?);
        if !logs.is_empty() {
            let logs = logs.clone();
            server = server.observe(move || logs.writer());
        }
        runtime.listen(listener.try_clone()?, server.service())?;
    }

    let signals = SignalFd::with_flags(&signals(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let grace = loop {
        let mut waits = vec![PollFd::new(&signals, PollFlags::IN)];
        waits.extend(control.map(|c| PollFd::new(c, PollFlags::IN)));
        match poll(&mut waits, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let told = waits.get(1).is_some_and(|w| !w.revents().is_empty());
        if told && let Some(control) = control {
            let mut byte = [0];
            match rustix::io::read(control, &mut byte[..]) {
                Ok(1) => break Duration::ZERO,
                // The supervisor has died: finish what was begun.
                _ => break GRACE,
            }
        }
        if let Ok(Some(signal)) = signals.read_signal() {
            match Signal::try_from(signal.ssi_signo as i32) {
                // A child that is told to go itself finishes its requests; the only process stops.
                Ok(Signal::SIGTERM) if control.is_some() => break GRACE,
                Ok(Signal::SIGTERM | Signal::SIGINT) if control.is_none() => break Duration::ZERO,
                _ => {}
            }
        }
    };
    runtime.handle().shutdown(grace);
    runtime.wait();
    Ok(())
}

/// Group, supplementary groups, user, in this order; verified, because a server that believes it is harmless is not.
fn drop_privileges(identity: &Identity) -> io::Result<()> {
    let failed = |what: &str, e: nix::Error| {
        io::Error::new(io::Error::from(e).kind(), format!("{what}: {e}"))
    };
    let name = CString::new(identity.user.name.as_str())?;
    setgid(identity.gid).map_err(|e| failed("setgid", e))?;
    initgroups(&name, identity.gid).map_err(|e| failed("initgroups", e))?;
    setuid(identity.user.uid).map_err(|e| failed("setuid", e))?;
    if setuid(Uid::from_raw(0)).is_ok() || Uid::effective().is_root() {
        return Err(io::Error::other(
            "privileges could be regained after setuid",
        ));
    }
    Ok(())
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    if setrlimit(
        Resource::Nofile,
        Rlimit {
            current: now.maximum,
            maximum: now.maximum,
        },
    )
    .is_err()
    {
        write(
            "core",
            Level::Warn,
            "the limit of open files could not be raised",
        );
    }
}
