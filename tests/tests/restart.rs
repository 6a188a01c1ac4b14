//! Restarts, seen from outside: what keeps its connection, what is cut, what the configuration changes, and what is wrong
//! with it. That a connection lives on is proved by the same socket answered by another process.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Server, signal};
use parkade_tests::{client, procfs, ready};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

fn start(more: &str) -> Server {
    let configuration = format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         LogLevel debug\nDocumentRoot {{root}}/site\nMaxKeepAliveRequests 0\nExtendedStatus On\n\
         <Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n\
         <Location /server-status>\n  SetHandler server-status\n</Location>\n{more}\n"
    );
    Server::start(&configuration, &[("site/a.txt", b"x")]).unwrap()
}

/// Changes the configuration file.
fn edit(server: &Server, from: &str, to: &str) {
    let path = server.root().join("parkade.conf");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn ask(stream: &mut TcpStream, path: &str) -> io::Result<client::Response> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?;
    client::read(stream, false)
}

/// The process that answers on this connection.
fn pid_behind(stream: &mut TcpStream) -> io::Result<u32> {
    let body = ask(stream, "/push?pid")?.body;
    let text = String::from_utf8_lossy(&body).into_owned();
    text.trim().parse().map_err(io::Error::other)
}

fn figures(server: &Server) -> HashMap<String, String> {
    let body = server.get("/server-status?auto").unwrap().body;
    let text = String::from_utf8(body).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn generation(server: &Server) -> u32 {
    figures(server)["ParentServerMPMGeneration"]
        .parse()
        .unwrap()
}

/// Waits until the children are those of so many and none of `old` is left.
fn replaced(server: &Server, n: usize, old: &[u32]) -> Vec<u32> {
    let mut now = Vec::new();
    let done = ready::until("the new children", PATIENCE, || {
        now = server.children().unwrap_or_default();
        now.len() == n && !now.iter().any(|pid| old.contains(pid))
    });
    assert!(
        done.is_ok(),
        "{now:?} of {old:?}: {}",
        server.text("error.log")
    );
    now
}

/// Waits for a line of the error log.
fn logged(server: &Server, words: &str) {
    let said = ready::until(words, PATIENCE, || server.text("error.log").contains(words));
    assert!(said.is_ok(), "{words}: {}", server.text("error.log"));
}

fn connections(server: &Server, n: usize) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = client::connect(server.address()).unwrap();
        pid_behind(&mut stream).unwrap();
        stream
    };
    (0..n).map(connect).collect()
}

/// Each connection is answered, and by one of these.
fn answered_by(streams: &mut [TcpStream], pids: &[u32]) {
    for stream in streams {
        let pid = pid_behind(stream).unwrap();
        assert!(pids.contains(&pid), "{pid} is none of {pids:?}");
    }
}

#[test]
fn parked_connections_are_answered_by_the_new_generation_on_the_same_socket() {
    let server = start("StartServers 2\nThreadsPerChild 2\nKeepAliveTimeout 300");
    let mut streams = connections(&server, 100);
    for restart in [libc::SIGUSR1, libc::SIGHUP, libc::SIGUSR1] {
        let old = server.children().unwrap();
        signal(server.pid(), restart);
        let new = replaced(&server, 2, &old);
        answered_by(&mut streams, &new);
    }
    let log = server.text("error.log");
    assert!(log.contains("generation 3"), "{log}");
}

#[test]
fn a_request_in_progress_is_finished_where_it_is_and_its_connection_moves_on() {
    let server = start("StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 300");
    let mut stream = client::connect(server.address()).unwrap();
    let old = pid_behind(&mut stream).unwrap();
    let wait = b"GET /push?wait=1500 HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(wait).unwrap();
    ready::until("the request to be seen", PATIENCE, || {
        figures(&server)["BusyWorkers"] == "2"
    })
    .unwrap();
    signal(server.pid(), libc::SIGUSR1);
    logged(&server, "generation 1)");
    assert!(server.children().unwrap().contains(&old), "it still works");
    let response = client::read(&mut stream, false).unwrap();
    assert_eq!(response.status, 200);
    let new = replaced(&server, 1, &[old]);
    answered_by(&mut [stream], &new);
}

#[test]
fn an_unfinished_head_and_a_silent_connection_move_too() {
    let server = start("StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 300");
    let mut unfinished = client::connect(server.address()).unwrap();
    let old = pid_behind(&mut unfinished).unwrap();
    unfinished
        .write_all(b"GET /push?pid HTTP/1.1\r\nHo")
        .unwrap();
    let mut silent = client::connect(server.address()).unwrap();
    ready::until("both to be seen", PATIENCE, || {
        figures(&server)["ConnsTotal"] == "3"
    })
    .unwrap();
    signal(server.pid(), libc::SIGUSR1);
    let new = replaced(&server, 1, &[old]);
    unfinished.write_all(b"st: a\r\n\r\n").unwrap();
    let response = client::read(&mut unfinished, false).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&response.body).trim(),
        new[0].to_string()
    );
    answered_by(&mut [silent.try_clone().unwrap(), unfinished], &new);
    silent.set_nonblocking(true).unwrap();
    let quiet = silent.read(&mut [0]).unwrap_err();
    assert_eq!(quiet.kind(), io::ErrorKind::WouldBlock, "it is still open");
}

