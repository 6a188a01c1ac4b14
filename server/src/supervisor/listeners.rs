//! Opening the sockets of `Listen`.

use super::{buckets, buffers};
use crate::log::{Level, write};
use crate::sys::{extras, sockets};
use parkade_config::{Config, Listen, Located};
use rustix::net::{AddressFamily, SocketType, bind, listen, sockopt};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};

/// The sockets of an address that the configuration gave: one for each bucket of children.
pub(super) struct Listener {
    asked: SocketAddr,
    sockets: Vec<TcpListener>,
}

impl Listener {
    /// Of another server.
    pub(super) fn inherited(asked: SocketAddr, sockets: Vec<TcpListener>) -> Self {
        Self { asked, sockets }
    }

    /// The address that the configuration gave.
    pub(super) fn asked(&self) -> SocketAddr {
        self.asked
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        let first = self.sockets.first().ok_or(io::ErrorKind::NotConnected)?;
        first.local_addr()
    }
}

/// The sockets alone, for a child of a bucket.
pub(super) fn sockets(listeners: &mut Vec<Listener>, bucket: usize) -> Vec<TcpListener> {
    let mut own = Vec::new();
    for mut listener in listeners.drain(..) {
        if bucket < listener.sockets.len() {
            own.push(listener.sockets.swap_remove(bucket));
        }
    }
    own
}

/// From now on these listeners have all new connections, where there were sockets of another number `before`, or were to
/// be.
pub(super) fn take_over(listeners: &[Listener], before: &[Listener]) -> io::Result<()> {
    for listener in listeners {
        let n = listener.sockets.len();
        let changed = before
            .iter()
            .any(|b| b.asked == listener.asked && b.sockets.len() != n);
        if let Some(first) = listener.sockets.first().filter(|_| changed) {
            buckets::direct(first, n)?;
        }
    }
    Ok(())
}

/// Opens every listener with `n` sockets, or says what is wrong with the first that cannot be. One that was `open` before keeps its
/// socket, and nobody who waits in its backlog notices; its settings are those of this configuration.
pub(super) fn open(config: &Config, n: usize, open: &[Listener]) -> io::Result<Vec<Listener>> {
    let mut all = Vec::new();
    for wanted in &config.listens {
        let before = all.len();
        let mut missing = None;
        for address in addresses(wanted)? {
            let opened = again_or_anew(config, address, &wanted.protocol, n, open);
            match opened {
                Ok(listener) => all.push(listener),
                // Without IPv6 the wildcard is IPv4's.
                Err(e) if wanted.host.is_none() && e.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                    let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), wanted.port);
                    let opened = again_or_anew(config, v4, &wanted.protocol, n, open);
                    let opened = opened.map_err(|e| explain(&e, v4, wanted, &all, open))?;
                    all.push(opened);
                }
                // A name may have addresses that this machine has not, as `localhost` has ::1 without IPv6.
                Err(e) if is_missing(&e) => {
                    missing = Some(explain(&e, address, wanted, &all, open));
                }
                Err(e) => return Err(explain(&e, address, wanted, &all, open)),
            }
        }
        match missing {
            Some(e) if all.len() == before => return Err(e),
            Some(e) => write(
                "core",
                Level::Warn,
                &format!("{e}: its others are listened on"),
            ),
            None => {}
        }
    }
    if all.is_empty() {
        return Err(io::Error::other(
            "no listening sockets available, shutting down",
        ));
    }
    Ok(all)
}

/// Whether an address is not there to be bound.
fn is_missing(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::AddrNotAvailable || e.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

pub(super) fn addresses(wanted: &Located<Listen>) -> io::Result<Vec<SocketAddr>> {
    match wanted.host.as_deref() {
        None | Some("*") => Ok(vec![SocketAddr::new(
            Ipv6Addr::UNSPECIFIED.into(),
            wanted.port,
        )]),
        // A name stands for all its addresses, as in Apache.
        Some(host) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            if let Ok(ip) = host.parse::<IpAddr>() {
                return Ok(vec![SocketAddr::new(ip, wanted.port)]);
            }
            let found = (host, wanted.port)
                .to_socket_addrs()
                .map_err(|e| io::Error::new(e.kind(), format!("Listen {host}: {e}")))?;
            let mut all = Vec::new();
            for address in found {
                if !all.contains(&address) {
                    all.push(address);
                }
            }
            Ok(all)
        }
    }
}

