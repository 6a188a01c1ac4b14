//! A listener and a thread for each worker, on a core of its own, as the yardstick has them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::command::Command;

/// Runs `serve` on each thread that the command line asks for, until it fails.
pub fn run(serve: fn(TcpListener) -> io::Result<()>) -> io::Result<()> {
    let command = Command::get();
    let first = listener(command.address)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    while listeners.len() < command.threads {
        listeners.push(listener(address)?);
    }
    announce(address);
    let threads: Vec<_> = listeners
        .into_iter()
        .enumerate()
        .map(|(n, listener)| {
            std::thread::spawn(move || {
                pin(n);
                serve(listener)
            })
        })
        .collect();
    for thread in threads {
        thread
            .join()
            .map_err(|_| io::Error::other("a worker panicked"))??;
    }
    Ok(())
}

/// Says that `address` is served; the backlog takes connections already.
pub fn announce(address: SocketAddr) {
    println!("listening on {address} pid {}", std::process::id());
}

/// A listener that blocks, which others on the same address may join.
pub fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    // Accepted sockets inherit it.
    sockopt::set_tcp_nodelay(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 4096)?;
    Ok(socket.into())
}

/// Pins the calling thread to a core. Best effort: a restricted set of cores is no reason not to serve.
pub fn pin(n: usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut set = CpuSet::new();
    set.set(n % cores);
    let _ = sched_setaffinity(None, &set);
}
