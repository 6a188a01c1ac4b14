//! Scenarios of the specification of the event MPM that have no better place, by their names; README.md beside this
//! file says where each of the others is.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::clock::Clock;
use parkade_tests::server::{Server, signal};
use parkade_tests::syscalls::SyscallCounter;
use parkade_tests::{client, procfs, ready};
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

fn start(more: &str, files: &[(&str, &[u8])]) -> Server {
    start_with(more, files, |_| {})
}

fn start_with(more: &str, files: &[(&str, &[u8])], change: impl FnOnce(&mut Command)) -> Server {
    let configuration = format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         LogLevel debug\nMaxKeepAliveRequests 0\nDocumentRoot {{root}}/site\n\
         <Directory {{root}}>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n\
         <Location /server-status>\n  SetHandler server-status\n</Location>\n{more}\n"
    );
    Server::start_with(&configuration, files, change).unwrap()
}

const SMALL: &[(&str, &[u8])] = &[
    ("site/a.txt", b"a"),
    ("site/b.txt", b"b"),
    ("site/c.txt", b"c"),
];

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

fn send(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = client::connect(server.address()).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// A connection that has had an answer and is parked now.
fn parked(server: &Server) -> TcpStream {
    let mut stream = send(server, &get("/a.txt"));
    assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
    stream
}

fn pid_behind(stream: &mut TcpStream) -> u32 {
    stream.write_all(&get("/push?pid")).unwrap();
    let body = client::read(stream, false).unwrap().body;
    String::from_utf8_lossy(&body).trim().parse().unwrap()
}

/// The status page for programs, asked for on this connection.
fn figures(stream: &mut TcpStream) -> HashMap<String, String> {
    stream.write_all(&get("/server-status?auto")).unwrap();
    let body = client::read(stream, false).unwrap().body;
    let text = String::from_utf8(body).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// Waits until the page says all this.
fn shows(asking: &mut TcpStream, all: &[(&str, &str)]) {
    let mut seen = HashMap::new();
    let found = ready::until("the right figures", PATIENCE, || {
        seen = figures(asking);
        all.iter().all(|(key, value)| seen[*key] == *value)
    });
    assert!(found.is_ok(), "{all:?}: {seen:?}");
}

/// How long until the peer ends the connection; what it sends until then is thrown away.
fn until_closed(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    stream.set_read_timeout(Some(PATIENCE * 2)).unwrap();
    io::copy(stream, &mut io::sink()).unwrap();
    began.elapsed()
}

#[test]
fn park_frees_worker() {
    let server = start(
        "StartServers 1\nThreadsPerChild 2\nServerLimit 1\nMaxClients 2\nKeepAliveTimeout 300",
        SMALL,
    );
    let _all: Vec<_> = (0..20).map(|_| parked(&server)).collect();
    let mut asking = client::connect(server.address()).unwrap();
    let figures = [
        ("ConnsAsyncKeepAlive", "20"),
        ("BusyWorkers", "1"),
        ("IdleWorkers", "1"),
    ];
    shows(&mut asking, &figures);
}

#[test]
fn park_no_wakeup() {
    let server = start(
        "StartServers 1\nThreadsPerChild 1\nKeepAliveTimeout 300\nMaxKeepAliveRequests 0",
        SMALL,
    );
    let mut stream = parked(&server);
    let child = server.children().unwrap()[0];
    let counter = match SyscallCounter::attach(child) {
        Ok(counter) => counter,
        Err(e) => return eprintln!("skipped: this machine does not let us trace: {e}"),
    };
    for n in 0..20 {
        if n == 5 {
            counter.reset();
        }
        stream.write_all(&get("/a.txt")).unwrap();
        assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
        // Long enough to be parked, and not only waited for.
        std::thread::sleep(Duration::from_millis(20));
    }
    let calls = counter.stop();
    assert!(
        !calls.contains_key("epoll_ctl") && !calls.contains_key("write"),
        "parking is no system call: {calls:?}"
    );
}

#[test]
fn ka_rings_per_vhost() {
    let port = ready::free_address().unwrap();
    let host = |name: &str, seconds: u32| {
        format!(
            "<VirtualHost {port}>\nServerName {name}\nDocumentRoot {{root}}/site\nKeepAliveTimeout {seconds}\n</VirtualHost>\n"
        )
    };
    let more = format!(
        "Listen {port}\nStartServers 1\n{}{}",
        host("short", 1),
        host("long", 4)
    );
    let server = start(&more, SMALL);
    let took = |name: &str| {
        let mut stream = client::connect(port).unwrap();
        let request = format!("GET /a.txt HTTP/1.1\r\nHost: {name}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
        until_closed(&mut stream)
    };
    let (long, short) = std::thread::scope(|scope| {
        let short = scope.spawn(|| took("short"));
        (took("long"), short.join().unwrap())
    });
    assert!(short >= Duration::from_millis(900), "{short:?}");
    assert!(long >= Duration::from_millis(3_900), "{long:?}");
    assert!(short < long, "{short:?}, {long:?}");
    drop(server);
}

#[test]
fn pipelining() {
    let server = start(
        "StartServers 2\nThreadsPerChild 2\nKeepAliveTimeout 300",
        SMALL,
    );
    let all = [get("/a.txt"), get("/b.txt"), get("/c.txt")].concat();
    let mut stream = send(&server, &all);
    for body in [b"a", b"b", b"c"] {
        let response = client::read(&mut stream, false).unwrap();
        assert_eq!((response.status, &response.body[..]), (200, &body[..]));
    }
    let mut asking = client::connect(server.address()).unwrap();
    shows(&mut asking, &[("ConnsAsyncKeepAlive", "1")]);
    pid_behind(&mut stream);
}

#[test]
fn write_completion() {
    let big = vec![b'x'; 20_000_000];
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nMaxClients 1\nSendBufferSize 8192\nTimeout 2",
        &[("site/a.txt", b"a"), ("site/big", &big)],
    );
    let mut stalled = send(&server, &get("/big"));
    let mut asking = client::connect(server.address()).unwrap();
    // The only slot is the one that asks: the answer that is not read holds none.
    let figures = [("ConnsAsyncWriting", "1"), ("BusyWorkers", "1")];
    shows(&mut asking, &figures);
    assert_eq!(server.get("/a.txt").unwrap().body, b"a");
    shows(
        &mut asking,
        &[("ConnsAsyncWriting", "0"), ("ConnsTotal", "1")],
    );
    let mut got = Vec::new();
    let _ = stalled.read_to_end(&mut got);
    assert!(got.len() < big.len(), "Timeout has cut it");
}

const UPLOAD: usize = 10_000_000;

/// A server that has refused an upload, of which only the head has come.
fn refused() -> (Server, TcpStream, TcpStream) {
    let server = start("StartServers 1\nLimitRequestBody 1000\nTimeout 300", SMALL);
    let head = format!("POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n");
    let stream = send(&server, head.as_bytes());
    let asking = client::connect(server.address()).unwrap();
    (server, stream, asking)
}

#[test]
fn linger_413() {
    let (_server, mut stream, mut asking) = refused();
    shows(&mut asking, &[("ConnsAsyncClosing", "1")]);
    // It is read on, so that no reset eats the answer.
    let piece = vec![b'x'; UPLOAD / 10];
    for _ in 0..9 {
        stream.write_all(&piece).unwrap();
        // A worker that reads holds it for a moment.
        shows(&mut asking, &[("ConnsAsyncClosing", "1")]);
    }
    assert_eq!(client::read(&mut stream, false).unwrap().status, 413);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    drop(stream);
    shows(
        &mut asking,
        &[("ConnsAsyncClosing", "0"), ("ConnsTotal", "1")],
    );
}

#[test]
fn linger_bound() {
    let (_server, mut stream, mut asking) = refused();
    assert_eq!(client::read(&mut stream, false).unwrap().status, 413);
    shows(&mut asking, &[("ConnsAsyncClosing", "1")]);
    let began = Instant::now();
    // The client never closes.
    let gone = ready::until("its end", PATIENCE * 2, || {
        std::thread::sleep(Duration::from_millis(100));
        figures(&mut asking)["ConnsAsyncClosing"] == "0"
    });
    gone.unwrap();
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(25)..Duration::from_secs(45)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn busy_cull_fin() {
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 2\nMaxClients 2\nKeepAliveTimeout 300",
        SMALL,
    );
    let mut resting = parked(&server);
    let mut asking = client::connect(server.address()).unwrap();
    let mut first = send(&server, &get("/push?wait=1500"));
    shows(&mut asking, &[("BusyWorkers", "2")]);
    let mut second = send(&server, &get("/push?wait=1000"));
    let mut late = send(&server, &get("/b.txt"));
    std::thread::sleep(Duration::from_millis(300));
    // Nobody is sent away to make room: it waits for a slot, and the parked one costs none.
    resting.set_nonblocking(true).unwrap();
    let quiet = resting.read(&mut [0]).unwrap_err();
    assert_eq!(quiet.kind(), io::ErrorKind::WouldBlock);
    resting.set_nonblocking(false).unwrap();
    for stream in [&mut first, &mut second, &mut late] {
        assert_eq!(client::read(stream, false).unwrap().status, 200);
    }
    pid_behind(&mut resting);
}

#[test]
fn silent_connects() {
    let server = start(
        "StartServers 1\nThreadsPerChild 1\nServerLimit 1\nMaxClients 2\nRequestReadTimeout header=2",
        SMALL,
    );
    let mut silent: Vec<_> = (0..100)
        .map(|_| client::connect(server.address()).unwrap())
        .collect();
    let mut asking = client::connect(server.address()).unwrap();
    let figures = [("BusyWorkers", "1"), ("ConnsTotal", "101")];
    shows(&mut asking, &figures);
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
    for stream in &mut silent {
        assert_eq!(
            stream.read(&mut [0; 16]).unwrap(),
            0,
            "closed without a word"
        );
    }
}

#[test]
fn graceful_drain() {
    let big: Vec<u8> = (0..20_000_000_u32).map(|n| (n / 7) as u8).collect();
    let server = start(
        "StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 300\nSendBufferSize 8192",
        &[("site/a.txt", b"a"), ("site/big", &big)],
    );
    let mut resting = parked(&server);
    let old = pid_behind(&mut resting);
    let mut slow = send(&server, &get("/big"));
    let mut busy = send(&server, &get("/push?wait=3000"));
    let mut asking = client::connect(server.address()).unwrap();
    shows(
        &mut asking,
        &[("ConnsAsyncWriting", "1"), ("BusyWorkers", "2")],
    );
    signal(server.pid(), libc::SIGUSR1);
    ready::until("the parked one with another process", PATIENCE, || {
        pid_behind(&mut resting) != old
    })
    .unwrap();
    // The old one finishes what it has begun, and is seen to.
    shows(&mut resting, &[("Stopping", "1"), ("GracefulWorkers", "1")]);
    let letters = figures(&mut resting)["Scoreboard"].clone();
    assert!(letters.contains('G'), "{letters}");
    assert!(procfs::alive(old));
    assert_eq!(client::read(&mut busy, false).unwrap().status, 200);
    let response = client::read(&mut io::BufReader::new(&slow), false).unwrap();
    assert!(response.body == big, "{} bytes came", response.body.len());
    ready::until("the old child's end", PATIENCE, || !procfs::alive(old)).unwrap();
    // It was not the end of its connection.
    assert_ne!(pid_behind(&mut slow), old);
}

/// Threads may stay until the child ends (the specification's last page): it ends with its last request, long before any
/// deadline, and until then no thread of it is busy but the one that answers.
#[test]
fn graceful_early_exit() {
    let server = start(
        "StartServers 1\nThreadsPerChild 4\nKeepAliveTimeout 300\nGracefulDrainTimeout 60",
        SMALL,
    );
    let mut resting: Vec<_> = (0..20).map(|_| parked(&server)).collect();
    let old = pid_behind(&mut resting[0]);
    let threads = procfs::threads(old).unwrap().len();
    let mut busy = send(&server, &get("/push?wait=1500"));
    let mut asking = client::connect(server.address()).unwrap();
    shows(&mut asking, &[("BusyWorkers", "2")]);
    signal(server.pid(), libc::SIGUSR1);
    for stream in &mut resting {
        ready::until("the parked ones with another process", PATIENCE, || {
            pid_behind(stream) != old
        })
        .unwrap();
    }
    assert!(procfs::threads(old).unwrap().len() <= threads);
    assert_eq!(client::read(&mut busy, false).unwrap().status, 200);
    let answered = Instant::now();
    ready::until("the old child's end", PATIENCE, || !procfs::alive(old)).unwrap();
    let left = answered.elapsed();
    assert!(
        left < Duration::from_secs(5),
        "{left:?} after its last answer"
    );
}

#[test]
fn race_park_vs_timeout() {
    let server = start(
        "StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 30ms\nMaxKeepAliveRequests 0",
        SMALL,
    );
    let (mut answered, mut closed) = (0, 0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4_u64)
            .map(|n| {
                let server = &server;
                scope.spawn(move || {
                    let (mut answered, mut closed) = (0, 0);
                    for round in 0..100 {
                        let mut stream = parked(server);
                        // Around the moment of its end.
                        let ms = 28 + (round + n) % 24;
                        std::thread::sleep(Duration::from_millis(ms));
                        let sent = stream.write_all(&get("/a.txt"));
                        match sent.and_then(|()| client::read(&mut stream, false)) {
                            Ok(response) => {
                                assert_eq!(response.status, 200);
                                answered += 1;
                            }
                            // A close, and no piece of an answer.
                            Err(_) => closed += 1,
                        }
                    }
                    (answered, closed)
                })
            })
            .collect();
        for client in clients {
            let (a, c) = client.join().unwrap();
            answered += a;
            closed += c;
        }
    });
    assert_eq!(answered + closed, 400);
    assert!(closed > 0, "{answered} answered, {closed} closed");
    ready::until("nobody left", PATIENCE, || {
        let mut asking = client::connect(server.address()).unwrap();
        figures(&mut asking)["ConnsTotal"] == "1"
    })
    .unwrap();
}

