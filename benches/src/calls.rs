//! System calls per request, counted from outside, in a slice that nobody times.

use std::collections::BTreeMap;
use std::io;

use parkade_tests::syscalls::SyscallCounter;

use crate::fleet::Fleet;
use crate::procfs;

/// Requests on each connection while calls are counted.
const EACH: u64 = 400;

/// What was called, and for how many requests.
pub(crate) struct Calls {
    by_name: BTreeMap<String, u64>,
    requests: u64,
}

impl Calls {
    /// Traces the process tree of `pid` under a closed loop. Fails where tracing is not allowed.
    pub(crate) fn count(fleet: &mut Fleet, pid: u32, depth: usize) -> io::Result<Calls> {
        let requests = (fleet.len() * depth) as u64 * EACH;
        Self::during(pid, || {
            fleet.closed_loop(depth, requests, &mut |_| {})?;
            Ok(requests)
        })
    }

    /// Traces the process tree of `pid` under any load, which says how many requests it made.
    pub(crate) fn during(pid: u32, load: impl FnOnce() -> io::Result<u64>) -> io::Result<Calls> {
        let counters = procfs::tree(pid)
            .into_iter()
            .map(SyscallCounter::attach)
            .collect::<io::Result<Vec<_>>>()?;
        let requests = load()?;
        let mut by_name = BTreeMap::new();
        for counter in counters {
            for (name, n) in counter.stop() {
                *by_name.entry(name).or_default() += n;
            }
        }
        Ok(Calls { by_name, requests })
    }

    pub(crate) fn each(&self) -> f64 {
        self.by_name.values().sum::<u64>() as f64 / self.requests.max(1) as f64
    }

    /// `recvfrom 1.000, sendto 1.000, epoll_wait 0.016`: the most frequent first.
    pub(crate) fn text(&self) -> String {
        let mut all: Vec<_> = self.by_name.iter().collect();
        all.sort_by(|a, b| b.1.cmp(a.1));
        let each = |n: u64| n as f64 / self.requests.max(1) as f64;
        let all: Vec<_> = all
            .iter()
            .map(|(name, n)| format!("{name} {:.3}", each(**n)))
            .collect();
        all.join(", ")
    }
}
