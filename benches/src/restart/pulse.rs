//! Scale-down a hundred times under load: pulses of requests that hold their slots make the server grow, and when each is
//! over it shrinks by a child a second.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use parkade_tests::client;

use super::{PATIENCE, children};
use crate::report::progress;

/// Children without load, and at most; the configuration of this case, behind what all cases have. Each child has 8 slots
/// and shows 4 idle threads, so that it has free slots where it has no idle threads.
pub(super) const LEAST: usize = 10;
const MOST: usize = 32;
pub(super) const DIRECTIVES: &str =
    "ServerLimit 32\nThreadsPerChild 4\nMaxClients 256\nMinSpareThreads 32\nMaxSpareThreads 40\n";
/// Requests of a pulse for each child there is. They come one by one as children do: what is measured is not a server
/// that is overloaded.
const EACH: usize = 6;
/// A pulse lasts until there are as many children as there may be, but not longer.
const LONGEST: Duration = Duration::from_secs(12);
/// What its requests ask for: each holds a slot.
const HOLD: &str = "GET /push?wait=8000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Requests that hold slots.
struct Pulse {
    began: Instant,
    streams: Vec<TcpStream>,
}

/// Waits until `count` children have left; the server has `least` of them without load.
pub(super) fn leave(
    server: u32,
    address: SocketAddr,
    least: usize,
    count: usize,
) -> io::Result<Vec<Duration>> {
    let mut seen: HashSet<u32> = children(server).into_iter().collect();
    let bar = progress(count as u64, "scaled down");
    let mut pulse: Option<Pulse> = None;
    let mut times = Vec::new();
    let mut last = Instant::now();
    while times.len() < count {
        let now: HashSet<u32> = children(server).into_iter().collect();
        for _ in seen.difference(&now) {
            times.push(last.elapsed());
            last = Instant::now();
            bar.inc(1);
        }
        seen = now;
        match &mut pulse {
            None if seen.len() <= least => {
                pulse = Some(Pulse {
                    began: Instant::now(),
                    streams: Vec::new(),
                });
            }
            Some(one) if seen.len() >= MOST || one.began.elapsed() > LONGEST => {
                end(std::mem::take(&mut one.streams))?;
                pulse = None;
                last = Instant::now();
            }
            Some(one) if one.streams.len() < EACH * seen.len() => {
                one.streams.push(hold(address)?);
            }
            _ => {}
        }
        if last.elapsed() > PATIENCE {
            let (gone, left) = (times.len(), seen.len());
            let text = format!("only {gone} children were scaled down, there are {left}");
            return Err(io::Error::other(text));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bar.finish_and_clear();
    Ok(times)
}

fn hold(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = client::connect(address)?;
    stream.write_all(HOLD.as_bytes())?;
    Ok(stream)
}

/// Hears all answers: none may be missing.
fn end(streams: Vec<TcpStream>) -> io::Result<()> {
    for mut stream in streams {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            let text = String::from_utf8_lossy(&answer).into_owned();
            return Err(io::Error::other(format!("a request of a pulse: `{text}`")));
        }
    }
    Ok(())
}
