//! What a crash leaves behind: cores in CoreDumpDirectory, reports by EnableExceptionHook, and a server that goes on.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Prepared, Server, is_root, signal};
use parkade_tests::{client, procfs, ready};
use std::fs;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
const FILES: &[(&str, &[u8])] = &[("site/a.txt", b"x")];

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n{more}\n"
    )
}

fn start(more: &str) -> Server {
    Server::start(&configuration(more), FILES).unwrap()
}

/// A folder that the children's user may write to.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    permit(folder.path(), 0o777);
    folder
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// One child of so many threads, with reports in `folder`.
fn reporting(folder: &Path, threads: usize) -> Server {
    start(&format!(
        "StartServers 1\nServerLimit 1\nThreadsPerChild {threads}\nCoreDumpDirectory {}\nEnableExceptionHook On",
        folder.display()
    ))
}

/// Waits for the only child that is not one of `not`, and until it answers.
fn next_child(server: &Server, not: &[u32]) -> u32 {
    let mut now = Vec::new();
    ready::until("the child", PATIENCE, || {
        now = server.children().unwrap_or_default();
        now.len() == 1 && !not.contains(&now[0])
    })
    .unwrap();
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
    now[0]
}

/// The report of a child that has ended.
fn report(folder: &Path, pid: u32) -> String {
    let file = folder.join(format!("crash.{pid}.txt"));
    fs::read_to_string(&file).unwrap_or_else(|e| format!("{}: {e}", file.display()))
}

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "`{line}` in: {text}");
    }
}

/// Files of a folder whose names begin so.
fn beginning(folder: &Path, name: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    all.filter(|e| e.file_name().to_string_lossy().starts_with(name))
        .map(|e| e.path())
        .collect()
}

/// Lets the process that is about to be started dump cores of any size, if it may.
fn with_cores(command: &mut Command) {
    // SAFETY: both calls are async-signal-safe and get valid parameters.
    unsafe {
        command.pre_exec(|| {
            let mut limit = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            if libc::getrlimit(libc::RLIMIT_CORE, &mut limit) != 0 {
                return Err(io::Error::last_os_error());
            }
            limit.rlim_cur = limit.rlim_max;
            match libc::setrlimit(libc::RLIMIT_CORE, &limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        })
    };
}

/// Why no core can be expected here.
fn no_cores() -> Option<String> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim().is_empty() || pattern.starts_with('|') || pattern.contains('/') {
        return Some(format!("cores go to `{}`", pattern.trim()));
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|l| l.starts_with("Max core file size"));
    let hard = line.and_then(|l| l.split_whitespace().nth(5).map(str::to_owned));
    (hard.as_deref() == Some("0")).then(|| "the limit of cores cannot be raised".to_owned())
}

#[test]
fn a_core_lies_in_the_directory_and_the_log_names_it() {
    if let Some(why) = no_cores() {
        return eprintln!("skipped: {why}");
    }
    let folder = open_folder();
    let more = format!(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nCoreDumpDirectory {}",
        folder.path().display()
    );
    let server = Server::start_with(&configuration(&more), FILES, with_cores).unwrap();
    let child = next_child(&server, &[]);
    assert!(server.get("/push?crash=SEGV").is_err());
    next_child(&server, &[child]);
    let cores = beginning(folder.path(), "core");
    assert_eq!(cores.len(), 1, "{cores:?}");
    let core = fs::metadata(&cores[0]).unwrap();
    assert!(core.len() > 4096);
    assert_eq!(core.mode() & 0o077, 0, "others may not read it");
    assert_eq!(&fs::read(&cores[0]).unwrap()[..4], b"\x7fELF");
    let line = format!(
        "child pid {child} exit signal SIGSEGV (11), possible core dump in {}",
        folder.path().display()
    );
    let log = server.text("error.log");
    assert!(log.contains(&line), "{log}");
    assert!(beginning(folder.path(), "crash").is_empty(), "it is Off");
}

