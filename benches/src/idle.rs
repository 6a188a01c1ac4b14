//! What parked connections cost: memory of the server and of the kernel, CPU, wake-ups.
//!
//! Holder processes (this binary again) keep the connections, so that neither descriptors nor
//! ports of one process bound the count. Memory is a slope between two counts: what the server
//! allocates once does not count, what it keeps for each connection does.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::affinity;
use crate::fleet::Fleet;
use crate::options::Options;
use crate::procfs;
use crate::report::{Report, progress};
use crate::target::Target;

/// Connections per holder when `--processes` is not given.
const PER_HOLDER: usize = 15_000;
const WATCHED: Duration = Duration::from_secs(10);
/// Servers give memory back on a timer, so wait this long for it.
const GIVEN_BACK: Duration = Duration::from_secs(10);

/// A process that holds connections. Told a count on its input, it opens up to it and answers a
/// line; it ends when its input ends.
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
            .args([
                "hold",
                "--url",
                url,
                "--source",
                &source.to_string(),
                "--pin-client",
                &core.to_string(),
            ])
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

    fn hold(&mut self, count: usize) -> io::Result<()> {
        self.input
            .as_mut()
            .map_or(Ok(()), |pipe| writeln!(pipe, "{count}"))?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.trim() == "held" {
            Ok(())
        } else {
            Err(io::Error::other("a client process failed; see above"))
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// The inner `hold` command.
pub(crate) fn hold(options: &Options) -> io::Result<()> {
    let url = options
        .url
        .as_deref()
        .ok_or_else(|| io::Error::other("hold needs --url"))?;
    affinity::pin_self(options.pin_client)?;
    let mut fleet = Fleet::new(Target::probe(url, false)?)?;
    for line in io::stdin().lock().lines() {
        let count = line?.trim().parse().map_err(io::Error::other)?;
        fleet.open(count, options.source, true)?;
        println!("held");
    }
    Ok(())
}

fn spread(holders: &mut [Holder], total: usize, what: &str) -> io::Result<()> {
    let bar = progress(holders.len() as u64, what);
    let parts = holders.len();
    for (n, holder) in holders.iter_mut().enumerate() {
        holder.hold(total * (n + 1) / parts - total * n / parts)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// The `idle` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let (url, pid) = options.url_and_pid()?;
    let (low, high) = (options.low, options.parked);
    if low >= high {
        return Err(io::Error::other(format!(
            "--low {low} must be below --parked {high}: memory is a slope"
        )));
    }
    options.pin(pid)?;
    let count = if options.processes > 0 {
        options.processes
    } else {
        high.div_ceil(PER_HOLDER)
    };
    let mut holders = Vec::new();
    for n in 0..count.min(125) {
        holders.push(Holder::start(url, n, options.pin_client)?);
    }
    spread(&mut holders, low, "first connections")?;
    let (memory_low, slabs_low, cpu_low) =
        (procfs::pss_anon(pid)?, procfs::slabs(), procfs::cpu(pid)?);
    let start = Instant::now();
    spread(&mut holders, high, "all connections")?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = procfs::cpu(pid)? - cpu_low;
    let (memory_high, slabs_high) = (procfs::pss_anon(pid)?, procfs::slabs());
    let added = (high - low) as f64;

    let mut report = Report::default();
    report.put("workload", "idle");
    report.put("url", url);
    report.put("parked", high);
    report.put("client processes", holders.len());
    report.put(
        "user bytes/connection (slope)",
        (memory_high as f64 - memory_low as f64) / added,
    );
    report.put("server Pss_Anon bytes", memory_high);
    kernel(&mut report, slabs_low.as_ref(), slabs_high.as_ref(), added);
    report.put("connections opened/s", added / seconds);
    report.put(
        "server CPU us/accept+request",
        cpu.per_request((high - low) as u64).0,
    );

    let (switches, cpu) = (procfs::switches(pid), procfs::cpu(pid)?);
    std::thread::sleep(WATCHED);
    let (later, cpu) = (procfs::switches(pid), procfs::cpu(pid)? - cpu);
    report.put("idle 10 s: wake-ups", later.0.saturating_sub(switches.0));
    report.put(
        "idle 10 s: forced switches",
        later.1.saturating_sub(switches.1),
    );
    report.put("idle 10 s: CPU us", cpu.run_ns as f64 / 1e3);

    holders.clear();
    let grown = memory_high.saturating_sub(memory_low).max(1) as f64;
    let end = Instant::now() + GIVEN_BACK;
    let mut given;
    loop {
        given = memory_high.saturating_sub(procfs::pss_anon(pid)?) as f64 / grown;
        if given >= 0.99 || Instant::now() > end {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    report.put("share given back after all left", given.min(1.0));
    Ok(report)
}

/// Growth per connection of the slab caches that matter: both ends, as both are on this machine.
fn kernel(
    report: &mut Report,
    low: Option<&BTreeMap<String, u64>>,
    high: Option<&BTreeMap<String, u64>>,
    added: f64,
) {
    let (Some(low), Some(high)) = (low, high) else {
        report.put(
            "kernel bytes/connection",
            "not readable: /proc/slabinfo needs root",
        );
        return;
    };
    let mut parts: Vec<(&String, f64)> = high
        .iter()
        .map(|(name, bytes)| {
            (
                name,
                (*bytes as f64 - low.get(name).copied().unwrap_or(0) as f64) / added,
            )
        })
        .filter(|(_, each)| each.abs() >= 4.0)
        .collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    report.put(
        "kernel bytes/connection, both ends",
        parts.iter().map(|(_, each)| each).sum::<f64>(),
    );
    for (name, each) in parts.iter().take(8) {
        report.put(&format!("  {name}"), *each);
    }
}
