//! What the processes of a server know of each other: the scoreboard's numbers, request slots, and who accepts.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::Server;
use parkade_tests::{client, procfs, ready};
use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn start(more: &str, files: &[(&str, &[u8])]) -> Server {
    let text = format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n{more}\n"
    );
    Server::start(&text, files).unwrap()
}

/// A line of the scoreboard: its first words as they are, the rest by name.
type Line = HashMap<String, String>;

fn number(line: &Line, name: &str) -> u64 {
    line[name].parse().unwrap()
}

/// The sums, and the children.
fn board(server: &Server) -> (Line, Vec<Line>) {
    let body = server.get("/push?board").unwrap().body;
    lines(&String::from_utf8(body).unwrap())
}

fn lines(text: &str) -> (Line, Vec<Line>) {
    let line = |text: &str| -> Line {
        let pairs = text.split(' ').filter_map(|item| item.split_once('='));
        pairs.map(|(a, b)| (a.into(), b.into())).collect()
    };
    let mut lines = text.lines().map(line);
    (lines.next().unwrap(), lines.collect())
}

fn send(server: &Server, request: &str) -> TcpStream {
    let mut stream = client::connect(server.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn ask(server: &Server, path: &str) -> TcpStream {
    send(server, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
}

#[test]
fn every_connection_is_shown_as_what_it_is() {
    let big = vec![b'x'; 8_000_000];
    let server = start(
        "StartServers 2\nServerLimit 2\nThreadsPerChild 2\nMaxClients 4\nKeepAliveTimeout 300\nLimitRequestBody 10\n\
         SendBufferSize 8192",
        &[("site/a.txt", b"x"), ("site/big", &big)],
    );
    let silent: Vec<_> = (0..3)
        .map(|_| client::connect(server.address()).unwrap())
        .collect();
    let mut parked: Vec<_> = (0..5).map(|_| ask(&server, "/a.txt")).collect();
    for stream in &mut parked {
        assert_eq!(client::read(stream, false).unwrap().status, 200);
    }
    let half: Vec<_> = (0..2).map(|_| send(&server, "GET /a.txt HT")).collect();
    let stalled: Vec<_> = (0..4).map(|_| ask(&server, "/big")).collect();
    let post = "POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx";
    let mut refused: Vec<_> = (0..3).map(|_| send(&server, post)).collect();
    for stream in &mut refused {
        assert_eq!(client::read(stream, false).unwrap().status, 413);
    }
    let waiting = ask(&server, "/push?wait=15000");
    let mut seen = Line::new();
    let right = || {
        seen = board(&server).0;
        let is = |name, n| number(&seen, name) == n;
        // The request that asks is busy too.
        is("parked", 3 + 5 + 2) && is("writing", 4) && is("lingering", 3) && is("busy", 2)
    };
    let found = ready::until("the right numbers", PATIENCE, right);
    assert!(found.is_ok(), "{seen:?}");
    assert_eq!(number(&seen, "connections"), 10 + 4 + 3 + 2);
    let before = number(&seen, "requests");
    drop((silent, parked, half, stalled, refused, waiting));
    let mut seen = Line::new();
    let empty = || {
        seen = board(&server).0;
        // The handler that waits does so to its end.
        let all = ["connections", "parked", "writing", "lingering"].map(|name| number(&seen, name));
        all[0] <= 2 && all[1..] == [0; 3]
    };
    let gone = ready::until("everybody gone", PATIENCE, empty);
    assert!(gone.is_ok(), "{seen:?}");
    assert!(number(&seen, "requests") > before);
    assert!(number(&seen, "bytes") > 5);
}

#[test]
fn what_a_dead_child_had_counted_is_kept() {
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nMaxClients 1",
        &[("site/a.txt", b"x")],
    );
    for _ in 0..20 {
        assert_eq!(server.get("/a.txt").unwrap().status, 200);
    }
    let before = number(&board(&server).0, "requests");
    let child = server.children().unwrap()[0];
    assert!(server.get("/push?crash=KILL").is_err());
    ready::until("another child", PATIENCE, || {
        server
            .children()
            .is_ok_and(|c| c.len() == 1 && c[0] != child)
    })
    .unwrap();
    let (all, children) = board(&server);
    assert!(number(&all, "requests") > before);
    assert!(number(&children[0], "requests") < 5);
    assert_eq!(
        number(&children[0], "pid"),
        server.children().unwrap()[0].into()
    );
}

#[test]
fn no_more_requests_are_worked_on_than_there_are_slots_and_none_is_refused() {
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 2\nMaxClients 2",
        &[("site/a.txt", b"x")],
    );
    let mut kept = client::connect(server.address()).unwrap();
    let get = b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    kept.write_all(get).unwrap();
    assert_eq!(client::read(&mut kept, false).unwrap().status, 200);
    let began = Instant::now();
    let mut streams: Vec<_> = (0..6).map(|_| ask(&server, "/push?wait=300")).collect();
    for stream in &mut streams {
        assert_eq!(client::read(stream, false).unwrap().status, 200);
    }
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(900),
        "two at a time: {took:?}"
    );
    // A parked connection is served after the crowd as before it.
    kept.write_all(get).unwrap();
    assert_eq!(client::read(&mut kept, false).unwrap().status, 200);
}

