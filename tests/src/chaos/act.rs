//! What happens to the server, and whom it may hurt.

use super::client::World;
use super::event::Event;
use super::ledger::Scope;
use super::subject::Subject;
use crate::server::signal;
use crate::{procfs, ready};
use fastrand::Rng;
use std::fs::{self, File};
use std::io::{self, Write};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// The supervisor and every child that drains may be this many; more is a heap that does not melt.
const MOST_CHILDREN: usize = 12;

/// Does it. False: this machine does not allow it.
pub(super) fn act(
    event: Event,
    subject: &mut Subject,
    world: &World,
    rng: &mut Rng,
) -> io::Result<bool> {
    settle(subject)?;
    world.ledger.happens(format_args!("{event:?}"));
    match event {
        Event::Graceful => graceful(subject),
        Event::Storm => (0..3).for_each(|_| {
            graceful(subject);
            nap(rng, 30);
        }),
        Event::Restart => restart(subject, world)?,
        Event::GoodEdit => {
            subject.settings.turn(rng);
            subject.configure(&subject.settings.text())?;
            graceful(subject);
        }
        Event::BadEdit => bad_edit(subject, rng)?,
        Event::KillChild => kill_child(subject, world, rng, true),
        Event::EndChild => {
            if let Some(child) = any_child(subject, rng) {
                world.ledger.happens(format_args!("to {child}"));
                signal(child, libc::SIGTERM);
            }
        }
        Event::PauseChild => {
            if let Some(child) = any_child(subject, rng) {
                pause(child, rng);
            }
        }
        Event::PauseSupervisor => pause(subject.pid(), rng),
        Event::KillSupervisor => kill_supervisor(subject, world)?,
        Event::Descriptors => few_descriptors(subject, world, rng)?,
        Event::Memory => little_memory(subject, world, rng)?,
        Event::FullDisk => return full_disk(subject, rng),
        Event::Clock => return step_clock(subject, rng),
        Event::Upgrade => subject.upgrade()?,
    }
    if !subject.alive() {
        world.ledger.wrong(format_args!(
            "{event:?} ended the supervisor: {}",
            subject.prepared.text("stderr")
        ));
        return Err(io::Error::other("the supervisor is gone"));
    }
    Ok(true)
}

/// Kills a child; `told`: the clients' ledger knows whose connections go with it.
pub(super) fn kill_child(subject: &Subject, world: &World, rng: &mut Rng, told: bool) {
    let Some(child) = any_child(subject, rng) else {
        return;
    };
    // Stopped, it accepts and gives away nothing more while its connections are listed.
    signal(child, libc::SIGSTOP);
    let stopped = || procfs::status(child, "State").is_none_or(|s| s.starts_with(['T', 'Z', 'X']));
    let _ = ready::until("a stop", PATIENCE, stopped);
    if told {
        let ports = subject.clients_of(child);
        world
            .ledger
            .happens(format_args!("of {child} with {} connections", ports.len()));
        world.ledger.excuse(Scope::Ports(ports));
    }
    signal(child, libc::SIGKILL);
}

fn graceful(subject: &Subject) {
    rotate(subject);
    signal(subject.pid(), libc::SIGUSR1);
}

/// What logrotate does; the logs are opened anew by USR1.
fn rotate(subject: &Subject) {
    let logs = subject.prepared.root().join("logs");
    let _ = fs::rename(logs.join("access"), logs.join("access.1"));
    // Watched for words: shortened in place, which its writers, who append, do not mind.
    if fs::metadata(subject.log()).is_ok_and(|m| m.len() > 8 << 20) {
        let _ = File::options()
            .write(true)
            .open(subject.log())
            .and_then(|f| f.set_len(0));
    }
}

fn restart(subject: &Subject, world: &World) -> io::Result<()> {
    let before = subject.children();
    let open = world.ledger.excuse(Scope::Requests);
    signal(subject.pid(), libc::SIGHUP);
    let gone = ready::until("the end of a hard restart", PATIENCE, || {
        !before.iter().any(|pid| procfs::alive(*pid))
    });
    world.ledger.close(open);
    gone
}

fn bad_edit(subject: &Subject, rng: &mut Rng) -> io::Result<()> {
    const REFUSAL: &str = "goes on as before";
    subject.configure(&subject.settings.broken(rng))?;
    let before = subject.said(REFUSAL);
    signal(
        subject.pid(),
        if rng.bool() {
            libc::SIGUSR1
        } else {
            libc::SIGHUP
        },
    );
    let refused = ready::until("a refusal of a broken configuration", PATIENCE, || {
        subject.said(REFUSAL) > before
    });
    subject.configure(&subject.settings.text())?;
    refused
}

