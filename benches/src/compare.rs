//! Two servers, one machine, one run: rounds of A and B in turn, and the median of their ratios.
//!
//! Absolute figures move with what else the host does; the ratio inside a round hardly does. Warm
//! workloads are cut finer still: a round is many short slices in the order A B B A, so that a
//! disturbance of a tenth of a second, or a drift, falls on both. So
//! a limit is judged by the ratio: reached unless even the lower end of its interval lies above.

use std::io;

use crate::affinity;
use crate::fleet::Fleet;
use crate::launch::Server;
use crate::options::Options;
use crate::procfs::Cpu;
use crate::report::{Report, progress};
use crate::stats::{Median, median};
use crate::target::Target;
use crate::throughput::{self, Sample};

/// Slices of each side in a round of a warm workload. Even, so that A B B A comes out even.
const SLICES: u64 = 10;

#[derive(Default)]
struct Cost {
    run_ns: u64,
    requests: u64,
}

impl Cost {
    fn add(&mut self, more: &Cost) {
        self.run_ns += more.run_ns;
        self.requests += more.requests;
    }

    fn each(&self) -> f64 {
        (self.run_ns as f64 / self.requests.max(1) as f64).max(1e-9)
    }
}

struct Side {
    server: Server,
    target: Target,
    /// Kept warm between rounds, where the workload allows it.
    fleet: Option<Fleet>,
    samples: Vec<Sample>,
}

impl Side {
    fn start(what: &str, options: &Options) -> io::Result<Side> {
        let server = Server::start(what)?;
        affinity::pin_tree(server.pid, options.pin_server.unwrap_or(0))?;
        let target = Target::probe(&server.url, options.workload == "churn")?;
        let mut side = Side {
            server,
            target,
            fleet: None,
            samples: Vec::new(),
        };
        if matches!(options.workload.as_str(), "throughput" | "pipelined") {
            let mut fleet = Fleet::new(side.target.clone())?;
            fleet.open(options.connections, 1, true)?;
            fleet.closed_loop(options.depth, options.requests / 4, &mut |_| {})?;
            side.fleet = Some(fleet);
        }
        Ok(side)
    }

    /// One slice: its cost per request, and the requests it is the mean of.
    fn slice(&mut self, options: &Options) -> io::Result<Cost> {
        let sample = match (options.workload.as_str(), &mut self.fleet) {
            (_, Some(fleet)) => {
                let requests = (options.requests / SLICES).max(1);
                throughput::measure(fleet, self.server.pid, options.depth, requests, &mut |_| {})?
            }
            ("wake", None) => crate::wake::measure(&self.target, self.server.pid, options)?,
            ("churn", None) => crate::churn::measure(&self.target, self.server.pid, options)?,
            (other, None) => return Err(io::Error::other(format!("unknown workload `{other}`"))),
        };
        let cost = Cost {
            run_ns: sample.cpu.run_ns,
            requests: sample.requests,
        };
        self.samples.push(sample);
        Ok(cost)
    }

    fn report(&self, letter: &str, report: &mut Report) -> io::Result<()> {
        let mut cpu = Cpu::default();
        let (mut requests, mut seconds) = (0, 0.0);
        let mut times = crate::fleet::histogram()?;
        for sample in &self.samples {
            cpu.run_ns += sample.cpu.run_ns;
            cpu.user_ticks += sample.cpu.user_ticks;
            cpu.system_ticks += sample.cpu.system_ticks;
            requests += sample.requests;
            seconds += sample.seconds;
            times.add(&sample.latency).map_err(io::Error::other)?;
        }
        let costs: Vec<f64> = self.samples.iter().map(Sample::cost).collect();
        let (_, user, system) = cpu.per_request(requests);
        report.put(&format!("{letter} server"), self.server.name.as_str());
        report.put(
            &format!("{letter} CPU us/request, median"),
            median(&costs).map_or(0.0, |m| m.value),
        );
        report.put(&format!("{letter}   user us (by ticks)"), user);
        report.put(&format!("{letter}   system us (by ticks)"), system);
        report.put(&format!("{letter} requests/s"), requests as f64 / seconds);
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            report.put(
                &format!("{letter} latency {name} us"),
                times.value_at_quantile(quantile) as f64 / 1e3,
            );
        }
        Ok(())
    }
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
    let mut a = Side::start(&options.a, options)?;
    let mut b = Side::start(&options.b, options)?;
    // After the servers were started, or they would inherit it.
    affinity::pin_self(options.pin_client)?;
    let bar = progress(options.rounds as u64, &options.workload);
    let mut ratios = Vec::new();
    for _ in 0..options.rounds {
        let (mut cost_a, mut cost_b) = (Cost::default(), Cost::default());
        for slice in 0..if a.fleet.is_some() { SLICES } else { 1 } {
            if slice % 2 == 0 {
                cost_a.add(&a.slice(options)?);
                cost_b.add(&b.slice(options)?);
            } else {
                cost_b.add(&b.slice(options)?);
                cost_a.add(&a.slice(options)?);
            }
        }
        ratios.push(cost_a.each() / cost_b.each());
        bar.inc(1);
    }
    bar.finish_and_clear();
    let ratio = median(&ratios).ok_or_else(|| io::Error::other("no rounds"))?;
    let mut report = Report::default();
    report.put("workload", options.workload.as_str());
    report.put("rounds", options.rounds);
    report.put("requests per round", options.requests);
    a.report("a", &mut report)?;
    b.report("b", &mut report)?;
    report.put("ratio a/b, median of the rounds", ratio.value);
    report.put("  95 % interval low", ratio.low);
    report.put("  95 % interval high", ratio.high);
    report.put(
        "ratios",
        ratios
            .iter()
            .map(|r| (r * 1e3).round() / 1e3)
            .collect::<Vec<_>>(),
    );
    if let Some(limit) = options.limit {
        report.put("limit", limit);
        report.put("verdict", verdict(ratio, limit));
    }
    Ok(report)
}

fn verdict(ratio: Median, limit: f64) -> &'static str {
    if limit >= ratio.low {
        "reached"
    } else {
        "missed"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_missed_only_when_the_whole_interval_lies_above() {
        let ratio = Median {
            value: 1.08,
            low: 1.05,
            high: 1.12,
        };
        assert_eq!(verdict(ratio, 1.06), "reached");
        assert_eq!(verdict(ratio, 1.04), "missed");
    }
}
