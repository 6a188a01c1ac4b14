//! All busy connections live with one worker: what the others take off its hands.
//!
//! Two servers, one whose workers start each other's bursts and one whose workers do not, are asked in turn; every request
//! takes some processor time. The client runs on the same processors, so the gain is below the number of workers.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use parkade_tests::client;

use crate::fleet::Fleet;
use crate::launch::Server;
use crate::options::Options;
use crate::report::{Report, progress};
use crate::sample::Sample;
use crate::stats::median;
use crate::target::Target;
use crate::throughput;
use crate::verdict::Verdict;

/// Workers, no reserves, and something to push against.
pub(crate) const DIRECTIVES: &str = "ThreadsPerChild 2\nMaxClients 400\n\
     <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n";
/// Environment of the server that does without.
const OFF: &str = "env PARKADE_STEALING=off";

/// A server whose first worker has all the busy connections.
pub(crate) struct Side {
    _server: Server,
    pid: u32,
    fleet: Fleet,
    /// Connections elsewhere, so that placement gives the first worker its share.
    _others: Vec<TcpStream>,
    rates: Vec<f64>,
    costs: Vec<f64>,
}

impl Side {
    pub(crate) fn start(options: &Options, stealing: bool) -> io::Result<Side> {
        let mut options = options.clone();
        if !stealing {
            options.under = OFF.to_owned();
        }
        let what = options.server.as_deref().unwrap_or("parkade-file");
        let server = Server::start(what, &options)?;
        let base = server.url.trim_end_matches("/hello.txt").to_owned();
        let target = Target::probe(&format!("{base}/push?spin_us={}", options.spin_us), false)?;
        let (mine, others) = of_one_worker(target.address, options.connections)?;
        let mut fleet = Fleet::new(target)?;
        fleet.adopt(mine)?;
        Ok(Side {
            pid: server.pid,
            _server: server,
            fleet,
            _others: others,
            rates: Vec::new(),
            costs: Vec::new(),
        })
    }

    /// They all ask, again and again.
    pub(crate) fn measure(&mut self, requests: u64) -> io::Result<Sample> {
        throughput::measure(&mut self.fleet, self.pid, 1, requests, &mut |_| {})
    }

    fn round(&mut self, requests: u64) -> io::Result<()> {
        let sample = self.measure(requests)?;
        self.rates.push(sample.rate());
        self.costs.push(sample.cost());
        Ok(())
    }
}

/// So many connections of one worker, and those of the others that were opened meanwhile.
fn of_one_worker(
    address: SocketAddr,
    count: usize,
) -> io::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let (mut mine, mut others) = (Vec::new(), Vec::new());
    let mut first = None;
    while mine.len() < count {
        let mut stream = BufReader::new(client::connect(address)?);
        let request = b"GET /push?thread HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.get_mut().write_all(request)?;
        let thread = client::read(&mut stream, false)?.body;
        let stream = stream.into_inner();
        match *first.get_or_insert_with(|| thread.clone()) == thread {
            true => mine.push(stream),
            false => others.push(stream),
        }
    }
    Ok((mine, others))
}

/// The `skew` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let mut with = Side::start(options, true)?;
    let mut without = Side::start(options, false)?;
    let bar = progress(options.rounds as u64, "rounds");
    for side in [&mut with, &mut without] {
        side.fleet
            .closed_loop(1, options.requests / 4, &mut |_| {})?;
    }
    for round in 0..options.rounds {
        let mut order = [&mut with, &mut without];
        if round % 2 == 1 {
            order.reverse();
        }
        for side in order {
            side.round(options.requests)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut report = Report::default();
    report.put("workload", "skew");
    report.put("connections, all of one worker", options.connections);
    report.put("processor time of a request us", options.spin_us);
    report.put("rounds", options.rounds);
    let middle = |values: &[f64]| median(values).map_or(0.0, |m| m.value);
    report.put("requests/s with stealing", middle(&with.rates));
    report.put("requests/s without", middle(&without.rates));
    let of = |a: &[f64], b: &[f64]| {
        let all: Vec<f64> = a.iter().zip(b).map(|(a, b)| a / b.max(1e-9)).collect();
        median(&all).ok_or_else(|| io::Error::other("no rounds"))
    };
    let (gain, price) = (
        of(&with.rates, &without.rates)?,
        of(&with.costs, &without.costs)?,
    );
    for (what, ratio) in [
        ("gain: requests/s", gain),
        ("price: CPU per request", price),
    ] {
        report.put(&format!("{what}, with / without"), ratio.value);
        report.put("  95 % interval low", ratio.low);
        report.put("  95 % interval high", ratio.high);
    }
    let least = |limit: f64| Verdict::at_least("gain", limit, gain.value);
    report.judge(options.limits.gain.map(least));
    let limit = options.limits.ratio;
    report.judge(limit.map(|limit| Verdict::at_most("CPU with / without", limit, price)));
    Ok(report)
}
