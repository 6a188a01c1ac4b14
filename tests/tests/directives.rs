//! Directives and options of the command line, each by what it does that can be seen from outside.
#![allow(
    clippy::unwrap_used,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Prepared, Server, is_root, signal};
use parkade_tests::{client, procfs, ready, sockets};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const FILES: &[(&str, &[u8])] = &[("site/a.txt", b"x")];
/// Long enough that nothing else would end the wait, short enough for a test.
const SOON: Duration = Duration::from_secs(4);

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n{more}\n"
    )
}

fn start(more: &str, files: &[(&str, &[u8])]) -> Server {
    Server::start(&configuration(more), files).unwrap()
}

fn send(server: &Server, text: &str) -> TcpStream {
    let mut stream = client::connect(server.address()).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

const GET: &str = "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";

/// How long until the peer ends the connection; what it sends until then is thrown away.
fn until_closed(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(began.elapsed() < PATIENCE, "never closed");
            }
            Err(_) => break,
        }
    }
    began.elapsed()
}

/// A number of the scoreboard's first line.
fn shown(server: &Server, name: &str) -> u64 {
    let body = server.get("/push?board").unwrap().body;
    let text = String::from_utf8(body).unwrap();
    let line = text.lines().next().unwrap();
    let value = line
        .split(' ')
        .find_map(|item| item.strip_prefix(name)?.strip_prefix('='));
    value.unwrap().parse().unwrap()
}

#[test]
fn privileges() {
    if !is_root() {
        return eprintln!("skipped: only root can become somebody else");
    }
    let secret: &[(&str, &[u8])] = &[("site/a.txt", b"x"), ("site/secret", b"no")];
    for (user, group) in [
        ("nobody", ""),
        ("#65534", "Group #1"),
        ("nobody", "Group daemon"),
    ] {
        let text = configuration(&format!("StartServers 2\n{group}"));
        let server =
            Server::start(&text.replace("{user}", &format!("User {user}")), secret).unwrap();
        let file = server.root().join("site/secret");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(server.get("/secret").unwrap().status, 403);
        assert_eq!(procfs::status(server.pid(), "Uid").unwrap(), "0\t0\t0\t0");
        let groups = Command::new("id")
            .args(["-G", "nobody"])
            .output()
            .unwrap()
            .stdout;
        let mut groups: Vec<String> = String::from_utf8(groups)
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let gid = if group.is_empty() { "65534" } else { "1" };
        // initgroups adds the group of the server in place of the account's own.
        groups.retain(|g| g != "65534");
        for child in server.children().unwrap() {
            let status = |name| procfs::status(child, name).unwrap();
            assert_eq!(status("Uid"), "65534\t65534\t65534\t65534");
            assert_eq!(status("Gid"), [gid; 4].join("\t"));
            let have: Vec<String> = status("Groups")
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            assert!(have.contains(&gid.to_owned()), "{have:?}");
            assert!(
                have.iter().all(|g| g == gid || groups.contains(g)),
                "{have:?}"
            );
            for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
                assert_eq!(status(set), "0000000000000000", "{set}");
            }
        }
    }
}

