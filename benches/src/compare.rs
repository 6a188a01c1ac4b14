//! Two servers, one machine, one run: rounds of A and B in turn, and the median of their ratios.
//!
//! Absolute figures move with what else the host does; the ratio inside a round hardly does. Warm workloads are cut
//! finer still: a round is many short slices in the order A B B A, so that a disturbance of a tenth of a second, or a
//! drift, falls on both; every second round begins with B. So a limit is judged by the ratio: reached
//! unless even the lower end of its interval lies above. System calls are counted at the end, untimed.

use std::io;

use hdrhistogram::Histogram;

use crate::affinity;
use crate::beside::lost_none;
use crate::calls::Calls;
use crate::fleet::{Fleet, histogram};
use crate::holder::Crowd;
use crate::launch::Server;
use crate::options::Options;
use crate::procfs::Cpu;
use crate::report::{Report, progress};
use crate::stats::{Median, median};
use crate::target::Target;
use crate::throughput::{self, Sample};
use crate::verdict::{Verdict, exactly};

/// Slices of each side in a round. Even where a slice is short, so that A B B A comes out even.
fn slices(workload: &str) -> u64 {
    match workload {
        "wake" => 1,
        "churn" | "wrk" => 2,
        _ => 10,
    }
}

/// One side's part of a round.
struct Part {
    cpu: Cpu,
    requests: u64,
    seconds: f64,
    latency: Histogram<u64>,
}

impl Part {
    fn new() -> io::Result<Part> {
        Ok(Part {
            cpu: Cpu::default(),
            requests: 0,
            seconds: 0.0,
            latency: histogram()?,
        })
    }

    fn add(&mut self, sample: &Sample) -> io::Result<()> {
        self.cpu.run_ns += sample.cpu.run_ns;
        self.cpu.user_ticks += sample.cpu.user_ticks;
        self.cpu.system_ticks += sample.cpu.system_ticks;
        self.requests += sample.requests;
        self.seconds += sample.seconds;
        self.latency.add(&sample.latency).map_err(io::Error::other)
    }

    fn total(&self) -> f64 {
        self.cpu.per_request(self.requests).0.max(1e-9)
    }

    fn user(&self) -> f64 {
        self.cpu.per_request(self.requests).1
    }

    fn p50(&self) -> f64 {
        self.latency.value_at_quantile(0.5) as f64 / 1e3
    }
}

struct Side {
    server: Server,
    target: Target,
    /// Kept warm between rounds, where the workload allows it.
    fleet: Option<Fleet>,
    /// Parked meanwhile.
    crowd: Option<Crowd>,
    rounds: Vec<Part>,
}

impl Side {
    fn start(what: &str, parked: usize, options: &Options) -> io::Result<Side> {
        let server = Server::start(what, options)?;
        let target = Target::probe(&server.url, options.workload == "churn")?;
        affinity::pin_tree(server.pid, options.pin_server.unwrap_or(0))?;
        let mut side = Side {
            server,
            target,
            fleet: None,
            crowd: None,
            rounds: Vec::new(),
        };
        if parked > 0 {
            let mut crowd = Crowd::new(&side.server.url, parked, options)?;
            crowd.grow(parked, "parking")?;
            side.crowd = Some(crowd);
        }
        if is_warm(&options.workload) {
            let mut fleet = Fleet::new(side.target.clone())?;
            fleet.open(options.connections, 1, true)?;
            fleet.closed_loop(options.depth, options.requests / 4, &mut |_| {})?;
            side.fleet = Some(fleet);
        }
        Ok(side)
    }

    fn slice(&mut self, options: &Options) -> io::Result<Sample> {
        match (options.workload.as_str(), &mut self.fleet) {
            (_, Some(fleet)) => {
                let requests = (options.requests / slices(&options.workload)).max(1);
                throughput::measure(fleet, self.server.pid, options.depth, requests, &mut |_| {})
            }
            ("wake", None) => crate::wake::measure(&self.target, self.server.pid, options),
            ("churn", None) => {
                let requests = options.requests / slices(&options.workload);
                crate::churn::measure(&self.target, self.server.pid, options, requests.max(1))
            }
            ("wrk", None) => crate::wrk::measure(&self.server.url, self.server.pid, options),
            (other, None) => Err(io::Error::other(format!("unknown workload `{other}`"))),
        }
    }