/// Clients that speak on kept and on new connections until they are told to stop.
struct Load {
    stop: AtomicBool,
    done: AtomicUsize,
}

impl Load {
    /// Runs `during` beside the load; gives how many requests were answered. Any failure is one of the test.
    fn run(address: SocketAddr, during: impl FnOnce()) -> usize {
        let shared = Load {
            stop: AtomicBool::new(false),
            done: AtomicUsize::new(0),
        };
        let load = &shared;
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|n| {
                    scope.spawn(move || {
                        if n % 2 == 0 {
                            load.kept(address)
                        } else {
                            load.fresh(address)
                        }
                    })
                })
                .collect();
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(during));
            load.stop.store(true, Relaxed);
            for client in clients {
                client.join().unwrap().unwrap();
            }
            outcome.unwrap();
        });
        shared.done.into_inner()
    }

    fn kept(&self, address: SocketAddr) -> io::Result<()> {
        let mut streams = Vec::new();
        for _ in 0..20 {
            streams.push(client::connect(address)?);
        }
        while !self.stop.load(Relaxed) {
            for stream in &mut streams {
                let response = ask(stream, "/a.txt")?;
                assert_eq!((response.status, &response.body[..]), (200, &b"x"[..]));
                assert_eq!(response.header("connection"), None);
                self.done.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }

    fn fresh(&self, address: SocketAddr) -> io::Result<()> {
        while !self.stop.load(Relaxed) {
            let response = ask(&mut client::connect(address)?, "/a.txt")?;
            assert_eq!(response.status, 200);
            self.done.fetch_add(1, Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

#[test]
fn graceful_no_loss() {
    let server = start("StartServers 2\nThreadsPerChild 2\nKeepAliveTimeout 300");
    let mut parked = connections(&server, 50);
    let (pid, address) = (server.pid(), server.address());
    let accesses = |seen: &HashMap<String, String>| seen["Total Accesses"].parse::<u64>().unwrap();
    let mut before = accesses(&figures(&server));
    let done = Load::run(address, || {
        for n in 1..=10 {
            let old = server.children().unwrap();
            signal(pid, libc::SIGUSR1);
            replaced(&server, 2, &old);
            let seen = figures(&server);
            assert_eq!(seen["ParentServerMPMGeneration"], n.to_string());
            assert!(accesses(&seen) > before, "totals go on");
            before = accesses(&seen);
        }
    });
    assert!(done > 100, "{done}");
    answered_by(&mut parked, &server.children().unwrap());
    assert_eq!(server.pid(), pid);
}

#[test]
fn hup_resets() {
    let server = start("StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 300");
    let mut parked = connections(&server, 5);
    let old = server.children().unwrap();
    let mut busy = client::connect(server.address()).unwrap();
    let wait = b"GET /push?wait=60000 HTTP/1.1\r\nHost: a\r\n\r\n";
    busy.write_all(wait).unwrap();
    ready::until("the request to be seen", PATIENCE, || {
        figures(&server)["BusyWorkers"] == "2"
    })
    .unwrap();
    let began = Instant::now();
    signal(server.pid(), libc::SIGHUP);
    let new = replaced(&server, 1, &old);
    assert!(client::read(&mut busy, false).is_err(), "it is cut");
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    let total: u64 = figures(&server)["Total Accesses"].parse().unwrap();
    assert!(total <= 2, "{total}");
    answered_by(&mut parked, &new);
}

#[test]
fn bad_config_raw_signal() {
    let server = start("StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 300");
    let mut parked = connections(&server, 5);
    let children = server.children().unwrap();
    let wrongs = [
        (
            "KeepAliveTimeout 300",
            "KeepAliveTimeout 300\nKeepAliveTimeuot 3",
        ),
        (
            "KeepAliveTimeout 300",
            "KeepAliveTimeout 300\nListen 192.0.2.1:81",
        ),
        (
            "KeepAliveTimeout 300",
            "KeepAliveTimeout 300\nCustomLog {none}/x/y common",
        ),
    ];
    for (n, (from, to)) in wrongs.into_iter().enumerate() {
        edit(&server, from, to);
        for restart in [libc::SIGHUP, libc::SIGUSR1] {
            let before = server
                .text("error.log")
                .matches("goes on as before")
                .count();
            signal(server.pid(), restart);
            ready::until("a refusal", PATIENCE, || {
                server
                    .text("error.log")
                    .matches("goes on as before")
                    .count()
                    > before
            })
            .unwrap();
            assert_eq!(server.children().unwrap(), children);
            answered_by(&mut parked, &children);
        }
        edit(&server, to, from);
        let _ = n;
    }
    let log = server.text("error.log");
    assert!(
        log.contains("parkade.conf:") && log.contains("KeepAliveTimeuot"),
        "{log}"
    );
    assert!(log.contains("192.0.2.1:81"), "{log}");
    signal(server.pid(), libc::SIGUSR1);
    let new = replaced(&server, 1, &children);
    answered_by(&mut parked, &new);
}

#[test]
fn graceful_stop() {
    for name in [libc::SIGWINCH, libc::SIGQUIT] {
        let mut server = start("StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 300");
        let mut parked = connections(&server, 3);
        let mut busy = client::connect(server.address()).unwrap();
        let wait = b"GET /push?wait=1500 HTTP/1.1\r\nHost: a\r\n\r\n";
        busy.write_all(wait).unwrap();
        ready::until("the request to be seen", PATIENCE, || {
            figures(&server)["BusyWorkers"] == "2"
        })
        .unwrap();
        signal(server.pid(), name);
        let address = server.address();
        ready::until("refused connections", Duration::from_millis(900), || {
            TcpStream::connect(address).is_err()
        })
        .unwrap();
        assert!(
            !server.root().join("pid").exists(),
            "the PidFile is gone at once"
        );
        for stream in &mut parked {
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "a polite goodbye");
        }
        assert_eq!(client::read(&mut busy, false).unwrap().status, 200);
        assert!(server.ended().unwrap().success());
    }
}

#[test]
fn a_graceful_stop_has_a_bound_and_term_ends_it() {
    for (more, end) in [
        ("GracefulShutdownTimeout 1", None),
        ("", Some(libc::SIGTERM)),
    ] {
        let mut server = start(&format!("StartServers 1\nThreadsPerChild 2\n{more}"));
        let mut busy = client::connect(server.address()).unwrap();
        let wait = b"GET /push?wait=60000 HTTP/1.1\r\nHost: a\r\n\r\n";
        busy.write_all(wait).unwrap();
        ready::until("the request to be seen", PATIENCE, || {
            figures(&server)["BusyWorkers"] == "2"
        })
        .unwrap();
        signal(server.pid(), libc::SIGWINCH);
        logged(&server, "SIGWINCH, shutting down");
        if let Some(end) = end {
            signal(server.pid(), end);
        }
        assert!(server.ended().unwrap().success());
        assert!(client::read(&mut busy, false).is_err());
    }
}

#[test]
fn drain_deadline() {
    let server = start("StartServers 1\nThreadsPerChild 2\nGracefulDrainTimeout 1");
    let old = server.children().unwrap();
    let mut busy = client::connect(server.address()).unwrap();
    let wait = b"GET /push?wait=60000 HTTP/1.1\r\nHost: a\r\n\r\n";
    busy.write_all(wait).unwrap();
    ready::until("the request to be seen", PATIENCE, || {
        figures(&server)["BusyWorkers"] == "2"
    })
    .unwrap();
    signal(server.pid(), libc::SIGUSR1);
    replaced(&server, 1, &old);
    logged(
        &server,
        "1 in progress, \"GET /push?wait=60000 HTTP/1.1\" of 127.0.0.1",
    );
    assert!(client::read(&mut busy, false).is_err());
}

#[test]
fn slots_under_reload_storm() {
    let server = start("StartServers 1\nServerLimit 1\nThreadsPerChild 2\nGracefulDrainTimeout 60");
    let mut held = Vec::new();
    for n in 1..=20 {
        let mut busy = client::connect(server.address()).unwrap();
        busy.write_all(b"GET /push?wait=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        held.push(busy);
        // Its child may be told to go just then, and keep it all the same.
        ready::until("the request to be seen", PATIENCE, || {
            let seen = figures(&server);
            let number = |key: &str| seen[key].parse::<u32>().unwrap();
            number("BusyWorkers") + number("GracefulWorkers") == n + 1
        })
        .unwrap();
        signal(server.pid(), libc::SIGUSR1);
        logged(&server, &format!("generation {n})"));
        assert_eq!(server.get("/a.txt").unwrap().status, 200);
    }
    let children = server.children().unwrap().len();
    assert!(children > 10, "each holds its request: {children}");
    let seen = figures(&server);
    assert_eq!(seen["Stopping"], (children - 1).to_string());
    let log = server.text("error.log");
    assert!(!log.contains("no free record"), "{log}");
    // A restart that cuts ends them all.
    signal(server.pid(), libc::SIGHUP);
    ready::until("all the old children's end", PATIENCE, || {
        server.children().unwrap().len() == 1
    })
    .unwrap();
}

/// The inode of the socket that listens on a port, and whether anybody does.
fn listening(address: SocketAddr) -> Option<String> {
    let port = format!(":{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|r| r.len() > 9 && r[1].ends_with(&port) && r[3] == "0A")?;
    Some(row[9].to_owned())
}

#[test]
fn listen_change() {
    let server = start("StartServers 2\nThreadsPerChild 2\nKeepAliveTimeout 300");
    let other = ready::free_address().unwrap();
    let kept = listening(server.address()).unwrap();
    edit(
        &server,
        "StartServers",
        &format!("Listen {other}\nStartServers"),
    );
    signal(server.pid(), libc::SIGUSR1);
    logged(&server, "generation 1)");
    assert_eq!(listening(server.address()).as_ref(), Some(&kept));
    let mut there = client::connect(other).unwrap();
    let old = pid_behind(&mut there).unwrap();
    edit(&server, &format!("Listen {other}\n"), "");
    signal(server.pid(), libc::SIGUSR1);
    logged(&server, "generation 2)");
    ready::until("the other listener's end", PATIENCE, || {
        listening(other).is_none()
    })
    .unwrap();
    assert_eq!(listening(server.address()), Some(kept));
    // Its connections are not cut: each is answered once more, with a goodbye.
    ready::until("the old child's end", PATIENCE, || !procfs::alive(old)).unwrap();
    let last = ask(&mut there, "/push?pid").unwrap();
    assert_eq!(last.header("connection"), Some("close"), "{last:?}");
    assert_eq!(there.read(&mut [0]).unwrap(), 0);
    let log = server.text("error.log");
    assert!(log.contains(&format!("now {}", server.address())), "{log}");
}

#[test]
fn a_pid_file_that_is_moved_takes_the_old_one_along() {
    let server = start("StartServers 1\nThreadsPerChild 2");
    edit(&server, "/pid\n", "/pid2\n");
    signal(server.pid(), libc::SIGUSR1);
    logged(&server, "generation 1)");
    assert!(!server.root().join("pid").exists());
    assert_eq!(server.text("pid2").trim(), server.pid().to_string());
}

#[test]
fn mcpc() {
    let server =
        start("StartServers 1\nThreadsPerChild 2\nMaxRequestsPerChild 5\nKeepAliveTimeout 300");
    let mut kept = client::connect(server.address()).unwrap();
    let first = pid_behind(&mut kept).unwrap();
    for _ in 0..50 {
        pid_behind(&mut kept).unwrap();
    }
    assert_eq!(
        pid_behind(&mut kept).unwrap(),
        first,
        "requests do not count"
    );
    let mut pids = HashSet::new();
    for _ in 0..50 {
        let mut stream = client::connect(server.address()).unwrap();
        pids.insert(pid_behind(&mut stream).unwrap());
    }
    assert!(pids.len() >= 10, "{pids:?}");
    assert_ne!(pid_behind(&mut kept).unwrap(), first, "it has moved");
}

#[test]
fn a_child_told_to_go_is_replaced_before_it_goes() {
    let server = start("StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 300");
    let mut parked = connections(&server, 20);
    let address = server.address();
    Load::run(address, || {
        for _ in 0..5 {
            let old = server.children().unwrap();
            signal(old[0], libc::SIGTERM);
            let new = replaced(&server, 1, &old);
            answered_by(&mut parked, &new);
        }
    });
    assert_eq!(generation(&server), 0);
}

#[test]
fn a_restart_during_a_restart_is_not_lost() {
    let server = start("StartServers 2\nThreadsPerChild 2");
    let old = server.children().unwrap();
    for _ in 0..3 {
        signal(server.pid(), libc::SIGUSR1);
        std::thread::sleep(Duration::from_millis(1));
    }
    replaced(&server, 2, &old);
    logged(&server, "generation 1)");
    edit(&server, "StartServers 2", "StartServers 3");
    signal(server.pid(), libc::SIGUSR1);
    ready::until("three children", PATIENCE, || {
        server.children().unwrap().len() == 3
    })
    .unwrap();
    logged(&server, "StartServers: 2 before, now 3");
}

#[test]
fn a_storm_of_restarts_closes_no_parked_connection() {
    let server = start("StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 300");
    let mut parked = connections(&server, 300);
    for _ in 0..8 {
        for _ in 0..4 {
            let old = server.children().unwrap();
            signal(server.pid(), libc::SIGUSR1);
            ready::until("another child", PATIENCE, || {
                let now = server.children().unwrap();
                now.iter().any(|pid| !old.contains(pid))
            })
            .unwrap();
        }
        for stream in &mut parked {
            pid_behind(stream).unwrap();
        }
    }
}
