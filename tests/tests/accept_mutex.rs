//! `AcceptMutex`, `LockFile` and `Mutex`, seen from outside: with each mechanism children serve by turns, whoever has the
//! lock keeps new connections waiting and nobody else, a dead holder is no hindrance, and nothing is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Prepared, Server, binary, signal};
use parkade_tests::{client, procfs, ready};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
/// Who is kept waiting is watched for so long.
const WATCHED: Duration = Duration::from_millis(300);
const FILES: &[(&str, &[u8])] = &[
    ("site/a.txt", b"x"),
    ("locks/note", b""),
    ("other/note", b""),
];

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         LogLevel debug\nDocumentRoot {{root}}/site\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\n\
         StartServers 2\nServerLimit 4\nThreadsPerChild 4\nMaxClients 8\n\
         <Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n{more}\n"
    )
}

fn start(more: &str) -> Server {
    let server = Server::start(&configuration(more), FILES).unwrap();
    ready::until("two children that serve", PATIENCE, || {
        let log = server.text("error.log");
        let serves = |child: &u32| log.contains(&format!("child {child} started"));
        children(&server)
            .iter()
            .filter(|child| serves(child))
            .count()
            == 2
    })
    .unwrap();
    server
}

fn children(server: &Server) -> Vec<u32> {
    server.children().unwrap_or_default()
}

fn ask(stream: &mut TcpStream, path: &str) -> io::Result<client::Response> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?;
    client::read(stream, false)
}

fn pid_behind(stream: &mut TcpStream) -> u32 {
    let body = ask(stream, "/push?pid").unwrap().body;
    String::from_utf8_lossy(&body).trim().parse().unwrap()
}

/// A parked connection to each of two children.
fn parked(server: &Server) -> Vec<(u32, TcpStream)> {
    let mut all: Vec<(u32, TcpStream)> = Vec::new();
    ready::until("both children", PATIENCE, || {
        let mut stream = client::connect(server.address()).unwrap();
        let pid = pid_behind(&mut stream);
        if all.iter().all(|(other, _)| *other != pid) {
            all.push((pid, stream));
        }
        all.len() == 2
    })
    .unwrap();
    all
}

fn five_hundred_requests(server: &Server) {
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let response = server.get("/a.txt").unwrap();
                    assert_eq!((response.status, &*response.body), (200, &b"x"[..]));
                }
            });
        }
    });
}

/// New connections that have asked for something.
fn newcomers(server: &Server) -> Vec<TcpStream> {
    let come = |_| {
        let mut stream = client::connect(server.address()).unwrap();
        stream
            .write_all(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        stream
    };
    (0..4).map(come).collect()
}

/// Nobody has accepted them: they lie in the backlog, and nothing comes.
fn wait_in_vain(server: &Server, streams: &mut [TcpStream]) {
    let queued = || backlog(server.address().port());
    ready::until("a backlog", PATIENCE, || queued() >= streams.len()).unwrap();
    for stream in streams.iter_mut() {
        stream.set_read_timeout(Some(WATCHED / 4)).unwrap();
        let got = stream.read(&mut [0]);
        let kind = got.map_err(|e| e.kind());
        let waits = matches!(
            kind,
            Err(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
        );
        assert!(waits, "{kind:?}");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    assert!(queued() >= streams.len());
}

/// Connections that nobody has accepted yet, at a listener on this port.
fn backlog(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let of = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let listens = fields.len() > 4 && fields[1].ends_with(&local) && fields[3] == "0A";
        let (_, queued) = fields.get(4).filter(|_| listens)?.split_once(':')?;
        usize::from_str_radix(queued, 16).ok()
    };
    table.lines().filter_map(of).sum()
}

fn are_answered(streams: Vec<TcpStream>) {
    for mut stream in streams {
        assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
    }
}

/// A child holds the lock: new connections wait, parked ones are answered, and its violent death lets service go on.
fn a_holder_keeps_newcomers_waiting_until_it_dies(server: &Server, held: impl Fn(u32)) {
    let mut parked = parked(server);
    let (holder, stream) = &mut parked[0];
    let holder = *holder;
    assert_eq!(ask(stream, "/push?hold=60000").unwrap().status, 200);
    held(holder);
    let mut waiting = newcomers(server);
    wait_in_vain(server, &mut waiting);
    for (pid, stream) in &mut parked {
        assert_eq!(pid_behind(stream), *pid, "a parked connection is answered");
    }
    signal(holder, libc::SIGKILL);
    are_answered(waiting);
    five_hundred_requests(server);
    ready::until("its replacement", PATIENCE, || {
        let now = children(server);
        now.len() == 2 && !now.contains(&holder)
    })
    .unwrap();
    let (other, stream) = &mut parked[1];
    assert_eq!(pid_behind(stream), *other);
}

fn lock_file(server: &Server) -> PathBuf {
    server
        .root()
        .join(format!("locks/accept.lock.{}", server.pid()))
}

/// Whether /proc/locks has a lock of this kind and holder on the LockFile.
fn in_locks(server: &Server, kind: &str, holder: u32) -> bool {
    let inode = fs::metadata(lock_file(server)).unwrap().ino();
    let table = fs::read_to_string("/proc/locks").unwrap();
    table.lines().any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.len() > 5
            && fields[1] == kind
            && fields[3] == "WRITE"
            && fields[4] == holder.to_string()
            && fields[5].ends_with(&format!(":{inode}"))
    })
}

