//! The status page: what it counts is exact, its lines are what monitoring programs read, and it is served like any
//! other page.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::client::{self, Response};
use parkade_tests::ready;
use parkade_tests::server::{Prepared, Server, signal};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

const PAGE: &str = "<Location /server-status>\n  SetHandler server-status\n  Require local\n</Location>\n\
    <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n";

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n{more}\n"
    )
}

fn start(more: &str, files: &[(&str, &[u8])]) -> Server {
    Server::start(&configuration(&format!("{PAGE}{more}")), files).unwrap()
}

fn send(server: &Server, request: &str) -> TcpStream {
    let mut stream = client::connect(server.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn ask(server: &Server, path: &str) -> TcpStream {
    send(server, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
}

fn text(response: Response) -> String {
    assert_eq!(response.status, 200);
    String::from_utf8(response.body).unwrap()
}

/// The values of `?auto` by key.
fn figures(text: &str) -> HashMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn auto(server: &Server) -> HashMap<String, String> {
    figures(&text(server.get("/server-status?auto").unwrap()))
}

fn number(seen: &HashMap<String, String>, key: &str) -> u64 {
    seen[key].parse().unwrap()
}

fn seconds(seen: &HashMap<String, String>, key: &str) -> f64 {
    seen[key].parse().unwrap()
}

/// Has processor time used until so much is shown, however busy this machine is.
fn spin(server: &Server, least: f64) {
    ready::until("processor time", PATIENCE, || {
        assert_eq!(server.get("/push?spin=100").unwrap().status, 200);
        seconds(&auto(server), "CPUUser") >= least
    })
    .unwrap();
}

/// Waits until all these children serve, which is seen by their free slots.
fn serving(server: &Server, idle: u64) {
    until(server, |seen| {
        number(seen, "IdleWorkers") + number(seen, "BusyWorkers") == idle
    });
}

/// Waits until `?auto` is `right`.
fn until(
    server: &Server,
    right: impl Fn(&HashMap<String, String>) -> bool,
) -> HashMap<String, String> {
    let mut seen = HashMap::new();
    let found = ready::until("the right figures", PATIENCE, || {
        seen = auto(server);
        right(&seen)
    });
    assert!(found.is_ok(), "{seen:?}");
    seen
}

#[test]
fn status_truth() {
    let big = vec![b'x'; 8_000_000];
    let server = start(
        "StartServers 2\nServerLimit 2\nThreadsPerChild 2\nMaxClients 4\nKeepAliveTimeout 300\nMaxKeepAliveRequests 0\nTimeout 300\n\
         LimitRequestBody 10\nSendBufferSize 8192",
        &[("site/a.txt", b"x"), ("site/big", &big)],
    );
    let mut parked: Vec<_> = (0..7).map(|_| ask(&server, "/a.txt")).collect();
    for stream in &mut parked {
        assert_eq!(client::read(stream, false).unwrap().status, 200);
    }
    let _stalled: Vec<_> = (0..3).map(|_| ask(&server, "/big")).collect();
    let post = "POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx";
    let mut refused: Vec<_> = (0..2).map(|_| send(&server, post)).collect();
    for stream in &mut refused {
        assert_eq!(client::read(stream, false).unwrap().status, 413);
    }
    // One connection asks, and is asked over: no other comes and goes meanwhile.
    let mut asking = client::connect(server.address()).unwrap();
    let mut last = String::new();
    let found = ready::until("7, 3 and 2", PATIENCE, || {
        asking
            .write_all(b"GET /server-status?auto HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        last = text(client::read(&mut asking, false).unwrap());
        let is = |line: &str| last.lines().any(|l| l == line);
        is("ConnsAsyncKeepAlive: 7")
            && is("ConnsAsyncWriting: 3")
            && is("ConnsAsyncClosing: 2")
            && is("ConnsAsyncWaitIO: 0")
            && is("ConnsTotal: 13")
            && is("BusyWorkers: 1")
            && is("IdleWorkers: 3")
    });
    assert!(found.is_ok(), "{last}");
    let letters = &figures(&last)["Scoreboard"];
    let count = |wanted: char| letters.chars().filter(|c| *c == wanted).count();
    assert_eq!((letters.len(), count('W'), count('_')), (4, 1, 3));
    // The page says the same.
    asking
        .write_all(b"GET /server-status HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let page = text(client::read(&mut asking, false).unwrap());
    assert!(page.contains("<h2>Connections: 13</h2>"), "{page}");
    for part in [
        "7 parked",
        "1 active",
        "0 waiting",
        "3 writing",
        "2 lingering",
    ] {
        assert!(page.contains(&format!("</span>{part}")), "{part}: {page}");
    }
}

#[test]
fn when_all_slots_are_taken_the_server_still_says_what_it_does() {
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nMaxClients 2\nKeepAliveTimeout 300",
        &[("site/a.txt", b"x")],
    );
    // Longer than anybody here waits.
    let mut streams: Vec<_> = (0..2).map(|_| ask(&server, "/push?wait=60000")).collect();
    let mut asking = client::connect(server.address()).unwrap();
    let mut get = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        asking.write_all(request.as_bytes()).unwrap();
        text(client::read(&mut asking, false).unwrap())
    };
    let shows = |text: &str, line: &str| text.lines().any(|l| l == line);
    ready::until("two busy slots", PATIENCE, || {
        shows(&get("/server-status?auto"), "Scoreboard: WW")
    })
    .unwrap();
    streams.extend((0..3).map(|_| ask(&server, "/push?wait=1")));
    let mut seen = String::new();
    let lines = [
        "BusyWorkers: 2",
        "IdleWorkers: 0",
        "ConnsTotal: 6",
        "ConnsAsyncWaitIO: 3",
        "ConnsAsyncKeepAlive: 0",
        "Scoreboard: WW",
    ];
    let waiting = ready::until("three that wait", PATIENCE, || {
        seen = get("/server-status?auto");
        lines.iter().all(|line| shows(&seen, line))
    });
    assert!(waiting.is_ok(), "{seen}");
    assert!(get("/server-status").contains("</span>3 waiting"));
    let board = get("/push?board");
    assert!(board.contains(" busy=3 waiting=3 "), "{board}");
    assert_eq!(
        get("/push?pid").trim(),
        server.children().unwrap()[0].to_string()
    );
    // What does more than to look waits its turn, and so does a file.
    let mut waits = [ask(&server, "/push?board&wait=1"), ask(&server, "/a.txt")];
    ready::until("five that wait", PATIENCE, || {
        shows(&get("/server-status?auto"), "ConnsAsyncWaitIO: 5")
    })
    .unwrap();
    for stream in &mut waits {
        stream.set_nonblocking(true).unwrap();
        assert!(stream.read(&mut [0]).is_err());
    }
}

/// What apache_exporter does: split at ": ", known keys must be numbers, the scoreboard is counted by letter.
fn exporter(text: &str) -> (BTreeMap<String, f64>, BTreeMap<char, usize>) {
    let numeric = [
        "ParentServerConfigGeneration",
        "ParentServerMPMGeneration",
        "Load1",
        "Load5",
        "Load15",
        "Total Accesses",
        "Total kBytes",
        "Total Duration",
        "CPUUser",
        "CPUSystem",
        "CPUChildrenUser",
        "CPUChildrenSystem",
        "CPULoad",
        "Uptime",
        "BusyWorkers",
        "IdleWorkers",
        "Processes",
        "Stopping",
        "ConnsTotal",
        "ConnsAsyncWriting",
        "ConnsAsyncKeepAlive",
        "ConnsAsyncClosing",
    ];
    let (mut values, mut letters) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        if numeric.contains(&key) {
            values.insert(key.to_owned(), value.trim().parse().unwrap());
        } else if key == "ServerVersion" {
            let (_, version) = value.split_once('/').unwrap();
            let parts: Vec<u32> = version.split('.').map(|p| p.parse().unwrap()).collect();
            assert!(parts.len() >= 3, "{version}");
        } else if key == "ServerMPM" {
            assert_eq!(value, "event");
        } else if key == "Scoreboard" {
            for letter in value.chars() {
                assert!("_SRWKDCLGI.".contains(letter), "{letter}");
                *letters.entry(letter).or_default() += 1;
            }
        }
    }
    for key in numeric.iter().filter(|k| **k != "CPULoad") {
        assert!(values.contains_key(*key), "{key}: {text}");
    }
    (values, letters)
}

/// What telegraf does: split at the first colon, drop blanks from the key, keep what is a number.
fn telegraf(text: &str) -> BTreeMap<String, f64> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .filter_map(|(k, v)| Some((k.replace(' ', ""), v.trim().parse().ok()?)))
        .collect()
}

/// What collectd does: words between blanks, some first words known.
fn collectd(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for line in text.lines() {
        match *line.split_ascii_whitespace().collect::<Vec<_>>() {
            ["Total", name @ ("Accesses:" | "kBytes:"), value] => {
                values.insert(name.to_owned(), value.to_owned());
            }
            [
                name @ ("BusyWorkers:" | "IdleWorkers:" | "Scoreboard:"),
                value,
            ] => {
                values.insert(name.to_owned(), value.to_owned());
            }
            _ => {}
        }
    }
    values
}

#[test]
fn monitoring_programs_read_it() {
    let server = start(
        "StartServers 2\nServerLimit 4\nThreadsPerChild 5\nMaxClients 20",
        &[("site/a.txt", &[b'x'; 200_000])],
    );
    serving(&server, 10);
    for _ in 0..6 {
        assert_eq!(server.get("/a.txt").unwrap().status, 200);
    }
    // The exporter's own default has the slash.
    let response = server.get("/server-status/?auto").unwrap();
    let kind = response.header("content-type").unwrap().to_owned();
    assert_eq!(kind, "text/plain; charset=ISO-8859-1");
    let text = text(response);

    let (values, letters) = exporter(&text);
    assert_eq!(values["Processes"], 2.0);
    assert_eq!(values["BusyWorkers"], 1.0);
    assert_eq!(values["IdleWorkers"], 9.0);
    assert_eq!((letters[&'W'], letters[&'_'], letters[&'.']), (1, 9, 10));
    assert_eq!(letters.values().sum::<usize>(), 20);

    let all = telegraf(&text);
    assert!(all["TotalAccesses"] >= 7.0, "{text}");
    assert!(all["TotalkBytes"] >= 1171.0, "{text}");
    assert_eq!(all["BusyWorkers"], 1.0);
    for key in [
        "ServerUptimeSeconds",
        "ConnsAsyncWaitIO",
        "GracefulWorkers",
        "DurationPerReq",
        "BuffersRetainedBytes",
    ] {
        assert!(all.contains_key(key), "{key}: {text}");
    }

    let few = collectd(&text);
    assert_eq!(few.len(), 5, "{text}");
    assert_eq!(few["BusyWorkers:"], "1");
    assert_eq!(few["Scoreboard:"].len(), 20);
}

#[test]
fn totals_and_times_are_real() {
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 2\nMaxClients 2",
        &[("site/a.txt", &[b'x'; 100_000])],
    );
    let before = auto(&server);
    for _ in 0..20 {
        assert_eq!(server.get("/a.txt").unwrap().status, 200);
    }
    assert_eq!(server.get("/push?spin=300").unwrap().status, 200);
    let after = auto(&server);
    let more = |key| number(&after, key) - number(&before, key);
    // Twenty files, the diagnostic one, and the page itself.
    assert_eq!(more("Total Accesses"), 22);
    assert!((1950..2100).contains(&more("Total kBytes")), "{after:?}");
    assert!(more("Total Duration") >= 300, "{after:?}");
    spin(&server, seconds(&after, "CPUUser") + 0.2);
    assert_eq!(number(&before, "ParentServerConfigGeneration"), 1);
    assert_eq!(number(&before, "ParentServerMPMGeneration"), 0);
    let later = until(&server, |seen| {
        number(seen, "Uptime") > number(&before, "Uptime") && number(seen, "Uptime") >= 2
    });
    assert_eq!(later["Uptime"], later["ServerUptimeSeconds"]);
    assert_eq!(
        later["ServerUptime"],
        format!("{} seconds", later["Uptime"])
    );
    assert_eq!(later["RestartTime"], before["RestartTime"]);
    assert_ne!(later["CurrentTime"], before["CurrentTime"]);
    let rate: f64 = later["ReqPerSec"].parse().unwrap();
    let expected = number(&later, "Total Accesses") as f64 / number(&later, "Uptime") as f64;
    assert!((rate - expected).abs() < 0.001, "{later:?}");
}

