//! `backends` and `servers`: the same workloads for many servers, in rounds of A B C, A B C.
//!
//! `field` says who takes part and who cannot, `workloads` what is measured and how much of it, `entrants` how one server
//! is measured in one workload; `outcome` makes medians and ratios of it, prints them and writes a result for each server.
//! What cannot be measured at a server is said in one line, and the others go on.

mod entrants;
mod field;
mod outcome;
mod workloads;

use std::io;

use indicatif::ProgressBar;

use crate::affinity::Pinned;
use crate::options::Options;
use crate::page;
use crate::report::{progress, say};
use crate::rivals;
use crate::sample::Figures;
use entrants::Entrant;
use outcome::{Line, Outcome};
use workloads::Workload;

/// What the bar counts: tenths of a second that things are expected to take.
const TENTHS: f64 = 10.0;

/// A server in a workload.
struct Entered {
    name: String,
    entrant: Box<dyn Entrant>,
    rounds: Vec<Figures>,
}

/// The commands. False when something that should have been measured could not.
pub(crate) fn run(options: &Options) -> io::Result<bool> {
    let field = field::of(options)?;
    let workloads = workloads::chosen(options)?;
    if let Some(folder) = &options.out {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", folder.display()));
        std::fs::create_dir_all(folder).map_err(named)?;
    }
    let all: f64 = workloads.iter().map(|w| time(w, field.len())).sum();
    let bar = progress(all as u64, "");
    bar.tick();
    let (mut whole, mut measured) = (true, 0);
    for workload in &workloads {
        bar.set_message(workload.name);
        let mut expected = Expected::new(&bar, time(workload, field.len()));
        let (outcome, complete) = one(workload, &field, &mut expected)?;
        expected.over();
        whole &= complete;
        measured += outcome.lines.len();
        bar.suspend(|| outcome.print())?;
        if let Some(folder) = &options.out {
            outcome.write(folder)?;
        }
    }
    bar.finish_and_clear();
    if measured == 0 {
        return Err(io::Error::other("nothing could be measured"));
    }
    if let Some(folder) = &options.out {
        page::run(folder)?;
    }
    Ok(whole)
}

/// Of the whole workload, for so many servers.
fn time(workload: &Workload, servers: usize) -> f64 {
    let slices = workload.options.rounds as f64 * workload.slices as f64;
    (workload.seconds * slices + workload.start) * servers as f64 * TENTHS
}

/// Moves the bar as far as what was done was expected to take, and no further than the workload's part of it.
struct Expected<'a> {
    bar: &'a ProgressBar,
    from: f64,
    all: f64,
    done: f64,
}

impl<'a> Expected<'a> {
    fn new(bar: &'a ProgressBar, all: f64) -> Expected<'a> {
        let from = bar.position() as f64;
        Expected {
            bar,
            from,
            all,
            done: 0.0,
        }
    }

    fn took(&mut self, seconds: f64) {
        self.done = (self.done + seconds * TENTHS).min(self.all);
        self.bar.set_position((self.from + self.done) as u64);
    }

    /// Those who could not take part took no time.
    fn over(self) {
        self.bar.set_position((self.from + self.all) as u64);
    }
}

/// All rounds of one workload; and whether nobody who should be in it failed.
fn one<'a>(
    workload: &'a Workload,
    field: &[String],
    expected: &mut Expected<'_>,
) -> io::Result<(Outcome<'a>, bool)> {
    let options = &workload.options;
    let mut complete = true;
    let mut failed = |name: &str, error: &io::Error| {
        let cannot = error.kind() == io::ErrorKind::Unsupported || rivals::is_missing(error);
        complete &= cannot;
        let word = if cannot { "left out" } else { "failed" };
        say(&format!("{word}: {name} in {}: {error}", workload.name));
    };
    let mut all: Vec<Entered> = Vec::new();
    for name in field {
        match (workload.enter)(name, options) {
            Ok(entrant) => all.push(Entered {
                name: name.clone(),
                entrant,
                rounds: Vec::new(),
            }),
            Err(e) => failed(name, &e),
        }
        expected.took(workload.start);
    }
    // After the servers were started, or they would inherit it.
    let pinned = match workload.pinned {
        true => Some(Pinned::to(options.pin_client)?),
        false => None,
    };
    for round in 0..options.rounds as u64 {
        for slice in 0..workload.slices {
            if (round + slice) % 2 == 1 {
                all.reverse();
            }
            all = tried(all, &mut failed, |one| {
                expected.took(workload.seconds);
                one.entrant.slice(options)
            });
            if (round + slice) % 2 == 1 {
                all.reverse();
            }
        }
        all = tried(all, &mut failed, |one| {
            one.rounds.push(one.entrant.round(options)?);
            Ok(())
        });
    }
    let mut lines = Vec::new();
    for mut one in all {
        let last = match one.entrant.last(options) {
            Ok(last) => last,
            Err(e) => {
                failed(&one.name, &e);
                Vec::new()
            }
        };
        lines.push(Line {
            name: one.name,
            rounds: one.rounds,
            last,
        });
    }
    drop(pinned);
    Ok((Outcome::new(workload, lines), complete))
}

/// Goes on with those for whom it worked.
fn tried(
    all: Vec<Entered>,
    failed: &mut impl FnMut(&str, &io::Error),
    mut act: impl FnMut(&mut Entered) -> io::Result<()>,
) -> Vec<Entered> {
    let mut left = Vec::new();
    for mut one in all {
        match act(&mut one) {
            Ok(()) => left.push(one),
            Err(e) => failed(&one.name, &e),
        }
    }
    left
}
