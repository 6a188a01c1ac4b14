//! ListenCoresBucketsRatio: as many sockets for an address as it says, each with children of its own that answer, and no
//! connection lost when their number changes.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Prepared, Server, signal};
use parkade_tests::{procfs, ready, sockets};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const FILES: &[(&str, &[u8])] = &[("site/a.txt", b"x")];

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n\
         ServerLimit 8\nThreadsPerChild 2\nMaxClients 16\n{more}\n"
    )
}

/// The processors, if there are enough of them for two sockets.
fn cores() -> Option<usize> {
    let cores = std::thread::available_parallelism().unwrap().get().min(8);
    if cores < 2 {
        eprintln!("skipped: one processor is one bucket");
    }
    (cores > 1).then_some(cores)
}

/// How many sockets listen on the server's address.
fn listening(server: &Server) -> usize {
    procfs::queues(server.pid(), server.address().port())
        .unwrap()
        .len()
}

/// The socket that a child accepts from.
fn socket_of(pid: u32, port: u16) -> PathBuf {
    let fds = procfs::sockets(pid, port, true).unwrap();
    assert_eq!(fds.len(), 1, "a child has one socket for each address");
    fs::read_link(format!("/proc/{pid}/fd/{}", fds[0])).unwrap()
}

/// Waits for so many children, none of them among `old`.
fn children(server: &Server, n: usize, old: &[u32]) -> Vec<u32> {
    let mut now = Vec::new();
    let found = ready::until("the children there should be", PATIENCE, || {
        now = server.children().unwrap_or_default();
        now.len() == n && !now.iter().any(|pid| old.contains(pid))
    });
    assert!(found.is_ok(), "{now:?}: {}", server.text("error.log"));
    now
}

/// Asks until every one of the children has answered.
fn all_answer(server: &Server, pids: &[u32]) {
    let mut silent: BTreeSet<u32> = pids.iter().copied().collect();
    let found = ready::until("an answer of every child", PATIENCE, || {
        let body = server.get("/push?pid").unwrap().body;
        let pid = String::from_utf8(body).unwrap().trim().parse().unwrap();
        silent.remove(&pid);
        silent.is_empty()
    });
    assert!(found.is_ok(), "{silent:?} of {pids:?} never answered");
}

fn restart(server: &Server, from: &str, to: &str) {
    let path = server.root().join("parkade.conf");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
    signal(server.pid(), libc::SIGUSR1);
}

#[test]
fn each_bucket_has_a_socket_of_its_own_and_children_that_answer() {
    let Some(cores) = cores() else { return };
    // One child more than there are buckets, which are more than StartServers says.
    let server = Server::start(
        &configuration("StartServers 1\nListenCoresBucketsRatio 1"),
        FILES,
    )
    .unwrap();
    let port = server.address().port();
    assert_eq!(listening(&server), cores);
    let first = children(&server, cores, &[]);
    all_answer(&server, &first);
    match procfs::sockets(server.pid(), port, true) {
        Ok(fds) => {
            assert_eq!(fds.len(), cores);
            let all: BTreeSet<_> = first.iter().map(|pid| socket_of(*pid, port)).collect();
            assert_eq!(all.len(), cores, "each child has another one");
            for fd in fds {
                match sockets::shares_its_port(server.pid(), fd) {
                    Ok(shares) => assert!(shares),
                    Err(e) => eprintln!("skipped in part: {e}"),
                }
            }
            // A child that dies is replaced where it is missed, whichever it was.
            for dead in &first {
                let others: Vec<_> = server.children().unwrap();
                signal(*dead, libc::SIGKILL);
                let now = children(&server, cores, &[*dead]);
                assert_eq!(now.iter().filter(|p| others.contains(p)).count(), cores - 1);
                let left: BTreeSet<_> = now.iter().map(|pid| socket_of(*pid, port)).collect();
                assert_eq!(left, all);
            }
            // A graceful restart keeps the sockets.
            let second = server.children().unwrap();
            restart(&server, "MaxClients 16", "MaxClients 14");
            let third = children(&server, cores, &second);
            let kept: BTreeSet<_> = third.iter().map(|pid| socket_of(*pid, port)).collect();
            assert_eq!(kept, all);
            all_answer(&server, &third);
        }
        Err(e) => eprintln!("skipped in part: {e}"),
    }
    assert_eq!(listening(&server), cores);
}

