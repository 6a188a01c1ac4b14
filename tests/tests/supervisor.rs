//! The supervisor: what becomes of dying children, of a server that is stopped, started twice or left behind, and of one
//! without descriptors.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Prepared, Server, is_root, signal};
use parkade_tests::{client, procfs, ready};
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const FILES: &[(&str, &[u8])] = &[("site/a.txt", b"x")];

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         LogLevel debug\nDocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n{more}\n"
    )
}

fn start(more: &str) -> Server {
    Server::start(&configuration(more), FILES).unwrap()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// The process that answers on this connection.
fn pid_behind(stream: &mut TcpStream) -> io::Result<u32> {
    stream.write_all(&get("/push?pid"))?;
    let body = client::read(stream, false)?.body;
    let text = String::from_utf8_lossy(&body).into_owned();
    text.trim().parse().map_err(io::Error::other)
}

/// Waits until there are `n` children, none of them `not`.
fn children(server: &Server, n: usize, not: &[u32]) -> Vec<u32> {
    let mut now = Vec::new();
    ready::until("the children", PATIENCE, || {
        now = server.children().unwrap_or_default();
        now.len() == n && !now.iter().any(|pid| not.contains(pid))
    })
    .unwrap();
    now
}

/// Limits a resource of the process that is about to be started.
fn limit(command: &mut Command, resource: u32, most: u64) {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: setrlimit is async-signal-safe and gets a valid parameter.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(resource as _, &limit) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        })
    };
}

#[test]
fn a_crash_costs_its_own_childs_connections_and_the_log_says_why() {
    let server = start("StartServers 2\nThreadsPerChild 1\nKeepAliveTimeout 300");
    let mut by_child: HashMap<u32, Vec<TcpStream>> = HashMap::new();
    while by_child.len() < 2 || by_child.values().any(|streams| streams.len() < 3) {
        let mut stream = client::connect(server.address()).unwrap();
        let pid = pid_behind(&mut stream).unwrap();
        by_child.entry(pid).or_default().push(stream);
    }
    let mut by_child = by_child.into_iter();
    let (victim, mut lost) = by_child.next().unwrap();
    let (other, mut kept) = by_child.next().unwrap();
    lost[0].write_all(&get("/push?crash=SEGV")).unwrap();
    for stream in &mut lost {
        // The kernel closes what the child had: an end or a reset, and no byte of an answer.
        assert!(matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_)));
    }
    let now = children(&server, 2, &[victim]);
    assert!(now.contains(&other));
    for stream in &mut kept {
        assert_eq!(pid_behind(stream).unwrap(), other);
    }
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
    let log = server.text("error.log");
    let line = format!("child pid {victim} exit signal SIGSEGV (11)");
    assert!(log.contains(&line), "{log}");
}

#[test]
fn every_fatal_signal_is_named_and_its_child_replaced_at_once() {
    let server = start("StartServers 1\nThreadsPerChild 1");
    for (name, number) in [("ABRT", 6), ("BUS", 7), ("FPE", 8), ("ILL", 4), ("KILL", 9)] {
        let child = children(&server, 1, &[])[0];
        // Not a crash loop: each child has lived.
        std::thread::sleep(Duration::from_millis(1100));
        let began = Instant::now();
        assert!(server.get(&format!("/push?crash={name}")).is_err());
        children(&server, 1, &[child]);
        let took = began.elapsed();
        assert!(took < Duration::from_millis(900), "{name}: {took:?}");
        // The next one may serve before the end of this one is seen.
        let line = format!("child pid {child} exit signal SIG{name} ({number})");
        let said = ready::until(&line, PATIENCE, || server.text("error.log").contains(&line));
        assert!(said.is_ok(), "{line}: {}", server.text("error.log"));
    }
    assert!(!server.text("error.log").contains("next try in"));
}

