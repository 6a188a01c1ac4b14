//! The supervisor: one thread, never a request. It opens listeners and logs, forks children before any thread exists,
//! replaces those that die and stops everything when it is told to.

mod listeners;
pub(crate) mod pidfile;

use crate::child;
use crate::cli::Options;
use crate::log::access::AccessLogs;
use crate::log::{self, Level, write};
use crate::settings::Settings;
use nix::sys::signal::{SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setsid};
use pidfile::PidFile;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// A child that lives shorter than this counts as a failed start.
const HEALTHY: Duration = Duration::from_secs(1);
/// After stopping, children that are still there get a signal again, and are killed at the end.
const STOP: Duration = Duration::from_secs(9);
/// The exit code of a child that could not become what it must be: the server stops.
const FATAL: i32 = 15;

struct Child {
    pid: Pid,
    control: OwnedFd,
    born: Instant,
}

struct Supervisor<'a> {
    settings: &'a Settings,
    listeners: Vec<TcpListener>,
    logs: AccessLogs,
    signals: SignalFd,
    children: Vec<Child>,
    wanted: usize,
    /// Failed starts in a row, and when the next one may be tried.
    failures: u32,
    not_before: Instant,
}

/// Runs the server until it is told to stop.
pub(crate) fn run(options: &Options, settings: Settings) -> io::Result<()> {
    let pid_path = settings
        .config
        .pid_file
        .as_ref()
        .filter(|_| !settings.builtin)
        .map(|p| p.value.clone());
    if let Some(path) = &pid_path
        && let Some(pid) = pidfile::running(path).filter(|_| options.detach)
    {
        println!("parkade (pid {pid}) already running");
        return Ok(());
    }
    log::error::open(&settings.config)?;
    let listeners = listeners::open(&settings.config)?;
    let logs = AccessLogs::open(&settings.config)?;
    if options.detach {
        detach()?;
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&child::signals()), None)?;
    if let Some(path) = pid_path.as_ref().filter(|p| p.exists()) {
        let text = format!(
            "PidFile {} overwritten: unclean shutdown of the server before?",
            path.display()
        );
        write("core", Level::Warn, &text);
    }
    let _pid_file = pid_path.as_deref().map(PidFile::create).transpose()?;
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            write(
                "core",
                Level::Notice,
                &format!("listening on http://{address}/"),
            );
        }
    }
    if options.one_process {
        return child::serve(&settings, &listeners, &logs, None);
    }
    let signals = SignalFd::with_flags(
        &child::signals(),
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?;
    let limits = &settings.config.limits;
    let wanted = limits.start_servers.min(limits.children).max(1) as usize;
    let mut supervisor = Supervisor {
        settings: &settings,
        listeners,
        logs,
        signals,
        children: Vec::new(),
        wanted,
        failures: 0,
        not_before: Instant::now(),
    };
    supervisor.fill()?;
    let text = format!(
        "{} configured -- resuming normal operations",
        crate::cli::VERSION
    );
    write("mpm_event", Level::Notice, &text);
    supervisor.watch()
}

/// Leaves the terminal: the caller's shell gets its prompt back, standard streams go nowhere or to the error log.
fn detach() -> io::Result<()> {
    // SAFETY: no thread has been started.
    if let ForkResult::Parent { .. } = unsafe { fork() }? {
        std::process::exit(0);
    }
    setsid()?;
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    match log::error::file() {
        Some(file) => rustix::stdio::dup2_stderr(file)?,
        None => rustix::stdio::dup2_stderr(&null)?,
    }
    Ok(())
}

