//! What clients notice of restarts, of children that are recycled or told to go, and of one that dies.
//!
//! `load` are the clients: they ask at a steady rate and note what fails instead of giving up. `again` does something to
//! the server many times in a row (`pulse` makes it grow and shrink), `crowd` once while very many connections are parked,
//! `kill` kills children, `crash` has them leave a core, `soak` restarts for an hour, and `reload` does it to other servers too.

mod again;
mod crash;
mod crowd;
mod kill;
mod load;
mod pulse;
pub(crate) mod reload;
mod soak;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use parkade_tests::procfs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::options::Options;
use crate::report::Report;

/// What says which process answers.
const PUSH: &str =
    "<Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n";
/// Where it says so.
const WHO: &str = "/push?pid";
/// Where each child is in its life.
const BOARD: &str = "/push?board";
/// How long anything may take before a run ends with an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fills in what all cases need.
pub(crate) fn settle(options: &mut Options) {
    options.server.get_or_insert_with(|| "parkade-file".into());
    options.directives.push_str(PUSH);
    if options.case == "spare" {
        options.children = pulse::LEAST;
    }
    options.directives.push_str(match options.case.as_str() {
        "recycle" => "MaxRequestsPerChild 100\n",
        "spare" => pulse::DIRECTIVES,
        "crash" => crash::DIRECTIVES,
        // Who is parked for all of it has no time to run out.
        "soak" => "KeepAliveTimeout 100000\n",
        _ => "",
    });
}

/// The `restart` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    match options.case.as_str() {
        "graceful" | "hard" | "recycle" | "term" | "spare" => again::run(options),
        "parked" => crowd::run(options),
        "kill" => kill::run(options),
        "crash" => crash::run(options),
        "soak" => soak::run(options),
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

/// Waits until a process has ended; the kernel says so itself, nothing is looked for.
fn ended(pid: &OwnedFd) -> io::Result<()> {
    let most = Timespec {
        tv_sec: PATIENCE.as_secs() as i64,
        tv_nsec: 0,
    };
    match poll(&mut [PollFd::new(pid, PollFlags::IN)], Some(&most))? {
        0 => Err(io::Error::other("a child that was killed does not end")),
        _ => Ok(()),
    }
}

/// A descriptor of the process.
fn opened(pid: u32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid as i32).ok_or_else(|| io::Error::other("no such process"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits until a child that is none of `old` accepts connections.
fn another_serves(address: SocketAddr, old: &[u32]) -> io::Result<()> {
    // A connection that came to a dying child in its last moment has no answer; the next has.
    let found = || load::fetch(address, BOARD).is_ok_and(|board| serves_newly(&board, old));
    until("another child", Duration::from_millis(1), || Ok(found())).map(|_| ())
}

fn serves_newly(board: &str, old: &[u32]) -> bool {
    board.lines().any(|line| {
        let mut pid = line.strip_prefix("child pid=").unwrap_or("").split(' ');
        let pid = pid.next().and_then(|pid| pid.parse().ok());
        let serves = line.contains(" state=serving ") && !line.ends_with(" accepting=0");
        serves && pid.is_some_and(|pid: u32| !old.contains(&pid))
    })
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
