//! Virtual hosts and logs, seen from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::server::Server;
use parkade_tests::{client, ready};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nServerName main.example\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\n\
         ErrorLog {{root}}/error.log\nStartServers 1\nThreadsPerChild 2\nDocumentRoot {{root}}/main\n{more}\n"
    )
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn ask(address: SocketAddr, host: &str, path: &str) -> client::Response {
    let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    client::exchange(address, text.as_bytes()).unwrap()
}

fn text(server: &Server, name: &str) -> String {
    fs::read_to_string(server.root().join(name)).unwrap_or_default()
}

fn until_log(server: &Server, name: &str, what: &str) {
    // A line is on disk within a second.
    let end = Instant::now() + Duration::from_secs(1);
    while !text(server, name).contains(what) {
        assert!(
            Instant::now() < end,
            "{name} has no {what:?}: {}",
            text(server, name)
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_address_chooses_first_and_then_the_name() {
    let (wild, own) = (free_port(), free_port());
    let more = format!(
        "Listen 0.0.0.0:{wild}\nListen 127.0.0.1:{own}\n\
         <VirtualHost *:{wild}>\nServerName one.example\nDocumentRoot {{root}}/one\n</VirtualHost>\n\
         <VirtualHost *:{wild}>\nServerName two.example\nServerAlias *.two.example t?o\nDocumentRoot {{root}}/two\n</VirtualHost>\n\
         <VirtualHost 127.0.0.2:{wild}>\nServerName three.example\nDocumentRoot {{root}}/three\n</VirtualHost>"
    );
    let files: Vec<(String, &[u8])> = ["main", "one", "two", "three"]
        .iter()
        .map(|n| (format!("{n}/a"), n.as_bytes()))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, c)| (&**n, *c)).collect();
    let server = Server::start(&configuration(&more), &files).unwrap();
    let at = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
    for (address, host, expected) in [
        (at("127.0.0.1", wild), "one.example", "one"),
        (at("127.0.0.1", wild), "TWO.example:99", "two"),
        (at("127.0.0.1", wild), "a.Two.Example.", "two"),
        (at("127.0.0.1", wild), "txo", "two"),
        (at("127.0.0.1", wild), "three.example", "one"),
        (at("127.0.0.1", wild), "unknown", "one"),
        (at("127.0.0.2", wild), "one.example", "three"),
        (at("127.0.0.2", wild), "two.example", "three"),
        (at("127.0.0.1", own), "one.example", "main"),
        (server.address(), "two.example", "main"),
    ] {
        // Twice: the second may come from memory.
        for _ in 0..2 {
            let got = ask(address, host, "/a");
            assert_eq!(
                String::from_utf8_lossy(&got.body),
                expected,
                "{address} {host}"
            );
        }
    }
    let text =
        "GET http://two.example/a HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n";
    let got = client::exchange(at("127.0.0.1", wild), text.as_bytes()).unwrap();
    assert_eq!(got.body, b"two", "an absolute target is above Host");
}

#[test]
fn a_host_has_limits_of_its_own() {
    let server = Server::start(
        &configuration(
            "KeepAliveTimeout 30\n\
             <VirtualHost *>\nServerName slow\nKeepAliveTimeout 20\n</VirtualHost>\n\
             <VirtualHost *>\nServerName quick\nKeepAliveTimeout 300ms\nMaxKeepAliveRequests 2\nLimitRequestBody 5\n</VirtualHost>\n\
             <VirtualHost *>\nServerName once\nKeepAlive Off\n</VirtualHost>\n\
             <VirtualHost *>\nServerName impatient\nRequestReadTimeout body=1\n</VirtualHost>",
        ),
        &[("main/a", b"a")],
    )
    .unwrap();
    let connect = || client::connect(server.address()).unwrap();
    let get = |stream: &mut std::net::TcpStream, host: &str| {
        let text = format!("GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        client::read(stream, false).unwrap()
    };
    let mut stream = connect();
    let got = get(&mut stream, "slow");
    assert_eq!(got.header("Keep-Alive"), Some("timeout=20, max=99"));
    let got = get(&mut stream, "quick");
    assert_eq!(
        got.header("Connection"),
        Some("close"),
        "its second request"
    );

    let mut stream = connect();
    let _ = get(&mut stream, "quick");
    let began = Instant::now();
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    let took = began.elapsed();
    assert!(
        took > Duration::from_millis(250) && took < Duration::from_secs(5),
        "{took:?}"
    );

    let got = get(&mut connect(), "once");
    assert_eq!(got.header("Connection"), Some("close"));

    for (host, status) in [("quick", 413), ("slow", 405)] {
        let text = format!(
            "POST /a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabcdef"
        );
        let got = client::exchange(server.address(), text.as_bytes()).unwrap();
        assert_eq!(got.status, status, "{host}");
    }
    let mut stream = connect();
    stream
        .write_all(b"POST /a HTTP/1.1\r\nHost: impatient\r\nContent-Length: 6\r\n\r\nab")
        .unwrap();
    let began = Instant::now();
    assert_eq!(client::read(&mut stream, false).unwrap().status, 408);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn heads_are_held_to_the_limits_of_the_addresss_first_host() {
    let server = Server::start(
        &configuration(
            "<VirtualHost *>\nServerName first\nLimitRequestLine 50\nLimitRequestFieldSize 60\nLimitRequestFields 3\n</VirtualHost>\n\
             <VirtualHost *>\nServerName other\n</VirtualHost>",
        ),
        &[("main/a", b"a")],
    )
    .unwrap();
    for (path, fields, status) in [
        ("/a", String::new(), 200),
        (&*format!("/{}", "x".repeat(60)), String::new(), 414),
        ("/a", format!("X: {}\r\n", "y".repeat(80)), 431),
        ("/a", "A: 1\r\nB: 2\r\n".to_owned(), 431),
    ] {
        let text =
            format!("GET {path} HTTP/1.1\r\nHost: other\r\nConnection: close\r\n{fields}\r\n");
        let got = client::exchange(server.address(), text.as_bytes()).unwrap();
        assert_eq!(got.status, status, "{path} {fields}");
    }
}

#[test]
fn each_item_of_a_format_says_what_it_should() {
    let more = r#"LogFormat "%h|%a|%A|%l|%u|%r|%>s|%b|%B|%m|%U|%q|%H|%v|%V|%k|%X|%{X-In}i|%{ETag}o|%{Content-Length}o|%{c}C|%{none}e|%f|%%" most
LogFormat "%t|%{%Y}t|%{sec}t|%D|%T|%{ms}T|%I|%O|%S|%p|%{local}p|%{remote}p|%P|%{tid}P" numbers
LogFormat "%400,404r|%!404s\t\"q\"" conditions
CustomLog most.log most
CustomLog numbers.log numbers
CustomLog conditions.log conditions
CustomLog common.log common
CustomLog combined.log combined
CustomLog bare.log "%r is %s"
<VirtualHost *>
ServerName first:8123
</VirtualHost>
<VirtualHost *>
ServerName own
CustomLog own.log "own %U"
ErrorLog own-error.log
<Location /denied>
Require all denied
</Location>
</VirtualHost>"#;
    let mut server = Server::start(&configuration(more), &[("main/a b", b"hello")]).unwrap();
    let mut stream = client::connect(server.address()).unwrap();
    let port = stream.local_addr().unwrap().port();
    let request = b"GET /a%20b?q=1 HTTP/1.1\r\nHost: Name.example:1\r\nX-In: a\"b\r\nX-In: c\r\nCookie: b=1; c=2\r\nReferer: r\r\nUser-Agent: u\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(request).unwrap();
        assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
    }
    let etag = ask(server.address(), "x", "/a%20b")
        .header("ETag")
        .unwrap()
        .replace('"', "\\\"");
    let root = server.root().display().to_string();
    until_log(
        &server,
        "most.log",
        &format!(
            "127.0.0.1|127.0.0.1|127.0.0.1|-|-|GET /a%20b?q=1 HTTP/1.1|200|5|5|GET|/a%20b|?q=1|HTTP/1.1|first|Name.example|1|+|a\\\"b, c|{etag}|5|2|-|{root}/main/a b|%\n"
        ),
    );
    until_log(&server, "bare.log", "GET /a%20b?q=1 HTTP/1.1 is 200\n");
    until_log(
        &server,
        "combined.log",
        "\"GET /a%20b?q=1 HTTP/1.1\" 200 5 \"r\" \"u\"\n",
    );
    until_log(&server, "common.log", "\"GET /a%20b?q=1 HTTP/1.1\" 200 5\n");
    let line = text(&server, "numbers.log");
    let ours = format!("|{port}|");
    let line = line.lines().find(|l| l.contains(&ours)).unwrap();
    let line: Vec<&str> = line.split('|').collect();
    let number = |i: usize| line[i].parse::<u64>().unwrap();
    assert!(
        line[0].starts_with('[') && line[0].ends_with(']') && line[0].len() == 28,
        "{line:?}"
    );
    assert!(number(1) >= 2024 && number(2) > 1_700_000_000, "{line:?}");
    assert!(
        number(3) < 10_000_000 && number(4) < 10 && number(5) < 10_000,
        "{line:?}"
    );
    assert_eq!(number(6), request.len() as u64, "{line:?}");
    assert!(
        number(7) > 100 && number(8) == number(6) + number(7),
        "{line:?}"
    );
    assert_eq!(number(9), 8123, "{line:?}");
    assert_eq!(number(10), u64::from(server.address().port()), "{line:?}");
    assert_eq!(number(11), u64::from(port), "{line:?}");
    assert!(
        server.children().unwrap().contains(&(number(12) as u32)),
        "{line:?}"
    );

    assert_eq!(ask(server.address(), "x", "/missing").status, 404);
    until_log(
        &server,
        "conditions.log",
        "GET /missing HTTP/1.1|-\t\"q\"\n",
    );
    until_log(&server, "conditions.log", "-|200\t\"q\"\n");

    assert_eq!(ask(server.address(), "own", "/denied").status, 403);
    until_log(&server, "own.log", "own /denied\n");
    until_log(&server, "own-error.log", "[authz_core:error]");
    assert!(
        !text(&server, "most.log").contains("denied"),
        "a host with its own log writes there only"
    );

    // What is refused is logged too, and nothing a client sends gets into a log as it is.
    let mut stream = client::connect(server.address()).unwrap();
    stream
        .write_all(b"GET /\x01\xff HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    until_log(&server, "bare.log", "is 400\n");
    let mut stream = client::connect(server.address()).unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\nX-In: t\tu\x80\xff\r\nReferer: \x80\r\nConnection: close\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    until_log(&server, "most.log", "t\\tu\\x80\\xff|");
    // The last line is there at the end, too.
    let _ = ask(server.address(), "x", "/last");
    assert!(server.stop().unwrap().success());
    assert!(text(&server, "bare.log").contains("GET /last HTTP/1.1 is 404\n"));
    for name in ["most.log", "combined.log", "common.log", "bare.log"] {
        let bytes = fs::read(server.root().join(name)).unwrap();
        assert!(
            bytes
                .iter()
                .all(|b| *b == b'\n' || (b' '..=b'~').contains(b)),
            "{name}"
        );
    }
}

#[test]
fn a_log_that_cannot_be_written_does_not_stop_serving_and_is_told_once() {
    if !std::path::Path::new("/dev/full").exists() {
        return eprintln!("skipped: there is no /dev/full");
    }
    let server = Server::start(
        &configuration("CustomLog /dev/full common"),
        &[("main/a", b"a")],
    )
    .unwrap();
    for _ in 0..20 {
        assert_eq!(ask(server.address(), "x", "/a").status, 200);
    }
    until_log(&server, "error.log", "lines are lost");
    assert_eq!(
        text(&server, "error.log").matches("lines are lost").count(),
        1
    );
}

#[test]
fn a_program_reads_the_log_is_started_again_and_ends_with_the_server() {
    let mut server = Server::start(
        &configuration(
            "CustomLog \"|$ echo $$ > {root}/logger; exec cat >> {root}/piped.log\" \"%U\"\n\
             ErrorLog \"|/usr/bin/tee {root}/error-piped.log\"",
        ),
        &[("main/a", b"a")],
    )
    .unwrap();
    assert_eq!(ask(server.address(), "x", "/one").status, 404);
    let appears = |what: &str| {
        ready::until(what, PATIENCE, || text(&server, "piped.log").contains(what)).unwrap();
    };
    appears("/one\n");
    let pid: i32 = text(&server, "logger").trim().parse().unwrap();
    // SAFETY: kill touches no memory of ours; the process is the server's program.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    // While it dies it may still take a line out of the pipe, and with it to its grave.
    let dead = || fs::metadata(format!("/proc/{pid}")).is_err();
    ready::until("the program's death", PATIENCE, dead).unwrap();
    assert_eq!(ask(server.address(), "x", "/two").status, 404);
    appears("/two\n");
    let again: i32 = text(&server, "logger").trim().parse().unwrap();
    assert_ne!(pid, again);
    ready::until("the error log's program", PATIENCE, || {
        text(&server, "error-piped.log").contains("resuming normal operations")
    })
    .unwrap();
    assert!(server.stop().unwrap().success());
    let gone = || fs::metadata(format!("/proc/{again}")).is_err();
    ready::until("the program's end", PATIENCE, gone).unwrap();
}

#[test]
fn a_level_may_be_a_modules_own() {
    let server = Server::start(
        &configuration(
            "LogLevel warn mod_authz_core.c:crit\n<Location />\nRequire all denied\n</Location>",
        ),
        &[("main/a", b"a")],
    )
    .unwrap();
    assert_eq!(ask(server.address(), "x", "/a").status, 403);
    let mut other = Server::start(
        &configuration(
            "LogLevel crit authz_core:error\n<Location />\nRequire all denied\n</Location>",
        ),
        &[("main/a", b"a")],
    )
    .unwrap();
    assert_eq!(ask(other.address(), "x", "/a").status, 403);
    until_log(&other, "error.log", "client denied");
    assert!(other.stop().unwrap().success());
    assert!(!text(&server, "error.log").contains("client denied"));
}

#[test]
fn a_format_that_is_not_understood_is_refused_with_its_place() {
    let error = Server::start(
        &configuration("CustomLog x.log \"%Y %h\""),
        &[("main/a", b"a")],
    )
    .map(drop)
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("%Y is not known") && error.contains("parkade.conf"),
        "{error}"
    );
}
