//! ThreadLimit, ServerLimit and MaxClients, seen in processes and threads, and that a restart may change each of them.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Server, signal};
use parkade_tests::{procfs, ready};
use std::fs;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn configuration(limits: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n{limits}\n"
    )
}

/// Waits for so many children, none of them among `old`, each with so many workers beside its main thread.
fn children(server: &Server, n: usize, workers: usize, old: &[u32]) -> Vec<u32> {
    let mut seen = Vec::new();
    let found = ready::until("the children there should be", PATIENCE, || {
        let pids = server.children().unwrap_or_default();
        let threads = |pid: &u32| procfs::threads(*pid).map_or(0, |t| t.len());
        seen = pids.iter().map(|pid| (*pid, threads(pid))).collect();
        let right = |(pid, threads): &(u32, usize)| *threads == workers + 1 && !old.contains(pid);
        seen.len() == n && seen.iter().all(right)
    });
    assert!(found.is_ok(), "{seen:?}: {}", server.text("error.log"));
    seen.into_iter().map(|(pid, _)| pid).collect()
}

fn restart(server: &Server, from: &str, to: &str) {
    let path = server.root().join("parkade.conf");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
    signal(server.pid(), libc::SIGUSR1);
}

fn says(server: &Server, words: &str) {
    let log = || server.text("error.log");
    let found = ready::until("a line of the log", PATIENCE, || log().contains(words));
    assert!(found.is_ok(), "no `{words}` in {}", log());
}

#[test]
fn limits_hold_and_a_restart_may_change_them() {
    let limits = "StartServers 9\nThreadsPerChild 5\nThreadLimit 3\nServerLimit 2\nMaxClients 30";
    let server = Server::start(&configuration(limits), &[("site/a.txt", b"x")]).unwrap();
    let first = children(&server, 2, 3, &[]);
    assert!(server.stderr().contains("exceeds ThreadLimit of 3"));

    restart(&server, "ThreadLimit 3", "ThreadLimit 5");
    let second = children(&server, 2, 5, &first);
    says(&server, "ThreadLimit: 3 before, now 5");
    says(&server, "ThreadsPerChild: 3 before, now 5");
    assert_eq!(server.get("/a.txt").unwrap().status, 200);

    restart(
        &server,
        "ServerLimit 2\nMaxClients 30",
        "ServerLimit 4\nMaxClients 20",
    );
    let third = children(&server, 4, 5, &second);
    says(&server, "ServerLimit: 2 before, now 4");
    says(&server, "MaxClients: 30 before, now 20");
    assert_eq!(server.get("/a.txt").unwrap().status, 200);

    restart(
        &server,
        "ThreadLimit 5\nServerLimit 4",
        "ThreadLimit 2\nServerLimit 1",
    );
    children(&server, 1, 2, &third);
    says(&server, "ThreadsPerChild of 5 exceeds ThreadLimit of 2");
    // It stays at 20: the slots share the threads.
    says(&server, "each child has 20 request slots");
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
}

#[test]
fn all_children_together_have_max_clients_slots() {
    let limits = "StartServers 3\nThreadsPerChild 2\nServerLimit 3\nMaxClients 7\n<Location /s>\n\
                  SetHandler server-status\nRequire local\n</Location>";
    let server = Server::start(&configuration(limits), &[("site/a.txt", b"x")]).unwrap();
    let figure = |name: &str| {
        let page = server.get("/s?auto").map(|r| r.body).unwrap_or_default();
        let page = String::from_utf8_lossy(&page).into_owned();
        let line = page.lines().find_map(|l| l.strip_prefix(name));
        line.map(|l| l.trim_start_matches(": ").to_owned())
    };
    let number = |name| figure(name).and_then(|n| n.parse::<u32>().ok());
    let all = || Some(number("BusyWorkers")? + number("IdleWorkers")?);
    ready::until("three children, seven slots", PATIENCE, || all() == Some(7)).unwrap();
    assert_eq!(figure("Scoreboard").unwrap().len(), 7);
    // Whoever comes for one that dies has as many as that one had.
    for child in children(&server, 3, 2, &[]) {
        signal(child, libc::SIGKILL);
        children(&server, 3, 2, &[child]);
        ready::until("seven slots again", PATIENCE, || all() == Some(7)).unwrap();
    }
}
