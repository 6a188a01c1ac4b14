//! Pinning the load driver and whole servers to one core each.

use std::io;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::procfs;

/// Cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Pins the calling thread.
pub(crate) fn pin_self(core: usize) -> io::Result<()> {
    pin(None, core)
}

/// The calling thread is pinned while this value lives: servers that are started later must not inherit it.
pub(crate) struct Pinned(CpuSet);

impl Pinned {
    pub(crate) fn to(core: usize) -> io::Result<Pinned> {
        let before = sched_getaffinity(None)?;
        pin_self(core)?;
        Ok(Pinned(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What was allowed before is allowed again.
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// Pins every thread of `pid` and of its descendants.
pub(crate) fn pin_tree(pid: u32, core: usize) -> io::Result<()> {
    // Twice, for a thread born while the first pass read the list.
    for _ in 0..2 {
        for tid in procfs::threads(&procfs::tree(pid)) {
            match pin(Pid::from_raw(tid as i32), core) {
                // The thread has ended since it was listed.
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
                other => other?,
            }
        }
    }
    Ok(())
}

fn pin(tid: Option<Pid>, core: usize) -> io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(io::Error::other(format!(
            "core {core}: beyond what an affinity mask can name"
        )));
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(tid, &set)
        .map_err(|e| io::Error::other(format!("pinning to core {core}: {e}")))
}
