//! A connection for every request: connect, ask with `Connection: close`, read, gone.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::fleet::{STALL, check_descriptors, histogram};
use crate::options::Options;
use crate::procfs;
use crate::report::{Report, say};
use crate::sample::Sample;
use crate::target::Target;

/// Connections from one source address before the next is used, so that ports never run out.
const PER_SOURCE: u64 = 4_000;

/// Sockets in TIME_WAIT that may be left over from earlier runs: the kernel clears them away in the server's time.
const FEW: u64 = 10_000;
/// A little longer than TIME_WAIT lasts.
const PATIENCE: Duration = Duration::from_secs(70);

/// Waits until the connections of earlier runs are forgotten: with 100,000 of them a connection costs twice as much.
/// A run of a few `connections` is not worth it.
pub(crate) fn calm(connections: u64) {
    let many = || connections > FEW && procfs::time_wait().is_some_and(|n| n > FEW);
    if many() {
        let most = PATIENCE.as_secs();
        say(&format!(
            "waiting for the sockets in TIME_WAIT of an earlier run, at most {most} s"
        ));
    }
    let end = Instant::now() + PATIENCE;
    while many() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(200));
    }
}

struct Visit {
    stream: TcpStream,
    got: usize,
    begun: Instant,
}

/// `connections` visits under way at any time until `requests` are over.
pub(crate) fn measure(
    target: &Target,
    pid: u32,
    options: &Options,
    requests: u64,
) -> io::Result<Sample> {
    check_descriptors(options.connections as u64)?;
    let echo = target.prefix.starts_with(b"GET");
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut visits: Vec<Option<Visit>> = Vec::new();
    let mut latency = histogram()?;
    let (mut begun, mut over) = (0_u64, 0_u64);
    let mut begin = |slot: usize| -> io::Result<Visit> {
        let at = Instant::now();
        let source = 2 + (begun / PER_SOURCE % 200) as u8;
        let mut stream = target.connect(source)?;
        if stream.write(&target.request)? != target.request.len() {
            return Err(io::Error::other(
                "a fresh connection did not take a whole request",
            ));
        }
        epoll::add(
            &poll,
            &stream,
            EventData::new_u64(slot as u64),
            EventFlags::IN,
        )?;
        begun += 1;
        Ok(Visit {
            stream,
            got: 0,
            begun: at,
        })
    };
    let before = procfs::used(pid)?;
    let start = Instant::now();
    let together = options
        .connections
        .min(usize::try_from(requests).unwrap_or(usize::MAX));
    for slot in 0..together {
        visits.push(Some(begin(slot)?));
    }
    let mut left = requests - together as u64;
    let mut events: Vec<Event> = Vec::with_capacity(256);
    let mut input = vec![0; 256 * 1024];
    let patience = Timespec {
        tv_sec: STALL.as_secs() as i64,
        tv_nsec: 0,
    };
    while over < requests {
        events.clear();
        match epoll::wait(
            &poll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&patience),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        if events.is_empty() {
            return Err(io::Error::other(format!(
                "no answer and no close for {STALL:?}"
            )));
        }
        for event in &events {
            let slot = event.data.u64() as usize;
            let Some(visit) = visits.get_mut(slot).and_then(Option::as_mut) else {
                continue;
            };
            let n = match visit.stream.read(&mut input) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(e) => return Err(e),
            };
            if visit.got == 0 && !input[..n].starts_with(&target.prefix) {
                return Err(io::Error::other(
                    "an unexpected answer, or a close without one",
                ));
            }
            visit.got += n;
            // An echo server has no reason to close, so the client does.
            if n > 0 && !(echo && visit.got >= target.answer) {
                continue;
            }
            if visit.got != target.answer {
                return Err(io::Error::other(format!(
                    "{} bytes of {} came",
                    visit.got, target.answer
                )));
            }
            latency.saturating_record(
                u64::try_from(visit.begun.elapsed().as_nanos()).unwrap_or(u64::MAX),
            );
            over += 1;
            visits[slot] = None;
            if left > 0 {
                left -= 1;
                visits[slot] = Some(begin(slot)?);
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    // A server that lingers has its last connections still to close; that belongs to them.
    crate::wake::settle(pid)?;
    Ok(Sample {
        requests,
        seconds,
        used: procfs::used(pid)? - before,
        latency,
    })
}

/// The `churn` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let (url, pid) = (server.url.as_str(), server.pid);
    let target = Target::probe(url, true)?;
    calm(options.requests);
    let sample = measure(&target, pid, options, options.requests)?;
    let mut report = Report::default();
    report.put("workload", "churn");
    report.put("server", server.name.as_str());
    report.put("url", url);
    report.put("connections at a time", options.connections);
    report.put("connections", sample.requests);
    report.put("connections/s", sample.requests as f64 / sample.seconds);
    report.cpu(sample.used.cpu, sample.requests);
    report.latency(&sample.latency);
    Ok(report)
}