#[test]
fn a_child_that_gave_up_root_can_be_dumped_only_with_the_directive() {
    if !is_root() {
        return eprintln!("skipped: only root's children give anything up");
    }
    let folder = open_folder();
    // What /proc shows as the owner of a process that cannot be dumped is root.
    let owner = |pid: u32| fs::metadata(format!("/proc/{pid}/mem")).unwrap().uid();
    // 0: the kernel, too, dumps no process that has changed its user, unless it asks for it.
    let strict = fs::read_to_string("/proc/sys/fs/suid_dumpable").is_ok_and(|n| n.trim() == "0");
    let with = format!("CoreDumpDirectory {}", folder.path().display());
    for (more, dumpable) in [(&*with, true), ("", false)] {
        let more = format!("StartServers 1\nServerLimit 1\nThreadsPerChild 1\n{more}");
        let server = Server::start_with(&configuration(&more), FILES, with_cores).unwrap();
        let child = next_child(&server, &[]);
        let uid = procfs::status(child, "Uid").unwrap();
        let uid: u32 = uid.split_whitespace().next().unwrap().parse().unwrap();
        assert_ne!(uid, 0);
        assert_eq!(owner(child), if dumpable { uid } else { 0 });
        assert_eq!(owner(server.pid()), 0);
        if no_cores().is_none() && strict {
            assert!(server.get("/push?crash=SEGV").is_err());
            next_child(&server, &[child]);
            let log = server.text("error.log");
            assert!(log.contains("exit signal SIGSEGV (11)"), "{log}");
            assert_eq!(log.contains("core dump in"), dumpable, "{log}");
        }
    }
}

#[test]
fn a_report_names_the_signal_the_thread_and_its_request() {
    let folder = open_folder();
    let server = reporting(folder.path(), 1);
    let mut past = Vec::new();
    for (name, number) in [
        ("SEGV", 11),
        ("BUS", 7),
        ("ABRT", 6),
        ("ILL", 4),
        ("FPE", 8),
    ] {
        let child = next_child(&server, &past);
        past.push(child);
        assert!(server.get(&format!("/push?crash={name}")).is_err());
        next_child(&server, &past);
        let text = report(folder.path(), child);
        assert_lines(
            &text,
            &[
                &format!("signal: {number} (SIG{name})"),
                &format!("pid: {child}"),
                "child: 0",
                "requests in progress: 1",
                &format!("request: GET /push?crash={name} HTTP/1.1 (this thread)"),
            ],
        );
        assert!(text.contains("\nthread: worker-0 (tid "), "{text}");
        assert!(text.matches(" parkade+0x").count() > 3, "{text}");
        let file = folder.path().join(format!("crash.{child}.txt"));
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
        // The parent is told the true signal.
        let line = format!("child pid {child} exit signal SIG{name} ({number})");
        assert!(server.text("error.log").contains(&line));
    }
    assert_eq!(beginning(folder.path(), "crash.").len(), past.len());
}

#[test]
fn a_signal_from_outside_is_reported_with_its_sender_and_what_was_in_progress() {
    let folder = open_folder();
    let server = reporting(folder.path(), 2);
    let child = next_child(&server, &[]);
    let mut waiting = client::connect(server.address()).unwrap();
    waiting
        .write_all(b"GET /push?wait=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    ready::until("the request", PATIENCE, || {
        let board = server.get("/push?board").unwrap().body;
        // This one and the other.
        String::from_utf8_lossy(&board).contains("busy=2")
    })
    .unwrap();
    signal(child, libc::SIGSEGV);
    next_child(&server, &[child]);
    let text = report(folder.path(), child);
    // SAFETY: neither has preconditions.
    let (pid, uid) = unsafe { (libc::getpid(), libc::getuid()) };
    assert_lines(
        &text,
        &[
            "signal: 11 (SIGSEGV)",
            &format!("sent by: pid {pid} of uid {uid}"),
            "requests in progress: 1",
            "request: GET /push?wait=60000 HTTP/1.1",
        ],
    );
}

