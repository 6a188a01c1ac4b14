//! A child with parked connections crashes and leaves a core: how soon another serves in its place.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use super::kill::replacement;
use super::{another_serves, children, ended, ms, opened, replaced, signal};
use crate::fleet::Fleet;
use crate::options::Options;
use crate::report::{Report, progress};
use crate::target::Target;
use crate::verdict::Verdict;

/// The folder is the server's own, see `peers`.
pub(super) const DIRECTIVES: &str = "CoreDumpDirectory cores\n";
/// A child that dies younger counts as one that could not start.
const HEALTHY: Duration = Duration::from_millis(1_200);

pub(super) fn run(options: &Options) -> io::Result<Report> {
    allow_cores()?;
    let server = options.measured()?;
    let address = Target::probe(&server.url, false)?.address;
    let (mut times, mut cores) = (Vec::new(), 0);
    let bar = progress(options.rounds as u64, "crashes");
    for n in 0..options.rounds {
        replaced(server.pid, options.children, &[])?;
        let born = Instant::now();
        let mut parked = Fleet::new(Target::probe(&server.url, false)?)?;
        parked.open(options.parked, 2, true)?;
        std::thread::sleep((born + HEALTHY).saturating_duration_since(Instant::now()));
        let old = children(server.pid);
        let victim = *old
            .get(n % old.len().max(1))
            .ok_or_else(|| io::Error::other("the server has no children"))?;
        let process = opened(victim)?;
        let at = Instant::now();
        signal(victim, Signal::SEGV)?;
        another_serves(address, &old)?;
        times.push(ms(at.elapsed()));
        ended(&process)?;
        if let Some(folder) = server.folder() {
            cores += taken_away(&folder.join("cores"))?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();

    let mut report = Report::default();
    report.put("workload", "restart, crash");
    report.put("server", server.name.as_str());
    report.put("children", options.children);
    report.put("parked", options.parked);
    report.put("crashes", times.len());
    report.put("cores", cores);
    replacement(&mut report, &times);
    report.judge(Some(Verdict::at_least(
        "cores",
        times.len() as f64,
        f64::from(cores),
    )));
    Ok(report)
}

/// Removes the cores there are, which may all have the same name, and counts them.
fn taken_away(folder: &Path) -> io::Result<u32> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
        count += 1;
    }
    Ok(count)
}

/// As large as may be, for the server that is started from here.
fn allow_cores() -> io::Result<()> {
    let maximum = getrlimit(Resource::Core).maximum;
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Core, most)?)
}
