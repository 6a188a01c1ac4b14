//! A graceful restart every second for as long as it takes to see memory grow, under load and beside parked connections.

use std::io;
use std::time::{Duration, Instant};

use parkade_tests::procfs as process;
use rustix::process::Signal;

use super::again::{During, answers, during, failures};
use super::{children, replaced, signal};
use crate::beside::lost_none;
use crate::options::Options;
use crate::procfs;
use crate::report::{Report, progress};
use crate::stats::median;
use crate::verdict::{Verdict, exactly};

/// From one restart to the next.
const PACE: Duration = Duration::from_secs(1);
/// Looks at the memory in all.
const LOOKS: usize = 60;
/// By how much it may have grown from the second quarter of the looks to the last; the allocator breathes.
const FLAT: f64 = 1.05;

pub(super) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let During {
        done: (memory, descriptors),
        seconds,
        outcome,
        lost,
    } = during(&server, options, 1, |_| restarts(server.pid, options))?;

    let quarter = |n: usize| {
        let part = memory.get(memory.len() * n / 4..memory.len() * (n + 1) / 4);
        part.and_then(median).map_or(0.0, |m| m.value)
    };
    let mut report = Report::default();
    report.put("workload", "restart, soak");
    report.put("children", options.children);
    report.put("parked", options.parked);
    report.put("restarts", options.rounds);
    report.put("seconds", seconds);
    answers(&mut report, &outcome, seconds)?;
    report.put("failed requests", outcome.failures.len());
    failures(&mut report, outcome.failures.iter());
    report.put("parked connections lost", lost);
    for n in 0..4 {
        report.put(
            &format!("user memory KiB, quarter {}", n + 1),
            quarter(n) / 1024.0,
        );
    }
    report.put("supervisor's descriptors, at first", descriptors.0);
    report.put("supervisor's descriptors, at last", descriptors.1);
    let failed = outcome.failures.len() as f64;
    report.judge(Some(Verdict::at_most(
        "failed requests",
        0.0,
        exactly(failed),
    )));
    report.judge(Some(lost_none(lost)));
    let growth = quarter(3) / quarter(1).max(1.0);
    report.judge(Some(Verdict::at_most(
        "user memory, last / second quarter",
        FLAT,
        exactly(growth),
    )));
    let more = descriptors.1 as f64 - descriptors.0 as f64;
    report.judge(Some(Verdict::at_most(
        "descriptors more than at first",
        0.0,
        exactly(more),
    )));
    Ok(report)
}

/// The memory in bytes at each look, and the supervisor's descriptors after the first restart and the last.
fn restarts(server: u32, options: &Options) -> io::Result<(Vec<f64>, (usize, usize))> {
    let bar = progress(options.rounds as u64, "restarts");
    let mut memory = Vec::new();
    let mut descriptors = (0, 0);
    let each = options.rounds.div_ceil(LOOKS).max(1);
    let mut next = Instant::now();
    for n in 0..options.rounds {
        let old = children(server);
        signal(server, Signal::USR1)?;
        replaced(server, options.children, &old)?;
        if n % each == each - 1 || n + 1 == options.rounds {
            memory.push(procfs::pss_anon(server)? as f64);
        }
        descriptors.1 = process::descriptors(server)?;
        if n == 0 {
            descriptors.0 = descriptors.1;
        }
        next += PACE;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((memory, descriptors))
}