#[test]
fn a_stack_that_overflows_is_reported_on_workers_and_reserves() {
    let folder = open_folder();
    let server = reporting(folder.path(), 8);
    let mut past = Vec::new();
    for (query, thread) in [("overflow", "worker-"), ("overflow=reserve", "worker-r")] {
        let child = next_child(&server, &past);
        past.push(child);
        assert!(server.get(&format!("/push?{query}")).is_err());
        next_child(&server, &past);
        let text = report(folder.path(), child);
        assert_lines(
            &text,
            &[
                "signal: 11 (SIGSEGV)",
                "cause: the thread has overflowed its stack",
            ],
        );
        assert!(text.contains("\nfault address: 0x"), "{text}");
        assert!(text.contains(&format!("\nthread: {thread}")), "{text}");
        assert!(text.contains(&format!("\nrequest: GET /push?{query} HTTP/1.1")));
        // One call after the other from the same place.
        let last = text.lines().last().unwrap();
        assert!(text.matches(last).count() > 10, "{text}");
        let said = format!("thread '{thread}");
        let said = server.stderr().matches(&said).count();
        assert!(said > 0 && server.stderr().contains("' has overflowed its stack"));
    }
}

#[test]
fn without_the_hook_there_is_no_report() {
    let folder = open_folder();
    for hook in ["", "EnableExceptionHook Off"] {
        let server = start(&format!(
            "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nCoreDumpDirectory {}\n{hook}",
            folder.path().display()
        ));
        let child = next_child(&server, &[]);
        assert!(server.get("/push?crash=SEGV").is_err());
        next_child(&server, &[child]);
        assert!(beginning(folder.path(), "crash").is_empty());
    }
}

#[test]
fn the_only_process_writes_no_report_and_dies_of_its_signal() {
    let folder = open_folder();
    let more = format!(
        "CoreDumpDirectory {}\nEnableExceptionHook On",
        folder.path().display()
    );
    let mut server = Server::start_with(&configuration(&more), FILES, |c| {
        c.arg("-X");
    })
    .unwrap();
    assert!(server.get("/push?crash=SEGV").is_err());
    assert_eq!(server.ended().unwrap().signal(), Some(libc::SIGSEGV));
    assert!(beginning(folder.path(), "crash").is_empty());
}

#[test]
fn without_a_directory_reports_go_to_the_logs() {
    let root = open_folder();
    let logs = root.path().join("logs");
    fs::create_dir(&logs).unwrap();
    permit(&logs, 0o777);
    let server = start(&format!(
        "StartServers 1\nServerLimit 1\nThreadsPerChild 1\nServerRoot {}\nEnableExceptionHook On",
        root.path().display()
    ));
    let child = next_child(&server, &[]);
    assert!(server.get("/push?crash=ABRT").is_err());
    next_child(&server, &[child]);
    assert_lines(&report(&logs, child), &["signal: 6 (SIGABRT)"]);
    assert!(beginning(root.path(), "crash").is_empty());
}

#[test]
fn a_restart_changes_where_reports_go_and_whether_there_are_any() {
    let [first, second] = [open_folder(), open_folder()];
    let server = reporting(first.path(), 1);
    let file = server.root().join("parkade.conf");
    let mut past = Vec::new();
    for (from, to, reports) in [
        ("", "", [1, 0]),
        (
            &*first.path().display().to_string(),
            &*second.path().display().to_string(),
            [1, 1],
        ),
        ("EnableExceptionHook On", "EnableExceptionHook Off", [1, 1]),
        ("EnableExceptionHook Off", "EnableExceptionHook On", [1, 2]),
    ] {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(from, to)).unwrap();
        if from != to {
            signal(server.pid(), libc::SIGUSR1);
        }
        let child = next_child(&server, &past);
        past.push(child);
        assert!(server.get("/push?crash=SEGV").is_err());
        past.push(next_child(&server, &past));
        let found = [&first, &second].map(|f| beginning(f.path(), "crash.").len());
        assert_eq!(found, reports, "{to}");
    }
}

