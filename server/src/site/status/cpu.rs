//! Processor time, as the kernel has counted it.

use crate::scoreboard::Board;
use std::sync::atomic::Ordering::Relaxed;

/// Seconds of processor time.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(super) struct Cpu {
    /// Of the supervisor and the children there are.
    pub(super) user: f64,
    pub(super) system: f64,
    /// Of children that have ended.
    pub(super) gone_user: f64,
    pub(super) gone_system: f64,
}

impl Cpu {
    pub(super) fn of(board: &Board) -> Self {
        let header = board.header();
        let micros = |n: u64| n as f64 / 1e6;
        let mut cpu = Self {
            gone_user: micros(header.gone_user.load(Relaxed)),
            gone_system: micros(header.gone_system.load(Relaxed)),
            ..Self::default()
        };
        let mut pids = vec![header.supervisor.load(Relaxed)];
        let family = board.family().flat_map(|(board, _)| board.children());
        pids.extend(family.map(|(_, child)| child.pid.load(Relaxed)));
        // With -X the supervisor is the child.
        pids.dedup();
        let second = rustix::param::clock_ticks_per_second().max(1) as f64;
        for pid in pids {
            // Where the kernel hides other users' processes, nothing is known of the supervisor.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let (user, system) = ticks(&stat).unwrap_or_default();
            cpu.user += user as f64 / second;
            cpu.system += system as f64 / second;
        }
        cpu
    }

    pub(super) fn total(&self) -> f64 {
        self.user + self.system + self.gone_user + self.gone_system
    }
}

/// User and system time of proc_pid_stat(5). The name may contain anything, so fields are counted behind it.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "17 (a b) 9 (c) S 1 2 3 4 5 6 7 8 9 10 41 42 0 0 20 0";
        assert_eq!(ticks(stat), Some((41, 42)));
        assert_eq!(ticks(""), None);
        let own = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert!(ticks(&own).is_some());
    }
}
