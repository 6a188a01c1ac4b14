//! What must be true when the chaos is over: every counter at zero, and nothing left behind.

use super::client::World;
use super::site::Settings;
use super::subject::Subject;
use crate::server::signal;
use crate::{procfs, ready};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// Reserve threads that have helped out keep a pollset and what wakes it.
const RESERVES: usize = 4;

/// What the machine held before the server was started, and how many descriptors the server had once it served.
pub(super) struct Before {
    machine: BTreeSet<String>,
    supervisor: usize,
    child: usize,
    children: usize,
}

impl Before {
    /// The shared objects of the machine, before the server starts.
    pub(super) fn look() -> Before {
        Before {
            machine: machine(),
            supervisor: 0,
            child: 0,
            children: 0,
        }
    }

    pub(super) fn serving(&mut self, subject: &Subject) -> io::Result<()> {
        (self.supervisor, self.child) = descriptors(subject)?;
        self.children = subject.children().len();
        Ok(())
    }
}

/// Takes the server back to its first configuration, looks, ends it, and looks again.
pub(super) fn check(subject: &mut Subject, world: &World, before: &Before) -> io::Result<()> {
    let ledger = &world.ledger;
    subject.settings = Settings::first();
    subject.configure(&subject.settings.text())?;
    let old = subject.children();
    signal(subject.pid(), libc::SIGUSR1);
    let mut now = Vec::new();
    let alone = ready::until("the last generation alone", PATIENCE, || {
        now = subject.children();
        !now.is_empty() && !now.iter().any(|pid| old.contains(pid))
    });
    if alone.is_err() {
        let state = |pid: &u32| {
            format!(
                "{pid} {}",
                procfs::status(*pid, "State").unwrap_or_default()
            )
        };
        let states: Vec<_> = now.iter().map(state).collect();
        ledger.wrong(format_args!(
            "children are {states:?}, before the last restart {old:?}"
        ));
    }

    // The one that asks is busy.
    let zeros = [
        ("BusyWorkers", "1"),
        ("ConnsTotal", "1"),
        ("ConnsAsyncWaitIO", "0"),
        ("ConnsAsyncWriting", "0"),
        ("ConnsAsyncKeepAlive", "0"),
        ("ConnsAsyncClosing", "0"),
        ("Stopping", "0"),
    ];
    let mut off = Vec::new();
    let idle = ready::until("counters at zero", PATIENCE, || {
        let figures = subject.figures();
        off = zeros
            .iter()
            .map(|(key, value)| (*key, *value, figures.get(*key).cloned().unwrap_or_default()))
            .filter(|(_, value, is)| value != is)
            .collect();
        off.is_empty()
    });
    if idle.is_err() {
        ledger.wrong(format_args!("counters (name, expected, is): {off:?}"));
    }
    let (mut supervisor, mut child) = (0, 0);
    let given_back = ready::until("descriptors given back", PATIENCE, || {
        (supervisor, child) = descriptors(subject).unwrap_or_default();
        // A child more has a channel of its own.
        let more = subject.children().len().saturating_sub(before.children);
        supervisor <= before.supervisor + more && child <= before.child + RESERVES
    });
    if given_back.is_err() {
        ledger.wrong(format_args!(
            "descriptors: supervisor {} at first and {supervisor} at last, a child {} and {child}",
            before.supervisor, before.child
        ));
        for pid in subject.children().into_iter().chain([subject.pid()]) {
            ledger.wrong(format_args!("{pid} has {:?}", links(pid)));
        }
    }

    let port = subject.prepared.address().port();
    subject.end()?;
    let left = ready::until("the end of all processes", PATIENCE, || {
        reap();
        procfs::children(std::process::id()).is_ok_and(|c| c.is_empty())
    });
    if left.is_err() {
        let pids = procfs::children(std::process::id()).unwrap_or_default();
        ledger.wrong(format_args!("processes are left: {pids:?}"));
        pids.into_iter().for_each(|pid| signal(pid, libc::SIGKILL));
    }
    let queues = procfs::queues(std::process::id(), port)?;
    if !queues.is_empty() {
        ledger.wrong(format_args!("somebody still listens at port {port}"));
    }
    let run: Vec<_> = fs::read_dir(subject.prepared.root().join("run"))?
        .flatten()
        .map(|e| e.path())
        .collect();
    if !run.is_empty() {
        ledger.wrong(format_args!("files are left: {run:?}"));
    }
    let new: Vec<_> = machine().difference(&before.machine).cloned().collect();
    if !new.is_empty() {
        ledger.wrong(format_args!("shared objects are left: {new:?}"));
    }
    Ok(())
}

/// Descriptors of the supervisor, and the most that a child has.
fn descriptors(subject: &Subject) -> io::Result<(usize, usize)> {
    let most = subject
        .children()
        .into_iter()
        .filter_map(|pid| procfs::descriptors(pid).ok())
        .max();
    Ok((procfs::descriptors(subject.pid())?, most.unwrap_or(0)))
}

/// What a process has open.
fn links(pid: u32) -> Vec<String> {
    let all = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let link = |e: fs::DirEntry| {
        let to = fs::read_link(e.path()).unwrap_or_default();
        format!("{} {}", e.file_name().to_string_lossy(), to.display())
    };
    all.flatten().map(link).collect()
}

/// Shared memory and semaphores of all kinds.
fn machine() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        all.insert(entry.path().display().to_string());
    }
    for kind in ["shm", "sem", "msg"] {
        let table = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let id = line.split_whitespace().nth(1).unwrap_or_default();
            all.insert(format!("{kind} {id}"));
        }
    }
    all
}

/// Takes the exit status of whoever was left to this process.
pub(super) fn reap() {
    loop {
        // SAFETY: a null pointer asks for no status.
        let pid = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
        if pid <= 0 {
            return;
        }
    }
}
