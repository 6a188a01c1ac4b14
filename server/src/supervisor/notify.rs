//! What a service manager is told (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names.
//!
//! Nothing here can hurt the server: without a manager nothing is sent, and a manager that does not listen is passed over.

use crate::sys::{extras, sockets};
use nix::unistd::Pid;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType, sendto};
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

pub(super) struct Notifier {
    manager: Option<(OwnedFd, SocketAddrUnix)>,
    /// It has been told that the server serves, and of no reload since.
    told: bool,
    /// How often it wants to hear that the supervisor lives, and when it is to hear that next.
    pulse: Option<(Duration, Instant)>,
}

impl Notifier {
    /// By NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
    pub(super) fn from_environment() -> Self {
        let manager = env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let address = address(&path)?;
            let socket = sockets::open(AddressFamily::UNIX, SocketType::DGRAM).ok()?;
            Some((socket, address))
        });
        let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
        // For another process of the manager's otherwise.
        let own = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let wanted = number("WATCHDOG_USEC").filter(|usec| own && manager.is_some() && *usec > 0);
        // Half of it, as the manual advises.
        let pulse = wanted.map(|usec| (Duration::from_micros(usec) / 2, Instant::now()));
        Self {
            manager,
            told: false,
            pulse,
        }
    }

    /// The server serves, or a reload is over.
    pub(super) fn ready(&mut self, status: &str) {
        if !std::mem::replace(&mut self.told, true) {
            let pid = std::process::id();
            self.say(&format!("READY=1\nMAINPID={pid}\nSTATUS={status} serves\n"));
        }
    }

    /// A restart was asked for; [`Notifier::ready`] says when it is over, however it ended.
    pub(super) fn reloading(&mut self) {
        self.told = false;
        let now = clock_gettime(ClockId::Monotonic);
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={usec}\n"));
    }

    pub(super) fn stopping(&self) {
        self.say("STOPPING=1\n");
    }

    /// Another process is the server from now on, and speaks for it.
    pub(super) fn main_pid(&mut self, pid: Pid) {
        self.say(&format!("MAINPID={pid}\n"));
        self.manager = None;
        self.pulse = None;
    }

    /// The supervisor lives: told as often as the manager wants to hear it.
    pub(super) fn live(&mut self) {
        let now = Instant::now();
        let Some((each, next)) = &mut self.pulse else {
            return;
        };
        if now >= *next {
            *next = now + *each;
            self.say("WATCHDOG=1\n");
        }
    }

    /// When that is to be said next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.pulse.map(|(_, next)| next)
    }

    fn say(&self, text: &str) {
        if let Some((socket, manager)) = &self.manager {
            let flags = sockets::SEND | SendFlags::DONTWAIT;
            let _ = sendto(socket, text.as_bytes(), flags, manager);
        }
    }
}

/// A path, or with `@` a name without a file.
fn address(path: &OsStr) -> Option<SocketAddrUnix> {
    match path.as_bytes() {
        [b'/', ..] => SocketAddrUnix::new(path).ok(),
        [b'@', name @ ..] => extras::abstract_name(name),
        _ => None,
    }
}
