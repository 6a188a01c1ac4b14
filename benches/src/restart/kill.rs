//! A child is killed under load: only its own connections fail, another serves in its place, and the others notice
//! nothing.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::again::{answers, failures};
use super::load::{Answer, Load, Outcome, fetch};
use super::{children, ms, replaced, signal, until};
use crate::fleet::histogram;
use crate::options::Options;
use crate::report::{Report, progress};
use crate::stats::median;
use crate::target::Target;
use crate::verdict::{Verdict, exactly};

/// Where each child is in its life.
const BOARD: &str = "/push?board";
/// Before each kill: long enough for a p99 of its own, and for a child not to count as one that died at once.
const QUIET: Duration = Duration::from_millis(1_300);
/// After each: what a kill might disturb lies in it.
const AFTER: Duration = Duration::from_millis(500);
/// Until another child serves, in milliseconds.
const LIMIT: f64 = 100.0;
/// What the others' p99 around a kill may be of what it is without.
const UNMOVED: f64 = 1.1;

struct Kill {
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
    let load = Load::start(address, options.connections, options.rate)?;
    let began = Instant::now();
    let bar = progress(options.rounds as u64, "kills");
    let kills = (0..options.rounds).map(|n| {
        bar.inc(1);
        kill(server.pid, address, n)
    });
    let kills: io::Result<Vec<Kill>> = kills.collect();
    bar.finish_and_clear();
    std::thread::sleep(AFTER);
    let seconds = began.elapsed().as_secs_f64();
    let outcome = load.stop()?;
    let kills = kills?;

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
    let mut times: Vec<f64> = kills.iter().map(|k| ms(k.served)).collect();
    times.sort_by(f64::total_cmp);
    let longest = times.last().copied().unwrap_or_default();
    let middle = median(&times).map_or(0.0, |m| m.value);
    report.put("ms until another child serves, median", middle);
    report.put("  longest", longest);
    report.judge(Some(Verdict::at_most(
        "failed on others",
        0.0,
        exactly(others.len() as f64),
    )));
    report.judge(Some(Verdict::at_most(
        "ms until another child serves",
        LIMIT,
        exactly(longest),
    )));
    latency(&mut report, &outcome, &kills)?;
    Ok(report)
}

/// Kills one of the children once things are quiet.
fn kill(server: u32, address: SocketAddr, n: usize) -> io::Result<Kill> {
    std::thread::sleep(QUIET);
    let old = children(server);
    let victim = *old
        .get(n % old.len().max(1))
        .ok_or_else(|| io::Error::other("the server has no children"))?;
    let at = Instant::now();
    signal(victim, Signal::KILL)?;
    until("its end", Duration::from_micros(200), || {
        Ok(!children(server).contains(&victim))
    })?;
    let gone = Instant::now();
    // A connection that came to the victim in its last moment has no answer; the next has.
    until("another child", Duration::from_millis(1), || {
        Ok(fetch(address, BOARD).is_ok_and(|board| another_serves(&board, &old)))
    })?;
    let served = at.elapsed();
    std::thread::sleep(AFTER);
    Ok(Kill {
        victim,
        at,
        gone,
        served,
    })
}

/// Whether a child that is none of `old` accepts connections.
fn another_serves(board: &str, old: &[u32]) -> bool {
    board.lines().any(|line| {
        let mut pid = line.strip_prefix("child pid=").unwrap_or("").split(' ');
        let pid = pid.next().and_then(|pid| pid.parse().ok());
        let serves = line.contains(" state=serving ") && !line.ends_with(" accepting=0");
        serves && pid.is_some_and(|pid: u32| !old.contains(&pid))
    })
}

/// Whether this failure is of a connection that a victim had, or took before it was gone.
fn of_a_victim(outcome: &Outcome, n: usize, kills: &[Kill]) -> bool {
    let failure = &outcome.failures[n];
    kills.iter().any(|k| {
        let taken = failure.child == 0 && failure.begun <= k.gone;
        failure.at >= k.at && (failure.child == k.victim || taken && failure.at <= k.gone + AFTER)
    })
}

/// The p99 of those whose child lives, around each kill and before it.
fn latency(report: &mut Report, outcome: &Outcome, kills: &[Kill]) -> io::Result<()> {
    let (mut quiet, mut after, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for k in kills {
        let other = |a: &&Answer| a.child != k.victim;
        let p99 = |from: Instant, to: Instant| -> io::Result<f64> {
            let mut times = histogram()?;
            let answers = outcome.kept.iter().filter(other);
            for answer in answers.filter(|a| (from..to).contains(&a.at)) {
                let taken = u64::try_from(answer.took.as_nanos()).unwrap_or(u64::MAX);
                times.saturating_record(taken);
            }
            Ok(times.value_at_quantile(0.99) as f64 / 1e6)
        };
        let (before, around) = (p99(k.at - AFTER, k.at)?, p99(k.at, k.at + AFTER)?);
        quiet.push(before);
        after.push(around);
        ratios.push(around / before.max(1e-9));
    }
    for (what, values) in [("before", &quiet), ("around", &after)] {
        let found = median(values).map_or(0.0, |m| m.value);
        report.put(
            &format!("others' p99 ms {what} a kill, median of the kills"),
            found,
        );
    }
    if let Some(ratio) = median(&ratios) {
        report.put("  around / before, median", ratio.value);
        report.judge(Some(Verdict::at_most(
            "others' p99, around a kill / before",
            UNMOVED,
            ratio,
        )));
    }
    Ok(())
}
