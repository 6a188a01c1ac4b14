//! What /proc says about a server: its processes and threads, CPU time, memory and wake-ups.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::{AddAssign, Sub};

/// CPU time of a process tree. `run_ns` is exact (schedstat); user and system are counted in ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) run_ns: u64,
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
}

impl Sub for Cpu {
    type Output = Cpu;
    fn sub(self, old: Cpu) -> Cpu {
        Cpu {
            // A thread that ended takes its time with it; saturate rather than report nonsense.
            run_ns: self.run_ns.saturating_sub(old.run_ns),
            user_ticks: self.user_ticks.saturating_sub(old.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(old.system_ticks),
        }
    }
}

impl Cpu {
    /// Total, user and system microseconds for each of `n` requests. The tick counts give the
    /// proportion and schedstat the amount, so the parts add up to the total.
    pub(crate) fn per_request(self, n: u64) -> (f64, f64, f64) {
        let total = self.run_ns as f64 / 1e3 / n.max(1) as f64;
        let ticks = (self.user_ticks + self.system_ticks).max(1) as f64;
        let user = total * self.user_ticks as f64 / ticks;
        (total, user, total * self.system_ticks as f64 / ticks)
    }
}

/// What a process tree has used of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) cpu: Cpu,
    /// Context switches: waits that ended, and turns that were cut short.
    pub(crate) woken: u64,
    pub(crate) forced: u64,
}

impl Sub for Used {
    type Output = Used;
    fn sub(self, old: Used) -> Used {
        Used {
            cpu: self.cpu - old.cpu,
            // As with the time of a thread that ended.
            woken: self.woken.saturating_sub(old.woken),
            forced: self.forced.saturating_sub(old.forced),
        }
    }
}

impl AddAssign for Used {
    fn add_assign(&mut self, more: Used) {
        self.cpu.run_ns += more.cpu.run_ns;
        self.cpu.user_ticks += more.cpu.user_ticks;
        self.cpu.system_ticks += more.cpu.system_ticks;
        self.woken += more.woken;
        self.forced += more.forced;
    }
}

/// All of it, so far.
pub(crate) fn used(root: u32) -> io::Result<Used> {
    let cpu = cpu(root)?;
    let (woken, forced) = switches(root);
    Ok(Used { cpu, woken, forced })
}

/// `root` and all processes below it.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while next < all.len() {
        let pid = all[next];
        next += 1;
        for tid in threads(&[pid]) {
            let children =
                fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
            all.extend(
                children
                    .split_whitespace()
                    .filter_map(|c| c.parse::<u32>().ok()),
            );
        }
    }
    all
}

/// All thread ids of these processes.
pub(crate) fn threads(pids: &[u32]) -> Vec<u32> {
    let mut all = Vec::new();
    for pid in pids {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        all.extend(
            entries
                .flatten()
                .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok()),
        );
    }
    all
}

/// CPU time used so far by every thread of the tree.
pub(crate) fn cpu(root: u32) -> io::Result<Cpu> {
    let mut sum = Cpu::default();
    let mut seen = false;
    for tid in threads(&tree(root)) {
        // /proc/TID works for every thread, though it is not listed.
        let Ok(schedstat) = fs::read_to_string(format!("/proc/{tid}/task/{tid}/schedstat")) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{tid}/task/{tid}/stat")) else {
            continue;
        };
        seen = true;
        sum.run_ns += number(schedstat.split_whitespace().next());
        // The name may hold spaces and brackets, so count from the last bracket.
        let mut fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11);
        sum.user_ticks += number(fields.next());
        sum.system_ticks += number(fields.next());
    }
    if seen {
        Ok(sum)
    } else {
        Err(io::Error::other(format!(
            "process {root}: not there, or /proc not readable"
        )))
    }
}

/// Voluntary and involuntary context switches of the tree: each voluntary one is a wake-up.
pub(crate) fn switches(root: u32) -> (u64, u64) {
    let (mut voluntary, mut forced) = (0, 0);
    for tid in threads(&tree(root)) {
        let status =
            fs::read_to_string(format!("/proc/{tid}/task/{tid}/status")).unwrap_or_default();
        for line in status.lines() {
            if let Some(n) = line.strip_prefix("voluntary_ctxt_switches:") {
                voluntary += number(Some(n.trim()));
            } else if let Some(n) = line.strip_prefix("nonvoluntary_ctxt_switches:") {
                forced += number(Some(n.trim()));
            }
        }
    }
    (voluntary, forced)
}

/// Private anonymous memory (`Pss_Anon`) of the tree in bytes.
pub(crate) fn pss_anon(root: u32) -> io::Result<u64> {
    let mut sum = 0;
    for pid in tree(root) {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path)
            .map_err(|e| io::Error::new(e.kind(), format!("{path}: {e}")))?;
        let kib = text
            .lines()
            .find_map(|l| l.strip_prefix("Pss_Anon:"))
            .and_then(|l| l.split_whitespace().next());
        sum += number(kib) * 1024;
    }
    Ok(sum)
}

/// Bytes in use per slab cache, or `None` where only root may read it.
pub(crate) fn slabs() -> Option<BTreeMap<String, u64>> {
    let text = fs::read_to_string("/proc/slabinfo").ok()?;
    let mut caches = BTreeMap::new();
    for line in text.lines().skip(2) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [name, active, _, size, ..] = fields[..] {
            caches.insert(name.to_owned(), number(Some(active)) * number(Some(size)));
        }
    }
    Some(caches)
}

/// Sockets in TIME_WAIT, all of this machine's; `None` where the kernel does not say.
pub(crate) fn time_wait() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = text.lines().find(|l| l.starts_with("TCP:"))?;
    let mut words = line.split_whitespace().skip_while(|w| *w != "tw");
    words.nth(1)?.parse().ok()
}

/// Soft limit of open descriptors of this process.
pub(crate) fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|t| t.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cpu_time_grows_while_computing() {
        let before = cpu(std::process::id()).unwrap();
        let mut x = 1_u64;
        for n in 0..20_000_000_u64 {
            x = std::hint::black_box(x.wrapping_mul(n | 1));
        }
        std::hint::black_box(x);
        assert!((cpu(std::process::id()).unwrap() - before).run_ns > 0);
    }

    #[test]
    fn children_belong_to_the_tree() {
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .spawn()
            .unwrap();
        assert!(tree(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_missing_process_is_an_error() {
        assert!(cpu(u32::MAX - 1).is_err());
    }
}