#[test]
fn a_request_that_waits_for_a_slot_and_goes_away_holds_none() {
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nMaxClients 1",
        &[("site/a.txt", b"x")],
    );
    let mut first = ask(&server, "/push?wait=500");
    let gone: Vec<_> = (0..5).map(|_| ask(&server, "/push?wait=1")).collect();
    drop(gone);
    assert_eq!(client::read(&mut first, false).unwrap().status, 200);
    // Those that went away wait for the slot as well until it is their turn; the page that shows it does not.
    ready::until("the slot to be free again", PATIENCE, || {
        let (all, _) = board(&server);
        (number(&all, "busy"), number(&all, "waiting")) == (1, 0)
    })
    .unwrap();
}

#[test]
fn a_full_child_leaves_new_connections_to_a_sibling_with_room() {
    let server = start(
        "StartServers 2\nServerLimit 2\nThreadsPerChild 1\nMaxClients 8\nKeepAliveTimeout 300",
        &[("site/a.txt", b"x")],
    );
    let mut by_child: HashMap<u32, Vec<TcpStream>> = HashMap::new();
    let enough = |all: &HashMap<u32, Vec<TcpStream>>| {
        all.len() == 2 && all.values().any(|streams| streams.len() >= 4)
    };
    while !enough(&by_child) {
        let mut stream = client::connect(server.address()).unwrap();
        let pid = pid_behind(&mut stream);
        by_child.entry(pid).or_default().push(stream);
    }
    let (&full, _) = by_child
        .iter()
        .max_by_key(|(_, streams)| streams.len())
        .unwrap();
    for stream in &mut by_child.get_mut(&full).unwrap()[..4] {
        stream.write_all(&get("/push?wait=60000")).unwrap();
    }
    let (_, others) = by_child.iter_mut().find(|(pid, _)| **pid != full).unwrap();
    ready::until("four slots taken", PATIENCE, || {
        others[0].write_all(&get("/push?board")).unwrap();
        let body = client::read(&mut others[0], false).unwrap().body;
        let (_, children) = lines(&String::from_utf8(body).unwrap());
        let of_full = children.iter().find(|c| number(c, "pid") == full.into());
        number(of_full.unwrap(), "busy") == 4
    })
    .unwrap();
    let descriptors = || procfs::descriptors(full).unwrap();
    let before = descriptors();
    let mut streams = Vec::new();
    for _ in 0..40 {
        streams.push(client::connect(server.address()).unwrap());
    }
    // Whoever the full child took before it knew waits for a slot; nobody else does.
    let all: Vec<u32> = {
        let taken = descriptors().saturating_sub(before);
        assert!(taken <= 4, "the full child took {taken} of 40");
        let served = |stream: &mut TcpStream| {
            stream.write_all(&get("/push?pid")).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_millis(500)))
                .unwrap();
            client::read(stream, false).ok().map(|_| 1)
        };
        streams.iter_mut().filter_map(served).collect()
    };
    assert!(all.len() >= 36, "{} of 40 were answered", all.len());
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// The process that answers on this connection.
fn pid_behind(stream: &mut TcpStream) -> u32 {
    stream.write_all(&get("/push?pid")).unwrap();
    let body = client::read(stream, false).unwrap().body;
    String::from_utf8(body).unwrap().trim().parse().unwrap()
}
