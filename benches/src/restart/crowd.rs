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

/// Until the last one is answered: in seconds from its question, or from the signal if nobody asks before.
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
    // What a move leaves behind once for all, and serving many at once, does not belong to a connection: it has happened
    // before the first look.
    crowd.grow(low, "first connections")?;
    restart(pid, options)?;
    crowd.begin_wave()?;
    crowd.end_wave()?;
    let few = at_rest(pid)?;
    crowd.grow(high, "all connections")?;
    let before = at_rest(pid)?;

    // What asking itself takes, without a restart.
    let began = Instant::now();
    crowd.begin_wave()?;
    let (_, usual) = crowd.end_wave()?;
    let wave = began.elapsed();

    let old = children(pid);
    let began = Instant::now();
    signal(pid, Signal::USR1)?;
    crowd.begin_wave()?;
    let (asked, waited) = crowd.end_wave()?;
    let last = began.elapsed();
    replaced(pid, options.children, &old)?;
    let after = at_rest(pid)?;
    let again = crowd.alive()?;

    let old = children(pid);
    let began = Instant::now();
    signal(pid, Signal::USR1)?;
    replaced(pid, options.children, &old)?;
    let moved = began.elapsed();
    crowd.begin_wave()?;
    let (silent, then) = crowd.end_wave()?;

    let mut report = Report::default();
    report.put("workload", "restart, parked");
    report.put("server", server.name.as_str());
    report.put("children", options.children);
    report.put("client processes", crowd.processes());
    report.put("parked", high);
    report.put(
        "all ask, no restart: s until the last answer",
        wave.as_secs_f64(),
    );
    report.put("  longest wait of one s", usual.as_secs_f64());
    report.put(
        "all ask at the signal: s until the last answer",
        last.as_secs_f64(),
    );
    report.put("  longest wait of one s", waited.as_secs_f64());
    report.put(
        "all silent: s until the old children are gone",
        moved.as_secs_f64(),
    );
    report.put("  longest wait of one then s", then.as_secs_f64());
    let each = |now: u64| (now as f64 - few as f64) / (high - low) as f64;
    report.put("user bytes/connection before (slope)", each(before));
    report.put("user bytes/connection after (slope)", each(after));
    let lost = high - asked.min(again).min(silent);
    report.put("parked connections lost", lost);
    report.judge(Some(lost_none(lost)));
    for (what, time) in [
        ("s a connection is unusable, all asking", waited),
        ("s until the last is usable, all silent", moved + then),
    ] {
        report.judge(Some(Verdict::at_most(
            what,
            LIMIT,
            exactly(time.as_secs_f64()),
        )));
    }
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
