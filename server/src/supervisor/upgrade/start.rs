//! The old supervisor's side, until the new server is ready or has failed.

use super::heir::VARIABLE;
use super::words::{self, ToOld};
use crate::child::RECORDS;
use crate::control::channel;
use crate::log::{Level, write};
use crate::supervisor::listeners::Listener;
use crate::supervisor::watch::Supervisor;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::Pid;
use rustix::io::{FdFlags, fcntl_setfd};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A new server that does not serve by then is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to read what listeners there are.
const HEARING: Duration = Duration::from_secs(5);

/// A new server on its way.
pub(in crate::supervisor) struct Upgrade {
    pub(super) channel: OwnedFd,
    pub(super) pid: Pid,
    deadline: Instant,
}

/// How it stands.
enum Standing {
    Waiting,
    Ready,
    Failed(String),
}

/// Where this program is: what lies there later is what an upgrade starts.
pub(in crate::supervisor) fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into())
}

impl Upgrade {
    fn start(program: &Path, listeners: &[Listener]) -> io::Result<Self> {
        let (channel, theirs) = channel()?;
        let mut args = std::env::args_os();
        let mut command = Command::new(program);
        if let Some(name) = args.next() {
            command.arg0(name);
        }
        command
            .args(args)
            .env(VARIABLE, theirs.as_raw_fd().to_string())
            // It names this process; the new one is watched in its place.
            .env_remove("WATCHDOG_PID");
        let unblock = || {
            Ok(sigprocmask(
                SigmaskHow::SIG_SETMASK,
                Some(&SigSet::empty()),
                None,
            )?)
        };
        // SAFETY: sigprocmask is async-signal-safe, and nothing is allocated.
        unsafe { command.pre_exec(unblock) };
        // The supervisor has one thread: nothing else is started while this can be inherited.
        fcntl_setfd(&theirs, FdFlags::empty())?;
        let child = command.spawn().map_err(|e| {
            let text = format!("starting {}: {e}", program.display());
            io::Error::new(e.kind(), text)
        })?;
        let upgrade = Self {
            channel,
            pid: Pid::from_raw(child.id() as i32),
            deadline: Instant::now() + PATIENCE,
        };
        drop(theirs);
        if let Err(e) = upgrade.tell(listeners) {
            upgrade.end(Signal::SIGKILL);
            return Err(e);
        }
        Ok(upgrade)
    }

    fn tell(&self, listeners: &[Listener]) -> io::Result<()> {
        let until = Instant::now() + HEARING;
        words::hello(&self.channel)?;
        for listener in listeners {
            let sockets: Vec<_> = listener.sockets().take(words::SOCKETS).collect();
            words::listener(&self.channel, listener.asked(), &sockets, until)?;
        }
        words::go(&self.channel)
    }

    /// Signals it; its exit status is taken with those of the children.
    pub(in crate::supervisor) fn end(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }

    fn standing(&self) -> Standing {
        match words::hear_new(&self.channel) {
            Ok(ToOld::Ready { oldest, newest, .. }) => {
                if (oldest..=newest).contains(&RECORDS.1) {
                    return Standing::Ready;
                }
                Standing::Failed(format!(
                    "it reads records of moved connections of versions {oldest} to {newest}, and this server writes {}",
                    RECORDS.1
                ))
            }
            Ok(ToOld::Newcomer) => Standing::Waiting,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                match Instant::now() >= self.deadline {
                    true => Standing::Failed(format!(
                        "it does not serve after {} s",
                        PATIENCE.as_secs()
                    )),
                    false => Standing::Waiting,
                }
            }
            Err(_) => Standing::Failed("it ended before it served (see the error log)".to_owned()),
        }
    }

    pub(in crate::supervisor) fn channel(&self) -> &OwnedFd {
        &self.channel
    }

    pub(in crate::supervisor) fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Supervisor {
    /// Starts the program that is to take over. What goes wrong is logged, and changes nothing.
    pub(in crate::supervisor) fn begin_upgrade(&mut self) {
        if let Some(upgrade) = &self.upgrade {
            let text = format!("the new server (pid {}) is still starting", upgrade.pid);
            return write("mpm_event", Level::Notice, &text);
        }
        if self.next.is_some() {
            // One change at a time.
            self.upgrade_wanted = true;
            return;
        }
        self.upgrade_wanted = false;
        match Upgrade::start(&self.program, &self.current.listeners) {
            Ok(upgrade) => {
                let shown = self.program.display();
                let text = format!("upgrade: {shown} started as pid {}", upgrade.pid);
                write("mpm_event", Level::Notice, &text);
                self.upgrade = Some(upgrade);
            }
            Err(e) => refuse(&e.to_string()),
        }
    }

    /// Whether the new server serves now and is to have everything.
    pub(in crate::supervisor) fn see_to_the_upgrade(&mut self) -> bool {
        if self.upgrade_wanted && self.next.is_none() && self.upgrade.is_none() {
            self.begin_upgrade();
        }
        let Some(upgrade) = &self.upgrade else {
            return false;
        };
        match upgrade.standing() {
            Standing::Waiting => false,
            Standing::Ready => true,
            Standing::Failed(why) => {
                upgrade.end(Signal::SIGKILL);
                let why = format!("pid {}: {why}", upgrade.pid);
                refuse(&why);
                self.upgrade = None;
                false
            }
        }
    }
}

fn refuse(why: &str) {
    let text = format!("no upgrade: {why}; the server goes on as before");
    write("mpm_event", Level::Error, &text);
}
