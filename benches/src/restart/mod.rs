//! What clients notice of restarts, of children that are recycled or told to go, and of one that dies.
//!
//! `load` are the clients: they ask at a steady rate and note what fails instead of giving up. `again` does something to
//! the server many times in a row, `crowd` once while very many connections are parked, `kill` kills children.

mod again;
mod crowd;
mod kill;
mod load;

use std::io;
use std::time::{Duration, Instant};

use parkade_tests::procfs;
use rustix::process::{Pid, Signal, kill_process};

use crate::options::Options;
use crate::report::Report;

/// What says which process answers.
const PUSH: &str =
    "<Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n";
/// Where it says so.
const WHO: &str = "/push?pid";
/// How long anything may take before a run ends with an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fills in what all cases need.
pub(crate) fn settle(options: &mut Options) {
    options.server.get_or_insert_with(|| "parkade-file".into());
    options.directives.push_str(PUSH);
    if options.case == "recycle" {
        options.directives.push_str("MaxRequestsPerChild 100\n");
    }
}

/// The `restart` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    match options.case.as_str() {
        "graceful" | "hard" | "recycle" | "term" => again::run(options),
        "parked" => crowd::run(options),
        "kill" => kill::run(options),
        other => Err(io::Error::other(format!(
            "no such case `{other}`; see --help"
        ))),
    }
}

fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = Pid::from_raw(pid as i32).ok_or_else(|| io::Error::other("no such process"))?;
    Ok(kill_process(pid, signal)?)
}

/// The server's children. Nothing of theirs is looked at: the kernel can take seconds to forget a dead process while
/// others look for it in /proc all the time, and the supervisor would be the one who waits.
fn children(server: u32) -> Vec<u32> {
    procfs::children(server).unwrap_or_default()
}

/// Asks `condition` every `pause` until it is true; gives how long that took.
fn until(
    what: &str,
    pause: Duration,
    mut condition: impl FnMut() -> io::Result<bool>,
) -> io::Result<Duration> {
    let began = Instant::now();
    while !condition()? {
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{what}: not within {PATIENCE:?}")));
        }
        std::thread::sleep(pause);
    }
    Ok(began.elapsed())
}

/// Waits until there are `n` children and none of `old`.
fn replaced(server: u32, n: usize, old: &[u32]) -> io::Result<Duration> {
    until("new children", Duration::from_millis(2), || {
        let now = children(server);
        Ok(now.len() == n && !now.iter().any(|pid| old.contains(pid)))
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
