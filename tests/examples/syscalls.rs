//! Counts the system calls of a process for some seconds: `syscalls PID [SECONDS]`.

use std::io;
use std::time::Duration;

use parkade_tests::syscalls::SyscallCounter;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|a| a.parse::<u32>().map_err(io::Error::other));
    let pid = arguments
        .next()
        .ok_or_else(|| io::Error::other("usage: syscalls PID [SECONDS]"))??;
    let seconds = arguments.next().unwrap_or(Ok(5))?;
    let counter = SyscallCounter::attach(pid)?;
    std::thread::sleep(Duration::from_secs(u64::from(seconds.min(3600))));
    for (name, count) in counter.stop() {
        println!("{count:>12} {name}");
    }
    Ok(())
}