    fn report(&self, letter: &str, report: &mut Report) -> io::Result<()> {
        let mut all = Part::new()?;
        for part in &self.rounds {
            all.cpu.user_ticks += part.cpu.user_ticks;
            all.cpu.system_ticks += part.cpu.system_ticks;
            all.cpu.run_ns += part.cpu.run_ns;
            all.requests += part.requests;
            all.seconds += part.seconds;
            all.latency.add(&part.latency).map_err(io::Error::other)?;
        }
        let (_, user, system) = all.cpu.per_request(all.requests);
        report.put(&format!("{letter} server"), self.server.name.as_str());
        let totals: Vec<f64> = self.rounds.iter().map(Part::total).collect();
        if let Some(cost) = median(&totals) {
            let name = format!("{letter} CPU us/request, median");
            report.put(&name, cost.value);
            report.put(&format!("{name}, low"), cost.low);
            report.put(&format!("{name}, high"), cost.high);
        }
        report.put(&format!("{letter}   user us (by ticks)"), user);
        report.put(&format!("{letter}   system us (by ticks)"), system);
        report.put(
            &format!("{letter} requests/s"),
            all.requests as f64 / all.seconds,
        );
        let known = !all.latency.is_empty();
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)]
            .into_iter()
            .filter(|_| known)
        {
            report.put(
                &format!("{letter} latency {name} us"),
                all.latency.value_at_quantile(quantile) as f64 / 1e3,
            );
        }
        Ok(())
    }

    /// Counts system calls; `None` where there is no warm fleet or tracing is not allowed.
    fn calls(&mut self, letter: &str, options: &Options, report: &mut Report) -> Option<Calls> {
        let (pid, url) = (self.server.pid, &self.server.url);
        let counted = match &mut self.fleet {
            Some(fleet) => Calls::count(fleet, pid, options.depth),
            None if options.workload == "wrk" => {
                Calls::during(pid, || crate::wrk::load(url, options.connections))
            }
            None => return None,
        };
        let name = format!("{letter} system calls/request");
        match counted {
            Ok(calls) => {
                report.put(&name, calls.each());
                report.put(&format!("{letter}   of them"), calls.text());
                Some(calls)
            }
            Err(e) => {
                report.put(&name, format!("not counted: {e}"));
                None
            }
        }
    }
}

fn is_warm(workload: &str) -> bool {
    matches!(workload, "throughput" | "pipelined" | "beside")
}

/// The `compare` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    if options.a.is_empty() {
        return Err(io::Error::other("compare needs --a SERVER; see --help"));
    }
    if options.pin_client == options.pin_server.unwrap_or(0) && affinity::cores() > 1 {
        return Err(io::Error::other(
            "the client and the servers are pinned to the same core",
        ));
    }
    let beside = options.workload == "beside";
    if options.limits.calls.is_some() && !is_warm(&options.workload) && options.workload != "wrk" {
        return Err(io::Error::other(
            "--limit-calls needs a workload with warm connections",
        ));
    }
    let other = match &options.b {
        Some(b) => b.as_str(),
        None if beside => options.a.as_str(),
        None => "reference",
    };
    let parked = if beside { options.parked } else { 0 };
    let mut a = Side::start(&options.a, parked, options)?;
    let mut b = Side::start(other, 0, options)?;
    // After the servers were started, or they would inherit it.
    affinity::pin_self(options.pin_client)?;
    if options.workload == "churn" {
        crate::churn::calm(options.requests * options.rounds as u64);
    }
    let bar = progress(options.rounds as u64, &options.workload);
    for round in 0..options.rounds as u64 {
        let (mut part_a, mut part_b) = (Part::new()?, Part::new()?);
        for slice in 0..slices(&options.workload) {
            if (round + slice) % 2 == 0 {
                part_a.add(&a.slice(options)?)?;
                part_b.add(&b.slice(options)?)?;
            } else {
                part_b.add(&b.slice(options)?)?;
                part_a.add(&a.slice(options)?)?;
            }
        }
        a.rounds.push(part_a);
        b.rounds.push(part_b);
        bar.inc(1);
    }
    bar.finish_and_clear();
    report(options, &mut a, &mut b)
}

fn report(options: &Options, a: &mut Side, b: &mut Side) -> io::Result<Report> {
    let (ratio, ratios) = rounds(a, b, |a, b| a.total() / b.total())?;
    let mut report = Report::default();
    report.put("workload", options.workload.as_str());
    report.put("rounds", options.rounds);
    report.put("requests per round", options.requests);
    a.report("a", &mut report)?;
    b.report("b", &mut report)?;
    report.put("ratio a/b, median of the rounds", ratio.value);
    report.put("  95 % interval low", ratio.low);
    report.put("  95 % interval high", ratio.high);
    let rounded: Vec<f64> = ratios.iter().map(|r| (r * 1e3).round() / 1e3).collect();
    report.put("ratios", rounded);
    let calls = a.calls("a", options, &mut report);
    b.calls("b", options, &mut report);

    let limits = &options.limits;
    let at_most = |what, limit: Option<f64>, found: Median| {
        limit.map(|limit| Verdict::at_most(what, limit, found))
    };
    report.judge(at_most("CPU per request, a / b", limits.ratio, ratio));
    let (user, _) = rounds(a, b, |a, _| a.user())?;
    report.judge(at_most("user us per request of a", limits.user, user));
    let (later, _) = rounds(a, b, |a, b| a.p50() - b.p50())?;
    report.judge(at_most("p50 us of a above that of b", limits.p50, later));
    if let Some(limit) = limits.calls {
        let calls = calls.ok_or_else(|| io::Error::other("system calls could not be counted"))?;
        report.judge(at_most(
            "system calls per request of a",
            Some(limit),
            exactly(calls.each()),
        ));
    }
    if let Some(crowd) = &mut a.crowd {
        let lost = options.parked - crowd.alive()?;
        report.put("a parked connections", options.parked);
        report.put("a parked connections lost", lost);
        report.judge(Some(lost_none(lost)));
    }
    Ok(report)
}

/// The median of what each round says, and all of it.
fn rounds(a: &Side, b: &Side, of: impl Fn(&Part, &Part) -> f64) -> io::Result<(Median, Vec<f64>)> {
    let values: Vec<f64> = a
        .rounds
        .iter()
        .zip(&b.rounds)
        .map(|(a, b)| of(a, b))
        .collect();
    let median = median(&values).ok_or_else(|| io::Error::other("no rounds"))?;
    Ok((median, values))
}
