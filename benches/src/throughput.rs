//! Warm keep-alive, closed loop, depth 1 or pipelined.

use std::io;
use std::time::Instant;

use crate::fleet::{Fleet, histogram};
use crate::options::Options;
use crate::procfs;
use crate::report::{Report, progress};
use crate::sample::Sample;
use crate::target::Target;

/// One measured run over an open, warm fleet.
pub(crate) fn measure(
    fleet: &mut Fleet,
    pid: u32,
    depth: usize,
    requests: u64,
    tick: &mut dyn FnMut(u64),
) -> io::Result<Sample> {
    fleet.latency.reset();
    // Whole batches only, so that the division is by what was really asked.
    let requests = requests.div_ceil(depth as u64) * depth as u64;
    let before = procfs::used(pid)?;
    let start = Instant::now();
    fleet.closed_loop(depth, requests, tick)?;
    let seconds = start.elapsed().as_secs_f64();
    let used = procfs::used(pid)? - before;
    Ok(Sample {
        requests,
        seconds,
        used,
        latency: std::mem::replace(&mut fleet.latency, histogram()?),
    })
}

/// The `throughput` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let (url, pid) = (server.url.as_str(), server.pid);
    let mut fleet = Fleet::new(Target::probe(url, false)?)?;
    fleet.open(options.connections, 1, true)?;
    fleet.closed_loop(options.depth, options.requests / 10, &mut |_| {})?;
    let mut all = Sample::new()?;
    let mut costs = Vec::new();
    for round in 1..=options.rounds {
        let bar = progress(
            options.requests,
            &format!("round {round} of {}", options.rounds),
        );
        let sample = measure(&mut fleet, pid, options.depth, options.requests, &mut |n| {
            bar.set_position(n)
        })?;
        bar.finish_and_clear();
        costs.push(sample.cost());
        all.add(&sample)?;
    }
    let mut report = Report::default();
    report.put("workload", "throughput");
    report.put("server", server.name.as_str());
    report.put("url", url);
    report.put("connections", fleet.len());
    report.put("depth", options.depth);
    report.put("requests", all.requests);
    report.put("requests/s", all.rate());
    report.cpu(all.used.cpu, all.requests);
    if let Some(median) = crate::stats::median(&costs) {
        report.put("  median of the rounds", median.value);
        report.put("  median of the rounds, low", median.low);
        report.put("  median of the rounds, high", median.high);
    }
    report.latency(&all.latency);
    Ok(report)
}
