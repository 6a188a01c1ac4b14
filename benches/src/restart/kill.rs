//! A child is killed under load: only its own connections fail, another serves in its place, and the others notice
//! nothing.
//!
//! Between two kills lies a moment at which nobody is killed, with the same windows before and behind it: what it shows
//! is noise, and what a kill shows is to be held against that.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::again::{answers, failures};
use super::load::{Answer, Load, Outcome};
use super::{another_serves, children, ended, ms, opened, replaced, signal};
use crate::fleet::histogram;
use crate::options::Options;
use crate::report::{Report, progress};
use crate::stats::median;
use crate::target::Target;
use crate::verdict::{Verdict, exactly};

/// Before each kill and after it: what a kill might disturb lies in it, and it has a p99 of its own.
const WINDOW: Duration = Duration::from_millis(1_500);
/// Right after a kill.
const AT_ONCE: Duration = Duration::from_millis(100);
/// Between the window of one and that of the next.
const REST: Duration = Duration::from_millis(200);
/// A connection that a victim took in its last moment has failed by then.
const LATE: Duration = Duration::from_millis(500);
/// Until another child serves, in milliseconds.
pub(super) const LIMIT: f64 = 100.0;
/// What the others' p99 around a kill may be of what it is without.
const UNMOVED: f64 = 1.1;

struct Kill {
    /// 0 if nobody was killed.
    victim: u32,
    at: Instant,
    /// It was seen to be gone.
    gone: Instant,
    /// A new child accepts connections.
    served: Duration,
}

pub(super) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let address = Target::probe(&server.url, false)?.address;
    replaced(server.pid, options.children, &[])?;
    // One thread, so that clients do not wait for each other.
    let load = Load::start(address, options, 1)?;
    let began = Instant::now();
    let bar = progress(options.rounds as u64, "kills");
    let mut one = |n: usize| -> io::Result<(Kill, Kill)> {
        let none = around(|at| {
            Ok(Kill {
                victim: 0,
                at,
                gone: at,
                served: Duration::ZERO,
            })
        })?;
        let kill = around(|at| {
            let old = children(server.pid);
            let victim = *old
                .get(n % old.len().max(1))
                .ok_or_else(|| io::Error::other("the server has no children"))?;
            let process = opened(victim)?;
            signal(victim, Signal::KILL)?;
            ended(&process)?;
            let gone = Instant::now();
            another_serves(address, &old)?;
            Ok(Kill {
                victim,
                at,
                gone,
                served: at.elapsed(),
            })
        })?;
        bar.inc(1);
        Ok((none, kill))
    };
    let all: io::Result<Vec<(Kill, Kill)>> = (0..options.rounds).map(&mut one).collect();
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let outcome = load.stop()?;
    let (none, kills): (Vec<Kill>, Vec<Kill>) = all?.into_iter().unzip();

    let mut report = Report::default();
    report.put("workload", "restart, kill");
    report.put("server", server.name.as_str());
    report.put("children", options.children);
    report.put("kept connections", options.connections);
    report.put("kills", kills.len());
    answers(&mut report, &outcome, seconds)?;
    let own = |n: &usize| of_a_victim(&outcome, *n, &kills);
    let (own, others): (Vec<_>, Vec<_>) = (0..outcome.failures.len()).partition(own);
    report.put("failed on the victims' connections", own.len());
    report.put("failed on others", others.len());
    failures(&mut report, others.iter().map(|n| &outcome.failures[*n]));
    let times: Vec<f64> = kills.iter().map(|k| ms(k.served)).collect();
    report.judge(Some(Verdict::at_most(
        "failed on others",
        0.0,
        exactly(others.len() as f64),
    )));
    replacement(&mut report, &times);
    let noise = latency(&mut report, &outcome, &none, "nobody is killed")?;
    let kill = latency(&mut report, &outcome, &kills, "a kill")?;
    let against: Vec<f64> = kill
        .iter()
        .zip(&noise)
        .map(|(k, n)| k / n.max(1e-9))
        .collect();
    if let Some(ratio) = median(&against) {
        report.judge(Some(Verdict::at_most(
            "others' p99, after a kill / before, against when nobody is killed",
            UNMOVED,
            ratio,
        )));
    }
    Ok(report)
}

/// How soon another child serves.
pub(super) fn replacement(report: &mut Report, times: &[f64]) {
    let longest = times.iter().copied().fold(0.0, f64::max);
    let middle = median(times).map_or(0.0, |m| m.value);
    report.put("ms until another child serves, median", middle);
    report.put("  longest", longest);
    report.judge(Some(Verdict::at_most(
        "ms until another child serves",
        LIMIT,
        exactly(longest),
    )));
}

/// Does something between two windows.
fn around(what: impl FnOnce(Instant) -> io::Result<Kill>) -> io::Result<Kill> {
    std::thread::sleep(REST + WINDOW);
    let at = Instant::now();
    let done = what(at)?;
    std::thread::sleep((at + WINDOW).saturating_duration_since(Instant::now()));
    Ok(done)
}

/// Whether this failure is of a connection that a victim had, or took before it was gone.
fn of_a_victim(outcome: &Outcome, n: usize, kills: &[Kill]) -> bool {
    let failure = &outcome.failures[n];
    kills.iter().any(|k| {
        let taken = failure.child == 0 && failure.begun <= k.gone;
        failure.at >= k.at && (failure.child == k.victim || taken && failure.at <= k.gone + LATE)
    })
}

/// The p99 of those whose child lives, before and after each moment; gives what the second is of the first.
fn latency(
    report: &mut Report,
    outcome: &Outcome,
    moments: &[Kill],
    what: &str,
) -> io::Result<Vec<f64>> {
    let (mut quiet, mut after, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at_once, mut usual) = (Vec::new(), Vec::new());
    for k in moments {
        let other = |a: &&Answer| a.child != k.victim;
        let quantile = |from: Instant, to: Instant, quantile: f64| -> io::Result<f64> {
            let mut times = histogram()?;
            let answers = outcome.kept.iter().filter(other);
            for answer in answers.filter(|a| (from..to).contains(&a.at)) {
                let taken = u64::try_from(answer.took.as_nanos()).unwrap_or(u64::MAX);
                times.saturating_record(taken);
            }
            Ok(times.value_at_quantile(quantile) as f64 / 1e6)
        };
        let before = quantile(k.at - WINDOW, k.at, 0.99)?;
        let behind = quantile(k.at, k.at + WINDOW, 0.99)?;
        quiet.push(before);
        after.push(behind);
        ratios.push(behind / before.max(1e-9));
        usual.push(quantile(k.at - AT_ONCE, k.at, 1.0)?);
        at_once.push(quantile(k.at, k.at + AT_ONCE, 1.0)?);
    }
    let middle = |values: &[f64]| median(values).map_or(0.0, |m| m.value);
    report.put(
        &format!("others' p99 ms, 1.5 s before {what}"),
        middle(&quiet),
    );
    report.put("  1.5 s after", middle(&after));
    report.put("  longest ms, 0.1 s before", middle(&usual));
    report.put("  longest ms, 0.1 s after", middle(&at_once));
    if let Some(ratio) = median(&ratios) {
        report.put("  p99 after / before, median", ratio.value);
        report.put("    95 % interval low", ratio.low);
        report.put("    95 % interval high", ratio.high);
    }
    Ok(ratios)
}
