//! Sockets that a service manager has opened (sd_listen_fds(3)): they take the place of the `Listen` that asks for the
//! same address, or whose protocol is the socket's name.

use super::listeners::{self, Listener};
use crate::log::{Level, write};
use crate::sys::sockets;
use parkade_config::Config;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{SocketType, sockopt};
use std::env;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The first descriptor that is passed.
const FIRST: RawFd = 3;
/// More are not looked at.
const MOST: RawFd = 1024;
const VARIABLES: [&str; 4] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
];

/// What was passed to this process. What no `Listen` asks for is closed, and the log says so.
pub(super) fn inherit(config: &Config) -> Vec<Listener> {
    let number = |name: &str| env::var(name).ok()?.parse::<RawFd>().ok();
    let ours = env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let count = number("LISTEN_FDS").filter(|n| ours && (1..=MOST).contains(n));
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    for name in VARIABLES {
        // SAFETY: no other thread has been started that might read the environment.
        unsafe { env::remove_var(name) };
    }
    let mut names = names.split(':').map(str::to_owned);
    let mut all: Vec<Listener> = Vec::new();
    for fd in (FIRST..).take(count.unwrap_or(0) as usize) {
        let name = names.next().unwrap_or_default();
        let refuse = |why: &str| {
            let text =
                format!("the socket {fd} ({name}) of the service manager is not used: {why}");
            write("core", Level::Warn, &text);
        };
        // SAFETY: looked at only; if it is none, the call says so.
        let lent = unsafe { BorrowedFd::borrow_raw(fd) };
        if let Err(e) = fcntl_setfd(lent, FdFlags::CLOEXEC) {
            refuse(&e.to_string());
            continue;
        }
        // SAFETY: it is open, as the call before has shown, and passed to this process to be its own.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let listens =
            sockets::listens(&socket) && sockopt::socket_type(&socket) == Ok(SocketType::STREAM);
        let socket = TcpListener::from(socket);
        let (true, Ok(address)) = (listens, socket.local_addr()) else {
            refuse("it does not listen for TCP connections");
            continue;
        };
        let Some(asked) = asked_for(config, address, &name) else {
            refuse(&format!("no Listen asks for {address}"));
            continue;
        };
        if all.iter().any(|l| l.asked() == asked) {
            refuse("there is another one for the same Listen");
            continue;
        }
        if let Err(e) = socket.set_nonblocking(true) {
            refuse(&e.to_string());
            continue;
        }
        all.push(Listener::inherited(asked, vec![socket]));
    }
    all
}

/// The address of the `Listen` that a socket is for.
fn asked_for(config: &Config, address: SocketAddr, name: &str) -> Option<SocketAddr> {
    let all = || config.listens.iter();
    let addresses = |l| listeners::addresses(l).unwrap_or_default();
    all()
        .flat_map(addresses)
        .find(|asked| *asked == address)
        .or_else(|| {
            all()
                .find(|l| l.protocol == name)
                .and_then(|l| addresses(l).into_iter().next())
        })
}
