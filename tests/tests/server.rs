//! The real server, seen from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::server::{Server, binary};
use parkade_tests::{client, procfs, ready};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nServerName localhost\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         CustomLog {{root}}/access.log combined\nDocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Options -FollowSymLinks\n  \
         Require all granted\n</Directory>\n{more}\n"
    )
}

fn start(more: &str, files: &[(&str, &[u8])]) -> Server {
    Server::start(&configuration(more), files).unwrap()
}

fn request(address: SocketAddr, text: &str) -> (u16, client::Response) {
    let response = client::exchange(address, text.as_bytes()).unwrap();
    (response.status, response)
}

fn status(server: &Server, line: &str, fields: &str) -> u16 {
    let text = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    request(server.address(), &text).0
}

#[test]
fn files_follow_the_rules() {
    let server = start(
        "StartServers 1",
        &[
            ("site/a.txt", b"0123456789"),
            ("site/sub/index.html", b"<p>"),
            ("secret", b"no"),
        ],
    );
    let site = server.root().join("site");
    symlink("../secret", site.join("out")).unwrap();
    symlink("a.txt", site.join("in")).unwrap();
    Command::new("mkfifo")
        .arg(site.join("fifo"))
        .status()
        .unwrap();
    let got = server.get("/a.txt").unwrap();
    assert_eq!(
        (got.status, got.header("Content-Type")),
        (200, Some("text/plain"))
    );
    let etag = got.header("ETag").unwrap().to_owned();
    let date = got.header("Last-Modified").unwrap().to_owned();
    for (line, fields, expected) in [
        ("GET /sub/", String::new(), 200),
        ("GET /sub", String::new(), 301),
        ("GET //sub", String::new(), 301),
        ("GET /", String::new(), 403),
        ("GET /none", String::new(), 404),
        ("GET /a.txt/", String::new(), 404),
        ("GET /a.txt/x", String::new(), 404),
        ("GET /in", String::new(), 200),
        ("GET /out", String::new(), 403),
        ("GET /fifo", String::new(), 403),
        ("GET /../secret", String::new(), 400),
        ("GET /%2e%2e/secret", String::new(), 400),
        ("GET /sub%2findex.html", String::new(), 404),
        ("GET /a.txt%00", String::new(), 404),
        ("GET /..%5csecret", String::new(), 404),
        ("HEAD /a.txt", String::new(), 200),
        ("POST /a.txt", "Content-Length: 3\r\n\r\nabc".into(), 405),
        ("PUT /a.txt", "Content-Length: 0\r\n".into(), 405),
        ("DELETE /a.txt", String::new(), 405),
        ("OPTIONS /a.txt", String::new(), 200),
        ("GET /a.txt", format!("If-None-Match: {etag}\r\n"), 304),
        ("GET /a.txt", format!("If-Modified-Since: {date}\r\n"), 304),
        ("GET /a.txt", "If-Match: \"other\"\r\n".into(), 412),
        ("GET /a.txt", "Range: bytes=2-4\r\n".into(), 206),
        ("GET /a.txt", "Range: bytes=20-\r\n".into(), 416),
        (
            "GET /a.txt",
            "Range: bytes=2-4\r\nIf-Range: \"other\"\r\n".into(),
            200,
        ),
        (
            "POST /a.txt",
            "Range: bytes=2-4\r\nContent-Length: 0\r\n".into(),
            405,
        ),
    ] {
        assert_eq!(
            status(&server, line, &fields),
            expected,
            "{line} {fields:?}"
        );
    }
    let (_, moved) = request(
        server.address(),
        "GET //sub?q HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(moved.header("Location"), Some("/sub/?q"));
    let (_, part) = request(
        server.address(),
        "GET /a.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(
        (part.header("Content-Range"), &part.body[..]),
        (Some("bytes 2-4/10"), &b"234"[..])
    );
    let (_, refused) = request(
        server.address(),
        "PUT /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert!(refused.header("Allow").is_some());

    // An edited file is seen within a second, also on a worker that has it in memory.
    std::fs::write(site.join("a.txt"), b"edited").unwrap();
    let end = Instant::now() + Duration::from_secs(1);
    while server.get("/a.txt").unwrap().body != b"edited" {
        assert!(Instant::now() < end, "the old file is still served");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_slow_reader_holds_no_worker_and_gets_every_byte() {
    let big: Vec<u8> = (0..30_000_000u32).map(|i| (i / 7) as u8).collect();
    let server = start(
        "StartServers 1\nThreadsPerChild 1",
        &[("site/big", &big), ("site/a.txt", b"small")],
    );
    let mut slow = client::connect(server.address()).unwrap();
    slow.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    for _ in 0..20 {
        assert_eq!(server.get("/a.txt").unwrap().body, b"small");
    }
    let response = client::read(&mut slow, false).unwrap();
    assert!(response.body == big);
}

#[test]
fn a_killed_child_is_replaced_and_the_others_serve_on() {
    let mut server = start("StartServers 2", &[("site/a.txt", b"x")]);
    // One may answer before the other has been forked.
    let two = || server.children().is_ok_and(|children| children.len() == 2);
    ready::until("two children", Duration::from_secs(20), two).unwrap();
    let before = server.children().unwrap();
    let kill = |pid: u32| {
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap()
    };
    kill(before[0]);
    ready::until("a new child", PATIENCE, || {
        let now = server.children().unwrap();
        now.len() == 2 && !now.contains(&before[0])
    })
    .unwrap();
    assert!(server.children().unwrap().contains(&before[1]));
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
    let log = std::fs::read_to_string(server.root().join("error.log")).unwrap();
    assert!(
        log.contains(&format!("child pid {} exit signal SIGKILL", before[0])),
        "{log}"
    );
    let pid_file = server.root().join("pid");
    assert_eq!(
        std::fs::read_to_string(&pid_file).unwrap(),
        format!("{}\n", server.pid())
    );
    let children = server.children().unwrap();
    assert!(server.stop().unwrap().success());
    assert!(children.iter().all(|pid| !procfs::alive(*pid)) && !pid_file.exists());
}

#[test]
fn children_of_root_are_somebody_else() {
    // SAFETY: no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return eprintln!("skipped: only root can give up root");
    }
    let server = start("StartServers 1", &[("site/a.txt", b"x")]);
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.children().unwrap()[0])).unwrap();
    for line in status
        .lines()
        .filter(|l| l.starts_with("Uid:") || l.starts_with("Gid:"))
    {
        let ids: Vec<_> = line.split_whitespace().skip(1).collect();
        assert!(ids.iter().all(|id| *id == ids[0] && *id != "0"), "{line}");
    }
}

#[test]
fn config_errors() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let root = tempfile::tempdir().unwrap();
    let run = |name: &str, text: &str, test: bool| {
        let file = root.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(binary().unwrap());
        if test {
            command.arg("-t");
        }
        let output = command.arg("-f").arg(&file).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let base = format!(
        "ServerRoot {0}\nErrorLog {0}/log\nPidFile {0}/pid\nUser nobody\nListen {address}\n",
        root.path().display()
    );
    let (code, said) = run("port.conf", &base, false);
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&address.to_string()) && said.contains("in use"),
        "{said}"
    );
    let (code, said) = run(
        "typo.conf",
        &format!("{base}ThreadPerChild 4\nMaxClients abc\n"),
        true,
    );
    assert_eq!(code, Some(1));
    for part in [
        "typo.conf",
        "ThreadsPerChild",
        "\"abc\" is not a number",
        "6",
        "7",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = run("fine.conf", &base, true);
    assert_eq!(
        (code, said.contains("Syntax OK")),
        (Some(0), true),
        "{said}"
    );
    let (code, said) = run("user.conf", &format!("{base}Group no-such-group\n"), true);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("no-such-group") && said.contains("user.conf"),
        "{said}"
    );
    assert!(!root.path().join("pid").exists());
}

#[test]
fn log_lines_have_no_raw_control_bytes() {
    let server = start("StartServers 1", &[("site/a.txt", b"x")]);
    let mut stream = client::connect(server.address()).unwrap();
    stream.write_all(b"GET /\xff\xfe\"x HTTP/1.1\r\nHost: a\r\nUser-Agent: a\tb\x80\r\nConnection: close\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let path = server.root().join("access.log");
    ready::until("a line", PATIENCE, || {
        std::fs::read(&path).is_ok_and(|log| log.contains(&b'\n'))
    })
    .unwrap();
    let log = std::fs::read(&path).unwrap();
    assert!(
        log.iter().all(|b| *b == b'\n' || (b' '..=b'~').contains(b)),
        "{}",
        String::from_utf8_lossy(&log)
    );
}
