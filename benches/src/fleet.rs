//! A set of warm connections driven from one thread by an epoll loop of its own.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::procfs;
use crate::target::Target;

/// No answer for this long ends a run with an error instead of a hang.
pub(crate) const STALL: Duration = Duration::from_secs(10);
/// Connections per 127.0.0.x source address, well below the ~28,000 ports of each, which fill up slowly.
pub(crate) const PER_SOURCE: usize = 12_000;

/// Events of one wait, and requests under way when all connections ask at once.
const AT_ONCE: usize = 512;

struct Peer {
    stream: TcpStream,
    /// Bytes still to come; 0 when quiet.
    due: usize,
    asked: Instant,
    /// It was closed, or did not answer; only `alive_at_once` goes on after that.
    lost: bool,
}

/// Open connections and what has been measured on them.
pub(crate) struct Fleet {
    target: Target,
    poll: OwnedFd,
    peers: Vec<Peer>,
    events: Vec<Event>,
    input: Vec<u8>,
    /// Nanoseconds from sending, or from the due time, to the last byte of the answer.
    pub(crate) latency: Histogram<u64>,
}

impl Fleet {
    /// No connections yet.
    pub(crate) fn new(target: Target) -> io::Result<Fleet> {
        Ok(Fleet {
            target,
            poll: epoll::create(CreateFlags::CLOEXEC)?,
            peers: Vec::new(),
            events: Vec::with_capacity(AT_ONCE),
            input: vec![0; 256 * 1024],
            latency: histogram()?,
        })
    }

    /// Opens connections until there are `count`, each with one request answered when `ask`.
    /// `first_source` is the last byte of the first source address (1 leaves it to the kernel).
    pub(crate) fn open(&mut self, count: usize, first_source: u8, ask: bool) -> io::Result<()> {
        check_descriptors(count as u64)?;
        while self.peers.len() < count {
            let n = self.peers.len();
            let source = first_source as usize + n / PER_SOURCE;
            let stream = self
                .target
                .connect(u8::try_from(source).unwrap_or(1))
                .map_err(|e| {
                    io::Error::new(
                        e.kind(),
                        format!("connection {n} of {count} to {}: {e}", self.target.address),
                    )
                })?;
            self.hold(stream)?;
            if ask {
                let batch = self.target.request.clone();
                self.send(n, &batch, 1, Instant::now())?;
                // A bounded number under way, so that no backlog overflows.
                if n % 64 == 63 {
                    self.drain()?;
                }
            }
        }
        self.drain()
    }

    /// Connections that were opened, and asked on, elsewhere.
    pub(crate) fn adopt(&mut self, streams: Vec<TcpStream>) -> io::Result<()> {
        for stream in streams {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            self.hold(stream)?;
        }
        Ok(())
    }

