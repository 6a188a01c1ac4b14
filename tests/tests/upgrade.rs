//! USR2: another program takes the server over. That nothing is lost is proved by the same sockets answered by processes
//! of the new server; that a failed one changes nothing, by the same processes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Prepared, binary, is_root, signal};
use parkade_tests::{client, procfs, ready};
use std::fs;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(40);

/// Tests take turns: a program that is being written cannot be started, and a process that another test starts meanwhile
/// holds it open for a moment.
static TURN: Mutex<()> = Mutex::new(());

/// A server with a program of its own, which can be replaced.
struct Server {
    _turn: MutexGuard<'static, ()>,
    prepared: Prepared,
    program: PathBuf,
}

impl Server {
    fn start(more: &str) -> Server {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let configuration = format!(
            "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
             CustomLog {{root}}/access.log common\nDocumentRoot {{root}}/site\nMaxKeepAliveRequests 0\n\
             KeepAliveTimeout 300\n\
             <Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
             <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n{more}\n"
        );
        let prepared = Prepared::new(&configuration, &[("site/a.txt", b"x")]).unwrap();
        let program = prepared.root().join("parkade");
        fs::copy(binary().unwrap(), &program).unwrap();
        let server = Server {
            _turn: turn,
            prepared,
            program,
        };
        // Whoever loses its parent is this process's to wait for.
        // SAFETY: prctl with these arguments touches no memory.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
        let errors = fs::File::create(server.prepared.root().join("stderr")).unwrap();
        let mut command = Command::new(&server.program);
        command.args([
            "-f".as_ref(),
            server.prepared.root().join("parkade.conf").as_os_str(),
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        #[allow(clippy::zombie_processes, reason = "waited for by its number")]
        let _ = command.spawn().unwrap();
        ready::until("service", PATIENCE, || {
            server.pid() > 0
                && client::exchange(
                    server.prepared.address(),
                    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                )
                .is_ok()
        })
        .unwrap_or_else(|e| panic!("{e}: {}{}", server.prepared.text("stderr"), server.log()));
        server
    }

    /// The supervisor that the PidFile names.
    fn pid(&self) -> u32 {
        self.prepared.text("pid").trim().parse().unwrap_or(0)
    }

    fn log(&self) -> String {
        self.prepared.text("error.log")
    }

    /// Puts another program in the place of this one.
    fn replace_program(&self, text: &str) {
        let new = self.program.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, &self.program).unwrap();
    }

    /// USR2, and the end of the old supervisor; gives the new one.
    fn upgrade(&self) -> u32 {
        let old = self.pid();
        signal(old, libc::SIGUSR2);
        let done = ready::until("the old server's end", PATIENCE, || {
            reap(old);
            self.pid() != old && !procfs::alive(old)
        });
        assert!(done.is_ok(), "{}", self.log());
        self.pid()
    }

    fn stop(&self) {
        let pid = self.pid();
        signal(pid, libc::SIGTERM);
        ready::until("the end", PATIENCE, || {
            reap(pid);
            !procfs::alive(pid)
        })
        .unwrap();
        assert!(!self.prepared.root().join("pid").exists());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.pid();
        if pid > 1 {
            signal(pid, libc::SIGTERM);
            let _ = ready::until("the end", PATIENCE, || {
                reap(pid);
                !procfs::alive(pid)
            });
        }
    }
}

/// Takes the exit status of a process that is a child by now.
fn reap(pid: u32) {
    // SAFETY: a null pointer asks for no status.
    unsafe { libc::waitpid(pid as libc::pid_t, std::ptr::null_mut(), libc::WNOHANG) };
}

fn pid_behind(stream: &mut TcpStream) -> io::Result<u32> {
    stream.write_all(b"GET /push?pid HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let body = client::read(stream, false)?.body;
    let text = String::from_utf8_lossy(&body).into_owned();
    text.trim().parse().map_err(io::Error::other)
}

#[test]
fn parked_connections_are_answered_by_the_new_server_on_the_same_socket() {
    let server = Server::start(
        "StartServers 2\nThreadsPerChild 2\nScoreBoardFile {root}/board\nLockFile {root}/lock\nAcceptMutex flock",
    );
    let mut streams: Vec<_> = (0..60)
        .map(|_| client::connect(server.prepared.address()).unwrap())
        .collect();
    let old = procfs::children(server.pid()).unwrap();
    for stream in &mut streams {
        assert!(old.contains(&pid_behind(stream).unwrap()));
    }
    // In progress when the upgrade begins: finished where it is, and then it moves.
    let mut busy = client::connect(server.prepared.address()).unwrap();
    busy.write_all(b"GET /push?wait=1000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let new = server.upgrade();
    assert_eq!(client::read(&mut busy, false).unwrap().status, 200);
    streams.push(busy);
    let children = procfs::children(new).unwrap();
    for stream in &mut streams {
        let pid = pid_behind(stream).unwrap();
        assert!(children.contains(&pid), "{pid} is none of {children:?}");
    }
    assert!(server.prepared.root().join("board").exists());
    // What was started by an upgrade is a server like any other.
    signal(new, libc::SIGUSR1);
    ready::until("a restart", PATIENCE, || {
        server.log().contains("graceful restart, generation 1")
    })
    .unwrap();
    for stream in &mut streams {
        pid_behind(stream).unwrap();
    }
    server.stop();
    let left: Vec<_> = fs::read_dir(server.prepared.root())
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().starts_with("board")),
        "{left:?}"
    );
}

#[test]
fn a_new_program_that_fails_changes_nothing() {
    let server = Server::start("StartServers 1\nThreadsPerChild 2");
    let pid = server.pid();
    let mut parked = client::connect(server.prepared.address()).unwrap();
    let child = pid_behind(&mut parked).unwrap();
    let good = fs::read(&server.program).unwrap();
    for (n, (program, why)) in [
        ("#!/bin/sh\nexit 3\n", "it ended before it served"),
        ("no program at all", "it ended before it served"),
        // One that does not know what it was started for.
        ("#!/bin/sh\nexec sleep 0.2\n", "it ended before it served"),
    ]
    .into_iter()
    .enumerate()
    {
        server.replace_program(program);
        signal(pid, libc::SIGUSR2);
        ready::until(why, PATIENCE, || {
            let log = server.log();
            log.matches("no upgrade: ").count() == n + 1 && log.contains(why)
        })
        .unwrap();
        assert_eq!(server.pid(), pid);
        assert_eq!(pid_behind(&mut parked).unwrap(), child);
    }
    // None at all.
    fs::remove_file(&server.program).unwrap();
    signal(pid, libc::SIGUSR2);
    ready::until("a refusal", PATIENCE, || {
        server.log().contains("no upgrade: starting ")
    })
    .unwrap();
    // One that cannot serve: its configuration is broken.
    fs::write(&server.program, good).unwrap();
    fs::set_permissions(&server.program, fs::Permissions::from_mode(0o755)).unwrap();
    let file = server.prepared.root().join("parkade.conf");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\nThreadsPerChld 3\n")).unwrap();
    signal(pid, libc::SIGUSR2);
    ready::until("a refusal", PATIENCE, || {
        server.log().matches("no upgrade: ").count() == 5
    })
    .unwrap();
    assert_eq!(
        (server.pid(), pid_behind(&mut parked).unwrap()),
        (pid, child)
    );
    fs::write(&file, text).unwrap();
    // And one that can.
    assert_ne!(server.upgrade(), pid);
    assert_ne!(pid_behind(&mut parked).unwrap(), child);
}

#[test]
fn a_new_program_that_hangs_is_ended_with_the_server() {
    let server = Server::start("StartServers 1\nThreadsPerChild 2");
    let pid = server.pid();
    server.replace_program("#!/bin/sh\nexec sleep 1000\n");
    signal(pid, libc::SIGUSR2);
    let started = || {
        let log = server.log();
        let (_, rest) = log.split_once("started as pid ")?;
        rest.split_whitespace().next()?.parse::<u32>().ok()
    };
    ready::until("its start", PATIENCE, || started().is_some()).unwrap();
    let new = started().unwrap();
    // Restarts wait until it is known what becomes of it.
    signal(pid, libc::SIGUSR1);
    ready::until("a refusal", PATIENCE, || {
        server.log().contains("an upgrade is in progress")
    })
    .unwrap();
    assert_eq!(
        client::exchange(
            server.prepared.address(),
            b"GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        .unwrap()
        .status,
        200
    );
    server.stop_by(pid);
    ready::until("the end of the new one", PATIENCE, || {
        reap(new);
        !procfs::alive(new)
    })
    .unwrap();
}

impl Server {
    fn stop_by(&self, pid: u32) {
        signal(pid, libc::SIGTERM);
        ready::until("the end", PATIENCE, || {
            reap(pid);
            !procfs::alive(pid)
        })
        .unwrap();
    }
}

#[test]
fn twenty_upgrades_in_a_row_lose_nothing() {
    let server = Server::start("StartServers 2\nThreadsPerChild 2");
    let address = server.prepared.address();
    let (over, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let request = b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = b"GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (over, answers) = (&over, &answers);
            scope.spawn(move || {
                let mut kept = client::connect(address).unwrap();
                while !over.load(Relaxed) {
                    if n % 2 == 0 {
                        kept.write_all(request).unwrap();
                        assert_eq!(client::read(&mut kept, false).unwrap().status, 200);
                        std::thread::sleep(Duration::from_millis(n));
                    } else {
                        assert_eq!(client::exchange(address, last).unwrap().status, 200);
                    }
                    answers.fetch_add(1, Relaxed);
                }
            });
        }
        let mut parked: Vec<_> = (0..40).map(|_| client::connect(address).unwrap()).collect();
        for stream in &mut parked {
            pid_behind(stream).unwrap();
        }
        let held = procfs::descriptors(server.pid()).unwrap();
        for _ in 0..20 {
            let new = server.upgrade();
            let children = procfs::children(new).unwrap();
            for stream in &mut parked {
                assert!(children.contains(&pid_behind(stream).unwrap()));
            }
        }
        assert!(procfs::descriptors(server.pid()).unwrap() <= held);
        over.store(true, Relaxed);
    });
    assert!(answers.load(Relaxed) > 100, "{answers:?}");
    assert!(
        is_root() || !server.log().contains("could not"),
        "{}",
        server.log()
    );
}
