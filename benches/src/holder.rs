//! Client processes that hold connections, so that neither descriptors nor ports of one process bound the count.
//!
//! A holder is this binary again (command `hold`). Told a count on its input it opens connections up to it, asks each
//! once and answers `held`; told `ask` it answers how many of them still answer, told `wave` the same of all asked at
//! once and the microseconds of the slowest answer; told `speak RATE REQUESTS NUMBER` it answers, when random ones of them
//! have spoken, how long that took them (nanoseconds:count, ...); it ends when its input ends.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::affinity;
use crate::fleet::{Fleet, histogram};
use crate::options::Options;
use crate::report::progress;
use crate::target::Target;

/// Connections per holder when their number is not given.
const PER_HOLDER: usize = 15_000;
/// As many as there are pairs of source addresses in 127.0.0.x.
const MOST: usize = 125;

struct Holder {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Holder {
    fn start(url: &str, number: usize, core: usize) -> io::Result<Holder> {
        // Each begins at its own source address and may use two.
        let source = 2 + number * 2 % 250;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["hold", "--url", url])
            .args(["--source", &source.to_string()])
            .args(["--pin-client", &core.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no pipe from a holder"))?;
        Ok(Holder {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn tell(&mut self, what: &str) -> io::Result<()> {
        self.input
            .as_mut()
            .map_or(Ok(()), |pipe| writeln!(pipe, "{what}"))
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.trim() {
            "" => Err(io::Error::other("a client process failed; see above")),
            answer => Ok(answer.to_owned()),
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Parked connections of several client processes. Dropping it closes them.
pub(crate) struct Crowd {
    holders: Vec<Holder>,
}

impl Crowd {
    /// Enough processes for `most` connections to `url`, or as many as `options` say.
    pub(crate) fn new(url: &str, most: usize, options: &Options) -> io::Result<Crowd> {
        let count = match options.processes {
            0 => most.div_ceil(PER_HOLDER).clamp(1, MOST),
            n => n,
        };
        let holders = (0..count).map(|n| Holder::start(url, n, options.pin_client));
        Ok(Crowd {
            holders: holders.collect::<io::Result<_>>()?,
        })
    }

    pub(crate) fn processes(&self) -> usize {
        self.holders.len()
    }

    /// Opens connections until there are `total`, each asked once and parked.
    pub(crate) fn grow(&mut self, total: usize, what: &str) -> io::Result<()> {
        let bar = progress(self.holders.len() as u64, what);
        let parts = self.holders.len();
        for (n, holder) in self.holders.iter_mut().enumerate() {
            let count = total * (n + 1) / parts - total * n / parts;
            holder.tell(&count.to_string())?;
            let answer = holder.answer()?;
            if answer != "held" {
                return Err(io::Error::other(format!("a client process said {answer}")));
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// How many connections still answer.
    pub(crate) fn alive(&mut self) -> io::Result<usize> {
        let mut sum = 0;
        for holder in &mut self.holders {
            holder.tell("ask")?;
            sum += holder
                .answer()?
                .parse::<usize>()
                .map_err(io::Error::other)?;
        }
        Ok(sum)
    }

    /// Has all connections ask at once.
    pub(crate) fn begin_wave(&mut self) -> io::Result<()> {
        self.holders.iter_mut().try_for_each(|h| h.tell("wave"))
    }

    /// Waits for the last answer; gives how many were answered, and the longest that any of them took.
    pub(crate) fn end_wave(&mut self) -> io::Result<(usize, Duration)> {
        let (mut count, mut longest) = (0, Duration::ZERO);
        for holder in &mut self.holders {
            let answer = holder.answer()?;
            let (answered, slowest) = answer.split_once(' ').unwrap_or((&answer, ""));
            count += answered.parse::<usize>().map_err(io::Error::other)?;
            let slowest = slowest.parse().map_err(io::Error::other)?;
            longest = longest.max(Duration::from_micros(slowest));
        }
        Ok((count, longest))
    }
}

impl Crowd {
    /// Random connections speak, `rate` a second and `requests` in all; how long answers took, and how many processes
    /// failed.
    pub(crate) fn speak(
        &mut self,
        rate: u64,
        requests: u64,
    ) -> io::Result<(Histogram<u64>, usize)> {
        let parts = self.holders.len() as u64;
        let part = |all: u64| (all / parts).max(1);
        for (n, holder) in self.holders.iter_mut().enumerate() {
            holder.tell(&format!(
                "speak {} {} {}",
                part(rate),
                part(requests),
                n + 1
            ))?;
        }
        let (mut all, mut failed) = (histogram()?, 0);
        for holder in &mut self.holders {
            let Ok(answer) = holder.answer() else {
                failed += 1;
                continue;
            };
            for pair in answer.split(',') {
                let (ns, count) = pair.split_once(':').unwrap_or(("", ""));
                let ns = ns.parse().map_err(io::Error::other)?;
                all.saturating_record_n(ns, count.parse().map_err(io::Error::other)?);
            }
        }
        Ok((all, failed))
    }
}

/// As `speak` says.
fn spoken(fleet: &mut Fleet, words: &str) -> io::Result<String> {
    let numbers: Result<Vec<u64>, _> = words.split(' ').map(str::parse).collect();
    let [rate, requests, number] = numbers.map_err(io::Error::other)?[..] else {
        return Err(io::Error::other("speak RATE REQUESTS NUMBER"));
    };
    fleet.latency.reset();
    crate::wake::speak(fleet, rate.max(1), requests, number)?;
    let pairs = fleet.latency.iter_recorded();
    let pairs = pairs.map(|v| {
        format!(
            "{}:{}",
            v.value_iterated_to(),
            v.count_since_last_iteration()
        )
    });
    Ok(pairs.collect::<Vec<_>>().join(","))
}

/// The inner `hold` command.
pub(crate) fn hold(options: &Options) -> io::Result<()> {
    let url = options
        .server
        .as_deref()
        .ok_or_else(|| io::Error::other("hold needs --url"))?;
    affinity::pin_self(options.pin_client)?;
    let mut fleet = Fleet::new(Target::probe(url, false)?)?;
    for line in io::stdin().lock().lines() {
        match line?.trim() {
            "ask" => println!("{}", fleet.alive()),
            "wave" => {
                fleet.latency.reset();
                let answered = fleet.alive_at_once()?;
                println!("{answered} {}", fleet.latency.max() / 1_000);
            }
            line if line.starts_with("speak ") => {
                println!("{}", spoken(&mut fleet, &line["speak ".len()..])?);
            }
            count => {
                let count = count.parse().map_err(io::Error::other)?;
                fleet.open(count, options.source, true)?;
                println!("held");
            }
        }
    }
    Ok(())
}