/// Holds the LockFile's lock until `held` has run.
fn from_outside(server: &Server, lock: impl Fn(&File) -> bool, held: impl FnOnce()) {
    let file = File::options()
        .read(true)
        .write(true)
        .open(lock_file(server))
        .unwrap();
    ready::until("the lock", PATIENCE, || lock(&file)).unwrap();
    held();
}

fn flock(file: &File) -> bool {
    // SAFETY: a valid descriptor.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

fn fcntl(file: &File) -> bool {
    // SAFETY: zero bytes are a valid lock description, of the whole file.
    let mut whole: libc::flock = unsafe { std::mem::zeroed() };
    whole.l_type = libc::F_WRLCK as libc::c_short;
    // SAFETY: a valid descriptor and a valid lock description.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const whole) == 0 }
}

/// What is true of flock and fcntl.
fn by_file(mechanism: &str, kind: &str, lock: impl Fn(&File) -> bool) {
    let more = format!("LockFile {{root}}/locks/accept.lock\nAcceptMutex {mechanism}\n");
    let mut server = start(&more);
    let file = lock_file(&server);
    let made = fs::metadata(&file).unwrap();
    assert_eq!(made.mode() & 0o777, 0o600);
    let child = children(&server)[0];
    let child = procfs::status(child, "Uid").unwrap();
    assert!(child.starts_with(&made.uid().to_string()), "{child}");
    five_hundred_requests(&server);
    let mut parked = parked(&server);
    let mut waiting = Vec::new();
    from_outside(&server, lock, || {
        waiting = newcomers(&server);
        wait_in_vain(&server, &mut waiting);
        for (pid, stream) in &mut parked {
            assert_eq!(pid_behind(stream), *pid);
        }
    });
    are_answered(waiting);
    drop(parked);
    a_holder_keeps_newcomers_waiting_until_it_dies(&server, |holder| {
        assert!(in_locks(&server, kind, holder));
    });
    assert!(server.stop().unwrap().success());
    assert!(!file.exists());
    assert!(file.parent().unwrap().exists());
}

#[test]
fn accept_mutex_mechs_flock() {
    by_file("flock", "FLOCK", flock);
}

#[test]
fn accept_mutex_mechs_fcntl() {
    by_file("fcntl", "POSIX", fcntl);
}

/// What is true of posixsem and pthread.
fn in_memory(mechanism: &str) {
    let mut server = start(&format!("AcceptMutex {mechanism}\n"));
    let name = format!("parkade-accept-{mechanism}");
    for child in children(&server) {
        let maps = fs::read_to_string(format!("/proc/{child}/maps")).unwrap();
        assert!(maps.contains(&name), "{maps}");
    }
    five_hundred_requests(&server);
    // More than once: each death must give it back.
    for _ in 0..2 {
        a_holder_keeps_newcomers_waiting_until_it_dies(&server, |_| {});
    }
    assert!(server.stop().unwrap().success());
}

#[test]
fn accept_mutex_mechs_posixsem() {
    in_memory("posixsem");
}

#[test]
fn accept_mutex_mechs_pthread() {
    in_memory("pthread");
}

/// The System V semaphores that this server's children have used.
fn semaphores(server: &Server) -> Vec<i32> {
    let children = children(server);
    let table = fs::read_to_string("/proc/sysvipc/sem").unwrap();
    let id = |line: &str| line.split_whitespace().nth(1)?.parse().ok();
    let ours = |id: &i32| {
        // SAFETY: GETPID takes no further argument.
        let last = unsafe { libc::semctl(*id, 0, libc::GETPID) };
        u32::try_from(last).is_ok_and(|last| children.contains(&last))
    };
    table.lines().skip(1).filter_map(id).filter(ours).collect()
}

fn exists(semaphore: i32) -> bool {
    let table = fs::read_to_string("/proc/sysvipc/sem").unwrap();
    let id = |line: &str| line.split_whitespace().nth(1)?.parse::<i32>().ok();
    table
        .lines()
        .skip(1)
        .filter_map(id)
        .any(|id| id == semaphore)
}

#[test]
fn accept_mutex_mechs_sysvsem() {
    let mut server = start("AcceptMutex sysvsem\n");
    five_hundred_requests(&server);
    let semaphores = semaphores(&server);
    assert_eq!(semaphores.len(), 1);
    a_holder_keeps_newcomers_waiting_until_it_dies(&server, |_| {});
    assert!(exists(semaphores[0]));
    assert!(server.stop().unwrap().success());
    assert!(!exists(semaphores[0]));
}

#[test]
fn children_whose_supervisor_was_killed_remove_its_semaphore() {
    let server = start("AcceptMutex sysvsem\n");
    five_hundred_requests(&server);
    let semaphores = semaphores(&server);
    let children = children(&server);
    assert_eq!(semaphores.len(), 1);
    signal(server.pid(), libc::SIGKILL);
    ready::until("the children's end", PATIENCE, || {
        !children.iter().any(|child| procfs::alive(*child))
    })
    .unwrap();
    assert!(!exists(semaphores[0]));
}

#[test]
fn what_is_left_when_all_were_killed_is_removed_by_the_next_server() {
    let mut server = start("AcceptMutex sysvsem\n");
    five_hundred_requests(&server);
    let semaphore = semaphores(&server)[0];
    let all: Vec<u32> = children(&server);
    // Stopped first, so that none can clean up behind the others.
    all.iter().for_each(|pid| signal(*pid, libc::SIGSTOP));
    signal(server.pid(), libc::SIGKILL);
    all.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
    server.ended().unwrap();
    assert!(exists(semaphore));
    // One that is nobody's, in the same table.
    // SAFETY: no memory of ours is touched.
    let other = unsafe { libc::semget(libc::IPC_PRIVATE, 1, libc::IPC_CREAT | 0o600) };
    let mut next = Command::new(binary().unwrap());
    let mut next = next
        .arg("-f")
        .arg(server.root().join("parkade.conf"))
        .spawn()
        .unwrap();
    let gone = ready::until("the end of the semaphore", PATIENCE, || !exists(semaphore));
    ready::listening(server.address(), PATIENCE).unwrap();
    signal(next.id(), libc::SIGTERM);
    assert!(next.wait().unwrap().success());
    gone.unwrap();
    assert!(exists(other));
    // SAFETY: as above.
    unsafe { libc::semctl(other, 0, libc::IPC_RMID) };
    assert!(!server.root().join("pid.sem").exists());
}

#[test]
fn the_mutex_directive_names_mechanism_and_directory() {
    let mut server = start("AcceptMutex sysvsem\nMutex fcntl:locks mpm-accept\n");
    let file = lock_file(&server);
    assert!(file.exists());
    five_hundred_requests(&server);
    assert!(server.text("error.log").contains("AcceptMutex fcntl"));
    assert!(server.stop().unwrap().success());
    assert!(!file.exists());
}

#[test]
fn a_lock_file_that_is_not_needed_is_mentioned() {
    let server = start("LockFile {root}/locks/accept.lock\n");
    let log = server.text("error.log");
    assert!(log.contains("locks/accept.lock is unused"), "{log}");
    assert!(log.contains("AcceptMutex default: none"), "{log}");
    assert!(!lock_file(&server).exists());
}

#[test]
fn a_lock_file_that_cannot_be_made_stops_the_start() {
    let more = "LockFile {root}/nowhere/accept.lock\nAcceptMutex flock\n";
    let prepared = Prepared::new(&configuration(more), FILES).unwrap();
    let output = prepared
        .command()
        .unwrap()
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &prepared.text("error.log");
    let path = prepared.root().join("nowhere/accept.lock.");
    let wanted = format!("could not create LockFile {}", path.display());
    assert!(said.contains(&wanted), "{said}");
    assert!(!prepared.root().join("pid").exists());
}

#[test]
fn an_unknown_mechanism_is_refused_with_those_there_are() {
    let text = configuration("AcceptMutex semaphore\n");
    let prepared = Prepared::new(&text, FILES).unwrap();
    let output = prepared.command().unwrap().arg("-t").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let wanted = "semaphore is an invalid mutex mechanism; \
                  Valid mutexes: Default, flock, fcntl, posixsem, pthread, sysvsem";
    assert!(said.contains(wanted), "{said}");
}

/// Changes the configuration file and restarts; returns when the children of before have ended.
fn restart(server: &Server, from: &str, to: &str) {
    restart_by(libc::SIGUSR1, server, from, to);
}

fn restart_by(how: i32, server: &Server, from: &str, to: &str) {
    let path = server.root().join("parkade.conf");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
    let before = children(server);
    signal(server.pid(), how);
    ready::until("the next generation alone", PATIENCE, || {
        let now = children(server);
        now.len() == 2 && !now.iter().any(|child| before.contains(child))
    })
    .unwrap();
}

#[test]
fn a_restart_keeps_what_stays_and_removes_what_goes_with_its_last_child() {
    let mut server = start("LockFile {root}/locks/accept.lock\nAcceptMutex flock\n");
    let file = lock_file(&server);
    let inode = |file: &PathBuf| fs::metadata(file).unwrap().ino();
    let first = inode(&file);
    restart(&server, "LogLevel debug", "LogLevel info");
    assert_eq!(inode(&file), first, "nothing has changed");
    five_hundred_requests(&server);
    restart(&server, "AcceptMutex flock", "AcceptMutex fcntl");
    assert_eq!(inode(&file), first, "one file for both");
    five_hundred_requests(&server);
    restart(&server, "locks/accept.lock", "other/accept.lock");
    let other = server
        .root()
        .join(format!("other/accept.lock.{}", server.pid()));
    assert!(other.exists());
    ready::until("the end of the first file", PATIENCE, || !file.exists()).unwrap();
    five_hundred_requests(&server);
    restart(&server, "AcceptMutex fcntl", "AcceptMutex sysvsem");
    five_hundred_requests(&server);
    let semaphores = semaphores(&server);
    assert_eq!(semaphores.len(), 1);
    ready::until("the end of the other file", PATIENCE, || !other.exists()).unwrap();
    restart(&server, "AcceptMutex sysvsem", "AcceptMutex Default");
    ready::until("the end of the semaphore", PATIENCE, || {
        !exists(semaphores[0])
    })
    .unwrap();
    five_hundred_requests(&server);
    // A configuration whose file cannot be made changes nothing.
    let path = server.root().join("parkade.conf");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("AcceptMutex Default", "AcceptMutex flock");
    fs::write(
        path,
        text.replace("other/accept.lock", "nowhere/accept.lock"),
    )
    .unwrap();
    let before = children(&server);
    signal(server.pid(), libc::SIGUSR1);
    ready::until("a refusal", PATIENCE, || {
        let log = server.text("error.log");
        log.contains("could not create LockFile")
    })
    .unwrap();
    assert_eq!(children(&server), before);
    assert!(server.stop().unwrap().success());
}

#[test]
fn a_restart_while_somebody_has_the_lock_loses_nobody() {
    restarted_under_a_foreign_lock(libc::SIGUSR1);
}

#[test]
fn a_hard_restart_while_somebody_has_the_lock_loses_nobody() {
    restarted_under_a_foreign_lock(libc::SIGHUP);
}

fn restarted_under_a_foreign_lock(how: i32) {
    let server = start("LockFile {root}/locks/accept.lock\nAcceptMutex flock\n");
    let mut waiting = Vec::new();
    from_outside(&server, flock, || {
        waiting = newcomers(&server);
        wait_in_vain(&server, &mut waiting);
        restart_by(how, &server, "LogLevel debug", "LogLevel info");
    });
    are_answered(waiting);
    five_hundred_requests(&server);
}
