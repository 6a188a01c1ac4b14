//! Random parked connections speak at a fixed rate, whatever the server does (open loop).
//!
//! Times run from the moment a request was due, so a stall counts for all it held up.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, PER_SOURCE, STALL, histogram};
use crate::options::Options;
use crate::procfs;
use crate::report::Report;
use crate::sample::Sample;
use crate::target::Target;

/// Fleets opened so far.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// Opens and parks the connections, lets them speak, closes them.
pub(crate) fn measure(target: &Target, pid: u32, options: &Options) -> io::Result<Sample> {
    // Closed client ends keep their ports for a minute, so each fleet has addresses of its own.
    // Relaxed: only distinct values matter.
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let first_source = 2 + (turn * options.parked.div_ceil(PER_SOURCE) % 200) as u8;
    let mut fleet = Fleet::new(target.clone())?;
    fleet.open(options.parked.max(1), first_source, true)?;
    speak(&mut fleet, options.rate, options.requests / 10, 0)?;
    fleet.latency.reset();
    let before = procfs::used(pid)?;
    let start = Instant::now();
    speak(&mut fleet, options.rate, options.requests, 0)?;
    let seconds = start.elapsed().as_secs_f64();
    let used = procfs::used(pid)? - before;
    let latency = std::mem::replace(&mut fleet.latency, histogram()?);
    drop(fleet);
    settle(pid)?;
    Ok(Sample {
        requests: options.requests,
        seconds,
        used,
        latency,
    })
}

/// Waits until the server has done with the closed connections, which would otherwise disturb
/// whatever is measured next on its core.
pub(crate) fn settle(pid: u32) -> io::Result<()> {
    let end = Instant::now() + STALL;
    let mut before = procfs::cpu(pid)?;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(30));
        let now = procfs::cpu(pid)?;
        if (now - before).run_ns < 1_000_000 {
            break;
        }
        before = now;
    }
    Ok(())
}

/// `number` of several processes that do this side by side, which sleep between two requests; one alone, 0, does not.
pub(crate) fn speak(fleet: &mut Fleet, rate: u64, requests: u64, number: u64) -> io::Result<()> {
    let start = Instant::now();
    let due_at = |n: u64| {
        start + Duration::from_nanos((u128::from(n) * 1_000_000_000 / u128::from(rate)) as u64)
    };
    // Ample for the schedule itself; a server that cannot keep up ends the run instead of stretching it.
    let end = due_at(requests) + STALL;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.rotate_left(number as u32);
    let mut done = Vec::new();
    let mut asked = 0;
    while asked < requests {
        let now = Instant::now();
        if now > end {
            return Err(io::Error::other(format!(
                "only {asked} of {requests} requests could be sent: too slow"
            )));
        }
        while asked < requests && due_at(asked) <= now {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let first = (random % fleet.len() as u64) as usize;
            // One still waiting for its answer cannot speak: take the next that can.
            let Some(n) = (0..fleet.len())
                .map(|k| (first + k) % fleet.len())
                .find(|n| fleet.quiet(*n))
            else {
                break;
            };
            fleet.ask(n, due_at(asked))?;
            asked += 1;
        }
        if number > 0 && asked < requests {
            fleet.pause(due_at(asked).saturating_duration_since(Instant::now()))?;
        }
        // Polling: this core is ours, and a sleep would be coarser than the times measured.
        fleet.turn(Duration::ZERO, &mut done)?;
    }
    fleet.drain()
}

/// The `wake` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let (url, pid) = (server.url.as_str(), server.pid);
    let target = Target::probe(url, false)?;
    let mut report = Report::default();
    report.put("workload", "wake");
    report.put("server", server.name.as_str());
    report.put("url", url);
    report.put("parked", options.parked);
    report.put("rate/s", options.rate);
    let sample = measure(&target, pid, options)?;
    report.put("requests", sample.requests);
    report.put("reached rate/s", sample.requests as f64 / sample.seconds);
    report.cpu(sample.used.cpu, sample.requests);
    report.latency(&sample.latency);
    Ok(report)
}
