//! `ReactorBackend`, seen from outside: which calls serve connections, and what happens where they are not allowed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::server::Server;
use parkade_tests::syscalls::SyscallCounter;
use parkade_tests::{client, ready};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const SITE: &[(&str, &[u8])] = &[("site/a.txt", b"Hello, World!")];

fn configuration(backend: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         LogLevel info\nStartServers 1\nThreadsPerChild 1\nMaxKeepAliveRequests 0\nReactorBackend {backend}\n\
         <Location /server-status>\n  SetHandler server-status\n</Location>\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n"
    )
}

/// What the child calls for some requests on sixteen connections.
fn calls(server: &Server) -> Option<std::collections::BTreeMap<String, u64>> {
    let mut streams: Vec<_> = (0..16)
        .map(|_| client::connect(server.address()).unwrap())
        .collect();
    let mut ask = || {
        for stream in &mut streams {
            stream
                .write_all(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
        }
        for stream in &mut streams {
            assert_eq!(client::read(stream, false).unwrap().body, b"Hello, World!");
        }
    };
    ask();
    let counter = SyscallCounter::attach(server.children().unwrap()[0])
        .inspect_err(|e| eprintln!("skipped: this machine does not let us trace: {e}"))
        .ok()?;
    ask();
    counter.reset();
    for _ in 0..10 {
        ask();
    }
    // Accepting is counted, too.
    drop(client::connect(server.address()).unwrap());
    ready::until("the connection's end", PATIENCE, || {
        counter.counts().contains_key("close")
    })
    .unwrap();
    Some(counter.stop())
}

fn shown(server: &Server) -> String {
    let page = server.get("/server-status?auto").unwrap().body;
    let page = String::from_utf8_lossy(&page).into_owned();
    let line = page
        .lines()
        .find_map(|l| l.strip_prefix("ReactorBackend: "));
    line.unwrap_or_default().to_owned()
}

#[test]
fn the_backend_that_is_named_serves() {
    let server = Server::start(&configuration("epoll"), SITE).unwrap();
    assert_eq!(shown(&server), "epoll (as configured)");
    if let Some(calls) = calls(&server) {
        assert_eq!(
            (calls["recvfrom"], calls["sendto"]),
            // And the end of the last connection.
            (161, 160),
            "{calls:?}"
        );
        assert!(!calls.contains_key("io_uring_enter"), "{calls:?}");
        // One for the connection, and one that finds no other.
        assert_eq!(calls["accept4"], 2, "{calls:?}");
    }
    let server = Server::start(&configuration("io_uring"), SITE).unwrap();
    let Some(calls) = calls(&server) else { return };
    let log = server.text("error.log");
    assert!(
        log.contains("reactor backend io_uring: as configured"),
        "{log}"
    );
    if log.contains("io_uring cannot be had here") {
        return eprintln!("skipped: {log}");
    }
    assert_eq!(shown(&server), "io_uring (as configured)");
    assert!(calls["io_uring_enter"] <= 330, "{calls:?}");
    assert!(
        !accepts_without_waiting() || !calls.contains_key("accept4"),
        "{calls:?}"
    );
    let own = [
        "recvfrom", "sendto", "recvmsg", "sendmsg", "read", "write", "writev",
    ];
    assert!(
        own.iter().all(|call| !calls.contains_key(*call)),
        "{calls:?}"
    );
}

/// Linux 6.10 and newer: a ring's accept can be told not to wait.
fn accepts_without_waiting() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (6, 10),
        _ => false,
    }
}

/// A container's filter says EPERM: one warning, and epoll serves.
#[test]
fn where_io_uring_is_not_allowed_epoll_serves() {
    let server = Server::start_with(&configuration("io_uring"), SITE, |command| {
        // SAFETY: nothing is allocated between fork and exec.
        unsafe { command.pre_exec(forbid_io_uring) };
    })
    .unwrap();
    assert_eq!(server.get("/a.txt").unwrap().body, b"Hello, World!");
    ready::until("the warning", PATIENCE, || {
        server
            .text("error.log")
            .contains("io_uring cannot be had here")
    })
    .unwrap();
    let log = server.text("error.log");
    let said = log.matches("io_uring cannot be had here").count();
    assert_eq!(said, 1, "{log}");
    assert!(log.contains("Operation not permitted"), "{log}");
    assert_eq!(shown(&server), "epoll (io_uring cannot be had here)");
}

/// seccomp(2): io_uring_setup fails with EPERM from here on.
fn forbid_io_uring() -> io::Result<()> {
    let statement = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut filter = [
        // The number of the call is the first word of what is looked at.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            libc::SYS_io_uring_setup as u32,
        ),
        statement(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        ),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: plain numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel copies the program, which lives until this returns.
    match unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
