//! What service managers and containers want of a server: word of its state, sockets handed to it, health, and an orderly
//! end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Prepared, Server, binary, signal};
use parkade_tests::{client, ready};
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\nStartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 300\n\
         <Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n\
         <Location /health>\n  SetHandler parkade-health\n</Location>\n{more}\n"
    )
}

/// A manager's end of the conversation.
struct Manager {
    socket: UnixDatagram,
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Manager {
    fn new() -> Manager {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Manager {
            socket,
            _folder: folder,
            path,
        }
    }

    fn hear(&self) -> String {
        let mut bytes = [0; 4096];
        let n = self.socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..n].to_vec()).unwrap()
    }

    /// The next word that is no sign of life.
    fn hear_news(&self) -> String {
        loop {
            let text = self.hear();
            if text != "WATCHDOG=1\n" {
                return text;
            }
        }
    }
}

#[test]
fn a_manager_hears_of_start_reload_and_end_and_that_the_supervisor_lives() {
    let manager = Manager::new();
    let mut server = Server::start_with(&configuration(""), &[("site/a.txt", b"x")], |command| {
        command
            .env("NOTIFY_SOCKET", &manager.path)
            .env("WATCHDOG_USEC", "200000");
    })
    .unwrap();
    let ready = manager.hear_news();
    let pid = format!("MAINPID={}", server.pid());
    assert!(
        ready.starts_with("READY=1\n") && ready.contains(&pid),
        "{ready}"
    );
    assert!(ready.contains("STATUS="), "{ready}");
    for _ in 0..3 {
        assert_eq!(manager.hear(), "WATCHDOG=1\n");
    }
    signal(server.pid(), libc::SIGUSR1);
    let reload = manager.hear_news();
    let usec = reload.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(usec.trim().parse::<u64>().unwrap() > 0);
    assert!(manager.hear_news().starts_with("READY=1\n"));
    // A reload that is refused is over, too.
    std::fs::write(server.root().join("parkade.conf"), "Nonsense on\n").unwrap();
    signal(server.pid(), libc::SIGHUP);
    assert!(manager.hear_news().starts_with("RELOADING=1\n"));
    assert!(manager.hear_news().starts_with("READY=1\n"));
    server.stop().unwrap();
    assert_eq!(manager.hear_news(), "STOPPING=1\n");
}

#[test]
fn a_watchdog_for_another_process_is_not_fed() {
    let manager = Manager::new();
    let mut server = Server::start_with(&configuration(""), &[("site/a.txt", b"x")], |command| {
        command
            .env("NOTIFY_SOCKET", &manager.path)
            .env("WATCHDOG_USEC", "1000")
            .env("WATCHDOG_PID", "1");
    })
    .unwrap();
    assert!(manager.hear().starts_with("READY=1\n"));
    server.get("/a.txt").unwrap();
    server.stop().unwrap();
    assert_eq!(manager.hear(), "STOPPING=1\n");
}

#[test]
fn sockets_of_the_manager_are_listened_on_and_others_are_told_and_closed() {
    let prepared = Prepared::new(&configuration(""), &[("site/a.txt", b"x")]).unwrap();
    let wanted = TcpListener::bind(prepared.address()).unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    // Somebody came before there was a server.
    let mut early = client::connect(prepared.address()).unwrap();
    early
        .write_all(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\""])
        .arg(binary().unwrap())
        .arg("-f")
        .arg(prepared.root().join("parkade.conf"))
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", "web:stray")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let (first, second) = (wanted.as_raw_fd(), other.as_raw_fd());
    let pass = move || {
        // Out of the way of each other first.
        // SAFETY: these calls are async-signal-safe and touch descriptors of this process alone.
        unsafe {
            let (a, b) = (
                libc::fcntl(first, libc::F_DUPFD, 100),
                libc::fcntl(second, libc::F_DUPFD, 100),
            );
            libc::dup2(a, 3);
            libc::dup2(b, 4);
            libc::close(a);
            libc::close(b);
        }
        Ok(())
    };
    // SAFETY: nothing is allocated between fork and exec.
    unsafe { command.pre_exec(pass) };
    let mut child = command.spawn().unwrap();
    // From here on the server alone keeps the port open.
    drop(wanted);
    let answer = client::read(&mut early, false).unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"x"[..]));
    let stray = other.local_addr().unwrap();
    drop(other);
    ready::until("the end of the other socket", PATIENCE, || {
        std::net::TcpStream::connect(stray).is_err()
    })
    .unwrap();
    let log = prepared.text("error.log");
    assert!(
        log.contains("(stray) of the service manager is not used: no Listen asks for"),
        "{log}"
    );
    signal(child.id(), libc::SIGTERM);
    assert!(child.wait().unwrap().success());
}

/// Waits until so many requests are in progress, the one that asks among them.
fn in_progress(server: &Server, count: u32) {
    let busy = format!(" busy={count} ");
    ready::until(&busy, PATIENCE, || {
        let board = server.get("/push?board").unwrap().body;
        String::from_utf8_lossy(&board).contains(&busy)
    })
    .unwrap();
}

#[test]
fn a_term_drains_where_that_is_asked_for_and_health_says_so() {
    let mut server = Server::start(
        &configuration("TermDrainTimeout 30"),
        &[("site/a.txt", b"x")],
    )
    .unwrap();
    let healthy = server.get("/health").unwrap();
    assert_eq!((healthy.status, &healthy.body[..]), (200, &b"ok\n"[..]));
    assert_eq!(healthy.header("cache-control"), Some("no-store"));
    let mut busy = client::connect(server.address()).unwrap();
    busy.write_all(b"GET /push?wait=1500 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    // A probe that has begun to ask when the end begins.
    let mut probe = client::connect(server.address()).unwrap();
    probe.write_all(b"GET /health HTTP/1.1\r\nHo").unwrap();
    in_progress(&server, 2);
    let mut parked = client::connect(server.address()).unwrap();
    parked
        .write_all(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(client::read(&mut parked, false).unwrap().status, 200);
    signal(server.pid(), libc::SIGTERM);
    ready::until("the end of accepting", PATIENCE, || {
        client::connect(server.address()).is_err()
    })
    .unwrap();
    probe.write_all(b"st: a\r\n\r\n").unwrap();
    let ending = client::read(&mut probe, false).unwrap();
    assert_eq!((ending.status, &ending.body[..]), (503, &b"ending\n"[..]));
    assert_eq!(client::read(&mut busy, false).unwrap().status, 200);
    // The clients' ends are still open; nobody waits for them.
    assert!(server.ended().unwrap().success());
    drop((busy, parked, probe));
}

#[test]
fn a_drain_ends_when_its_time_is_over() {
    let mut server = Server::start(
        &configuration("TermDrainTimeout 1"),
        &[("site/a.txt", b"x")],
    )
    .unwrap();
    let mut busy = client::connect(server.address()).unwrap();
    busy.write_all(b"GET /push?wait=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    in_progress(&server, 2);
    signal(server.pid(), libc::SIGTERM);
    assert!(server.ended().unwrap().success());
    assert!(client::read(&mut busy, false).is_err());
    let log = server.text("error.log");
    assert!(
        log.contains("requests that did not finish in time are cut"),
        "{log}"
    );
}
