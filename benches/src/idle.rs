//! What parked connections cost: memory of the server and of the kernel, CPU, wake-ups.
//!
//! Memory is a slope between two counts: what the server allocates once does not count, what it keeps for each
//! connection does.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::holder::Crowd;
use crate::launch::Server;
use crate::options::Options;
use crate::procfs::{self, Used};
use crate::report::Report;
use crate::sample::Figures;
use crate::verdict::{Verdict, exactly};

const SETTLING: Duration = Duration::from_secs(2);
/// Servers give memory back on a timer, so wait this long for it.
const GIVEN_BACK: Duration = Duration::from_secs(10);

/// Bytes of slab caches by name.
type Slabs = BTreeMap<String, u64>;

/// What was found at one server.
pub(crate) struct Found {
    added: f64,
    processes: usize,
    client_processes: usize,
    /// Bytes.
    memory: (u64, u64),
    slabs: (Option<Slabs>, Option<Slabs>),
    seconds: f64,
    accepting: Used,
    idle: Used,
    pub(crate) lost: usize,
    given_back: f64,
}

/// Parks `options.low` connections and then up to `options.parked`, watches them for `options.hold` seconds, and has them
/// leave.
pub(crate) fn measure(server: &Server, options: &Options) -> io::Result<Found> {
    let (low, high) = (options.low, options.parked);
    if low >= high {
        return Err(io::Error::other(format!(
            "--low {low} must be below --parked {high}: memory is a slope"
        )));
    }
    let pid = server.pid;
    let mut crowd = Crowd::new(&server.url, high, options)?;
    crowd.grow(low, "first connections")?;
    let (memory_low, slabs_low) = (procfs::pss_anon(pid)?, procfs::slabs());
    let before = procfs::used(pid)?;
    let start = Instant::now();
    crowd.grow(high, "all connections")?;
    let seconds = start.elapsed().as_secs_f64();
    let accepting = procfs::used(pid)? - before;
    let (memory_high, slabs_high) = (procfs::pss_anon(pid)?, procfs::slabs());
    let processes = procfs::tree(pid).len();

    // A server that has just been started looks once more at its children after a second.
    std::thread::sleep(SETTLING);
    let before = procfs::used(pid)?;
    std::thread::sleep(Duration::from_secs(options.hold));
    let idle = procfs::used(pid)? - before;

    let lost = high - crowd.alive()?;
    let client_processes = crowd.processes();
    drop(crowd);
    let grown = memory_high.saturating_sub(memory_low).max(1) as f64;
    let end = Instant::now() + GIVEN_BACK;
    let mut given;
    loop {
        given = memory_high.saturating_sub(procfs::pss_anon(pid)?) as f64 / grown;
        if given >= 0.99 || Instant::now() > end {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(Found {
        added: (high - low) as f64,
        processes,
        client_processes,
        memory: (memory_low, memory_high),
        slabs: (slabs_low, slabs_high),
        seconds,
        accepting,
        idle,
        lost,
        given_back: given.min(1.0),
    })
}

impl Found {
    fn user_each(&self) -> f64 {
        (self.memory.1 as f64 - self.memory.0 as f64) / self.added
    }

    fn cpu_each(&self) -> f64 {
        self.accepting.cpu.per_request(self.added as u64).0
    }

    /// For each connection, or for each second of silence.
    pub(crate) fn figures(&self, options: &Options) -> Figures {
        let second = |n: f64| n / options.hold.max(1) as f64;
        let mut figures = vec![("user bytes/connection (slope)".to_owned(), self.user_each())];
        if let (Some(low), Some(high)) = &self.slabs {
            let each = growth(low, high, self.added).iter().map(|(_, n)| n).sum();
            figures.push(("kernel bytes/connection, both ends".to_owned(), each));
        }
        let rest = [
            ("connections opened/s", self.added / self.seconds),
            ("server CPU us/accept+request", self.cpu_each()),
            ("idle: wake-ups/s", second(self.idle.woken as f64)),
            ("idle: CPU us/s", second(self.idle.cpu.run_ns as f64 / 1e3)),
            ("share given back after all left", self.given_back),
            ("parked connections lost", self.lost as f64),
        ];
        figures.extend(rest.map(|(name, value)| (name.to_owned(), value)));
        figures
    }
}

/// The `idle` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let found = measure(&server, options)?;
    let mut report = Report::default();
    report.put("workload", "idle");
    report.put("server", server.name.as_str());
    report.put("url", server.url.as_str());
    report.put("parked", options.parked);
    report.put("client processes", found.client_processes);
    let each = found.user_each();
    report.put("server processes", found.processes);
    report.put("user bytes/connection (slope)", each);
    report.put("server Pss_Anon bytes", found.memory.1);
    let (low, high) = &found.slabs;
    kernel(&mut report, low.as_ref(), high.as_ref(), found.added);
    report.put("connections opened/s", found.added / found.seconds);
    report.put("server CPU us/accept+request", found.cpu_each());
    let idle = |what: &str| format!("idle {} s: {what}", options.hold);
    report.put(&idle("wake-ups"), found.idle.woken);
    report.put(&idle("forced switches"), found.idle.forced);
    report.put(&idle("CPU us"), found.idle.cpu.run_ns as f64 / 1e3);
    report.put("parked connections lost", found.lost);
    report.put("share given back after all left", found.given_back);
    let limits = &options.limits;
    let at_most = |what, limit: Option<f64>, found| {
        limit.map(|limit| Verdict::at_most(what, limit, exactly(found)))
    };
    report.judge(at_most("user bytes/connection", limits.bytes, each));
    let woken = found.idle.woken as f64;
    report.judge(at_most("wake-ups while idle", limits.wakeups, woken));
    report.judge(
        limits
            .given_back
            .map(|limit| Verdict::at_least("share given back", limit, found.given_back)),
    );
    Ok(report)
}

/// Growth per connection of the slab caches that matter, the most first: both ends, as both are on this machine.
fn growth<'a>(low: &Slabs, high: &'a Slabs, added: f64) -> Vec<(&'a String, f64)> {
    let mut parts: Vec<(&String, f64)> = high
        .iter()
        .map(|(name, bytes)| {
            let before = low.get(name).copied().unwrap_or(0);
            (name, (*bytes as f64 - before as f64) / added)
        })
        .filter(|(_, each)| each.abs() >= 4.0)
        .collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    parts
}

/// It, as rows of a report.
pub(crate) fn kernel(report: &mut Report, low: Option<&Slabs>, high: Option<&Slabs>, added: f64) {
    let (Some(low), Some(high)) = (low, high) else {
        report.put(
            "kernel bytes/connection",
            "not readable: /proc/slabinfo needs root",
        );
        return;
    };
    let parts = growth(low, high, added);
    report.put(
        "kernel bytes/connection, both ends",
        parts.iter().map(|(_, each)| each).sum::<f64>(),
    );
    for (name, each) in parts.iter().take(8) {
        report.put(&format!("  {name}"), *each);
    }
}
