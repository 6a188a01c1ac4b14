//! LogFormat's items that say what only the server knows of a request, and formats that are refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::server::{Server, binary};
use parkade_tests::{client, ready};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn start(more: &str, files: &[(&str, &[u8])]) -> Server {
    let text = format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         StartServers 1\nThreadsPerChild 2\nDocumentRoot {{root}}/www\n{more}\n"
    );
    Server::start(&text, files).unwrap()
}

fn send(server: &Server, request: &str) -> TcpStream {
    let mut stream = client::connect(server.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Waits for a line that begins so; gives what follows.
fn logged(server: &Server, name: &str, begins: &str) -> String {
    let mut found = None;
    let line = || {
        found = server
            .text(name)
            .lines()
            .find_map(|l| Some(l.strip_prefix(begins)?.to_owned()));
        found.is_some()
    };
    ready::until(&format!("a line {begins:?} in {name}"), PATIENCE, line).unwrap();
    found.unwrap()
}

#[test]
fn an_answer_that_the_client_did_not_take_whole_is_logged_as_aborted() {
    let big = vec![b'x'; 64 << 20];
    let server = start(
        "LogFormat \"%U %X %s|%!404X|%k\" x\nCustomLog x.log x\nCustomLog plain.log \"%U %s\"\nTimeout 20",
        &[("www/big", &big), ("www/small", b"x")],
    );
    let mut kept = send(&server, "GET /small HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client::read(&mut kept, false).unwrap().status, 200);
    assert_eq!(logged(&server, "x.log", "/small "), "+ 200|+|0");

    // Sent by the kernel in the background, and by reads: the client leaves in the middle, with bytes unread.
    let mut stream = send(&server, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.read_exact(&mut [0; 1000]).unwrap();
    assert!(!server.text("x.log").contains("/big"), "it is not over");
    logged(&server, "plain.log", "/big 200");
    drop(stream);
    assert_eq!(logged(&server, "x.log", "/big "), "X 200|X|0");

    let mut whole = send(
        &server,
        "GET /big?whole HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /never",
    );
    assert_eq!(
        client::read(&mut whole, false).unwrap().body.len(),
        big.len()
    );
    ready::until("the whole answer's line", PATIENCE, || {
        server.text("x.log").contains("/big - 200|-|0\n")
    })
    .unwrap();

    // Pipelined requests behind one another, the last one refused.
    let mut stream = send(
        &server,
        "GET /small HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n",
    );
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let statuses = String::from_utf8_lossy(&all).matches("HTTP/1.1 ").count();
    assert_eq!(statuses, 3);
    assert_eq!(logged(&server, "x.log", "/none "), "+ 404|-|1");
    logged(&server, "x.log", "- - 400|-");
}

#[test]
fn notes_handlers_trailers_and_the_environment_are_logged() {
    let server = start(
        "LogFormat \"%m %U|%R|%{error-notes}n|%{none}n|%{X-Sum}^ti|%{x-other}^ti|%{a}^to|%{PATH}e|%{PARKADE_NONE}e\" x\n\
         CustomLog x.log x\n<Location /status>\nSetHandler server-status\n</Location>\n\
         <Location /do>\nSetHandler parkade-diagnostics\nRequire local\n</Location>",
        &[("www/file", b"x")],
    );
    let path = std::env::var("PATH").unwrap();
    for (request, line) in [
        (
            "GET /file HTTP/1.0\r\n\r\n",
            format!("GET /file|-|-|-|-|-|-|{path}|-"),
        ),
        (
            "GET /status HTTP/1.0\r\n\r\n",
            format!("GET /status|server-status|-|-|-|-|-|{path}|-"),
        ),
        (
            "GET /do HTTP/1.0\r\n\r\n",
            format!("GET /do|parkade-diagnostics|-|-|-|-|-|{path}|-"),
        ),
        (
            "POST /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n0\r\nX-Sum: 1\"2\r\nx-OTHER:\t y \r\n\r\n",
            format!("POST /file|-|-|-|1\\\"2|y|-|{path}|-"),
        ),
        (
            "POST /file HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            format!("POST /file|-|malformed chunk|-|-|-|-|{path}|-"),
        ),
        (
            "GET /file HTTP/1.1\r\n\r\n",
            format!("- -|-|no Host field|-|-|-|-|{path}|-"),
        ),
    ] {
        let mut stream = send(&server, request);
        let _ = stream.read_to_end(&mut Vec::new());
        ready::until(&line, PATIENCE, || {
            server.text("x.log").lines().any(|l| l == line)
        })
        .unwrap_or_else(|e| panic!("{e}: {}", server.text("x.log")));
    }
}

#[test]
fn an_access_log_names_the_line_of_the_error_log() {
    let server = start(
        "CustomLog x.log \"%U %L\"\n<Location /denied>\nRequire all denied\n</Location>\n\
         <VirtualHost *>\nServerName plain\nCustomLog plain.log \"%U\"\n</VirtualHost>\n\
         <VirtualHost *>\nServerName numbered\n</VirtualHost>",
        &[("www/file", b"x")],
    );
    let ask = |host: &str, path: &str| {
        let mut stream = send(
            &server,
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        );
        client::read(&mut stream, false).unwrap().status
    };
    assert_eq!(ask("numbered", "/file"), 200);
    assert_eq!(logged(&server, "x.log", "/file "), "-");
    for path in ["/denied/1", "/denied/2"] {
        assert_eq!(ask("numbered", path), 403);
    }
    let ids = ["/denied/1 ", "/denied/2 "].map(|path| logged(&server, "x.log", path));
    assert_ne!(ids[0], ids[1]);
    let errors = server.text("error.log");
    for (id, path) in ids.iter().zip(["/denied/1", "/denied/2"]) {
        let line = format!(
            "] [R:{id}] [client 127.0.0.1] client denied by server configuration: {path}\n"
        );
        assert!(errors.contains(&line), "{line}{errors}");
    }
    assert_eq!(ask("plain", "/denied/3"), 403);
    ready::until("the line without a number", PATIENCE, || {
        let line = "] [client 127.0.0.1] client denied by server configuration: /denied/3\n";
        server.text("error.log").contains(line)
    })
    .unwrap();
}

#[test]
fn a_request_is_dated_when_it_came_unless_its_end_is_asked_for() {
    let server = start(
        "CustomLog x.log \"%U %{begin:usec}t %{usec}t %{end:usec}t %D %{begin:%s}t %{end:%s}t\"\n\
         <Location /do>\nSetHandler parkade-diagnostics\nRequire local\n</Location>",
        &[("www/file", b"x")],
    );
    let mut stream = send(&server, "GET /do?wait=1100 HTTP/1.0\r\n\r\n");
    let _ = stream.read_to_end(&mut Vec::new());
    let line = logged(&server, "x.log", "/do ");
    let n: Vec<u64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
    assert!(n[3] >= 1_100_000, "{line}");
    // The moments are read one after the other, so they differ a little.
    assert!(n[2] - n[0] >= n[3] && n[2] - n[1] >= n[3], "{line}");
    assert!(
        n[0] / 1_000_000 == n[4] || n[1] / 1_000_000 == n[4],
        "{line}"
    );
    assert!(n[5] > n[4], "{line}");
}

#[test]
fn an_unknown_item_is_a_mistake_and_a_caret_shows_it_wherever_the_format_stands() {
    let root = tempfile::tempdir().unwrap();
    // Where the error log and the pid file are to be.
    std::fs::create_dir(root.path().join("logs")).unwrap();
    let file = root.path().join("p.conf");
    for (line, caret, said) in [
        (
            "LogFormat \"%h \\\"%r\\\" %y %s\" unused",
            "^^",
            "LogFormat: %y is not known",
        ),
        (
            "CustomLog x.log \"%h %400,!{xx}T\"",
            "^^^^^^^^^^^",
            "LogFormat: %400,!{xx}T is not known",
        ),
        ("CustomLog x.log nick", "", "Syntax OK"),
        (
            "<VirtualHost *>\nLogFormat %{Referer n\n</VirtualHost>",
            "^^^^^^^^^",
            "LogFormat: %{Referer has a brace that is not closed",
        ),
        (
            "LogFormat \"100%\"",
            "^",
            "LogFormat: % has no item behind it",
        ),
    ] {
        let text = format!(
            "ServerRoot {}\nUser nobody\nListen 127.0.0.1:1\n{line}\n",
            root.path().display()
        );
        std::fs::write(&file, text).unwrap();
        let output = Command::new(binary().unwrap())
            .arg("-t")
            .arg("-f")
            .arg(&file)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(i32::from(!caret.is_empty())),
            "{stderr}"
        );
        assert!(stderr.contains(said), "{said}: {stderr}");
        let shown = stderr.lines().find(|l| l.contains('^')).unwrap_or_default();
        let shown: String = shown.chars().filter(|c| *c == '^').collect();
        assert_eq!(shown, caret, "{stderr}");
    }
}
