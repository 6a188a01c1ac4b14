//! One run from beginning to end.

use super::act::{act, kill_child};
use super::client::{World, live};
use super::ending::{Before, check};
use super::event::Event;
use super::options::{Fault, Options};
use super::subject::Subject;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Runs, prints what was seen, and says whether all of it was as it must be.
///
/// # Errors
/// The server could not be built or started.
pub fn run(options: &Options) -> io::Result<bool> {
    // Whoever loses its parent becomes a child of this process, so that nobody is overlooked.
    // SAFETY: prctl with these arguments touches no memory.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let mut before = Before::look();
    let mut subject = Subject::start(options)?;
    before.serving(&subject)?;
    let world = World::new(subject.prepared.address(), options.plant);
    let mut events = Rng::with_seed(options.seed);
    let mut counts: BTreeMap<Event, u64> = BTreeMap::new();
    let mut skipped = 0u64;
    std::thread::scope(|scope| {
        for n in 0..options.clients {
            let rng = Rng::with_seed(options.seed.wrapping_mul(1_000_003).wrapping_add(n as u64));
            let world = &world;
            scope.spawn(move || live(world, rng));
        }
        let begun = Instant::now();
        let mut done = 0;
        while begun.elapsed() < options.time && (options.events == 0 || done < options.events) {
            let event = Event::choose(&mut events);
            match act(event, &mut subject, &world, &mut events) {
                Ok(true) => *counts.entry(event).or_default() += 1,
                Ok(false) => skipped += 1,
                Err(e) => {
                    world.ledger.wrong(format_args!("{event:?}: {e}"));
                    break;
                }
            }
            done += 1;
            if options.plant == Some(Fault::Kill) && done % 10 == 0 {
                kill_child(&subject, &world, &mut events, false);
            }
            progress(&world, done);
            std::thread::sleep(Duration::from_millis(events.u64(..120)));
        }
        world.over.store(true, Relaxed);
    });
    plant(options.plant, &subject)?;
    if let Err(e) = check(&mut subject, &world, &before) {
        world.ledger.wrong(format_args!("at the end: {e}"));
    }
    let log = subject.prepared.text("logs/error");
    if let Some(file) = &options.keep {
        fs::write(file, &log)?;
    }
    let (answers, excused, _) = world.ledger.sums();
    println!(
        "\nseed {}, {:.0} s, {} clients",
        options.seed,
        world.ledger.seconds(),
        options.clients
    );
    println!(
        "events: {} {counts:?}, {skipped} not possible here",
        counts.values().sum::<u64>()
    );
    println!("sessions: {:?}", world.ledger.sessions());
    println!("answers: {answers}, all as expected; excused failures: {excused}");
    let faults = world.ledger.faults();
    for fault in faults.iter().take(40) {
        println!("FAULT {fault}");
    }
    if !faults.is_empty() {
        println!("{} faults. The end of the error log:", faults.len());
        // Without the corrections that each restart tells again.
        let shown: Vec<_> = log
            .lines()
            .filter(|l| !l.contains("[core:warn]") && !l.contains("[core:error]"))
            .collect();
        shown[shown.len().saturating_sub(30)..]
            .iter()
            .for_each(|l| println!("  {l}"));
    }
    Ok(faults.is_empty())
}

fn progress(world: &World, done: u64) {
    if io::stderr().is_terminal() {
        let (answers, excused, faults) = world.ledger.sums();
        eprint!("\r{done} events, {answers} answers, {excused} excused, {faults} faults ");
        let _ = io::stderr().flush();
    }
}

fn plant(fault: Option<Fault>, subject: &Subject) -> io::Result<()> {
    match fault {
        Some(Fault::File) => fs::write(subject.prepared.root().join("run/left"), ""),
        #[allow(clippy::zombie_processes, reason = "that is what was asked for")]
        Some(Fault::Process) => Command::new("sleep").arg("100").spawn().map(drop),
        _ => Ok(()),
    }
}
