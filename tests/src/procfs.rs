//! What /proc says about a process under test.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::time::Duration;

/// Thread ids of one process.
///
/// # Errors
/// The process is not there.
pub fn threads(pid: u32) -> io::Result<Vec<u32>> {
    ids(&format!("/proc/{pid}/task"))
}

/// Process ids of the direct children, of whichever thread.
///
/// # Errors
/// The process is not there.
pub fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut all = Vec::new();
    for tid in threads(pid)? {
        let list =
            fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
        all.extend(
            list.split_whitespace()
                .filter_map(|c| c.parse::<u32>().ok()),
        );
    }
    Ok(all)
}

/// How many descriptors the process has open.
///
/// # Errors
/// The process is not there, or is another user's.
pub fn descriptors(pid: u32) -> io::Result<usize> {
    ids(&format!("/proc/{pid}/fd")).map(|fds| fds.len())
}

/// The number that the process's next descriptor gets.
///
/// # Errors
/// The process is not there, or is another user's.
pub fn lowest_unused(pid: u32) -> io::Result<u32> {
    let used: HashSet<u32> = ids(&format!("/proc/{pid}/fd"))?.into_iter().collect();
    Ok((0..).find(|fd| !used.contains(fd)).unwrap_or(u32::MAX))
}

/// How many of the process's descriptors are TCP connections to this IPv4 port of its own, in whatever state.
///
/// # Errors
/// The process is not there, or is another user's.
pub fn connections(pid: u32, port: u16) -> io::Result<usize> {
    sockets(pid, port, false).map(|all| all.len())
}

/// The descriptors of the process that are TCP sockets with this IPv4 port of its own: listening ones, or connections.
///
/// # Errors
/// The process is not there, or is another user's.
pub fn sockets(pid: u32, port: u16, listening: bool) -> io::Result<Vec<u32>> {
    Ok(owned(pid, port, listening)?
        .into_iter()
        .map(|(fd, _)| fd)
        .collect())
}

/// The ports at the other end of the process's TCP connections to this IPv4 port of its own.
///
/// # Errors
/// The process is not there, or is another user's.
pub fn peers(pid: u32, port: u16) -> io::Result<HashSet<u16>> {
    Ok(owned(pid, port, false)?
        .into_iter()
        .map(|(_, peer)| peer)
        .collect())
}

/// Descriptor and remote port of the process's TCP sockets with this IPv4 port of its own.
fn owned(pid: u32, port: u16, listening: bool) -> io::Result<Vec<(u32, u16)>> {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp"))?;
    let local = format!(":{port:04X}");
    // sl, local, remote, state (0A: it listens), …, the inode as the tenth.
    let inodes: HashMap<&str, u16> = table
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>())
        .filter(|l| l.len() > 9 && l[1].ends_with(&local) && (l[3] == "0A") == listening)
        .filter_map(|l| {
            let peer = u16::from_str_radix(l[2].rsplit(':').next()?, 16).ok()?;
            Some((l[9], peer))
        })
        .collect();
    let folder = format!("/proc/{pid}/fd");
    let ours = ids(&folder)?.into_iter().filter_map(|fd| {
        let link = fs::read_link(format!("{folder}/{fd}")).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?;
        Some((fd, *inodes.get(inode.trim_end_matches(']'))?))
    });
    Ok(ours.collect())
}

/// The sockets that listen on this IPv4 port, as the process's network shows them: how many connections wait in the queue
/// of each.
///
/// # Errors
/// The process is not there.
pub fn queues(pid: u32, port: u16) -> io::Result<Vec<u64>> {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp"))?;
    let local = format!(":{port:04X}");
    // sl, local, remote, state (0A: it listens), tx_queue:rx_queue, …
    let waiting = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, address, _, "0A", queues, ..] = fields[..] else {
            return None;
        };
        let (_, waiting) = queues
            .split_once(':')
            .filter(|_| address.ends_with(&local))?;
        u64::from_str_radix(waiting, 16).ok()
    });
    Ok(waiting.collect())
}

/// Voluntary context switches of all threads: each is a time a thread went to sleep and was woken.
///
/// # Errors
/// The process is not there.
pub fn voluntary_switches(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for tid in threads(pid)? {
        let status =
            fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// Bytes of private anonymous memory (`Pss_Anon`): what the process itself has written, shared libraries left out.
///
/// # Errors
/// The process is not there, or is another user's.
pub fn anonymous(pid: u32) -> io::Result<u64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text =
        fs::read_to_string(&file).map_err(|e| io::Error::new(e.kind(), format!("{file}: {e}")))?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss_Anon:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other(format!("{file}: no Pss_Anon")))
}

/// The stacks of a process's threads in bytes: private memory that can be written, behind a guard that cannot be touched.
///
/// # Errors
/// The process is not there, or is another user's.
pub fn guarded(pid: u32) -> io::Result<Vec<u64>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut guard_ends = 0;
    let mut sizes = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let range = fields.next().and_then(|range| range.split_once('-'));
        let bounds = range.map(|(a, b)| (u64::from_str_radix(a, 16), u64::from_str_radix(b, 16)));
        let Some((Ok(start), Ok(end))) = bounds else {
            return Err(io::Error::other(format!("/proc/{pid}/maps: `{line}`")));
        };
        match fields.next() {
            Some("---p") => guard_ends = end,
            Some("rw-p") if guard_ends == start => sizes.push(end - start),
            _ => {}
        }
    }
    Ok(sizes)
}

/// User and system time of the process so far.
///
/// # Errors
/// The process is not there.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok());
    // SAFETY: sysconf has no preconditions.
    let second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100);
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok(Duration::from_millis((user + system) * 1000 / second)),
        _ => Err(io::Error::other(format!("/proc/{pid}/stat: `{stat}`"))),
    }
}

/// The value of a line of /proc/PID/status.
#[must_use]
pub fn status(pid: u32, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = |line: &str| {
        Some(
            line.strip_prefix(name)?
                .strip_prefix(':')?
                .trim()
                .to_owned(),
        )
    };
    text.lines().find_map(value)
}

/// True while the process exists and is not a zombie.
#[must_use]
pub fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold spaces and brackets; the state follows the last bracket.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn ids(folder: &str) -> io::Result<Vec<u32>> {
    let entries =
        fs::read_dir(folder).map_err(|e| io::Error::new(e.kind(), format!("{folder}: {e}")))?;
    Ok(entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect())
}
