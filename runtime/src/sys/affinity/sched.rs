//! Processors, by sched_setaffinity(2).

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// The processors that this process may use.
pub(crate) fn cpus() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|c| set.is_set(*c)).collect(),
        Err(_) => vec![0],
    }
}

/// From now on the calling thread runs on one processor only. Numbers that no processor can have are ignored.
pub(crate) fn bind(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Ok(());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}
