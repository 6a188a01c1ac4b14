//! Deadlines: a million of them set and renewed, and how exactly the last ones are kept.
//!
//! Each request on a kept connection takes the connection's deadline away and sets the next. All connections ask in turn,
//! 64 at a time; then all are silent, and the server closes each when its time is over. The client sees how late.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::fleet::{Fleet, PER_SOURCE, STALL, histogram};
use crate::launch::Server;
use crate::options::Options;
use crate::peers;
use crate::procfs::{self, Used};
use crate::report::{Report, progress};
use crate::sample::{Figures, Sample};
use crate::target::Target;
use crate::verdict::{Verdict, exactly};

/// Requests under way.
const WINDOW: u64 = 64;
/// Closed so much before its time, a connection was closed early. The client hears an answer later than the server sends it.
const EARLY: Duration = Duration::from_millis(20);
/// What is not closed so long after its time never is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fleets opened so far.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// What was found at one server.
pub(crate) struct Found {
    /// Each of its requests is a deadline renewed.
    pub(crate) renewing: Sample,
    /// `None` for a server without deadlines.
    pub(crate) expiry: Option<Expiry>,
}

/// What became of the last deadlines.
pub(crate) struct Expiry {
    /// With nothing due, for so many seconds.
    quiet: (Used, f64),
    closing: Used,
    late: Histogram<u64>,
    pub(crate) early: usize,
    pub(crate) never: usize,
}

/// Opens `options.parked` connections, renews `options.requests` deadlines, and waits for the last ones if there are any.
pub(crate) fn measure(server: &Server, options: &Options) -> io::Result<Found> {
    let pid = server.pid;
    // Closed client ends keep their ports for a minute, so each fleet has addresses of its own.
    // Relaxed: only distinct values matter.
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let source = 2 + (turn * options.parked.div_ceil(PER_SOURCE) % 200) as u8;
    let mut fleet = Fleet::new(Target::probe(&server.url, false)?)?;
    fleet.open(options.parked, source, true)?;
    fleet.latency.reset();
    let before = procfs::used(pid)?;
    let start = Instant::now();
    let answered = sweep(&mut fleet, options.requests)?;
    let renewing = Sample {
        requests: options.requests,
        seconds: start.elapsed().as_secs_f64(),
        used: procfs::used(pid)? - before,
        latency: std::mem::replace(&mut fleet.latency, histogram()?),
    };
    let expiry = match peers::has_deadlines(&server.name) {
        true => Some(expire(&mut fleet, &answered, pid, options.keepalive)?),
        false => None,
    };
    Ok(Found { renewing, expiry })
}

/// All ask in turn; gives the time of each one's last answer.
fn sweep(fleet: &mut Fleet, requests: u64) -> io::Result<Vec<Instant>> {
    let mut answered = vec![Instant::now(); fleet.len()];
    let (mut asked, mut over) = (0_u64, 0_u64);
    let mut done = Vec::new();
    while over < requests {
        while asked < requests && asked - over < WINDOW {
            let n = (asked % fleet.len() as u64) as usize;
            if !fleet.quiet(n) {
                break;
            }
            fleet.ask(n, Instant::now())?;
            asked += 1;
        }
        if fleet.turn(STALL, &mut done)? == 0 {
            let missing = asked - over;
            let text = format!("{missing} answers missing after {STALL:?}");
            return Err(io::Error::other(text));
        }
        let now = Instant::now();
        over += done.len() as u64;
        for n in &done {
            answered[*n] = now;
        }
    }
    Ok(answered)
}

/// Waits until all connections are closed.
fn expire(fleet: &mut Fleet, answered: &[Instant], pid: u32, keepalive: u64) -> io::Result<Expiry> {
    let time = Duration::from_secs(keepalive);
    let now = Instant::now();
    let first = answered.iter().min().copied().unwrap_or(now) + time;
    let last = answered.iter().max().copied().unwrap_or(now) + time;
    let before = procfs::used(pid)?;
    let began = Instant::now();
    // Up to a little before it: what is early is to be seen.
    let quiet = first.saturating_duration_since(began).mul_f64(0.9);
    std::thread::sleep(quiet);
    let after = procfs::used(pid)?;
    let mut expiry = Expiry {
        quiet: (after - before, began.elapsed().as_secs_f64()),
        closing: Used::default(),
        late: histogram()?,
        early: 0,
        never: fleet.len(),
    };
    let mut done = Vec::new();
    while expiry.never > 0 && Instant::now() < last + PATIENCE {
        fleet.closings(Duration::from_millis(100), &mut done)?;
        let now = Instant::now();
        for n in &done {
            let due = answered[*n] + time;
            expiry.early += usize::from(now + EARLY < due);
            let late = now.saturating_duration_since(due).as_nanos();
            let late = u64::try_from(late).unwrap_or(u64::MAX);
            expiry.late.saturating_record(late);
            expiry.never -= 1;
        }
    }
    expiry.closing = procfs::used(pid)? - after;
    Ok(expiry)
}

impl Found {
    /// What renewing costs, and how the last deadlines were kept.
    pub(crate) fn figures(&self) -> Figures {
        let mut figures = self.renewing.figures();
        let Some(expiry) = &self.expiry else {
            return figures;
        };
        let (quiet, seconds) = expiry.quiet;
        let second = |n: f64| n / seconds.max(1e-3);
        let late = |quantile| expiry.late.value_at_quantile(quantile) as f64 / 1e6;
        let rest = [
            ("nothing due: wake-ups/s", second(quiet.woken as f64)),
            (
                "nothing due: CPU us/s",
                second(quiet.cpu.run_ns as f64 / 1e3),
            ),
            (
                "server CPU us/expired connection",
                expiry.closing.cpu.per_request(expiry.late.len()).0,
            ),
            ("closed late p50 ms", late(0.5)),
            ("closed late p99 ms", late(0.99)),
            ("closed late max ms", late(1.0)),
            ("closed early", expiry.early as f64),
            ("never closed", expiry.never as f64),
        ];
        figures.extend(rest.map(|(name, value)| (name.to_owned(), value)));
        figures
    }
}

/// The `timeouts` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let bar = progress(options.rounds as u64, "rounds");
    bar.tick();
    let mut report = Report::default();
    report.put("workload", "timeouts");
    report.put("server", server.name.as_str());
    report.put("parked", options.parked);
    report.put("deadlines renewed in a round", options.requests);
    report.put("keep-alive s", options.keepalive);
    report.put("rounds", options.rounds);
    let mut rounds = Vec::new();
    let (mut early, mut never) = (0, 0);
    for _ in 0..options.rounds {
        let found = measure(&server, options)?;
        if let Some(expiry) = &found.expiry {
            early += expiry.early;
            never += expiry.never;
        }
        rounds.push(found.figures());
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.medians(&rounds);
    for (what, n) in [
        ("connections closed early", early),
        ("connections never closed", never),
    ] {
        report.judge(Some(Verdict::at_most(what, 0.0, exactly(n as f64))));
    }
    Ok(report)
}
