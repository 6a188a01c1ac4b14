//! A handler that blocks, or takes all of the processor, and what everybody else notices of it.
//!
//! Parked connections ask at a fixed rate; some send their heads in pieces. Meanwhile one connection, or one on every home
//! worker, asks for a handler that is busy for --block-ms, again and again. A round measures the others before and during
//! that. The machine must be quiet for a round to count: two busy cores and a client leave the scheduler little room.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parkade_tests::client;

use crate::fleet::{Fleet, STALL, histogram};
use crate::launch::Server;
use crate::options::Options;
use crate::report::{Report, progress};
use crate::stats::median;
use crate::target::Target;
use crate::verdict::{Verdict, exactly};

/// Two home workers and two reserves on two cores, and something to push against.
pub(crate) const DIRECTIVES: &str = "ThreadsPerChild 4\nMaxClients 400\n\
     <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n";
/// Connections that are tried to find one on every home worker.
const TRIED: usize = 64;
/// One request in so many comes in three pieces, so far apart.
const SPLIT: u64 = 20;
const APART: Duration = Duration::from_millis(20);
/// A round counts if the machine was so quiet before it, and so many have to.
const CALM_MS: f64 = 0.5;
const COUNTED: usize = 7;

/// A server with parked connections that will ask.
pub(crate) struct Scene {
    _server: Server,
    target: Target,
    fleet: Fleet,
    /// What blocks, and whether on every home worker.
    path: String,
    everyone: bool,
}

/// A round: how long answers took.
pub(crate) struct Round {
    /// Before anything blocks.
    pub(crate) before: Histogram<u64>,
    pub(crate) during: Histogram<u64>,
}

impl Scene {
    pub(crate) fn start(options: &Options) -> io::Result<Scene> {
        let everyone = match options.case.as_str() {
            "one" => false,
            "all" => true,
            other => {
                let error = format!("no such case `{other}`; see --help");
                return Err(io::Error::other(error));
            }
        };
        let path = match options.how.as_str() {
            how @ ("spin" | "block") => format!("/push?{how}={}", options.block_ms),
            _ => return Err(io::Error::other("--how is spin or block")),
        };
        let what = options.server.as_deref().unwrap_or("parkade-file");
        let server = Server::start(what, options)?;
        let target = Target::probe(&server.url, false)?;
        let mut fleet = Fleet::new(target.clone())?;
        fleet.open(options.parked, 1, true)?;
        Ok(Scene {
            _server: server,
            target,
            fleet,
            path,
            everyone,
        })
    }

    /// The others ask for a while, and then once more while handlers block.
    pub(crate) fn round(&mut self, options: &Options) -> io::Result<Round> {
        let time = Duration::from_secs_f64(options.requests as f64 / options.rate as f64);
        let before = speak(&mut self.fleet, options.rate, time / 2)?;
        let blockers = Blockers::start(self.target.address, &self.path, self.everyone)?;
        let during = speak(&mut self.fleet, options.rate, time);
        let blocked = blockers.stop()?;
        let during = during?;
        match blocked {
            0 => Err(io::Error::other("no handler has blocked")),
            _ => Ok(Round { before, during }),
        }
    }
}

/// Milliseconds.
fn p99(times: &Histogram<u64>) -> f64 {
    times.value_at_quantile(0.99) as f64 / 1e6
}

