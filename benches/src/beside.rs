//! Warm connections beside parked ones: what N sleepers cost those who are awake, and whether any of them is lost.
//!
//! One server is measured without, with, and again without them, so that a drift falls on both. `compare --workload
//! beside` has a second server without any and interleaves the two.

use std::io;

use crate::fleet::Fleet;
use crate::holder::Crowd;
use crate::options::Options;
use crate::report::{Report, progress};
use crate::stats::median;
use crate::target::Target;
use crate::throughput::measure;
use crate::verdict::{Verdict, exactly};

/// The `beside` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let mut fleet = Fleet::new(Target::probe(&server.url, false)?)?;
    fleet.open(options.connections, 1, true)?;
    fleet.closed_loop(options.depth, options.requests / 4, &mut |_| {})?;
    let bar = progress(2 * options.rounds as u64, "rounds");
    let mut rounds = |count: usize, costs: &mut Vec<f64>| -> io::Result<()> {
        for _ in 0..count {
            let sample = measure(
                &mut fleet,
                server.pid,
                options.depth,
                options.requests,
                &mut |_| {},
            )?;
            costs.push(sample.cost());
            bar.inc(1);
        }
        Ok(())
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    rounds(options.rounds.div_ceil(2), &mut without)?;
    let mut crowd = Crowd::new(&server.url, options.parked, options)?;
    crowd.grow(options.parked, "parking")?;
    rounds(options.rounds, &mut with)?;
    let lost = options.parked - crowd.alive()?;
    drop(crowd);
    rounds(options.rounds / 2, &mut without)?;
    bar.finish_and_clear();

    let ratios: Vec<f64> = with
        .iter()
        .zip(&without)
        .map(|(with, without)| with / without.max(1e-9))
        .collect();
    let ratio = median(&ratios).ok_or_else(|| io::Error::other("no rounds"))?;
    let mut report = Report::default();
    report.put("workload", "beside");
    report.put("server", server.name.as_str());
    report.put("connections", options.connections);
    report.put("parked", options.parked);
    report.put("rounds", options.rounds);
    report.put("requests per round", options.requests);
    for (what, costs) in [("without", &without), ("with", &with)] {
        report.put(
            &format!("CPU us/request {what}, median"),
            median(costs).map_or(0.0, |m| m.value),
        );
    }
    report.put("ratio with/without, median of the rounds", ratio.value);
    report.put("  95 % interval low", ratio.low);
    report.put("  95 % interval high", ratio.high);
    report.put("parked connections lost", lost);
    report.judge(
        options
            .limits
            .ratio
            .map(|limit| Verdict::at_most("CPU with / without", limit, ratio)),
    );
    report.judge(Some(lost_none(lost)));
    Ok(report)
}

/// Not one parked connection may be lost, whatever other limits there are.
pub(crate) fn lost_none(lost: usize) -> Verdict {
    Verdict::at_most("parked connections lost", 0.0, exactly(lost as f64))
}
