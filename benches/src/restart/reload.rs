//! Graceful restarts under load, of our server and of others: what those notice who ask, and what becomes of those who are
//! parked.
//!
//! Other servers may tell a client to go, and mostly do; that is counted and is no failure. A request that is not answered
//! is one, on a kept connection too, where a client would ask once more.

use std::io;
use std::time::Duration;

use rustix::process::Signal;

use super::again::{During, during, failures};
use super::{children, ms, replaced, signal};
use crate::fleet::histogram;
use crate::launch::Server;
use crate::options::Options;
use crate::peers;
use crate::report::{Report, progress};
use crate::sample::{Figures, latencies};
use crate::stats::median;
use crate::verdict::{Verdict, exactly};

/// Clients on kept connections.
const KEEPERS: usize = 2;

/// What was found at one server.
pub(crate) struct Found {
    during: During<Vec<Duration>>,
    parked: usize,
}

/// Restarts `options.rounds` times under load. The server ends a little later than it began.
pub(crate) fn measure(server: &Server, restarts: usize, options: &Options) -> io::Result<Found> {
    let graceful = peers::graceful(&server.name)?;
    let during = during(server, options, KEEPERS, |_| {
        let bar = progress(restarts as u64, "restarts");
        let mut times = Vec::new();
        for _ in 0..restarts {
            times.push(once(server, graceful, options.children)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(times)
    })?;
    Ok(Found {
        during,
        parked: options.parked,
    })
}

/// Until the old processes are gone.
fn once(server: &Server, graceful: Signal, count: usize) -> io::Result<Duration> {
    let old = children(server.pid);
    signal(server.pid, graceful)?;
    replaced(server.pid, count, &old)
}

impl Found {
    /// Requests that were not answered: on kept connections, on new ones.
    fn failed(&self) -> (usize, usize) {
        let all = &self.during.outcome.failures;
        let new = all.iter().filter(|f| f.new).count();
        (all.len() - new, new)
    }

    /// What was noticed.
    pub(crate) fn figures(&self) -> io::Result<Figures> {
        let outcome = &self.during.outcome;
        let times: Vec<f64> = self.during.done.iter().map(|time| ms(*time)).collect();
        let longest = times.iter().copied().fold(0.0, f64::max);
        let (kept, new) = self.failed();
        let mut latency = histogram()?;
        for answer in outcome.kept.iter().chain(&outcome.new) {
            let took = u64::try_from(answer.took.as_nanos()).unwrap_or(u64::MAX);
            latency.saturating_record(took);
        }
        let rate = latency.len() as f64 / self.during.seconds.max(1e-9);
        let figures = [
            (
                "ms until the old processes are gone",
                median(&times).map_or(0.0, |m| m.value),
            ),
            ("longest ms of these", longest),
            ("failed requests, kept connections", kept as f64),
            ("failed requests, new connections", new as f64),
            ("kept connections told to go", outcome.told as f64),
            ("parked connections", self.parked as f64),
            ("parked connections lost", self.during.lost as f64),
            ("requests/s", rate),
        ];
        let figures = figures.map(|(name, value)| (name.to_owned(), value));
        Ok(figures.into_iter().chain(latencies(&latency)).collect())
    }
}

/// The `reload` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let found = measure(&server, options.rounds, options)?;
    let mut report = Report::default();
    report.put("workload", "reload");
    report.put("server", server.name.as_str());
    report.put("processes", options.children);
    report.put("kept connections", options.connections);
    report.put("restarts", options.rounds);
    report.medians(&[found.figures()?]);
    failures(&mut report, found.during.outcome.failures.iter());
    // What others do is theirs.
    if server.name.starts_with("parkade") {
        let (kept, new) = found.failed();
        for (what, n) in [
            ("failed requests", kept + new),
            ("parked connections lost", found.during.lost),
        ] {
            report.judge(Some(Verdict::at_most(what, 0.0, exactly(n as f64))));
        }
    }
    Ok(report)
}