#[test]
fn accounts_that_will_not_do_are_refused_with_their_line() {
    for (line, part) in [
        ("User root", "never served as root"),
        ("User #0", "never served as root"),
        ("User no-such-user", "no-such-user"),
        ("User nobody\nGroup no-such-group", "no-such-group"),
        ("User #4294967295", "bad user name"),
    ] {
        let text = configuration("").replace("{user}", line);
        let prepared = Prepared::new(&text, FILES).unwrap();
        let (code, said) = run(&prepared, &["-t"]);
        assert_eq!(code, Some(1), "{line}: {said}");
        assert!(
            said.contains(part) && said.contains("parkade.conf"),
            "{line}: {said}"
        );
    }
    if !is_root() {
        return eprintln!("skipped: only for root does a missing User matter");
    }
    let prepared = Prepared::new(&configuration("").replace("{user}", ""), FILES).unwrap();
    let (code, said) = run(&prepared, &["-t"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("User"), "{said}");
}

#[test]
fn threads() {
    let server = start("StartServers 3\nThreadsPerChild 5", FILES);
    let mut children = Vec::new();
    ready::until("three children", PATIENCE, || {
        children = server.children().unwrap();
        children.len() == 3
    })
    .unwrap();
    for child in children {
        // The workers, and the main thread, which serves nothing.
        ready::until("six threads", PATIENCE, || {
            procfs::threads(child).is_ok_and(|t| t.len() == 6)
        })
        .unwrap();
    }
    assert_eq!(procfs::threads(server.pid()).unwrap().len(), 1);
}

#[test]
fn stack_size() {
    let stacks = |line: &str, bytes: u64| {
        let server = start(&format!("StartServers 1\nThreadsPerChild 5\n{line}"), FILES);
        assert_eq!(server.get("/a.txt").unwrap().status, 200);
        let child = server.children().unwrap()[0];
        let mut sizes = Vec::new();
        ready::until("five stacks of that size", PATIENCE, || {
            sizes = procfs::guarded(child).unwrap();
            sizes.iter().filter(|size| **size == bytes).count() == 5
        })
        .unwrap_or_else(|e| panic!("{line}: {e}: {sizes:?}"));
    };
    stacks("ThreadStackSize 393216", 393_216);
    // The system's choice on Linux is the limit the server was started with, as this test was.
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let limit = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max stack size"));
    match limit.unwrap().split_whitespace().next().unwrap().parse() {
        Ok(bytes) => {
            stacks("ThreadStackSize 0", bytes);
            stacks("", bytes);
            // Too small to answer anything: corrected, and said so.
            stacks("ThreadStackSize 16384", bytes);
        }
        Err(_) => {
            eprintln!("skipped in part: without a limit of stacks the system's choice is its own")
        }
    }
    let prepared = Prepared::new(&configuration("ThreadStackSize 16384"), FILES).unwrap();
    let (code, said) = run(&prepared, &["-t"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("ThreadStackSize of 16384 inappropriate, using default"),
        "{said}"
    );
}

/// Memory of the only child after many big bodies have come at once and gone.
fn kept_after_a_burst(line: &str) -> u64 {
    const MANY: usize = 512;
    let server = start(
        &format!("StartServers 1\nServerLimit 1\nThreadsPerChild 2\nMaxClients 1000\n{line}"),
        FILES,
    );
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
    let child = server.children().unwrap()[0];
    let before = procfs::anonymous(child).unwrap();
    // Each request holds its buffer, full of body, while its handler waits.
    let head = "POST /push?wait=2000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 30000\r\n\r\n";
    let request = [head.as_bytes(), &[b'x'; 30_000]].concat();
    let streams: Vec<TcpStream> = (0..MANY)
        .map(|_| {
            let mut stream = client::connect(server.address()).unwrap();
            stream.write_all(&request).unwrap();
            stream
        })
        .collect();
    for mut stream in streams {
        assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
    }
    ready::until("every connection's end", PATIENCE, || {
        shown(&server, "connections") == 1
    })
    .unwrap();
    procfs::anonymous(child).unwrap().saturating_sub(before)
}

#[test]
fn max_mem_free_bounds_what_a_burst_leaves_behind() {
    let unbounded = kept_after_a_burst("MaxMemFree 0");
    let bounded = kept_after_a_burst("MaxMemFree 64");
    let by_default = kept_after_a_burst("");
    eprintln!("kept: {unbounded} without bound, {by_default} by default, {bounded} with 64 KiB");
    // Half of what the buffers hold is a margin for what else a request leaves.
    assert!(
        bounded + (4 << 20) < unbounded && by_default < unbounded,
        "{bounded} of {unbounded}, {by_default} by default"
    );
}

#[test]
fn listen_backlog_bounds_what_waits_while_nobody_accepts() {
    let server = start("StartServers 1\nThreadsPerChild 1\nListenBacklog 1", FILES);
    let child = server.children().unwrap()[0];
    signal(child, libc::SIGSTOP);
    ready::until("the child stopped", PATIENCE, || {
        procfs::status(child, "State").is_some_and(|s| s.starts_with('T'))
    })
    .unwrap();
    let connect =
        |_| TcpStream::connect_timeout(&server.address(), Duration::from_millis(700)).ok();
    // Linux lets one more in than it is told.
    let through: Vec<_> = (0..6).filter_map(connect).collect();
    signal(child, libc::SIGCONT);
    assert_eq!(through.len(), 2);
    let mut next = send(&server, GET);
    assert_eq!(client::read(&mut next, false).unwrap().status, 200);
}

#[test]
fn send_buffer_size_bounds_what_a_stalled_reader_can_hold() {
    let big = vec![b'x'; 8_000_000];
    let handed = |line: &str| {
        let server = start(
            &format!("StartServers 1\nThreadsPerChild 2\n{line}"),
            &[("site/big", &big)],
        );
        let _stalled = send(&server, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
        ready::until("a stalled answer", PATIENCE, || {
            shown(&server, "writing") == 1
        })
        .unwrap();
        shown(&server, "bytes")
    };
    let (bounded, free) = (handed("SendBufferSize 8192"), handed(""));
    assert!(bounded < free, "{bounded} of {free} bytes");
}

/// A parked connection of a server and both kinds of its sockets: their send and receive buffers.
fn buffers(line: &str) -> Option<[sockets::Buffers; 2]> {
    let server = start(&format!("StartServers 1\n{line}"), FILES);
    let mut kept = send(&server, GET);
    assert_eq!(client::read(&mut kept, false).unwrap().status, 200);
    let port = server.address().port();
    let of = |pid, listening| {
        let fd = procfs::sockets(pid, port, listening).unwrap()[0];
        sockets::buffers(pid, fd)
    };
    let child = server.children().unwrap()[0];
    match of(server.pid(), true) {
        Ok(listener) => Some([listener, of(child, false).unwrap()]),
        Err(e) => {
            eprintln!("skipped: this user may not look at another process's sockets ({e})");
            None
        }
    }
}

#[test]
fn buffer_sizes_are_those_of_the_listener_and_of_what_it_accepts() {
    let Some(free) = buffers("") else { return };
    let Some(set) = buffers("ReceiveBufferSize 49152\nSendBufferSize 65536") else {
        return;
    };
    for socket in set {
        // The kernel counts its own bookkeeping in: twice what it was told.
        assert_eq!((socket.receive, socket.send), (98_304, 131_072));
    }
    assert_ne!(free[0].receive, 98_304);
    assert_ne!(free[0].send, 131_072);
    // 0 is the kernel's choice.
    assert_eq!(
        buffers("ReceiveBufferSize 0\nSendBufferSize 0").unwrap()[0],
        free[0]
    );
}

#[test]
fn keep_alive_off_ends_every_connection() {
    let server = start("StartServers 1\nKeepAlive Off", FILES);
    let mut stream = send(&server, GET);
    let response = client::read(&mut stream, false).unwrap();
    assert_eq!(
        (response.status, response.header("Connection")),
        (200, Some("close"))
    );
    assert!(until_closed(&mut stream) < SOON);
}

#[test]
fn max_keep_alive_requests_ends_a_connection_with_its_last() {
    let server = start(
        "StartServers 1\nMaxKeepAliveRequests 3\nKeepAliveTimeout 60",
        FILES,
    );
    let mut stream = client::connect(server.address()).unwrap();
    for n in 1..=3 {
        stream.write_all(GET.as_bytes()).unwrap();
        let response = client::read(&mut stream, false).unwrap();
        let closes = response.header("Connection") == Some("close");
        assert_eq!((response.status, closes), (200, n == 3), "request {n}");
    }
    assert!(until_closed(&mut stream) < SOON);
}

#[test]
fn ka_timeout_exact() {
    let server = start("StartServers 1\nKeepAliveTimeout 700ms", FILES);
    let mut stream = send(&server, GET);
    assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
    let took = until_closed(&mut stream);
    assert!(
        took >= Duration::from_millis(650) && took < SOON,
        "{took:?}"
    );
}

#[test]
fn request_read_timeout_bounds_heads_bodies_and_silence() {
    let server = start(
        "StartServers 1\nRequestReadTimeout header=1 body=1\nKeepAliveTimeout 60",
        FILES,
    );
    for (text, answer) in [
        ("", None),
        ("GET /a.txt HTTP/1.1\r\nHo", Some(408)),
        (
            "POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
            Some(408),
        ),
    ] {
        let began = Instant::now();
        let mut stream = send(&server, text);
        let got = client::read(&mut stream, false).ok().map(|r| r.status);
        // The wait for a first byte ends without a word.
        assert_eq!(got, answer, "`{text}`");
        let _ = until_closed(&mut stream);
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(900) && took < SOON + SOON,
            "`{text}`: {took:?}"
        );
    }
    // Waiting for the next request is no reading of one.
    let mut kept = send(&server, GET);
    assert_eq!(client::read(&mut kept, false).unwrap().status, 200);
    std::thread::sleep(Duration::from_millis(1500));
    kept.write_all(GET.as_bytes()).unwrap();
    assert_eq!(client::read(&mut kept, false).unwrap().status, 200);
}

#[test]
fn timeout_ends_a_reader_that_has_stopped() {
    let big = vec![b'x'; 30_000_000];
    let server = start(
        "StartServers 1\nTimeout 1\nSendBufferSize 8192",
        &[("site/big", &big)],
    );
    let mut stream = send(&server, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    ready::until("a stalled answer", PATIENCE, || {
        shown(&server, "writing") == 1
    })
    .unwrap();
    // A worker that tries again holds it for a moment.
    let mut gone = 0;
    ready::until("its end", PATIENCE, || {
        let none = shown(&server, "writing") == 0;
        gone = if none { gone + 1 } else { 0 };
        gone == 20
    })
    .unwrap();
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    assert!(got.len() < big.len());
}

#[test]
fn a_silent_client_is_parked_and_visible_unless_the_kernel_keeps_it() {
    let server = start("StartServers 2\nThreadsPerChild 1", FILES);
    let silent: Vec<_> = (0..7)
        .map(|_| client::connect(server.address()).unwrap())
        .collect();
    ready::until("seven parked", PATIENCE, || shown(&server, "parked") == 7).unwrap();
    // They cost no request slot: only the one that asks is taken.
    assert_eq!(shown(&server, "busy"), 1);
    drop(silent);
    ready::until("nobody parked", PATIENCE, || shown(&server, "parked") == 0).unwrap();

    let server = start("StartServers 1\nAcceptFilter http data", FILES);
    let silent: Vec<_> = (0..7)
        .map(|_| client::connect(server.address()).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        shown(&server, "parked"),
        0,
        "not accepted before there is data"
    );
    for mut stream in silent {
        stream.write_all(GET.as_bytes()).unwrap();
        assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
    }
}

/// The exit code and everything said.
fn run(prepared: &Prepared, arguments: &[&str]) -> (Option<i32>, String) {
    said(
        &prepared
            .command()
            .unwrap()
            .args(arguments)
            .output()
            .unwrap(),
    )
}

fn said(output: &Output) -> (Option<i32>, String) {
    let all = [&output.stdout[..], &output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&all).into_owned(),
    )
}

/// The program without a configuration file.
fn bare(arguments: &[&str]) -> Output {
    let mut command = Command::new(parkade_tests::server::binary().unwrap());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_check_names_each_directive_that_takes_effect_later() {
    let later = ["ServerAdmin a@b"];
    let now = "AcceptMutex flock\nLockFile {root}/lock\nMutex fcntl default\nMaxMemFree 100\nThreadStackSize 200000\n\
               ReceiveBufferSize 65536\nThreadLimit 80\nScoreBoardFile {root}/board\nMaxClients 400\nServerLimit 20\n\
               AsyncRequestWorkerFactor 1.5\nListenCoresBucketsRatio 2\nMaxSpareThreads 100\nMinSpareThreads 10\n\
               MaxRequestsPerChild 100\n";
    let text = configuration(&(now.to_owned() + &later.join("\n")));
    let prepared = Prepared::new(&text, FILES).unwrap();
    let (code, said) = run(&prepared, &["-t"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Syntax OK"), "{said}");
    for line in later {
        let name = line.split(' ').next().unwrap();
        assert!(
            said.contains(&format!("{name} takes effect in a later version")),
            "{name}: {said}"
        );
    }
    for name in [
        "Listen",
        "PidFile",
        "DocumentRoot",
        "AcceptMutex",
        "LockFile",
        "Mutex",
        "MaxMemFree",
        "ThreadStackSize",
        "ReceiveBufferSize",
        "ThreadLimit",
        "ScoreBoardFile",
        "MaxClients",
        "MaxRequestWorkers",
        "ServerLimit",
        "AsyncRequestWorkerFactor",
        "ListenCoresBucketsRatio",
    ] {
        assert!(!said.contains(&format!("{name} takes effect")), "{said}");
    }
}

#[test]
fn words_about_the_program_itself() {
    let output = bare(&["-v"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("Server version: Parkade/"));
    let (code, text) = said(&bare(&["-V"]));
    assert_eq!(code, Some(0));
    for part in [
        "Server version: Parkade/",
        "threaded:     yes",
        "forked:     yes",
    ] {
        assert!(text.contains(part), "{text}");
    }
    for option in ["-h", "-?"] {
        let output = bare(&[option]);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr);
        for letter in [
            "-D name",
            "-d directory",
            "-f file",
            "-C ",
            "-c ",
            "-k ",
            "-t",
            "-X",
        ] {
            assert!(text.contains(letter), "{letter}: {text}");
        }
    }
    for wrong in [
        &["-Z"][..],
        &["-f"],
        &["-k", "dance"],
        &["--help"],
        &["stray"],
    ] {
        let (code, text) = said(&bare(wrong));
        assert_eq!(code, Some(1), "{wrong:?}: {text}");
        assert!(text.contains("Usage:"), "{wrong:?}: {text}");
    }
    let (code, text) = said(&bare(&["-t", "-f", "/no/such/file.conf"]));
    assert_eq!(code, Some(1));
    assert!(text.contains("/no/such/file.conf"), "{text}");
}

#[test]
fn the_command_line_adds_to_the_configuration() {
    let text = configuration(
        "<IfDefine EXTRA>\n  DirectoryIndex a.txt\n</IfDefine>\n<IfDefine !EXTRA>\n  NoSuchThing\n</IfDefine>\n\
         KeepAlive ${KEEP}",
    );
    let files: &[(&str, &[u8])] = &[("site/a.txt", b"x"), ("site/b.txt", b"b")];
    let with = |arguments: &[&str]| {
        Server::start_with(&text, files, |command| {
            command.args(arguments);
        })
    };
    let mut server = with(&["-D", "EXTRA", "-C", "Define KEEP Off"]).unwrap();
    let response = server.get("/").unwrap();
    assert_eq!(
        (response.status, response.header("Connection")),
        (200, Some("close"))
    );
    assert_eq!(response.body, b"x");
    assert!(server.stop().unwrap().success());
    // What comes after the file wins over it.
    let server = with(&[
        "-DEXTRA",
        "-CDefine KEEP Off",
        "-cKeepAlive On",
        "-cDirectoryIndex b.txt",
    ])
    .unwrap();
    let response = server.get("/").unwrap();
    assert_eq!(
        (response.header("Connection"), &response.body[..]),
        (None, &b"b"[..])
    );
    let error = with(&["-C", "Define KEEP Off"]).unwrap_err().to_string();
    assert!(error.contains("NoSuchThing"), "{error}");
    let error = with(&["-DEXTRA", "-CDefine KEEP Off", "-c", "Nonsense 1"])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Nonsense") && error.contains("-c"),
        "{error}"
    );
}

#[test]
fn server_root_is_where_a_relative_file_is_looked_for() {
    let prepared =
        Prepared::new(&configuration("").replace("ServerRoot {root}\n", ""), FILES).unwrap();
    let root = prepared.root().to_str().unwrap();
    let (code, text) = said(&bare(&["-t", "-d", root, "-f", "parkade.conf"]));
    assert_eq!(code, Some(0), "{text}");
    let (code, _) = said(&bare(&["-t", "-d", "/", "-f", "parkade.conf"]));
    assert_eq!(code, Some(1));
    // A document root that is not there is an error unless that is not wanted.
    fs::remove_dir_all(prepared.root().join("site")).unwrap();
    assert_eq!(run(&prepared, &["-t"]).0, Some(1));
    assert_eq!(run(&prepared, &["-t", "-T"]).0, Some(0));
}

#[test]
fn one_process_in_the_foreground() {
    let text = configuration("StartServers 3\nThreadsPerChild 2");
    for options in [&["-X"][..], &["-X", "-k", "start"]] {
        let mut server = Server::start_with(&text, FILES, |command| {
            command.args(options);
        })
        .unwrap();
        assert_eq!(server.get("/a.txt").unwrap().status, 200);
        assert_eq!(server.children().unwrap(), []);
        assert_eq!(server.text("pid"), format!("{}\n", server.pid()));
        if is_root() {
            assert!(
                !procfs::status(server.pid(), "Uid")
                    .unwrap()
                    .starts_with('0')
            );
        }
        // It has no restarts.
        for ignored in [libc::SIGHUP, libc::SIGUSR1] {
            signal(server.pid(), ignored);
            assert_eq!(server.get("/a.txt").unwrap().status, 200);
        }
        assert!(server.stop().unwrap().success());
        // Who has become somebody else may not remove it, and leaves it empty.
        assert_eq!(server.text("pid"), "");
        assert!(is_root() || !server.root().join("pid").exists());
    }
    // Defined, it keeps `-k start` where it is, with children.
    for name in ["FOREGROUND", "NO_DETACH"] {
        let mut server = Server::start_with(&text, FILES, |command| {
            command.args(["-D", name, "-k", "start"]);
        })
        .unwrap();
        ready::until("three children", PATIENCE, || {
            server.children().is_ok_and(|c| c.len() == 3)
        })
        .unwrap();
        assert!(server.stop().unwrap().success());
    }
}

#[test]
fn one_process_stops_gracefully_like_a_server_with_children() {
    let text = configuration("ThreadsPerChild 2\nGracefulShutdownTimeout 300");
    for asked in [libc::SIGQUIT, libc::SIGWINCH] {
        let mut server = Server::start_with(&text, FILES, |command| {
            command.args(["-D", "ONE_PROCESS"]);
        })
        .unwrap();
        assert_eq!(server.children().unwrap(), []);
        // A request whose body is still to come is finished.
        let mut client = send(
            &server,
            "POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab",
        );
        let queues = || procfs::queues(server.pid(), server.address().port());
        ready::until("the connection has been accepted", PATIENCE, || {
            queues().is_ok_and(|queues| queues.iter().all(|waiting| *waiting == 0))
        })
        .unwrap();
        signal(server.pid(), asked);
        ready::until("nobody is let in any more", PATIENCE, || {
            client::connect(server.address()).is_err()
        })
        .unwrap();
        client.write_all(b"cd").unwrap();
        assert_eq!(client::read(&mut client, false).unwrap().status, 405);
        drop(client);
        assert!(server.ended().unwrap().success());
    }
}
