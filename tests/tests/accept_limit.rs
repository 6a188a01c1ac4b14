//! AsyncRequestWorkerFactor: how many connections a child accepts beside the requests that it works on, and that it
//! accepts again as soon as the formula allows.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::Server;
use parkade_tests::{client, procfs, ready};
use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn start(more: &str) -> Server {
    let text = format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n\
         KeepAliveTimeout 300\nMaxKeepAliveRequests 0\nRequestReadTimeout header=300 body=300\n{more}\n"
    );
    Server::start(&text, &[("site/a.txt", b"x")]).unwrap()
}

fn ask(stream: &mut TcpStream, path: &str) {
    let text = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(text.as_bytes()).unwrap();
}

fn answer(stream: &mut TcpStream) -> client::Response {
    client::read(stream, false).unwrap()
}

/// A request that holds its slot until the rest of its body comes.
fn begin(stream: &mut TcpStream) {
    let head = b"POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx";
    stream.write_all(head).unwrap();
}

/// Connections that have been answered and wait for their next request.
fn parked(server: &Server, n: usize) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = client::connect(server.address()).unwrap();
        ask(&mut stream, "/a.txt");
        assert_eq!(answer(&mut stream).status, 200);
        stream
    };
    (0..n).map(one).collect()
}

/// How many connections the kernel holds for want of somebody who accepts.
fn queued(server: &Server) -> u64 {
    let queues = procfs::queues(server.pid(), server.address().port()).unwrap();
    queues.iter().sum()
}

/// The numbers after `name=` on the scoreboard's lines: of all, then of each child.
fn shown(through: &mut TcpStream, name: &str) -> Vec<u64> {
    ask(through, "/push?board");
    let text = String::from_utf8(answer(through).body).unwrap();
    let value = |line: &str| {
        let mut items = line.split(' ');
        let value = items.find_map(|item| item.strip_prefix(name)?.strip_prefix('='));
        value.unwrap().parse().unwrap()
    };
    text.lines().map(value).collect()
}

/// The harness's own connections are gone, and `busy` requests are in progress beside the one that asks.
fn settled(through: &mut TcpStream, connections: u64, busy: u64) {
    let mut seen = Vec::new();
    let right = || {
        seen = vec![shown(through, "connections")[0], shown(through, "busy")[0]];
        seen == [connections, busy + 1]
    };
    let found = ready::until("the connections there should be", PATIENCE, right);
    assert!(found.is_ok(), "{seen:?}");
}

#[test]
fn accept_limit_formula() {
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 2\nMaxClients 2\nAsyncRequestWorkerFactor 2",
    );
    let mut kept = parked(&server, 5);
    settled(&mut kept[0], 5, 0);
    // Four parked and one in progress: 5 >= 2 + 1 x 2.
    begin(&mut kept[4]);
    settled(&mut kept[0], 5, 1);
    let mut next = client::connect(server.address()).unwrap();
    ask(&mut next, "/a.txt");
    ready::until("accepting to rest", PATIENCE, || {
        shown(&mut kept[0], "accepting")[0] == 0
    })
    .unwrap();
    assert_eq!(queued(&server), 1, "it waits in the backlog");
    assert_eq!(shown(&mut kept[1], "connections")[0], 5);
    // The request ends: 5 < 2 + 2 x 2.
    kept[4].write_all(b"x").unwrap();
    assert_ne!(answer(&mut kept[4]).header("Connection"), Some("close"));
    assert_eq!(answer(&mut next).status, 200);
    assert_eq!(queued(&server), 0);
    // Six are the most that two idle threads allow; one that goes lets another in.
    let mut last = client::connect(server.address()).unwrap();
    ask(&mut last, "/a.txt");
    ready::until("one that waits", PATIENCE, || queued(&server) == 1).unwrap();
    assert_eq!(shown(&mut kept[1], "connections")[0], 6);
    drop(kept.remove(0));
    assert_eq!(answer(&mut last).status, 200);
}

#[test]
fn factor_fraction() {
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 4\nMaxClients 4\nAsyncRequestWorkerFactor 1.5",
    );
    let mut kept = parked(&server, 3);
    settled(&mut kept[2], 3, 0);
    let mut busy: Vec<_> = kept.drain(..2).collect();
    for stream in &mut busy {
        begin(stream);
    }
    settled(&mut kept[0], 3, 2);
    // Two are idle: 4 + 2 x 1.5 = 7, where a factor cut to 1 would give 6.
    let mut more = parked(&server, 4);
    let _late = client::connect(server.address()).unwrap();
    ready::until("one that waits", PATIENCE, || queued(&server) == 1).unwrap();
    assert_eq!(shown(&mut more[0], "connections")[0], 7);
}

#[test]
fn without_a_factor_connections_are_bounded_by_descriptors_only() {
    let server = start("StartServers 1\nServerLimit 1\nThreadsPerChild 2\nMaxClients 2");
    let mut kept = parked(&server, 30);
    for stream in &mut kept[..2] {
        begin(stream);
    }
    let mut late = client::connect(server.address()).unwrap();
    ask(&mut late, "/a.txt");
    ready::until("an empty queue", PATIENCE, || queued(&server) == 0).unwrap();
    kept[0].write_all(b"x").unwrap();
    assert_eq!(answer(&mut late).status, 200, "it is answered in its turn");
}

/// The process that answers on this connection.
fn pid_behind(stream: &mut TcpStream) -> u32 {
    ask(stream, "/push?pid");
    let body = String::from_utf8(answer(stream).body).unwrap();
    body.trim().parse().unwrap()
}

#[test]
fn whichever_child_has_room_again_takes_what_waits() {
    let server = start(
        "StartServers 2\nServerLimit 2\nThreadsPerChild 2\nMaxClients 4\nAsyncRequestWorkerFactor 1",
    );
    // Three connections for each child: one more than it may have while one of its two threads works.
    let mut by_child: HashMap<u32, Vec<TcpStream>> = HashMap::new();
    while by_child.len() < 2 || by_child.values().any(|all| all.len() < 3) {
        let mut stream = client::connect(server.address()).unwrap();
        let pid = pid_behind(&mut stream);
        by_child.entry(pid).or_default().push(stream);
    }
    let mut children: Vec<Vec<TcpStream>> = by_child.into_values().collect();
    for all in &mut children {
        all.truncate(3);
    }
    settled(&mut children[0][2], 6, 0);
    // In no step with the kernel, which wakes one after the other.
    for (round, first) in [0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 1].into_iter().enumerate() {
        for all in &mut children {
            begin(&mut all[0]);
        }
        settled(&mut children[0][2], 6, 2);
        let mut waiting = client::connect(server.address()).unwrap();
        ask(&mut waiting, "/a.txt");
        ready::until("one that waits", PATIENCE, || queued(&server) == 1).unwrap();
        // Nobody knows which child was woken for it; this one must take it in any case.
        for all in [first, 1 - first] {
            let stream = &mut children[all][0];
            stream.write_all(b"x").unwrap();
            answer(stream);
            if all == first {
                assert_eq!(answer(&mut waiting).status, 200, "round {round}");
            }
        }
        drop(waiting);
        settled(&mut children[0][2], 6, 0);
    }
}
