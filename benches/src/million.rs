//! More connections than one process may hold, on either side: what they cost, whether they live, whether they answer.

use std::io;
use std::time::{Duration, Instant};

use crate::holder::Crowd;
use crate::options::Options;
use crate::procfs;
use crate::report::{Report, progress};
use crate::verdict::{Verdict, exactly};

/// For as long as `--hold` says; every second the bar moves.
const SECOND: Duration = Duration::from_secs(1);
/// Counts of memory that are not told apart from the beginning's.
const SETTLING: Duration = Duration::from_secs(2);

/// What a child of the server may need beside its connections. Only for one that this program starts.
pub(crate) const DIRECTIVES: &str = "KeepAliveTimeout 3600\n";

/// The `million` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    let server = options.measured()?;
    let pid = server.pid;
    std::thread::sleep(SETTLING);
    let empty = procfs::pss_anon(pid)?;
    let mut crowd = Crowd::new(&server.url, options.parked, options)?;
    // Each client process once, so that every child of the server has served.
    crowd.grow(options.low, "first connections")?;
    std::thread::sleep(SETTLING);
    let (memory_low, slabs_low) = (procfs::pss_anon(pid)?, procfs::slabs());
    let start = Instant::now();
    crowd.grow(options.parked, "all connections")?;
    let seconds = start.elapsed().as_secs_f64();
    std::thread::sleep(SETTLING);
    let (memory, slabs) = (procfs::pss_anon(pid)?, procfs::slabs());
    let added = (options.parked - options.low) as f64;

    let mut report = Report::default();
    report.put("workload", "million");
    report.put("parked", options.parked);
    report.put("server processes", procfs::tree(pid).len());
    report.put("client processes", crowd.processes());
    report.put("connections opened/s", added / seconds);
    let grown = memory.saturating_sub(memory_low) as f64;
    report.put("user memory beyond the first ones, MB", grown / 1e6);
    report.put("  bytes/connection", grown / added);
    let beyond = memory.saturating_sub(empty) as f64 / 1e6;
    report.put("user memory beyond the empty server, MB", beyond);
    report.put("user memory in all, MB", memory as f64 / 1e6);
    crate::idle::kernel(&mut report, slabs_low.as_ref(), slabs.as_ref(), added);

    let (switches, cpu) = (procfs::switches(pid), procfs::cpu(pid)?);
    let bar = progress(options.hold, "holding");
    for _ in 0..options.hold {
        std::thread::sleep(SECOND);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let held = options.hold.max(1) as f64;
    let cpu = procfs::cpu(pid)? - cpu;
    let idle = cpu.run_ns as f64 / 1e6 / held;
    report.put("held for s", options.hold);
    report.put("idle CPU ms/s", idle);
    let woken = procfs::switches(pid).0.saturating_sub(switches.0);
    report.put("idle wake-ups/s", woken as f64 / held);

    let start = Instant::now();
    crowd.begin_wave()?;
    let (alive, _) = crowd.end_wave()?;
    report.put("all asked once: answered", alive);
    report.put("  within s", start.elapsed().as_secs_f64());

    if options.rate > 0 {
        let cpu = procfs::cpu(pid)?;
        let start = Instant::now();
        let (latency, failed) = crowd.speak(options.rate, options.requests)?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = procfs::cpu(pid)? - cpu;
        report.put("wake: requests", latency.len());
        report.put("wake: client processes that failed", failed);
        report.put("wake: rate/s", latency.len() as f64 / seconds);
        report.cpu(cpu, latency.len().max(1));
        report.latency(&latency);
        report.judge(Some(Verdict::at_most(
            "client processes that failed",
            0.0,
            exactly(failed as f64),
        )));
    }
    let limits = &options.limits;
    let at_most = |what, limit: Option<f64>, found| {
        limit.map(|limit| Verdict::at_most(what, limit, exactly(found)))
    };
    report.judge(at_most(
        "user bytes/connection",
        limits.bytes,
        grown / added,
    ));
    report.judge(at_most(
        "user MB beyond the empty server",
        limits.memory,
        beyond,
    ));
    report.judge(at_most("idle CPU ms/s", limits.idle_cpu, idle));
    report.judge(Some(Verdict::at_least(
        "connections alive",
        options.parked as f64,
        alive as f64,
    )));
    Ok(report)
}