#[test]
fn a_core_that_was_dumped_is_mentioned() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if is_root() {
        return eprintln!("skipped: a child that has given up root dumps no core");
    }
    if pattern.starts_with(['|', '/']) {
        return eprintln!("skipped: cores go to `{}`", pattern.trim());
    }
    let work = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        &configuration("StartServers 1\nThreadsPerChild 1"),
        FILES,
        |c| {
            limit(c, libc::RLIMIT_CORE, libc::RLIM_INFINITY);
            c.current_dir(work.path());
        },
    );
    let Ok(server) = server else {
        return eprintln!("skipped: the limit of cores cannot be raised");
    };
    let child = children(&server, 1, &[])[0];
    assert!(server.get("/push?crash=SEGV").is_err());
    children(&server, 1, &[child]);
    let log = server.text("error.log");
    assert!(
        log.contains("SIGSEGV (11), possible core dump in "),
        "{log}"
    );
}

/// Ends one child after the other for two seconds; how many.
fn end_children(server: &Server, end: impl Fn(u32)) -> usize {
    let over = Instant::now() + Duration::from_secs(2);
    let mut ended = Vec::new();
    while Instant::now() < over {
        for pid in server.children().unwrap() {
            if !ended.contains(&pid) {
                end(pid);
                ended.push(pid);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    ended.len()
}

#[test]
fn killed_children_are_replaced_at_once_again_and_again() {
    let server = start("StartServers 1\nThreadsPerChild 1");
    let n = end_children(&server, |pid| {
        // It must have served: what is killed before counts as a start that failed.
        if ready::until("service", PATIENCE, || server.get("/a.txt").is_ok()).is_ok() {
            signal(pid, libc::SIGKILL);
        }
    });
    assert!(n >= 6, "{n} children");
}

#[test]
fn a_crash_loop_is_throttled_and_ends_when_children_live_again() {
    let server = start("StartServers 1\nThreadsPerChild 1");
    let n = end_children(&server, |pid| signal(pid, libc::SIGABRT));
    // Two at once, then after 0.1, 0.2, 0.4, 0.8 seconds; more only if the first ones lived for a while.
    assert!((4..=9).contains(&n), "{n} children");
    let log = server.text("error.log");
    assert!(
        log.contains("children die right after their start"),
        "{log}"
    );
    ready::until("service", PATIENCE, || {
        server.get("/a.txt").is_ok_and(|r| r.status == 200)
    })
    .unwrap();
}

/// A gigabyte of stacks, and no memory for them: the supervisor gets along, a child does not.
const TOO_MUCH: &str = "StartServers 2\nThreadLimit 500\nThreadsPerChild 500\nMaxClients 1000";

fn without_memory(command: &mut Command) {
    limit(command, libc::RLIMIT_AS, 500 << 20);
}

#[test]
fn children_that_cannot_start_stop_the_server_with_a_message() {
    let prepared = Prepared::new(&configuration(TOO_MUCH), FILES).unwrap();
    let mut command = prepared.command().unwrap();
    without_memory(&mut command);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("could not start (see the error log); shutting down"),
        "{said}"
    );
    let log = prepared.text("error.log");
    assert!(log.contains("child could not serve: start thread"), "{log}");
    assert!(!prepared.root().join("pid").exists());
    assert!(TcpStream::connect(prepared.address()).is_err());
}

#[test]
fn neither_process_nor_file_is_left_by_a_stop() {
    for number in [libc::SIGTERM, libc::SIGINT] {
        let mut server = start("StartServers 3\nThreadsPerChild 2");
        let mut parked = client::connect(server.address()).unwrap();
        pid_behind(&mut parked).unwrap();
        let all = children(&server, 3, &[]);
        signal(server.pid(), number);
        assert!(server.ended().unwrap().success());
        assert!(all.iter().all(|pid| !procfs::alive(*pid)));
        assert!(!server.root().join("pid").exists());
        assert!(TcpStream::connect(server.address()).is_err());
        assert!(matches!(parked.read(&mut [0; 16]), Ok(0) | Err(_)));
    }
}

#[test]
fn a_handler_that_hangs_does_not_hold_up_a_stop() {
    let mut server = start("StartServers 1\nThreadsPerChild 2");
    let mut stuck = client::connect(server.address()).unwrap();
    stuck.write_all(&get("/push?block=60000")).unwrap();
    let mut waits = client::connect(server.address()).unwrap();
    waits.write_all(&get("/push?wait=60000")).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let child = children(&server, 1, &[])[0];
    let began = Instant::now();
    assert!(server.stop().unwrap().success());
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    assert!(!procfs::alive(child));
    assert!(!server.text("error.log").contains("SIGKILL"));
}

#[test]
fn term_escalation() {
    let mut server = start("StartServers 2\nThreadsPerChild 1");
    let all = children(&server, 2, &[]);
    signal(all[0], libc::SIGSTOP);
    let began = Instant::now();
    assert!(server.stop().unwrap().success());
    assert!(
        began.elapsed() >= Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    assert!(all.iter().all(|pid| !procfs::alive(*pid)));
    let log = server.text("error.log");
    for line in [
        "still did not exit, sending SIGTERM",
        "still did not exit, sending SIGKILL",
    ] {
        assert!(
            log.contains(&format!("child pid {} {line}", all[0])),
            "{log}"
        );
    }
}

#[test]
fn a_child_told_to_go_finishes_its_requests_and_is_replaced() {
    let server = start("StartServers 1\nThreadsPerChild 1");
    let child = children(&server, 1, &[])[0];
    let mut busy = client::connect(server.address()).unwrap();
    busy.write_all(&get("/push?wait=1500")).unwrap();
    let mut parked = client::connect(server.address()).unwrap();
    pid_behind(&mut parked).unwrap();
    signal(child, libc::SIGTERM);
    // The parked one is told goodbye at once, the busy one gets its answer.
    assert!(matches!(parked.read(&mut [0; 16]), Ok(0)));
    assert_eq!(client::read(&mut busy, false).unwrap().status, 200);
    children(&server, 1, &[child]);
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
}

#[test]
fn children_of_a_killed_supervisor_end_and_a_new_server_takes_over() {
    let prepared =
        Prepared::new(&configuration("StartServers 2\nThreadsPerChild 1"), FILES).unwrap();
    let mut first = prepared
        .command()
        .unwrap()
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let answers = || client::exchange(prepared.address(), &get("/a.txt")).is_ok();
    ready::until("the server", PATIENCE, answers).unwrap();
    let all = procfs::children(first.id()).unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    ready::until("the children's end", PATIENCE, || {
        all.iter().all(|pid| !procfs::alive(*pid))
    })
    .unwrap();
    assert!(
        prepared.root().join("pid").exists(),
        "nobody could remove it"
    );
    let output = prepared
        .command()
        .unwrap()
        .args(["-k", "start"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        client::exchange(prepared.address(), &get("/a.txt"))
            .unwrap()
            .status,
        200
    );
    assert!(
        prepared
            .text("error.log")
            .contains("overwritten: unclean shutdown")
    );
    assert!(stop(&prepared));
}

/// `-k stop`, and the end of what it stopped; false if nothing was running.
fn stop(prepared: &Prepared) -> bool {
    let pid = prepared.text("pid").trim().parse::<u32>();
    let output = prepared
        .command()
        .unwrap()
        .args(["-k", "stop"])
        .output()
        .unwrap();
    let Ok(pid) = pid else { return false };
    ready::until("the server's end", PATIENCE, || !procfs::alive(pid)).unwrap();
    output.status.success() && !prepared.root().join("pid").exists()
}

#[test]
fn pidfile() {
    let prepared =
        Prepared::new(&configuration("StartServers 1\nThreadsPerChild 1"), FILES).unwrap();
    let run = |word: &str| {
        let output = prepared
            .command()
            .unwrap()
            .args(["-k", word])
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    assert_eq!(run("stop").0, Some(0));
    assert!(run("stop").1.contains("(no pid file) not running"));
    let (code, said) = run("start");
    assert_eq!(code, Some(0), "{said}");
    // It answers when the command is back, and it is its own session's leader.
    assert_eq!(
        client::exchange(prepared.address(), &get("/a.txt"))
            .unwrap()
            .status,
        200
    );
    let text = prepared.text("pid");
    let pid: u32 = text.trim().parse().unwrap();
    assert_eq!(text, format!("{pid}\n"));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(session, pid.to_string());
    let (code, said) = run("start");
    assert_eq!(code, Some(0));
    assert!(
        said.contains(&format!("parkade (pid {pid}) already running")),
        "{said}"
    );
    // In the foreground the same is an error: whoever waits for it must not think that it serves.
    let output = prepared.command().unwrap().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(prepared.text("pid"), text);
    assert!(stop(&prepared));
    let (code, said) = run("bogus");
    assert_eq!(code, Some(1));
    assert!(said.contains("illegal option"), "{said}");
}

#[test]
fn a_start_in_the_background_that_fails_says_so() {
    let prepared = Prepared::new(&configuration("StartServers 1"), FILES).unwrap();
    let taken = TcpListener::bind(prepared.address()).unwrap();
    let output = prepared
        .command()
        .unwrap()
        .args(["-k", "start"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    let address = taken.local_addr().unwrap();
    assert!(
        said.contains(&format!("could not bind to address {address}")),
        "{said}"
    );
    assert!(said.contains("in use"), "{said}");
    drop(taken);
    // After the terminal has been left, too: here no child can start.
    let prepared = Prepared::new(&configuration(TOO_MUCH), FILES).unwrap();
    let mut command = prepared.command().unwrap();
    command.args(["-k", "start"]);
    without_memory(&mut command);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("could not start (see the error log)"),
        "{said}"
    );
    assert!(!prepared.root().join("pid").exists());
}

#[test]
fn a_pid_file_of_something_else_is_left_alone() {
    let prepared =
        Prepared::new(&configuration("StartServers 1\nThreadsPerChild 1"), FILES).unwrap();
    let path = prepared.root().join("pid");
    let run = |arguments: &[&str]| {
        let output = prepared
            .command()
            .unwrap()
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    ready::until("the program", PATIENCE, || {
        procfs::status(other.id(), "Name").as_deref() == Some("sleep")
    })
    .unwrap();
    let text = format!("{}\n", other.id());
    fs::write(&path, &text).unwrap();
    for arguments in [&["-k", "start"][..], &[], &["-k", "stop"]] {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains("(sleep)"), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(other.try_wait().unwrap().is_none(), "it was signalled");
    }
    other.kill().unwrap();
    other.wait().unwrap();
    fs::write(&path, "a letter to mother\n").unwrap();
    let (code, said) = run(&["-k", "start"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("holds no process id"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "a letter to mother\n");
    // What a dead process left is no obstacle.
    fs::write(&path, &text).unwrap();
    let (code, said) = run(&["-k", "stop"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(run(&["-k", "start"]).0, Some(0));
    assert_ne!(fs::read_to_string(&path).unwrap(), text);
    assert!(stop(&prepared));
}

#[test]
fn fd_exhaustion() {
    let text = configuration("StartServers 1\nThreadsPerChild 2\nKeepAliveTimeout 300");
    let server = Server::start_with(&text, FILES, |command| {
        limit(command, libc::RLIMIT_NOFILE, 64);
    })
    .unwrap();
    let child = children(&server, 1, &[])[0];
    // Silent ones, so that nobody gives a descriptor back by himself.
    let streams: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    quiet_for(child, Duration::from_secs(2));
    assert_eq!(server.children().unwrap(), [child]);
    drop(streams);
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
}

#[test]
fn an_accept_that_fails_is_not_tried_without_end() {
    let text = configuration("StartServers 1\nThreadsPerChild 1\nKeepAliveTimeout 300");
    let server = Server::start(&text, FILES).unwrap();
    let child = children(&server, 1, &[])[0];
    let mut busy: Vec<TcpStream> = Vec::new();
    for _ in 0..3 {
        let mut stream = client::connect(server.address()).unwrap();
        stream.write_all(&get("/push?wait=6000")).unwrap();
        busy.push(stream);
    }
    // Requests in progress are never evicted; whoever is still parked then would be.
    ready::until("three requests in progress", PATIENCE, || {
        let board = server.get("/push?board").unwrap().body;
        String::from_utf8_lossy(&board).contains(" busy=4 ")
    })
    .unwrap();
    only(&server, child, 3);
    // Behind the child's back: what it knows of its limits is wrong now, and nobody can be evicted. The limit is one of
    // numbers, and there may be gaps below the highest.
    let open = procfs::lowest_unused(child).unwrap().into();
    if !limit_descriptors(child, open) {
        return;
    }
    let mut late = client::connect(server.address()).unwrap();
    // An answer that needs no descriptor.
    late.write_all(&get("/push?bytes=1")).unwrap();
    ready::until("a line in the log", PATIENCE, || {
        server.text("error.log").contains("Too many open files")
    })
    .unwrap();
    quiet_for(child, Duration::from_secs(2));
    let lines = server
        .text("error.log")
        .matches("Too many open files")
        .count();
    assert!(lines <= 10, "{lines} lines");
    assert_eq!(server.children().unwrap(), [child]);
    for stream in &mut busy {
        assert_eq!(client::read(stream, false).unwrap().status, 200);
    }
    // The place of those that leave is taken by the one that waited.
    drop(busy);
    assert_eq!(client::read(&mut late, false).unwrap().status, 200);
}

/// The process does nearly nothing for so long.
fn quiet_for(pid: u32, time: Duration) {
    let before = procfs::cpu_time(pid).unwrap();
    std::thread::sleep(time);
    let used = procfs::cpu_time(pid).unwrap() - before;
    assert!(used < time / 8, "{used:?} of processor time in {time:?}");
}

/// Waits until the child has `n` connections, and no more.
fn only(server: &Server, child: u32, n: usize) {
    let port = server.address().port();
    ready::until("no other connection", PATIENCE, || {
        procfs::connections(child, port).is_ok_and(|now| now == n)
    })
    .unwrap();
}

/// Lowers the limit of a running process, or says why not.
fn limit_descriptors(pid: u32, to: u64) -> bool {
    let limit = libc::rlimit {
        rlim_cur: to,
        rlim_max: to,
    };
    let none = std::ptr::null_mut();
    // SAFETY: valid parameters.
    let done =
        unsafe { libc::prlimit(pid as i32, libc::RLIMIT_NOFILE, &raw const limit, none) } == 0;
    if !done {
        let e = io::Error::last_os_error();
        eprintln!("skipped: limits of the child cannot be changed: {e}");
    }
    done
}

#[test]
fn a_newcomer_with_the_last_descriptor_is_not_closed_when_nobody_else_waits() {
    let text = configuration("StartServers 1\nThreadsPerChild 1\nKeepAliveTimeout 300");
    let server = Server::start(&text, FILES).unwrap();
    let child = children(&server, 1, &[])[0];
    assert_eq!(server.get("/push?bytes=1").unwrap().status, 200);
    only(&server, child, 0);
    let last = procfs::lowest_unused(child).unwrap();
    if !limit_descriptors(child, u64::from(last) + 1) {
        return;
    }
    let mut stream = client::connect(server.address()).unwrap();
    // The child has taken it, and found no descriptor for another.
    ready::until("a line in the log", PATIENCE, || {
        server.text("error.log").contains("Too many open files")
    })
    .unwrap();
    stream.write_all(&get("/push?bytes=1")).unwrap();
    assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
}