#[test]
fn without_a_ratio_or_with_a_great_one_there_is_one_socket() {
    for more in [
        "",
        "ListenCoresBucketsRatio 0",
        "ListenCoresBucketsRatio 100000",
    ] {
        let server = Server::start(&configuration(more), FILES).unwrap();
        assert_eq!(listening(&server), 1, "{more}");
    }
    let alone = Server::start_with(
        &configuration("ListenCoresBucketsRatio 1"),
        FILES,
        |command| {
            command.arg("-X");
        },
    )
    .unwrap();
    assert_eq!(listening(&alone), 1, "the only process has one");
}

#[test]
fn an_address_that_another_server_has_is_taken_all_the_same() {
    let text = configuration("ListenCoresBucketsRatio 1");
    let server = Server::start(&text, FILES).unwrap();
    let second = text.replace("{listen}", &server.address().to_string());
    let prepared = Prepared::new(&second, FILES).unwrap();
    let output = prepared.command().unwrap().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another process listens there"), "{said}");
}

#[test]
fn a_ratio_that_is_no_number_is_refused() {
    for wrong in ["-1", "abc", "1.5"] {
        let text = configuration(&format!("ListenCoresBucketsRatio {wrong}"));
        let prepared = Prepared::new(&text, FILES).unwrap();
        let output = prepared.command().unwrap().arg("-t").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("ListenCoresBucketsRatio"), "{said}");
    }
}

#[test]
fn no_connection_is_lost_when_the_number_of_buckets_changes() {
    let Some(cores) = cores() else { return };
    let server = Server::start(
        &configuration("StartServers 2\nListenCoresBucketsRatio 0"),
        FILES,
    )
    .unwrap();
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failures = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut failures: HashMap<String, usize> = HashMap::new();
                    while !stop.load(Relaxed) {
                        match server.get("/a.txt") {
                            Ok(response) if response.status == 200 => {
                                answered.fetch_add(1, Relaxed);
                            }
                            Ok(response) => {
                                *failures.entry(response.status.to_string()).or_default() += 1;
                            }
                            Err(e) => *failures.entry(e.to_string()).or_default() += 1,
                        }
                    }
                    failures
                })
            })
            .collect();
        // Whatever fails here must end the clients, too.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut ratio = 0;
            for _ in 0..10 {
                let old = server.children().unwrap();
                let before = format!("ListenCoresBucketsRatio {ratio}");
                ratio = 1 - ratio;
                restart(
                    &server,
                    &before,
                    &format!("ListenCoresBucketsRatio {ratio}"),
                );
                let n = if ratio == 1 { cores } else { 1 };
                children(&server, if ratio == 1 { cores.max(2) } else { 2 }, &old);
                ready::until("the sockets there should be", PATIENCE, || {
                    listening(&server) == n
                })
                .unwrap();
                let enough = answered.load(Relaxed) + 50;
                ready::until("answers", PATIENCE, || answered.load(Relaxed) >= enough).unwrap();
            }
        }));
        stop.store(true, Relaxed);
        let failures: Vec<_> = clients.into_iter().map(|c| c.join().unwrap()).collect();
        result.unwrap();
        failures
    });
    eprintln!("{} answered", answered.load(Relaxed));
    assert!(failures.iter().all(HashMap::is_empty), "{failures:?}");
    let log = server.text("error.log");
    assert!(!log.contains("listeners: "), "{log}");
}