#[test]
fn what_a_dead_child_had_used_is_kept() {
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nMaxClients 1",
        &[("site/a.txt", b"x")],
    );
    spin(&server, 0.3);
    let before = auto(&server);
    assert!(server.get("/push?crash=KILL").is_err());
    // The supervisor has used some of what was counted before, but not much.
    let after = until(&server, |seen| seconds(seen, "CPUChildrenUser") >= 0.2);
    for key in ["Total Accesses", "Total Duration", "Total kBytes"] {
        assert!(
            number(&after, key) >= number(&before, key),
            "{key}: {before:?} {after:?}"
        );
    }
}

#[test]
fn the_page_is_for_people() {
    let server = start(
        "ServerName main.example\nStartServers 2\nServerLimit 2\nThreadsPerChild 2\nMaxClients 4\n\
         <VirtualHost *>\nServerName \"v<i>.example\"\nDocumentRoot {root}/site\n</VirtualHost>",
        &[("site/a.txt", b"x")],
    );
    serving(&server, 4);
    let mut page = String::new();
    ready::until("the request before on the page", PATIENCE, || {
        let response = server.get("/server-status?x='&y=/").unwrap();
        let kind = response.header("content-type").unwrap().to_owned();
        assert_eq!(kind, "text/html; charset=ISO-8859-1");
        assert_eq!(response.header("refresh"), None);
        page = text(response);
        page.contains("GET /server-status?x=&#39;&amp;y=/ HTTP/1.1")
    })
    .unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.is_ascii());
    assert!(!page.contains("x='&y") && !page.contains("v<i>"), "{page}");
    for pid in server.children().unwrap() {
        let row = format!("<td>{pid}</td><td class=\"t\">accepting</td>");
        assert!(page.contains(&row), "{pid}: {page}");
    }
    assert!(page.contains(">v&lt;i&gt;.example<"), "{page}");
    assert!(
        page.contains("<td class=\"t\">127.0.0.1</td><td class=\"t\">http/1.1</td>"),
        "{page}"
    );
    let plain = text(server.get("/server-status?notable").unwrap());
    assert!(
        !plain.contains("<table") && plain.contains("<pre>"),
        "{plain}"
    );
}

