//! What parked connections cost: memory of the server and of the kernel, CPU, wake-ups.
//!
//! Memory is a slope between two counts: what the server allocates once does not count, what it keeps for each
//! connection does.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::holder::Crowd;
use crate::options::Options;
use crate::procfs;
use crate::report::Report;
use crate::verdict::{Verdict, exactly};

const SETTLING: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_secs(10);
/// Servers give memory back on a timer, so wait this long for it.
const GIVEN_BACK: Duration = Duration::from_secs(10);

/// The `idle` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let (low, high) = (options.low, options.parked);
    if low >= high {
        return Err(io::Error::other(format!(
            "--low {low} must be below --parked {high}: memory is a slope"
        )));
    }
    let server = options.measured()?;
    let (url, pid) = (server.url.as_str(), server.pid);
    let mut crowd = Crowd::new(url, high, options)?;
    crowd.grow(low, "first connections")?;
    let (memory_low, slabs_low, cpu_low) =
        (procfs::pss_anon(pid)?, procfs::slabs(), procfs::cpu(pid)?);
    let start = Instant::now();
    crowd.grow(high, "all connections")?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = procfs::cpu(pid)? - cpu_low;
    let (memory_high, slabs_high) = (procfs::pss_anon(pid)?, procfs::slabs());
    let added = (high - low) as f64;

    let mut report = Report::default();
    report.put("workload", "idle");
    report.put("server", server.name.as_str());
    report.put("url", url);
    report.put("parked", high);
    report.put("client processes", crowd.processes());
    let each = (memory_high as f64 - memory_low as f64) / added;
    report.put("server processes", procfs::tree(pid).len());
    report.put("user bytes/connection (slope)", each);
    report.put("server Pss_Anon bytes", memory_high);
    kernel(&mut report, slabs_low.as_ref(), slabs_high.as_ref(), added);
    report.put("connections opened/s", added / seconds);
    report.put(
        "server CPU us/accept+request",
        cpu.per_request((high - low) as u64).0,
    );

    // A server that has just been started looks once more at its children after a second.
    std::thread::sleep(SETTLING);
    let (switches, cpu) = (procfs::switches(pid), procfs::cpu(pid)?);
    std::thread::sleep(WATCHED);
    let (later, cpu) = (procfs::switches(pid), procfs::cpu(pid)? - cpu);
    let wakeups = later.0.saturating_sub(switches.0);
    report.put("idle 10 s: wake-ups", wakeups);
    report.put(
        "idle 10 s: forced switches",
        later.1.saturating_sub(switches.1),
    );
    report.put("idle 10 s: CPU us", cpu.run_ns as f64 / 1e3);

    report.put("parked connections lost", high - crowd.alive()?);
    drop(crowd);
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
    let limits = &options.limits;
    let at_most = |what, limit: Option<f64>, found| {
        limit.map(|limit| Verdict::at_most(what, limit, exactly(found)))
    };
    report.judge(at_most("user bytes/connection", limits.bytes, each));
    report.judge(at_most("wake-ups in 10 s", limits.wakeups, wakeups as f64));
    report.judge(
        limits
            .given_back
            .map(|limit| Verdict::at_least("share given back", limit, given.min(1.0))),
    );
    Ok(report)
}

/// Growth per connection of the slab caches that matter: both ends, as both are on this machine.
pub(crate) fn kernel(
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