    /// One more, which does not block.
    fn hold(&mut self, stream: TcpStream) -> io::Result<()> {
        let n = EventData::new_u64(self.peers.len() as u64);
        epoll::add(&self.poll, &stream, n, EventFlags::IN | EventFlags::ET)?;
        self.peers.push(Peer {
            stream,
            due: 0,
            asked: Instant::now(),
            lost: false,
        });
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn quiet(&self, n: usize) -> bool {
        self.peers[n].due == 0
    }

    fn send(&mut self, n: usize, bytes: &[u8], depth: usize, asked: Instant) -> io::Result<()> {
        let peer = &mut self.peers[n];
        let sent = peer.stream.write(bytes)?;
        if sent != bytes.len() {
            return Err(io::Error::other(
                "the server does not read its requests: send buffer full",
            ));
        }
        peer.due = self.target.answer * depth;
        peer.asked = asked;
        Ok(())
    }

    /// One request on a quiet connection, timed from `due`.
    pub(crate) fn ask(&mut self, n: usize, due: Instant) -> io::Result<()> {
        let request = std::mem::take(&mut self.target.request);
        let result = self.send(n, &request, 1, due);
        self.target.request = request;
        result
    }

    /// `bytes`, the request of this fleet's target in other words, on a quiet connection.
    pub(crate) fn ask_with(&mut self, n: usize, bytes: &[u8]) -> io::Result<()> {
        self.send(n, bytes, 1, Instant::now())
    }

    /// The end of a request whose beginning was sent with [`Fleet::ask_with`], timed from `due`.
    pub(crate) fn end(&mut self, n: usize, bytes: &[u8], due: Instant) -> io::Result<()> {
        self.send(n, bytes, 1, due)
    }

    /// The request of this fleet's target.
    pub(crate) fn request(&self) -> &[u8] {
        &self.target.request
    }

    /// Asks on every connection, and says how many of them still answer.
    pub(crate) fn alive(&mut self) -> usize {
        let request = self.target.request.clone();
        let mut alive = 0;
        for n in 0..self.peers.len() {
            // One after the other: a connection that is gone must not end the count of the others.
            let answered = self.send(n, &request, 1, Instant::now()).is_ok() && {
                let end = Instant::now() + STALL;
                let patience = Timespec {
                    tv_sec: STALL.as_secs() as i64,
                    tv_nsec: 0,
                };
                loop {
                    let stream = &self.peers[n].stream;
                    let mut poll = [PollFd::new(stream, PollFlags::IN)];
                    let waited = rustix::event::poll(&mut poll, Some(&patience));
                    if waited.is_err() || Instant::now() > end {
                        break false;
                    }
                    match self.receive(n) {
                        Ok(true) => break true,
                        Ok(false) => {}
                        Err(_) => break false,
                    }
                }
            };
            alive += usize::from(answered);
        }
        alive
    }

    /// Asks on every connection, many at a time, and says how many of them answer.
    pub(crate) fn alive_at_once(&mut self) -> io::Result<usize> {
        let request = self.target.request.clone();
        let (mut next, mut waiting, mut answered) = (0, 0, 0);
        while next < self.peers.len() || waiting > 0 {
            while next < self.peers.len() && waiting < AT_ONCE {
                if !self.peers[next].lost {
                    match self.send(next, &request, 1, Instant::now()) {
                        Ok(()) => waiting += 1,
                        Err(_) => self.peers[next].lost = true,
                    }
                }
                next += 1;
            }
            if waiting > 0 && self.wait(STALL)? == 0 {
                break;
            }
            for event in std::mem::take(&mut self.events) {
                let n = event.data.u64() as usize;
                let was_due = self.peers[n].due > 0;
                match self.receive(n) {
                    Ok(true) => {
                        answered += 1;
                        waiting -= 1;
                    }
                    Ok(false) => {}
                    Err(_) => {
                        self.peers[n].lost = true;
                        self.peers[n].due = 0;
                        waiting -= usize::from(was_due);
                    }
                }
            }
        }
        Ok(answered)
    }

    /// Fills `events` with what happens within `patience` (forever is never), and counts them.
    fn wait(&mut self, patience: Duration) -> io::Result<usize> {
        self.events.clear();
        self.events.reserve(AT_ONCE);
        let timeout = Timespec {
            tv_sec: patience.as_secs() as i64,
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        let events = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.poll, events, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(self.events.len()),
            Err(e) => Err(e.into()),
        }
    }

    /// Sleeps until something comes, at most so long. More exact than the milliseconds that a wait for events knows.
    pub(crate) fn pause(&self, most: Duration) -> io::Result<()> {
        let most = Timespec {
            tv_sec: most.as_secs() as i64,
            tv_nsec: i64::from(most.subsec_nanos()),
        };
        match rustix::event::poll(&mut [PollFd::new(&self.poll, PollFlags::IN)], Some(&most)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits at most `patience` (forever is never), reads what came, and puts the connections
    /// whose answers are complete into `done`. Returns how many events there were.
    pub(crate) fn turn(&mut self, patience: Duration, done: &mut Vec<usize>) -> io::Result<usize> {
        done.clear();
        let count = self.wait(patience)?;
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let n = event.data.u64() as usize;
            if self.receive(n)? {
                done.push(n);
            }
        }
        self.events = events;
        Ok(count)
    }

    /// Waits at most `patience`, and puts the connections that the server has closed since into `done`.
    pub(crate) fn closings(&mut self, patience: Duration, done: &mut Vec<usize>) -> io::Result<()> {
        done.clear();
        self.wait(patience)?;
        for event in &self.events {
            let n = event.data.u64() as usize;
            let peer = &mut self.peers[n];
            let ended = loop {
                match peer.stream.read(&mut self.input) {
                    Ok(0) => break true,
                    // Some say goodbye.
                    Ok(_) => {}
                    Err(e) => break e.kind() != io::ErrorKind::WouldBlock,
                }
            };
            if ended && !peer.lost {
                peer.lost = true;
                done.push(n);
            }
        }
        Ok(())
    }

    fn receive(&mut self, n: usize) -> io::Result<bool> {
        let peer = &mut self.peers[n];
        loop {
            let got = match peer.stream.read(&mut self.input) {
                Ok(0) => {
                    return Err(io::Error::other(format!(
                        "the server closed connection {n}"
                    )));
                }
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(io::Error::new(e.kind(), format!("connection {n}: {e}"))),
            };
            if got > peer.due {
                return Err(io::Error::other(format!(
                    "connection {n}: {} bytes more than asked for",
                    got - peer.due
                )));
            }
            if peer.due.is_multiple_of(self.target.answer) {
                let seen = got.min(self.target.prefix.len());
                if self.input[..seen] != self.target.prefix[..seen] {
                    let text = String::from_utf8_lossy(&self.input[..got.min(40)]).into_owned();
                    return Err(io::Error::other(format!(
                        "connection {n}: unexpected answer `{text}`"
                    )));
                }
            }
            peer.due -= got;
            if peer.due == 0 {
                let taken = u64::try_from(peer.asked.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.latency.saturating_record(taken);
                return Ok(true);
            }
            if got < self.input.len() {
                return Ok(false);
            }
        }
    }

    /// Waits for every answer still due.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        let mut waiting = self.peers.iter().filter(|p| p.due > 0).count();
        let mut done = Vec::new();
        while waiting > 0 {
            if self.turn(STALL, &mut done)? == 0 {
                return Err(io::Error::other(format!(
                    "{waiting} answers missing after {STALL:?}"
                )));
            }
            waiting -= done.len();
        }
        Ok(())
    }

    /// Closed loop: every connection keeps `depth` requests under way until `requests` are answered.
    pub(crate) fn closed_loop(
        &mut self,
        depth: usize,
        requests: u64,
        tick: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let batch = self.target.request.repeat(depth);
        let mut left = requests.div_ceil(depth as u64);
        let mut under_way = 0_u64;
        for n in 0..self.peers.len() {
            if left > 0 {
                self.send(n, &batch, depth, Instant::now())?;
                (left, under_way) = (left - 1, under_way + 1);
            }
        }
        let mut done = Vec::new();
        let mut answered = 0_u64;
        while under_way > 0 {
            if self.turn(STALL, &mut done)? == 0 {
                return Err(io::Error::other(format!(
                    "{under_way} answers missing after {STALL:?}"
                )));
            }
            under_way -= done.len() as u64;
            let before = answered;
            answered += (done.len() * depth) as u64;
            if answered >> 14 != before >> 14 {
                tick(answered);
            }
            for n in &done {
                if left == 0 {
                    break;
                }
                self.send(*n, &batch, depth, Instant::now())?;
                (left, under_way) = (left - 1, under_way + 1);
            }
        }
        Ok(())
    }
}

/// 100 ns to 60 s in nanoseconds, three digits.
pub(crate) fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(100, 60_000_000_000, 3).map_err(io::Error::other)
}

/// Says beforehand when the limit is too low, and what to do about it.
pub(crate) fn check_descriptors(connections: u64) -> io::Result<()> {
    let limit = procfs::descriptor_limit();
    if connections + 32 > limit {
        return Err(io::Error::other(format!(
            "{connections} connections need more descriptors than the limit of {limit} per process: \
             raise it with `ulimit -n {}` or use more client processes (--processes)",
            connections + 32
        )));
    }
    Ok(())
}