#[test]
fn a_directory_that_children_cannot_write_to_is_said_in_good_time() {
    let folder = open_folder();
    permit(folder.path(), 0o555);
    let server = reporting(folder.path(), 1);
    let said = format!(
        "CoreDumpDirectory: children cannot write their cores and reports to {}: Permission denied",
        folder.path().display()
    );
    assert!(server.text("error.log").contains(&said));
    let child = next_child(&server, &[]);
    assert!(server.get("/push?crash=SEGV").is_err());
    next_child(&server, &[child]);
}

#[test]
fn a_link_in_the_place_of_a_report_is_not_followed() {
    let folder = open_folder();
    let victim = folder.path().join("victim");
    fs::write(&victim, "kept").unwrap();
    permit(&victim, 0o666);
    let server = reporting(folder.path(), 1);
    let child = next_child(&server, &[]);
    let place = folder.path().join(format!("crash.{child}.txt"));
    symlink(&victim, &place).unwrap();
    assert!(server.get("/push?crash=SEGV").is_err());
    next_child(&server, &[child]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
    assert!(fs::symlink_metadata(&place).unwrap().is_file());
    assert_lines(&report(folder.path(), child), &["signal: 11 (SIGSEGV)"]);
}

/// The process that answers on this connection.
fn pid_behind(stream: &mut TcpStream) -> u32 {
    stream
        .write_all(b"GET /push?pid HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let body = client::read(stream, false).unwrap().body;
    String::from_utf8_lossy(&body).trim().parse().unwrap()
}

#[test]
fn crash_replaced() {
    let folder = open_folder();
    let server = start(&format!(
        "StartServers 2\nThreadsPerChild 1\nKeepAliveTimeout 300\nCoreDumpDirectory {}\nEnableExceptionHook On",
        folder.path().display()
    ));
    let mut kept = client::connect(server.address()).unwrap();
    let other = pid_behind(&mut kept);
    for _ in 0..2 {
        // A child that answers; before it does, it has not yet prepared its report.
        let mut victim = other;
        ready::until("the other child's answer", PATIENCE, || {
            let mut stream = client::connect(server.address()).unwrap();
            victim = pid_behind(&mut stream);
            victim != other
        })
        .unwrap();
        let began = Instant::now();
        signal(victim, libc::SIGSEGV);
        ready::until("another child", PATIENCE, || {
            let now = server.children().unwrap_or_default();
            now.len() == 2 && !now.contains(&victim)
        })
        .unwrap();
        let took = began.elapsed();
        eprintln!("replaced after {took:?}");
        // On a quiet machine it takes a few milliseconds.
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(pid_behind(&mut kept), other);
        assert_lines(&report(folder.path(), victim), &["signal: 11 (SIGSEGV)"]);
    }
    // Each child answers, the new one too.
    ready::until("the new child's answer", PATIENCE, || {
        let mut stream = client::connect(server.address()).unwrap();
        pid_behind(&mut stream) != other
    })
    .unwrap();
    assert!(procfs::alive(server.pid()));
    assert!(procfs::alive(other));
}

#[test]
fn a_check_knows_both_directives_and_where_they_are_wrong() {
    let check = |more: &str| {
        let prepared = Prepared::new(&configuration(more), FILES).unwrap();
        let mut command = prepared.command().unwrap();
        let output = command.arg("-t").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let (code, said) = check("CoreDumpDirectory site\nEnableExceptionHook On");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("Syntax OK") && !said.contains("takes effect"),
        "{said}"
    );
    // Behind the fourteen lines of `configuration`.
    for (wrong, message, place) in [
        (
            "CoreDumpDirectory nowhere",
            "CoreDumpDirectory nowhere does not exist",
            "parkade.conf:14:19",
        ),
        (
            "CoreDumpDirectory site/a.txt",
            "CoreDumpDirectory site/a.txt is not a directory",
            "parkade.conf:14:19",
        ),
        (
            "EnableExceptionHook Maybe",
            "parameter must be 'on' or 'off'",
            "parkade.conf:14:21",
        ),
    ] {
        let (code, said) = check(wrong);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(message) && said.contains(place), "{said}");
    }
}
