//! Two servers, one machine, one run: rounds of A and B in turn, and the median of their ratios.
//!
//! Absolute figures move with what else the host does; the ratio inside a round hardly does. Warm workloads are cut
//! finer still: a round is many short slices in the order A B B A, so that a disturbance of a tenth of a second, or a
//! drift, falls on both; every second round begins with B. So a limit is judged by the ratio: reached
//! unless even the lower end of its interval lies above. System calls are counted at the end, untimed.

use std::io;

use crate::affinity;
use crate::beside::lost_none;
use crate::options::Options;
use crate::report::{Report, progress};
use crate::sample::Sample;
use crate::side::{Side, is_warm, slices};
use crate::stats::{Median, median};
use crate::verdict::{Verdict, exactly};

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
        let (mut part_a, mut part_b) = (Sample::new()?, Sample::new()?);
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
    let (ratio, ratios) = rounds(a, b, |a, b| a.cost() / b.cost().max(1e-9))?;
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
    let (later, _) = rounds(a, b, |a, b| a.quantile(0.5) - b.quantile(0.5))?;
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
fn rounds(
    a: &Side,
    b: &Side,
    of: impl Fn(&Sample, &Sample) -> f64,
) -> io::Result<(Median, Vec<f64>)> {
    let values: Vec<f64> = a
        .rounds
        .iter()
        .zip(&b.rounds)
        .map(|(a, b)| of(a, b))
        .collect();
    let median = median(&values).ok_or_else(|| io::Error::other("no rounds"))?;
    Ok((median, values))
}
