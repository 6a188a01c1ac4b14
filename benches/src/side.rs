//! One server in a comparison: warm, with its connections, measured slice by slice.

use std::io;

use crate::affinity;
use crate::calls::Calls;
use crate::fleet::Fleet;
use crate::holder::Crowd;
use crate::launch::Server;
use crate::options::Options;
use crate::report::Report;
use crate::sample::Sample;
use crate::stats::median;
use crate::target::Target;
use crate::throughput;

/// Slices of each side in a round. Even where a slice is short, so that A B B A comes out even.
pub(crate) fn slices(workload: &str) -> u64 {
    match workload {
        "wake" => 1,
        "churn" | "wrk" => 2,
        _ => 10,
    }
}

/// `options.workload` says what is measured.
pub(crate) struct Side {
    pub(crate) server: Server,
    target: Target,
    /// Kept warm between rounds, where the workload allows it.
    fleet: Option<Fleet>,
    /// Parked meanwhile.
    pub(crate) crowd: Option<Crowd>,
    pub(crate) rounds: Vec<Sample>,
}

impl Side {
    /// Starts the server, parks so many connections, and opens and warms those that ask.
    pub(crate) fn start(what: &str, parked: usize, options: &Options) -> io::Result<Side> {
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
        side.warm(options)?;
        Ok(side)
    }

    /// Opens the connections that ask, anew if they are open, where the workload keeps them.
    pub(crate) fn warm(&mut self, options: &Options) -> io::Result<()> {
        self.fleet = None;
        if is_warm(&options.workload) {
            let mut fleet = Fleet::new(self.target.clone())?;
            fleet.open(options.connections, 1, true)?;
            fleet.closed_loop(options.depth, options.requests / 4, &mut |_| {})?;
            self.fleet = Some(fleet);
        }
        Ok(())
    }

    /// Measures one.
    pub(crate) fn slice(&mut self, options: &Options) -> io::Result<Sample> {
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

    pub(crate) fn report(&self, letter: &str, report: &mut Report) -> io::Result<()> {
        let mut all = Sample::new()?;
        for round in &self.rounds {
            all.add(round)?;
        }
        let (_, user, system) = all.used.cpu.per_request(all.requests);
        report.put(&format!("{letter} server"), self.server.name.as_str());
        let totals: Vec<f64> = self.rounds.iter().map(Sample::cost).collect();
        if let Some(cost) = median(&totals) {
            let name = format!("{letter} CPU us/request, median");
            report.put(&name, cost.value);
            report.put(&format!("{name}, low"), cost.low);
            report.put(&format!("{name}, high"), cost.high);
        }
        report.put(&format!("{letter}   user us (by ticks)"), user);
        report.put(&format!("{letter}   system us (by ticks)"), system);
        report.put(&format!("{letter} requests/s"), all.rate());
        let known = !all.latency.is_empty();
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)]
            .into_iter()
            .filter(|_| known)
        {
            let name = format!("{letter} latency {name} us");
            report.put(&name, all.quantile(quantile));
        }
        Ok(())
    }

    /// Counts system calls; `None` where the workload has nothing to count them by.
    pub(crate) fn counted(&mut self, options: &Options) -> Option<io::Result<Calls>> {
        let (pid, url) = (self.server.pid, &self.server.url);
        match &mut self.fleet {
            Some(fleet) => Some(Calls::count(fleet, pid, options.depth)),
            None if options.workload == "wrk" => Some(Calls::during(pid, || {
                crate::wrk::load(url, options.connections)
            })),
            None => None,
        }
    }

    /// Counts and reports them; `None` also where tracing is not allowed.
    pub(crate) fn calls(
        &mut self,
        letter: &str,
        options: &Options,
        report: &mut Report,
    ) -> Option<Calls> {
        let counted = self.counted(options)?;
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

/// Whether connections are kept warm for it.
pub(crate) fn is_warm(workload: &str) -> bool {
    matches!(workload, "throughput" | "pipelined" | "beside")
}