impl Supervisor<'_> {
    /// Forks until there are as many children as wanted.
    fn fill(&mut self) -> io::Result<()> {
        while self.children.len() < self.wanted && Instant::now() >= self.not_before {
            let flags = SocketFlags::CLOEXEC;
            let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            // SAFETY: the supervisor has no other thread, so the child may do whatever it likes.
            match unsafe { fork() } {
                Ok(ForkResult::Parent { child }) => {
                    self.children.push(Child {
                        pid: child,
                        control: ours,
                        born: Instant::now(),
                    });
                }
                Ok(ForkResult::Child) => {
                    // The siblings' ends must go: a child sees the supervisor's death by the last copy's end.
                    self.children.clear();
                    drop(ours);
                    let code = match child::serve(
                        self.settings,
                        &self.listeners,
                        &self.logs,
                        Some(&theirs),
                    ) {
                        Ok(()) => 0,
                        Err(e) => {
                            write("core", Level::Alert, &format!("child could not serve: {e}"));
                            FATAL
                        }
                    };
                    std::process::exit(code);
                }
                Err(e) => {
                    write(
                        "mpm_event",
                        Level::Error,
                        &format!("fork: {e}; trying again"),
                    );
                    self.not_before = Instant::now() + Duration::from_secs(1);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Sleeps until a signal comes or a start is due.
    fn watch(&mut self) -> io::Result<()> {
        loop {
            let missing = self.children.len() < self.wanted;
            self.sleep(missing.then(|| self.not_before.saturating_duration_since(Instant::now())))?;
            while let Some(signal) = self.signals.read_signal()? {
                match Signal::try_from(signal.ssi_signo as i32) {
                    Ok(Signal::SIGCHLD) => {}
                    Ok(name @ (Signal::SIGTERM | Signal::SIGINT)) => {
                        write(
                            "mpm_event",
                            Level::Notice,
                            &format!("caught {name}, shutting down"),
                        );
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
            if let Some(fatal) = self.reap() {
                self.stop()?;
                return Err(io::Error::other(format!(
                    "child {fatal} could not start (see the error log); shutting down"
                )));
            }
            self.fill()?;
        }
    }

    fn sleep(&self, most: Option<Duration>) -> io::Result<()> {
        let most = most.map(|d| Timespec {
            tv_sec: d.as_secs() as i64,
            tv_nsec: i64::from(d.subsec_nanos()),
        });
        match poll(
            &mut [PollFd::new(&self.signals.as_fd(), PollFlags::IN)],
            most.as_ref(),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Takes note of children that have ended. `Some(pid)` if one says that no child can start.
    fn reap(&mut self) -> Option<Pid> {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let Some(pid) = status.pid() else { break };
            let Some(at) = self.children.iter().position(|c| c.pid == pid) else {
                continue;
            };
            let gone = self.children.swap_remove(at);
            match status {
                WaitStatus::Signaled(_, signal, core) => {
                    let core = if core { ", a core was dumped" } else { "" };
                    let text = format!(
                        "child pid {pid} exit signal {signal} ({}){core}",
                        signal as i32
                    );
                    write("core", Level::Notice, &text);
                }
                WaitStatus::Exited(_, FATAL) if gone.born.elapsed() < HEALTHY => return Some(pid),
                WaitStatus::Exited(_, code) if code != 0 => {
                    write(
                        "core",
                        Level::Error,
                        &format!("child pid {pid} exited with status {code}"),
                    );
                }
                _ => {}
            }
            if gone.born.elapsed() < HEALTHY {
                // A crash loop: the first replacements at once, then ever more slowly.
                self.failures = (self.failures + 1).min(10);
                if self.failures > 2 {
                    let wait = Duration::from_millis(100 << (self.failures - 3));
                    write(
                        "mpm_event",
                        Level::Warn,
                        &format!("children die right after their start; next try in {wait:?}"),
                    );
                    self.not_before = Instant::now() + wait;
                }
            } else {
                self.failures = 0;
            }
        }
        None
    }

    /// Ends every child: told at once, killed if that does not help.
    fn stop(&mut self) -> io::Result<()> {
        self.listeners.clear();
        self.wanted = 0;
        for child in &self.children {
            let _ = rustix::io::write(&child.control, b"s");
        }
        let end = Instant::now() + STOP;
        while !self.children.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                for child in &self.children {
                    write(
                        "core",
                        Level::Error,
                        &format!("child pid {} did not stop: killed", child.pid),
                    );
                    let _ = kill(child.pid, Signal::SIGKILL);
                }
                while let Some(child) = self.children.pop() {
                    let _ = waitpid(child.pid, None);
                }
                break;
            }
            self.sleep(Some(left))?;
            while let Some(_signal) = self.signals.read_signal()? {}
            let _ = self.reap();
        }
        Ok(())
    }
}
