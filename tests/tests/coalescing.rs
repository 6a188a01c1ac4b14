//! `WakeCoalescing`, seen from outside: fewer waits for the same requests, and nobody waits longer than its bound.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::client;
use parkade_tests::server::Server;
use parkade_tests::syscalls::SyscallCounter;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_millis(10);
/// Requests, one each [`APART`], on as many connections.
const REQUESTS: usize = 300;
const APART: Duration = Duration::from_millis(1);
/// A client may lose its processor.
const ATTEMPTS: usize = 10;

fn server(more: &str) -> Server {
    let configuration = format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         StartServers 1\nThreadsPerChild 1\nMaxKeepAliveRequests 0\n{more}\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n"
    );
    Server::start(&configuration, &[("site/a.txt", b"Hello, World!")]).unwrap()
}

/// Waits for each request, and the median time to an answer. `None` where nobody may trace.
fn measure(server: &Server) -> Option<(f64, Duration)> {
    let mut streams: Vec<_> = (0..REQUESTS)
        .map(|_| client::connect(server.address()).unwrap())
        .collect();
    let ask = |stream: &mut TcpStream| {
        let request = b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(request).unwrap();
    };
    for stream in &mut streams {
        ask(stream);
        assert_eq!(client::read(stream, false).unwrap().status, 200);
    }
    let counter = SyscallCounter::attach(server.children().unwrap()[0])
        .inspect_err(|e| eprintln!("skipped: this machine does not let us trace: {e}"))
        .ok()?;
    let answers = streams.iter().map(|s| s.try_clone().unwrap()).collect();
    let (tell, asked) = std::sync::mpsc::channel();
    // Whoever reads must not hold up whoever asks.
    let reader = std::thread::spawn(move || {
        let answers: Vec<TcpStream> = answers;
        let mut times = Vec::new();
        for mut answer in answers {
            let asked: Instant = asked.recv().unwrap();
            assert_eq!(client::read(&mut answer, false).unwrap().status, 200);
            times.push(asked.elapsed());
        }
        times
    });
    let start = Instant::now();
    for (n, stream) in streams.iter_mut().enumerate() {
        let due = start + APART * n as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        ask(stream);
        tell.send(Instant::now()).unwrap();
    }
    let mut times = reader.join().unwrap();
    let calls = counter.stop();
    let waits: u64 = ["epoll_wait", "epoll_pwait", "epoll_pwait2"]
        .iter()
        .filter_map(|call| calls.get(*call))
        .sum();
    times.sort();
    Some((waits as f64 / REQUESTS as f64, times[REQUESTS / 2]))
}

#[test]
fn one_wait_does_for_several_and_no_answer_waits_longer_than_the_bound() {
    let (with, without) = (server("WakeCoalescing 10ms"), server(""));
    for attempt in 1..=ATTEMPTS {
        let Some((few, late)) = measure(&with) else {
            return;
        };
        let Some((many, _)) = measure(&without) else {
            return;
        };
        let said = format!("{few} and {many} waits for each request, after {late:?}");
        if few < 0.5 * many && late < BOUND + Duration::from_millis(5) {
            return;
        }
        assert!(attempt < ATTEMPTS, "{said}");
    }
}
