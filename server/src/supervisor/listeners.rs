//! Opening the sockets of `Listen`.

use parkade_config::{Config, Listen, Located};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsRawFd;

/// A socket, and the address that the configuration gave it.
pub(super) struct Listener {
    asked: SocketAddr,
    pub(super) socket: TcpListener,
}

/// The sockets alone, for a child.
pub(super) fn sockets(listeners: &mut Vec<Listener>) -> Vec<TcpListener> {
    listeners.drain(..).map(|l| l.socket).collect()
}

/// Opens every listener, or says what is wrong with the first that cannot be. One that was `open` before keeps its
/// socket, and nobody who waits in its backlog notices; its settings are those of this configuration.
pub(super) fn open(config: &Config, open: &[Listener]) -> io::Result<Vec<Listener>> {
    let mut all = Vec::new();
    for wanted in &config.listens {
        for address in addresses(wanted)? {
            let opened = again_or_anew(config, address, &wanted.protocol, open);
            match opened {
                Ok(listener) => all.push(listener),
                // Without IPv6 the wildcard is IPv4's.
                Err(e) if wanted.host.is_none() && e.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                    let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), wanted.port);
                    let opened = again_or_anew(config, v4, &wanted.protocol, open);
                    all.push(opened.map_err(|e| explain(&e, v4))?);
                }
                Err(e) => return Err(explain(&e, address)),
            }
        }
    }
    if all.is_empty() {
        return Err(io::Error::other(
            "no listening sockets available, shutting down",
        ));
    }
    Ok(all)
}

fn addresses(wanted: &Located<Listen>) -> io::Result<Vec<SocketAddr>> {
    match wanted.host.as_deref() {
        None | Some("*") => Ok(vec![SocketAddr::new(
            Ipv6Addr::UNSPECIFIED.into(),
            wanted.port,
        )]),
        Some(host) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            if let Ok(ip) = host.parse::<IpAddr>() {
                return Ok(vec![SocketAddr::new(ip, wanted.port)]);
            }
            let found = (host, wanted.port).to_socket_addrs();
            Ok(found
                .map_err(|e| io::Error::new(e.kind(), format!("Listen {host}: {e}")))?
                .take(1)
                .collect())
        }
    }
}

fn again_or_anew(
    config: &Config,
    asked: SocketAddr,
    protocol: &str,
    open: &[Listener],
) -> io::Result<Listener> {
    let socket = match open.iter().find(|l| l.asked == asked && asked.port() != 0) {
        Some(listener) => listener.socket.try_clone()?,
        None => bound(asked)?,
    };
    set(config, &socket, protocol)?;
    Ok(Listener { asked, socket })
}

/// A socket with its address, which does not listen yet.
fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
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
    if *config.send_buffer_size > 0 {
        sockopt::set_socket_send_buffer_size(socket, *config.send_buffer_size as usize)?;
    }
    if *config.receive_buffer_size > 0 {
        sockopt::set_socket_recv_buffer_size(socket, *config.receive_buffer_size as usize)?;
    }
    let backlog = i32::try_from(*config.listen_backlog).unwrap_or(i32::MAX);
    listen(socket, backlog)?;
    let filters = config.accept_filters.iter().rev();
    let filter = filters.map(|f| &f.value).find(|f| f.0 == protocol);
    let data = filter.is_some_and(|f| f.1 == "data");
    let seconds: libc::c_int = if data { 30 } else { 0 };
    // SAFETY: a valid descriptor and an int of the length given (tcp(7), TCP_DEFER_ACCEPT).
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    } != 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn explain(e: &io::Error, address: SocketAddr) -> io::Error {
    let hint = match e.kind() {
        io::ErrorKind::AddrInUse => ": another process listens there",
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            ": a port below 1024 needs root or the capability CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
        _ => "",
    };
    io::Error::new(
        e.kind(),
        format!("could not bind to address {address}: {e}{hint}"),
    )
}
