//! Very many parked connections survive a graceful restart: how soon each is answered again, and what each costs then.
//!
//! All ask at the moment of the signal, in the middle of the move; and once more when the old children are gone, so that
//! it is the new ones that answer.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{children, replaced, signal, until};
use crate::beside::lost_none;
use crate::holder::Crowd;
use crate::options::Options;
use crate::procfs;
use crate::report::Report;
use crate::verdict::{Verdict, exactly};

/// Until the last one is answered.
const LIMIT: f64 = 2.0;
/// Bytes per connection by which a move may change what they cost: half of it would be a field.
const UNCHANGED: f64 = 8.0;

pub(super) fn run(options: &Options) -> io::Result<Report> {
    let (low, high) = (options.low, options.parked);
    if low >= high {
        return Err(io::Error::other(format!(
            "--low {low} must be below --parked {high}: memory is a slope"
        )));
    }
    let server = options.measured()?;
    let pid = server.pid;
    replaced(pid, options.children, &[])?;
    let mut crowd = Crowd::new(&server.url, high, options)?;
    // What a move leaves behind once for all does not belong to a connection: it has happened before the first look.
    crowd.grow(low, "first connections")?;
    restart(pid, options)?;
    let few = at_rest(pid)?;
    crowd.grow(high, "all connections")?;
    let before = at_rest(pid)?;

    let old = children(pid);
    let began = Instant::now();
    signal(pid, Signal::USR1)?;
    crowd.begin_wave()?;
    let asked = crowd.end_wave()?;
    let answered = began.elapsed().as_secs_f64();
    replaced(pid, options.children, &old)?;
    let after = at_rest(pid)?;
    let again = crowd.alive()?;

    let old = children(pid);
    let began = Instant::now();
    signal(pid, Signal::USR1)?;
    replaced(pid, options.children, &old)?;
    let moved = began.elapsed().as_secs_f64();
    crowd.begin_wave()?;
    let silent = crowd.end_wave()?;
    let by_new = began.elapsed().as_secs_f64();

    let mut report = Report::default();
    report.put("workload", "restart, parked");
    report.put("server", server.name.as_str());
    report.put("children", options.children);
    report.put("client processes", crowd.processes());
    report.put("parked", high);
    report.put("s from the signal, all asking: last answer", answered);
    report.put("s from the signal, all silent: old children gone", moved);
    report.put("  all then answered by the new ones", by_new);
    let each = |now: u64| (now as f64 - few as f64) / (high - low) as f64;
    report.put("user bytes/connection before (slope)", each(before));
    report.put("user bytes/connection after (slope)", each(after));
    let lost = high - asked.min(again).min(silent);
    report.put("parked connections lost", lost);
    report.judge(Some(lost_none(lost)));
    report.judge(Some(Verdict::at_most(
        "s until the last answer, all asking",
        LIMIT,
        exactly(answered),
    )));
    report.judge(Some(Verdict::at_most(
        "s until all were answered by new children",
        LIMIT,
        exactly(by_new),
    )));
    report.judge(Some(Verdict::at_most(
        "user bytes/connection more than before",
        UNCHANGED,
        exactly(each(after) - each(before)),
    )));
    Ok(report)
}

fn restart(server: u32, options: &Options) -> io::Result<()> {
    let old = children(server);
    signal(server, Signal::USR1)?;
    replaced(server, options.children, &old).map(|_| ())
}

/// Memory once it does not change any more: some of it is given back on a timer.
fn at_rest(server: u32) -> io::Result<u64> {
    let mut last = procfs::pss_anon(server)?;
    until("memory at rest", Duration::from_secs(2), || {
        let now = procfs::pss_anon(server)?;
        Ok(std::mem::replace(&mut last, now).abs_diff(now) < 64 * 1024)
    })?;
    Ok(last)
}
