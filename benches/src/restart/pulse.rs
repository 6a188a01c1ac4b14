//! Scale-down a hundred times under load: pulses of requests that hold their slots make the server grow, and when each is
//! over it shrinks by a child a second.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{PATIENCE, children};
use crate::report::progress;

/// Children at most, and threads of each; the configuration of this case, behind what all cases have.
pub(super) const MOST: usize = 20;
pub(super) const DIRECTIVES: &str =
    "ServerLimit 20\nThreadsPerChild 4\nMaxClients 80\nMinSpareThreads 8\nMaxSpareThreads 16\n";
/// Requests of one pulse: with them fewer than 8 of 64 threads are idle, so that 17 children are not enough.
const HELD: usize = 70;
/// What they ask for. Each holds its slot for longer than the server takes to grow.
const HOLD: &str = "GET /push?wait=6000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Waits until `count` children have left; the server has `least` of them without load.
pub(super) fn leave(
    server: u32,
    address: SocketAddr,
    least: usize,
    count: usize,
) -> io::Result<Vec<Duration>> {
    let mut seen: HashSet<u32> = children(server).into_iter().collect();
    let bar = progress(count as u64, "scaled down");
    let mut pulse: Vec<TcpStream> = Vec::new();
    let mut times = Vec::new();
    let mut last = Instant::now();
    while times.len() < count {
        let now: HashSet<u32> = children(server).into_iter().collect();
        for _ in seen.difference(&now) {
            times.push(last.elapsed());
            last = Instant::now();
            bar.inc(1);
        }
        if now.len() <= least && pulse.is_empty() {
            pulse = begin(address)?;
            last = Instant::now();
        } else if now.len() >= MOST && !pulse.is_empty() {
            end(std::mem::take(&mut pulse))?;
            last = Instant::now();
        }
        seen = now;
        if last.elapsed() > PATIENCE {
            let gone = times.len();
            let text = format!(
                "only {gone} children were scaled down, there are {}",
                seen.len()
            );
            return Err(io::Error::other(text));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bar.finish_and_clear();
    end(pulse)?;
    Ok(times)
}

fn begin(address: SocketAddr) -> io::Result<Vec<TcpStream>> {
    let one = |_| {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(HOLD.as_bytes())?;
        Ok(stream)
    };
    (0..HELD).map(one).collect()
}

/// Hears all answers: none may be missing.
fn end(pulse: Vec<TcpStream>) -> io::Result<()> {
    for mut stream in pulse {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            let text = String::from_utf8_lossy(&answer).into_owned();
            return Err(io::Error::other(format!("a request of a pulse: `{text}`")));
        }
        let _ = stream.shutdown(Shutdown::Both);
    }
    Ok(())
}
