//! The yardstick: a bare epoll loop that answers every request head with the same bytes.
//!
//! No parsing beyond finding `\r\n\r\n`, no deadlines, no state per connection: the descriptor
//! is the epoll datum. What a real server costs above this is what its own code costs. A request
//! split over two segments goes unanswered, and a peer that stops reading is closed: this is a
//! measuring stick, not a server.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::affinity;
use answer::ANSWER;

mod answer;
mod large;
mod ring;

/// Answers sent with one call at most; a deeper pipeline takes several calls.
const BATCH: usize = 64;
const BUFFER: usize = 16 * 1024;

/// What the yardstick says.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// A fixed HTTP response per request head.
    Http,
    /// The bytes received, unchanged.
    Echo,
}

/// What it asks the kernel through.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Through {
    Epoll,
    Ring,
}

/// Serves until killed. With several workers each has its own `SO_REUSEPORT` listener and core.
pub(crate) fn run(
    listen: SocketAddr,
    workers: usize,
    mode: Mode,
    through: Through,
    body: usize,
) -> io::Result<()> {
    let answer = match body {
        0 => ANSWER.to_vec(),
        n => with_body(n),
    };
    let answer: &'static [u8] = answer.leak();
    let workers = workers.clamp(1, 256);
    let first = listener(listen)?;
    let address = std::net::TcpListener::from(first.try_clone()?).local_addr()?;
    let mut listeners = vec![first];
    while listeners.len() < workers {
        listeners.push(listener(address)?);
    }
    println!("listening on {address} pid {}", std::process::id());
    let threads: Vec<_> = listeners
        .into_iter()
        .enumerate()
        .map(|(n, listener)| {
            std::thread::spawn(move || {
                // Best effort: a restricted cpuset is no reason not to serve.
                let _ = affinity::pin_self(n % affinity::cores());
                match through {
                    Through::Epoll if body > 0 => large::serve(&listener, answer),
                    Through::Epoll => serve(&listener, mode),
                    Through::Ring => ring::serve(&listener, mode, answer),
                }
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

/// An answer as the small one, with so many bytes of body.
fn with_body(n: usize) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nServer: reference\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: ";
    let mut answer = format!("{head}{n}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + n, b'x');
    answer
}

fn listener(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    // Accepted sockets inherit it; setting it here saves a call per connection.
    sockopt::set_tcp_nodelay(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, 4096)?;
    Ok(socket)
}

fn serve(listener: &OwnedFd, mode: Mode) -> io::Result<()> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let own = listener.as_raw_fd();
    epoll::add(
        &poll,
        listener,
        EventData::new_u64(own as u64),
        EventFlags::IN,
    )?;
    let answers = ANSWER.repeat(BATCH);
    let finder = memchr::memmem::Finder::new(b"\r\n\r\n");
    let mut input = vec![0_u8; BUFFER];
    let mut events: Vec<Event> = Vec::with_capacity(512);
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        for event in &events {
            let fd = event.data.u64() as RawFd;
            if fd == own {
                accept_all(
                    &poll,
                    listener,
                    EventFlags::IN | EventFlags::RDHUP | EventFlags::ET,
                )?;
                continue;
            }
            // SAFETY: a descriptor in the set is open: `close` below is the only place that closes
            // one, that removes it from the set, and an edge reports it once per wait.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            if !answer(socket, &mut input, &answers, &finder, mode) {
                // SAFETY: as above; ownership was given up in `accept_all` by `into_raw_fd`.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
}

fn accept_all(poll: &OwnedFd, listener: &OwnedFd, flags: EventFlags) -> io::Result<()> {
    use std::os::fd::IntoRawFd;
    loop {
        match net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => {
                let data = EventData::new_u64(socket.as_raw_fd() as u64);
                epoll::add(poll, &socket, data, flags)?;
                let _ = socket.into_raw_fd();
            }
            // Out of descriptors: the level-triggered listener comes back with the next wait.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
                return Ok(());
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Reads what is there and answers it. False when the connection is over.
fn answer(
    socket: BorrowedFd<'_>,
    input: &mut [u8],
    answers: &[u8],
    finder: &memchr::memmem::Finder<'_>,
    mode: Mode,
) -> bool {
    loop {
        let got = match net::recv(socket, &mut *input, RecvFlags::empty()) {
            Ok((0, _)) => return false,
            Ok((n, _)) => n,
            Err(rustix::io::Errno::AGAIN) => return true,
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return false,
        };
        let bytes = &input[..got];
        if mode == Mode::Echo {
            if net::send(socket, bytes, SendFlags::NOSIGNAL) != Ok(got) {
                return false;
            }
        } else {
            let mut left = finder.find_iter(bytes).count() * ANSWER.len();
            while left > 0 {
                let now = left.min(answers.len());
                if net::send(socket, &answers[..now], SendFlags::NOSIGNAL) != Ok(now) {
                    return false;
                }
                left -= now;
            }
            if memchr::memmem::find(bytes, b"Connection: close\r\n").is_some() {
                return false;
            }
        }
        // A short read emptied the socket, so no second call just to be told so.
        if got < input.len() {
            return true;
        }
    }
}