#[test]
fn a_refresh_is_asked_of_the_browser() {
    let server = start("", &[("site/a.txt", b"x")]);
    for (query, refresh) in [
        ("?refresh=7", Some("7")),
        ("?refresh", Some("10")),
        ("?refresh=0", Some("10")),
        ("?auto&refresh=5", Some("5")),
        ("?auto", None),
        ("?notable", None),
    ] {
        let response = server.get(&format!("/server-status{query}")).unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.header("refresh"), refresh, "{query}");
        let plain = response
            .header("content-type")
            .unwrap()
            .starts_with("text/plain");
        assert_eq!(plain, query.contains("auto"), "{query}");
    }
}

#[test]
fn it_is_governed_like_any_other_page() {
    let server = Server::start(
        &configuration(
            "ServerName own.example:80\n\
             <Location /server-status>\nSetHandler server-status\nRequire ip 192.0.2.1\n</Location>\n\
             <Location /open>\nSetHandler server-status\n</Location>\n\
             <Location /open/no>\nSetHandler none\n</Location>",
        ),
        &[("site/open/no", b"a file"), ("site/a.txt", b"x")],
    )
    .unwrap();
    for path in [
        "/server-status",
        "/server-status?auto",
        "/server-status/",
        "//server-status",
        "/%73erver-status",
    ] {
        assert_eq!(server.get(path).unwrap().status, 403, "{path}");
    }
    assert_eq!(server.get("/open/no").unwrap().body, b"a file");
    let exchange = |request: &str| client::exchange(server.address(), request.as_bytes()).unwrap();
    let whole = exchange("GET /open?auto HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let head =
        exchange("HEAD /open?auto&refresh=3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!((whole.status, head.status), (200, 200));
    assert_eq!(head.header("content-type"), whole.header("content-type"));
    assert_eq!(head.header("refresh"), Some("3"));
    assert!(
        head.header("content-length")
            .is_some_and(|n| n.parse::<usize>().unwrap() > 400)
    );
    assert!(head.body.is_empty());
    // What the client calls the server is the first line, without the port.
    let named =
        exchange("GET /open?auto HTTP/1.1\r\nHost: b.example:80\r\nConnection: close\r\n\r\n");
    assert!(text(named).starts_with("b.example\nServerVersion: Parkade/"));
    let unnamed = exchange("GET /open?auto HTTP/1.0\r\n\r\n");
    assert!(text(unnamed).starts_with("own.example\nServerVersion: "));
    let post = exchange(
        "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(post.status, 405);
}

#[test]
fn without_extended_status_totals_and_requests_are_left_out() {
    let server = start("ExtendedStatus Off", &[("site/a.txt", b"x")]);
    assert_eq!(server.get("/push?pid").unwrap().status, 200);
    let seen = auto(&server);
    for key in [
        "Total Accesses",
        "Total Duration",
        "CPUUser",
        "Uptime",
        "ReqPerSec",
        "DurationPerReq",
    ] {
        assert!(!seen.contains_key(key), "{seen:?}");
    }
    assert_eq!(number(&seen, "BusyWorkers"), 1);
    assert!(seen.contains_key("Scoreboard") && seen.contains_key("ConnsTotal"));
    let page = text(server.get("/server-status").unwrap());
    assert!(
        page.contains("ExtendedStatus On") && !page.contains("/push?pid"),
        "{page}"
    );
}

#[test]
fn a_child_that_finishes_is_seen_to() {
    let server = start(
        "StartServers 2\nServerLimit 2\nThreadsPerChild 2\nMaxClients 4\nKeepAliveTimeout 300\nMaxKeepAliveRequests 0",
        &[("site/a.txt", b"x")],
    );
    serving(&server, 4);
    // A connection to each child: what is asked on one is not disturbed by the end of the other.
    let get = |stream: &mut TcpStream, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        text(client::read(stream, false).unwrap())
    };
    let mut by_child: HashMap<u32, TcpStream> = HashMap::new();
    ready::until("a connection to each child", PATIENCE, || {
        let mut stream = client::connect(server.address()).unwrap();
        let pid = get(&mut stream, "/push?pid").trim().parse().unwrap();
        by_child.insert(pid, stream);
        by_child.len() == 2
    })
    .unwrap();
    let mut both = by_child.into_iter();
    let ((pid, mut busy), (_, mut asking)) = (both.next().unwrap(), both.next().unwrap());
    let mut see = |right: &dyn Fn(&HashMap<String, String>) -> bool| {
        let mut seen = HashMap::new();
        let found = ready::until("the right figures", PATIENCE, || {
            seen = figures(&get(&mut asking, "/server-status?auto"));
            right(&seen)
        });
        assert!(found.is_ok(), "{seen:?}");
        (seen, get(&mut asking, "/server-status"))
    };
    busy.write_all(b"GET /push?wait=5000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    see(&|seen| number(seen, "BusyWorkers") == 2);
    signal(pid, libc::SIGTERM);
    let (seen, page) = see(&|seen| number(seen, "Stopping") == 1);
    assert_eq!(number(&seen, "GracefulWorkers"), 1, "{seen:?}");
    let letters = &seen["Scoreboard"];
    assert_eq!(letters.matches('G').count(), 1, "{letters}");
    let row = format!("<td>{pid}</td><td class=\"t\">draining</td>");
    assert!(page.contains(&row), "{page}");
    assert_eq!(client::read(&mut busy, false).unwrap().status, 200);
    see(&|seen| number(seen, "Stopping") == 0 && number(seen, "Processes") == 2);
}

#[test]
fn the_scoreboard_has_a_letter_for_each_slot() {
    let server = start(
        "StartServers 1\nServerLimit 2\nThreadsPerChild 2\nMaxClients 20",
        &[("site/a.txt", b"x")],
    );
    let _busy: Vec<_> = (0..6).map(|_| ask(&server, "/push?wait=15000")).collect();
    // A body that does not come.
    let post = "POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx";
    let _half = send(&server, post);
    let seen = until(&server, |seen| {
        number(seen, "BusyWorkers") == 8 && seen["Scoreboard"].contains('R')
    });
    let letters = &seen["Scoreboard"];
    assert_eq!(
        (letters.len(), letters.matches('W').count()),
        (20, 7),
        "{letters}"
    );
    assert_eq!(letters.matches('R').count(), 1, "{letters}");
    assert_eq!(number(&seen, "IdleWorkers"), 2, "{seen:?}");
}

#[test]
fn the_check_has_nothing_to_say_of_it() {
    let text = configuration(&format!("{PAGE}ExtendedStatus On"));
    let prepared = Prepared::new(&text, &[("site/a.txt", b"x")]).unwrap();
    let output = prepared.command().unwrap().arg("-t").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        !said.contains("server-status") && !said.contains("ExtendedStatus"),
        "{said}"
    );
}

#[test]
fn it_says_how_much_memory_free_buffers_keep() {
    let server = start(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nMaxClients 20\nMaxMemFree 64",
        &[("site/a.txt", b"x")],
    );
    let seen = until(&server, |seen| {
        // Each of these has a buffer of its own while it waits, and they wait together unless the machine is slow.
        let streams: Vec<_> = (0..16).map(|_| ask(&server, "/push?wait=200")).collect();
        for mut stream in streams {
            assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
        }
        // Four buffers may be kept; one of them is in use while this is asked.
        number(seen, "BuffersRetainedBytes") >= 3 * 16384
    });
    assert!(number(&seen, "BuffersRetainedBytes") <= 65536, "{seen:?}");
    assert!(text(server.get("/server-status").unwrap()).contains("Free buffers kept: "));
}
