//! The same thing a hundred times in a row, under load and beside parked connections: nobody may notice.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::load::{Failure, Load, Outcome};
use super::{PATIENCE, children, ms, pulse, replaced, signal};
use crate::beside::lost_none;
use crate::fleet::{Fleet, histogram};
use crate::launch::Server;
use crate::options::Options;
use crate::report::{Report, progress};
use crate::target::Target;
use crate::verdict::{Verdict, exactly};

/// Clients on kept connections.
const KEEPERS: usize = 2;
/// Failures that are shown in full.
const SHOWN: usize = 5;

pub(super) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let During {
        done: mut times,
        seconds,
        outcome,
        lost,
    } = during(&server, options, KEEPERS, |address| {
        many(server.pid, address, options)
    })?;
    times.sort_unstable();

    let mut report = Report::default();
    report.put("workload", format!("restart, {}", options.case));
    report.put("server", server.name.as_str());
    report.put("children", options.children);
    report.put("parked", options.parked);
    report.put("kept connections", options.connections);
    report.put("times in a row", times.len());
    report.put("seconds", seconds);
    if let (Some(most), true) = (times.last(), each_is_timed(&options.case)) {
        let median = times[times.len() / 2];
        report.put("ms until the old children are gone, median", ms(median));
        report.put("  longest", ms(*most));
    }
    answers(&mut report, &outcome, seconds)?;
    report.put("failed requests", outcome.failures.len());
    failures(&mut report, outcome.failures.iter());
    report.put("parked connections lost", lost);
    // A restart that cuts may cut a request in progress.
    let none_fails = options.case != "hard";
    report.judge(none_fails.then(|| {
        let failed = outcome.failures.len() as f64;
        Verdict::at_most("failed requests", 0.0, exactly(failed))
    }));
    report.judge(Some(lost_none(lost)));
    report.judge(Some(Verdict::at_least(
        "times in a row",
        options.rounds as f64,
        times.len() as f64,
    )));
    Ok(report)
}

/// What was done to a server under load and beside parked connections, and what these noticed.
pub(super) struct During<T> {
    pub(super) done: T,
    pub(super) seconds: f64,
    pub(super) outcome: Outcome,
    /// Parked connections that are gone.
    pub(super) lost: usize,
}

pub(super) fn during<T>(
    server: &Server,
    options: &Options,
    keepers: usize,
    act: impl FnOnce(SocketAddr) -> io::Result<T>,
) -> io::Result<During<T>> {
    let target = Target::probe(&server.url, false)?;
    let address = target.address;
    replaced(server.pid, options.children, &[])?;
    let mut parked = Fleet::new(target)?;
    parked.open(options.parked, 2, true)?;
    let load = Load::start(address, options, keepers)?;
    let began = Instant::now();
    let done = act(address);
    let seconds = began.elapsed().as_secs_f64();
    let outcome = load.stop()?;
    Ok(During {
        done: done?,
        seconds,
        outcome,
        lost: parked.len() - parked.alive_at_once()?,
    })
}

/// Whether a time of one of these is that from a signal to the end of those who got it.
fn each_is_timed(case: &str) -> bool {
    !matches!(case, "recycle" | "spare")
}

/// How often, and how long each took.
fn many(server: u32, address: SocketAddr, options: &Options) -> io::Result<Vec<Duration>> {
    match options.case.as_str() {
        "recycle" => return recycled(server, options.rounds),
        "spare" => return pulse::leave(server, address, options.children, options.rounds),
        _ => {}
    }
    let bar = progress(options.rounds as u64, &options.case);
    let mut times = Vec::new();
    for n in 0..options.rounds {
        let old = children(server);
        let gone = match options.case.as_str() {
            "graceful" => {
                signal(server, Signal::USR1)?;
                &old[..]
            }
            "hard" => {
                signal(server, Signal::HUP)?;
                &old[..]
            }
            _ => {
                let at = n % old.len().max(1);
                let Some(one) = old.get(at..=at) else {
                    return Err(io::Error::other("the server has no children"));
                };
                signal(one[0], Signal::TERM)?;
                one
            }
        };
        times.push(replaced(server, options.children, gone)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(times)
}

/// Waits until so many children have been replaced because they had accepted as many connections as they may.
fn recycled(server: u32, count: usize) -> io::Result<Vec<Duration>> {
    let mut seen: HashSet<u32> = children(server).into_iter().collect();
    let bar = progress(count as u64, "recycled");
    let mut times = Vec::new();
    let mut last = Instant::now();
    while times.len() < count {
        for pid in children(server) {
            if seen.insert(pid) {
                times.push(last.elapsed());
                last = Instant::now();
                bar.inc(1);
            }
        }
        if last.elapsed() > PATIENCE {
            return Err(io::Error::other(format!(
                "only {} children were recycled",
                times.len()
            )));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bar.finish_and_clear();
    Ok(times)
}

/// What was answered, and how fast.
pub(super) fn answers(report: &mut Report, outcome: &Outcome, seconds: f64) -> io::Result<()> {
    for (what, all) in [("kept", &outcome.kept), ("new", &outcome.new)] {
        report.put(&format!("answered on {what} connections"), all.len());
        report.put("  per second", all.len() as f64 / seconds.max(1e-9));
        let mut times = histogram()?;
        for answer in all {
            let taken = u64::try_from(answer.took.as_nanos()).unwrap_or(u64::MAX);
            times.saturating_record(taken);
        }
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            let ms = times.value_at_quantile(quantile) as f64 / 1e6;
            report.put(&format!("  {name} ms"), ms);
        }
    }
    Ok(())
}

/// The first few of them.
pub(super) fn failures<'a>(report: &mut Report, all: impl Iterator<Item = &'a Failure>) {
    for (n, failure) in all.take(SHOWN).enumerate() {
        let text = format!(
            "after {:.1} ms: {}",
            ms(failure.at - failure.begun),
            failure.why
        );
        report.put(&format!("  {}", n + 1), text);
    }
}