fn pause(pid: u32, rng: &mut Rng) {
    signal(pid, libc::SIGSTOP);
    nap(rng, 500);
    signal(pid, libc::SIGCONT);
}

fn kill_supervisor(subject: &mut Subject, world: &World) -> io::Result<()> {
    let open = world.ledger.excuse(Scope::Everyone);
    let orphans = subject.children();
    signal(subject.pid(), libc::SIGKILL);
    let again = subject.start_again(&orphans);
    let gone = ready::until(
        "the end of a killed supervisor's children",
        Duration::from_secs(15),
        || !orphans.iter().any(|pid| procfs::alive(*pid)),
    );
    world.ledger.close(open);
    again.and(gone)
}

fn few_descriptors(subject: &Subject, world: &World, rng: &mut Rng) -> io::Result<()> {
    let Some(child) = any_child(subject, rng) else {
        return Ok(());
    };
    let open = world.ledger.excuse(Scope::Parked);
    let Ok(lowest) = procfs::lowest_unused(child) else {
        world.ledger.close(open);
        return Ok(());
    };
    limited(
        child,
        libc::RLIMIT_NOFILE,
        u64::from(lowest) + rng.u64(1..8),
        || nap(rng, 400),
    );
    // Whoever was closed may notice at its next request.
    std::thread::sleep(Duration::from_millis(300));
    world.ledger.close(open);
    Ok(())
}

fn little_memory(subject: &Subject, world: &World, rng: &mut Rng) -> io::Result<()> {
    let Some(child) = any_child(subject, rng) else {
        return Ok(());
    };
    let size =
        procfs::status(child, "VmSize").and_then(|s| s.split(' ').next()?.parse::<u64>().ok());
    let Some(kib) = size else { return Ok(()) };
    // If the child dies of it, nobody knows which connections it had by then.
    let open = world.ledger.excuse(Scope::Everyone);
    limited(
        child,
        libc::RLIMIT_AS,
        (kib + rng.u64(16..2048)) * 1024,
        || nap(rng, 300),
    );
    let replaced = ready::until("children after want of memory", PATIENCE, || {
        !subject.children().is_empty()
    });
    world.ledger.close(open);
    replaced
}

fn full_disk(subject: &Subject, rng: &mut Rng) -> io::Result<bool> {
    if !subject.disk {
        return Ok(false);
    }
    let ballast = subject.prepared.root().join("logs/ballast");
    let mut file = File::create(&ballast)?;
    let block = vec![0; 1 << 20];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&[0; 512]).is_ok() {}
    if rng.bool() {
        signal(subject.pid(), libc::SIGUSR1);
    }
    nap(rng, 600);
    drop(file);
    fs::remove_file(ballast)?;
    Ok(true)
}

fn step_clock(subject: &Subject, rng: &mut Rng) -> io::Result<bool> {
    let Some(clock) = &subject.clock else {
        return Ok(false);
    };
    File::create(&clock.back)?;
    nap(rng, 300);
    fs::remove_file(&clock.back)?;
    Ok(true)
}

/// Runs `meanwhile` while another process has a lower soft limit.
fn limited(pid: u32, what: libc::__rlimit_resource_t, soft: u64, meanwhile: impl FnOnce()) {
    let mut old = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a null pointer asks for no change; the other is a valid out-parameter.
    if unsafe { libc::prlimit(pid as libc::pid_t, what, std::ptr::null(), &raw mut old) } != 0 {
        return;
    }
    let low = libc::rlimit {
        rlim_cur: soft.min(old.rlim_max),
        ..old
    };
    // SAFETY: a valid parameter; a null pointer asks for no old value.
    unsafe {
        libc::prlimit(
            pid as libc::pid_t,
            what,
            &raw const low,
            std::ptr::null_mut(),
        )
    };
    meanwhile();
    // SAFETY: as above.
    unsafe {
        libc::prlimit(
            pid as libc::pid_t,
            what,
            &raw const old,
            std::ptr::null_mut(),
        )
    };
}

fn any_child(subject: &Subject, rng: &mut Rng) -> Option<u32> {
    let children = subject.children();
    (!children.is_empty()).then(|| children[rng.usize(..children.len())])
}

/// Events may come thick, but not so that children pile up.
fn settle(subject: &Subject) -> io::Result<()> {
    ready::until("fewer children", PATIENCE, || {
        let n = subject.children().len();
        n > 0 && n <= MOST_CHILDREN
    })
}

fn nap(rng: &mut Rng, most: u64) {
    std::thread::sleep(Duration::from_millis(rng.u64(1..most)));
}
