//! The new server's side: what it is given at its start, and taking over when its children serve.

use super::words::{self, ToNew};
use crate::child::RECORDS;
use crate::control::Order;
use crate::log::{Level, write};
use crate::supervisor::children::Phase;
use crate::supervisor::listeners::Listener;
use crate::supervisor::pidfile::PidFile;
use crate::supervisor::watch::Supervisor;
use nix::unistd::Pid;
use rustix::event::PollFlags;
use rustix::io::{FdFlags, fcntl_setfd};
use std::io;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// The number of the descriptor by which the old supervisor speaks.
pub(super) const VARIABLE: &str = "PARKADE_UPGRADE";
/// How long the old one may take to say what there is.
const HEARING: Duration = Duration::from_secs(10);

/// What an old server leaves to this one.
pub(in crate::supervisor) struct Heir {
    channel: OwnedFd,
    /// The old supervisor.
    pub(in crate::supervisor) pid: Pid,
    /// Its listeners, until they are opened.
    pub(in crate::supervisor) listeners: Vec<Listener>,
    ready: bool,
    /// Whose turn it is to take.
    turn: usize,
}

/// Whether this process was started to take a server over.
pub(crate) fn is_inherited() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// What the old server gives, if there is one.
pub(in crate::supervisor) fn inherit() -> io::Result<Option<Heir>> {
    let Some(value) = std::env::var_os(VARIABLE) else {
        return Ok(None);
    };
    // SAFETY: no other thread has been started that might read the environment.
    unsafe { std::env::remove_var(VARIABLE) };
    let named = |what: String| io::Error::other(format!("{VARIABLE}: {what}"));
    let number: RawFd = value
        .to_str()
        .and_then(|v| v.parse().ok())
        .filter(|n| *n > 2)
        .ok_or_else(|| named("not the number of a descriptor".to_owned()))?;
    // SAFETY: looked at only; if it is none, the call says so.
    let lent = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_setfd(lent, FdFlags::CLOEXEC).map_err(|e| named(e.to_string()))?;
    // SAFETY: it is open, as the call before has shown, and nobody else in this process knows of it.
    let channel = unsafe { OwnedFd::from_raw_fd(number) };
    hear(channel).map(Some).map_err(|e| named(e.to_string()))
}

fn hear(channel: OwnedFd) -> io::Result<Heir> {
    let until = Instant::now() + HEARING;
    let mut heir = Heir {
        channel,
        pid: Pid::from_raw(0),
        listeners: Vec::new(),
        ready: false,
        turn: 0,
    };
    loop {
        match words::hear_old(&heir.channel) {
            Ok(ToNew::Hello { version, pid }) if version == words::VERSION => {
                heir.pid = Pid::from_raw(pid as i32);
            }
            Ok(ToNew::Hello { version, .. }) => {
                let text = format!(
                    "the old server speaks version {version}, this one {}",
                    words::VERSION
                );
                return Err(io::Error::other(text));
            }
            Ok(ToNew::Listener(asked, fds)) => {
                let sockets = fds.into_iter().map(TcpListener::from).collect();
                heir.listeners.push(Listener::inherited(asked, sockets));
            }
            Ok(ToNew::Go) if heir.pid.as_raw() > 1 => return Ok(heir),
            Ok(ToNew::Go) => return Err(io::Error::other("the old server did not say who it is")),
            Ok(ToNew::Take(_)) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                words::wait(&heir.channel, PollFlags::IN, until)?;
            }
            Err(e) => return Err(e),
        }
    }
}

impl Heir {
    pub(in crate::supervisor) fn channel(&self) -> &OwnedFd {
        &self.channel
    }

    /// Whether the place of the old server was taken.
    pub(in crate::supervisor) fn is_ready(&self) -> bool {
        self.ready
    }
}

impl Supervisor {
    /// Takes over when all children serve; later takes what the old server's children give.
    ///
    /// # Errors
    /// A file could not take the place of the old server's: this one ends, and the old one goes on.
    pub(in crate::supervisor) fn see_to_the_heritage(
        &mut self,
        newcomers: usize,
    ) -> io::Result<()> {
        let serving = self.children.serving(self.generation());
        let Some(heir) = &mut self.heir else {
            return Ok(());
        };
        if !heir.ready {
            if serving < self.wanted {
                return Ok(());
            }
            self.current.publish()?;
            if let Some(path) = self.current.settings.pid_path() {
                self.pid_file = Some(PidFile::create(path)?);
            }
            heir.ready = true;
            let pid = heir.pid;
            if words::ready(&heir.channel, RECORDS, serving as u32).is_err() {
                // It has died meanwhile, and this server has its place all the same.
                self.heir = None;
                return Ok(());
            }
            let text = format!("upgrade: this server takes over from pid {pid}");
            write("mpm_event", Level::Notice, &text);
        } else {
            for _ in 0..newcomers {
                let _ = words::newcomer(&heir.channel);
            }
        }
        loop {
            let Some(heir) = &mut self.heir else {
                return Ok(());
            };
            match words::hear_old(&heir.channel) {
                Ok(ToNew::Take(socket)) => {
                    let turn = heir.turn;
                    heir.turn += 1;
                    self.take_from(socket, turn);
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The old server has ended.
                Err(_) => self.heir = None,
            }
        }
    }

    /// One child takes connections from this socket; without any the giver sees its end.
    fn take_from(&self, socket: OwnedFd, turn: usize) {
        let number = self.generation();
        let serving = self.children.iter().filter(|c| c.generation == number);
        let serving: Vec<_> = serving.filter(|c| c.phase == Phase::Serving).collect();
        if !serving.is_empty() {
            serving[turn % serving.len()].tell(&Order::Take(socket));
        }
    }
}