fn again_or_anew(
    config: &Config,
    asked: SocketAddr,
    protocol: &str,
    n: usize,
    open: &[Listener],
) -> io::Result<Listener> {
    let same = open.iter().find(|l| l.asked == asked && asked.port() != 0);
    let before = same.map_or(&[][..], |l| &l.sockets);
    let mut sockets = Vec::new();
    for socket in before.iter().take(n) {
        sockets.push(socket.try_clone()?);
    }
    let kept = sockets.len();
    let address = match sockets.first() {
        Some(first) => first.local_addr()?,
        // The first without leave for others: who listens there already is found out.
        None => {
            let first = bound(asked, false)?;
            let address = first.local_addr()?;
            sockets.push(first);
            address
        }
    };
    if n > 1 {
        sockopt::set_socket_reuseport(&sockets[0], true)?;
    }
    while sockets.len() < n {
        sockets.push(bound(address, true)?);
    }
    let changed = kept > 0 && before.len() != n;
    if changed && before.len() > 1 {
        buckets::direct(&sockets[0], kept)?;
    }
    for socket in &sockets {
        set(config, socket, protocol)?;
    }
    // One socket is no group that could be told anything, before it has company.
    if changed && before.len() == 1 {
        buckets::direct(&sockets[0], kept)?;
    }
    Ok(Listener { asked, sockets })
}

/// A socket with its address, which does not listen yet; `shared`: others of ours have the same.
fn bound(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = sockets::open(family, SocketType::STREAM)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    sockopt::set_socket_keepalive(&socket, true)?;
    // Inherited by what is accepted: small answers leave at once.
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let IpAddr::V6(ip) = address.ip() {
        sockopt::set_ipv6_v6only(&socket, !ip.is_unspecified())?;
    }
    bind(&socket, &address)?;
    Ok(TcpListener::from(socket))
}

/// What the configuration says of it; also of one that listens already: the queue's length may change at any time.
fn set(config: &Config, socket: &TcpListener, protocol: &str) -> io::Result<()> {
    buffers::set(
        socket,
        *config.send_buffer_size,
        *config.receive_buffer_size,
    )?;
    let backlog = i32::try_from(*config.listen_backlog).unwrap_or(i32::MAX);
    listen(socket, backlog)?;
    let filters = config.accept_filters.iter().rev();
    let filter = filters.map(|f| &f.value).find(|f| f.0 == protocol);
    let data = filter.is_some_and(|f| f.1 == "data");
    let seconds = if data { 30 } else { 0 };
    extras::defer_accept(socket, seconds)
}

/// What could not be bound, why, and where it was asked for. `opened` are this configuration's sockets before it, `open`
/// those of the one that serves.
fn explain(
    e: &io::Error,
    address: SocketAddr,
    wanted: &Located<Listen>,
    opened: &[Listener],
    open: &[Listener],
) -> io::Error {
    let covers = |l: &&Listener| {
        let (a, b) = (l.asked, address);
        let wild = a.ip().is_unspecified() || b.ip().is_unspecified();
        a.port() == b.port() && (wild || a.ip() == b.ip())
    };
    let hint = match e.kind() {
        io::ErrorKind::AddrInUse => {
            let (before, now) = (opened.iter().find(covers), open.iter().find(covers));
            match (before, now) {
                (Some(other), _) => format!(": Listen {} before it has that port", other.asked),
                (None, Some(own)) => format!(
                    ": this server listens on {} itself until the restart is done; stop it and start it anew",
                    own.asked
                ),
                (None, None) => ": another process listens there".to_owned(),
            }
        }
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            ": a port below 1024 needs root or the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address".to_owned(),
        _ => String::new(),
    };
    let place = wanted.at.as_ref();
    let place = place.map_or(String::new(), |at| format!(" (Listen at {at})"));
    io::Error::new(
        e.kind(),
        format!("could not bind to address {address}: {e}{hint}{place}"),
    )
}

/// Three listening sockets with one address.
#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used, reason = "a test")]
pub(super) fn three_for_a_test() -> Vec<TcpListener> {
    let config = Config::builtin(2);
    let asked = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    again_or_anew(&config, asked, "http", 3, &[])
        .unwrap()
        .sockets
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn listen(host: &str) -> Config {
        let mut config = Config::builtin(2);
        config.listens[0].value.host = Some(host.to_owned());
        config.listens[0].value.port = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        config
    }

    #[test]
    fn a_name_stands_for_every_address_that_this_machine_has() {
        let config = listen("localhost");
        let port = config.listens[0].port;
        let opened = open(&config, 1, &[]).unwrap();
        let here = |address: &SocketAddr| TcpListener::bind((address.ip(), 0)).is_ok();
        let mut wanted: Vec<_> = ("localhost", port).to_socket_addrs().unwrap().collect();
        wanted.retain(here);
        wanted.dedup();
        let found: Vec<_> = opened.iter().map(|l| l.asked).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn an_address_that_is_not_here_is_an_error_if_it_is_the_only_one() {
        // TEST-NET-1 is nobody's.
        let config = listen("192.0.2.1");
        let e = open(&config, 1, &[]).err().unwrap().to_string();
        assert!(e.ends_with(": this machine has no such address"), "{e}");
    }
}
