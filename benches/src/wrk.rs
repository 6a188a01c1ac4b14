//! Warm keep-alive under wrk: a client that is not ours, and heavier than ours.

use std::io;
use std::process::Command;
use std::time::Instant;

use crate::fleet::histogram;
use crate::options::Options;
use crate::procfs;
use crate::sample::Sample;

/// Seconds of one slice: wrk counts time, not requests.
const SECONDS: u64 = 1;

/// One slice. Latencies stay with wrk.
pub(crate) fn measure(url: &str, pid: u32, options: &Options) -> io::Result<Sample> {
    let before = procfs::used(pid)?;
    let start = Instant::now();
    let requests = load(url, options.connections)?;
    Ok(Sample {
        requests,
        seconds: start.elapsed().as_secs_f64(),
        used: procfs::used(pid)? - before,
        latency: histogram()?,
    })
}

/// Runs wrk for a slice; how many requests it made. Fails if any failed.
pub(crate) fn load(url: &str, connections: usize) -> io::Result<u64> {
    let out = Command::new("wrk")
        .args([
            "-t1",
            &format!("-c{connections}"),
            &format!("-d{SECONDS}"),
            url,
        ])
        .output()
        .map_err(|e| io::Error::new(e.kind(), format!("wrk: {e}; Debian has it as wrk")))?;
    let text = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() {
        let why = String::from_utf8_lossy(&out.stderr);
        return Err(io::Error::other(format!("wrk: {}: {why}", out.status)));
    }
    requests(&text).map_err(io::Error::other)
}

fn requests(text: &str) -> Result<u64, String> {
    let bad = |line: &&str| line.contains("Socket errors") || line.contains("Non-2xx");
    if let Some(line) = text.lines().find(bad) {
        return Err(format!("wrk: {}", line.trim()));
    }
    text.lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .and_then(|(n, _)| n.parse().ok())
        .ok_or_else(|| format!("wrk said nothing of its requests:\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_understood_and_failures_are_none_of_its_requests() {
        let fine = "Running 1s test @ http://h/\n  1 threads and 64 connections\n  107961 requests in 1.00s, 13.4MB read\n";
        assert_eq!(requests(fine), Ok(107_961));
        let failed = format!("{fine}  Socket errors: connect 0, read 3, write 0, timeout 0\n");
        assert!(requests(&failed).is_err_and(|e| e.contains("read 3")));
        assert!(requests("").is_err());
    }
}