/// Seconds of the day in a `Date` field or a log line: its last `HH:MM:SS`, as a year may stand before one.
fn clock_in(text: &str) -> u32 {
    let at = text.match_indices(':').map(|(at, _)| at);
    let mut found = at.filter_map(|at| {
        let clock = text.get(at.checked_sub(2)?..at + 6)?;
        let parts: Vec<u32> = clock.split(':').map_while(|p| p.parse().ok()).collect();
        (parts.len() == 3).then(|| parts[0] * 3600 + parts[1] * 60 + parts[2])
    });
    found.next_back().unwrap()
}

/// Whether `later` is an hour before `earlier`, give or take what a test may last; midnight may lie between.
fn an_hour_back(earlier: &str, later: &str) -> bool {
    let back = (clock_in(earlier) + 86_400 - clock_in(later)) % 86_400;
    (3_600 - 120..=3_600).contains(&back)
}

#[test]
fn backward_clock() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let Some(clock) = Clock::new(folder.path()).unwrap() else {
        return;
    };
    let server = start_with(
        "StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 2\nCustomLog {root}/x.log \"%t %U\"\n\
         <Location /denied>\n  Require all denied\n</Location>",
        SMALL,
        |command| clock.rule(command),
    );
    let ask = |stream: &mut TcpStream, path: &str| {
        stream.write_all(&get(path)).unwrap();
        let answer = client::read(stream, false).unwrap();
        answer.header("date").unwrap().to_owned()
    };
    let ends = |mut stream: TcpStream| {
        let began = Instant::now();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        assert!(began.elapsed() < PATIENCE);
    };
    let mut before = client::connect(server.address()).unwrap();
    let date = ask(&mut before, "/a.txt");
    let mut held = send(&server, &get("/push?wait=1500"));
    ask(&mut client::connect(server.address()).unwrap(), "/denied/1");
    fs::write(&clock.back, "").unwrap();

    // The date follows within a second, on a connection that lived before and on one that did not.
    let mut after = client::connect(server.address()).unwrap();
    ready::until("a date an hour back", PATIENCE, || {
        an_hour_back(&date, &ask(&mut after, "/b.txt"))
    })
    .unwrap();
    ask(&mut client::connect(server.address()).unwrap(), "/denied/2");
    assert_eq!(client::read(&mut held, false).unwrap().status, 200);
    // Nobody is forgotten, and nobody is sent away for the hour that seems to be missing.
    ends(before);
    ends(after);
    ends(held);

    let line = |log: &str, part: &str| {
        let mut found = None;
        ready::until(part, PATIENCE, || {
            let text = server.text(log);
            found = text.lines().find(|l| l.contains(part)).map(str::to_owned);
            found.is_some()
        })
        .unwrap();
        found.unwrap()
    };
    for (log, first, last) in [
        ("x.log", " /a.txt", " /b.txt"),
        ("error.log", ": /denied/1", ": /denied/2"),
    ] {
        // The first line behind the step may still be of the second before.
        let last = line(log, last);
        let last = server
            .text(log)
            .lines()
            .rfind(|l| l.ends_with(last.split(' ').next_back().unwrap()))
            .unwrap()
            .to_owned();
        assert!(an_hour_back(&line(log, first), &last), "{log}: {last}");
    }
    let uptime = figures(&mut client::connect(server.address()).unwrap())["ServerUptimeSeconds"]
        .parse::<u64>()
        .unwrap();
    assert!(uptime < 600, "{uptime}");
    let mut server = server;
    assert!(server.stop().unwrap().success());
}