/// The `blocking` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let mut scene = Scene::start(options)?;
    let (mut hit, mut quiet_all) = (Vec::new(), Vec::new());
    let bar = progress(options.rounds as u64, "rounds");
    for _ in 0..options.rounds {
        let round = scene.round(options)?;
        let (before, during) = (p99(&round.before), p99(&round.during));
        quiet_all.push(before);
        if before < CALM_MS {
            hit.push(during);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut report = Report::default();
    report.put("workload", "blocking");
    report.put("who blocks", options.case.as_str());
    report.put("how", options.how.as_str());
    report.put("for ms", options.block_ms);
    report.put("parked", options.parked);
    report.put("rate/s", options.rate);
    report.put("rounds", options.rounds);
    report.put("rounds that count", hit.len());
    let quiet = median(&quiet_all).map_or(0.0, |m| m.value);
    report.put("p99 ms before, median of all rounds", quiet);
    let worst = hit.iter().copied().fold(0.0, f64::max);
    let middle = median(&hit).map_or(f64::INFINITY, |m| m.value);
    report.put("p99 ms during, median", middle);
    report.put("p99 ms during, worst round", worst);
    let l = &options.limits;
    if l.p99.is_some() || l.worst.is_some() {
        report.judge(Some(Verdict::at_least(
            "rounds that count",
            COUNTED as f64,
            hit.len() as f64,
        )));
    }
    report.judge(
        l.p99
            .map(|limit| Verdict::at_most("p99 ms, median", limit, exactly(middle))),
    );
    report.judge(
        l.worst
            .map(|limit| Verdict::at_most("p99 ms, worst", limit, exactly(worst))),
    );
    Ok(report)
}

/// Random connections ask at `rate` for so long; how long that took, from the moment a request was due. Sleeps in
/// between: a core that polls would be missing to the server.
fn speak(fleet: &mut Fleet, rate: u64, time: Duration) -> io::Result<Histogram<u64>> {
    fleet.latency.reset();
    let request = fleet.request().to_vec();
    let (one, two) = (request.len() / 3, request.len() * 2 / 3);
    let each = Duration::from_nanos(1_000_000_000 / rate);
    let start = Instant::now();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = start;
    let mut asked = 0_u64;
    let mut done = Vec::new();
    // Further pieces: when, of which connection, from which byte on.
    let mut pieces: BinaryHeap<Reverse<(Instant, usize, usize)>> = BinaryHeap::new();
    while next < start + time || !pieces.is_empty() {
        let now = Instant::now();
        if now > start + time + STALL {
            return Err(io::Error::other("the server is too slow for this rate"));
        }
        while let Some(&Reverse((at, n, from))) = pieces.peek()
            && at <= now
        {
            pieces.pop();
            if from == one {
                fleet.ask_with(n, &request[one..two])?;
                pieces.push(Reverse((at + APART, n, two)));
            } else {
                fleet.end(n, &request[two..], at)?;
            }
        }
        while next <= now && next < start + time {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let first = (random % fleet.len() as u64) as usize;
            let Some(n) = (first..fleet.len())
                .chain(0..first)
                .find(|n| fleet.quiet(*n))
            else {
                break;
            };
            if asked.is_multiple_of(SPLIT) {
                fleet.ask_with(n, &request[..one])?;
                pieces.push(Reverse((next + APART, n, one)));
            } else {
                fleet.ask(n, next)?;
            }
            asked += 1;
            next += each;
        }
        let wake = match pieces.peek() {
            Some(Reverse((at, ..))) => next.min(*at),
            None => next,
        };
        fleet.pause(wake.saturating_duration_since(Instant::now()))?;
        fleet.turn(Duration::ZERO, &mut done)?;
    }
    fleet.drain()?;
    Ok(std::mem::replace(&mut fleet.latency, histogram()?))
}

/// Clients whose requests block a home worker each, one after the other.
struct Blockers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<u64>>>,
}

impl Blockers {
    fn start(address: SocketAddr, path: &str, everyone: bool) -> io::Result<Blockers> {
        let mut homes = BTreeMap::new();
        for _ in 0..TRIED {
            let mut stream = BufReader::new(client::connect(address)?);
            let home = ask(&mut stream, "/push?thread")?;
            homes.entry(home).or_insert(stream);
        }
        let count = if everyone { homes.len() } else { 1 };
        let stop = Arc::new(AtomicBool::new(false));
        let threads = homes.into_values().take(count).map(|mut stream| {
            let (stop, path) = (stop.clone(), path.to_owned());
            std::thread::spawn(move || {
                let mut blocked = 0;
                while !stop.load(Relaxed) {
                    ask(&mut stream, &path)?;
                    blocked += 1;
                }
                Ok(blocked)
            })
        });
        let threads = threads.collect();
        Ok(Blockers { stop, threads })
    }

    /// How many handlers have blocked.
    fn stop(self) -> io::Result<u64> {
        self.stop.store(true, Relaxed);
        let mut all = 0;
        for thread in self.threads {
            let blocked = thread.join();
            all += blocked.map_err(|_| io::Error::other("a client has panicked"))??;
        }
        Ok(all)
    }
}

fn ask(stream: &mut BufReader<TcpStream>, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    stream.fill_buf()?;
    let response = client::read(stream, false)?;
    match response.status {
        200 => Ok(String::from_utf8_lossy(&response.body).into_owned()),
        status => Err(io::Error::other(format!("{path}: {status}"))),
    }
}
