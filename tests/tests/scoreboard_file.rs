//! ScoreBoardFile, seen by another process: what is mapped, what can be read from the file, whose it is over restarts, and
//! what happens when it cannot be made.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::{Prepared, Server, is_root, signal};
use parkade_tests::{client, ready};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const FILES: &[(&str, &[u8])] = &[("site/a.txt", b"x"), ("run/a", b""), ("other/a", b"")];

fn configuration(more: &str) -> String {
    format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n\
         StartServers 2\nServerLimit 3\nThreadsPerChild 2\nMaxClients 6\n{more}\n"
    )
}

/// What the documented layout says of a file.
struct Board {
    bytes: Vec<u8>,
    generation: u32,
    children: usize,
    workers: usize,
    slots: usize,
    extended: bool,
}

impl Board {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        assert_eq!(&bytes[..8], b"parkade\0");
        let number = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(number(8), 4, "the version");
        Self {
            generation: number(12),
            children: number(16) as usize,
            workers: number(20) as usize,
            slots: number(28) as usize,
            extended: number(32) == 1,
            bytes,
        }
    }

    fn stride(&self) -> usize {
        let details = if self.extended { 256 * self.slots } else { 0 };
        128 + 128 * self.workers + self.slots.next_multiple_of(128) + details
    }

    fn number(&self, child: usize, at: usize) -> u32 {
        let at = 128 + child * self.stride() + at;
        u32::from_ne_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    /// The process ids of the children that serve.
    fn serving(&self) -> Vec<u32> {
        let all = (0..self.children).filter(|c| self.number(*c, 8) == 2);
        all.map(|c| self.number(c, 0)).collect()
    }

    /// Slots whose request is being answered.
    fn writing(&self) -> usize {
        let states = |child| {
            let first = 128 + child * self.stride() + 128 + 128 * self.workers;
            &self.bytes[first..first + self.slots]
        };
        let all = (0..self.children).flat_map(states);
        all.filter(|state| **state == 3).count()
    }
}

/// Files in a folder, apart from what the test has put there.
fn inside(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    all.filter(|p| !p.ends_with("a")).collect()
}

fn generation_is(path: &Path, wanted: u32) {
    ready::until("the next generation's file", PATIENCE, || {
        path.exists() && Board::read(path).generation == wanted
    })
    .unwrap();
}

fn sorted(mut pids: Vec<u32>) -> Vec<u32> {
    pids.sort_unstable();
    pids
}

fn edit(server: &Server, from: &str, to: &str) {
    let path = server.root().join("parkade.conf");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn every_process_maps_the_file_and_another_one_reads_what_they_do() {
    let mut server = Server::start(
        &configuration("ScoreBoardFile run/board\nExtendedStatus On"),
        FILES,
    )
    .unwrap();
    let path = server.root().join("run/board");
    let mut children = Vec::new();
    ready::until("two children on the board", PATIENCE, || {
        children = sorted(server.children().unwrap());
        children.len() == 2 && sorted(Board::read(&path).serving()) == children
    })
    .unwrap();
    for pid in children.into_iter().chain([server.pid()]) {
        match fs::read_to_string(format!("/proc/{pid}/maps")) {
            Ok(maps) => {
                let shown = path.to_str().unwrap();
                let line = maps.lines().find(|l| l.ends_with(shown));
                assert!(line.is_some_and(|l| l.contains(" rw-s ")), "{pid}: {maps}");
            }
            Err(e) => eprintln!("skipped in part: /proc/{pid}/maps: {e}"),
        }
    }
    let found = fs::symlink_metadata(&path).unwrap();
    let board = Board::read(&path);
    assert_eq!(
        found.len() as usize,
        128 + board.children * board.stride(),
        "the header and what the limits allow"
    );
    assert!(board.children > 3 && board.slots == 2 && board.extended);
    assert_eq!(found.permissions().mode() & 0o137, 0, "for owner and group");
    assert!(found.blocks() * 512 >= found.len());
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .write_all(b"GET /push?wait=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    ready::until("a request on the board", PATIENCE, || {
        Board::read(&path).writing() == 1
    })
    .unwrap();
    drop(stream);
    assert!(server.stop().unwrap().success());
    assert_eq!(inside(&server.root().join("run")), Vec::<PathBuf>::new());
}

#[test]
fn each_generation_has_a_file_of_its_own_where_the_configuration_wants_it() {
    let mut server = Server::start(&configuration("ScoreBoardFile run/board"), FILES).unwrap();
    let folder = server.root().join("run");
    let path = folder.join("board");
    let first = fs::metadata(&path).unwrap();
    // It holds the old generation, which goes on counting in its own file.
    let mut slow = client::connect(server.address()).unwrap();
    slow.write_all(b"GET /push?wait=2000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    ready::until("the request", PATIENCE, || {
        Board::read(&path).writing() == 1
    })
    .unwrap();
    edit(&server, "ServerLimit 3", "ServerLimit 6");
    signal(server.pid(), libc::SIGUSR1);
    generation_is(&path, 1);
    let second = fs::metadata(&path).unwrap();
    assert_ne!(first.ino(), second.ino());
    assert!(second.len() > first.len(), "as its limits say");
    assert_eq!(inside(&folder), std::slice::from_ref(&path));
    assert_eq!(client::read(&mut slow, false).unwrap().status, 200);

    // Another path takes effect, a taken one does not.
    let other = server.root().join("other/board");
    fs::write(&other, "not yours").unwrap();
    edit(&server, "run/board", "other/board");
    signal(server.pid(), libc::SIGUSR1);
    ready::until("the refusal", PATIENCE, || {
        let log = server.text("error.log");
        log.contains("no graceful restart: ") && log.contains("no scoreboard of this server")
    })
    .unwrap();
    assert_eq!(fs::read_to_string(&other).unwrap(), "not yours");
    assert_eq!(fs::metadata(&path).unwrap().ino(), second.ino());
    fs::remove_file(&other).unwrap();
    signal(server.pid(), libc::SIGUSR1);
    generation_is(&other, 2);
    ready::until("the old name's end", PATIENCE, || !path.exists()).unwrap();
    assert!(server.text("error.log").contains("ScoreBoardFile: "));
    assert_eq!(server.get("/a.txt").unwrap().status, 200);

    edit(&server, "ScoreBoardFile other/board", "");
    signal(server.pid(), libc::SIGUSR1);
    ready::until("no file at all", PATIENCE, || !other.exists()).unwrap();
    assert_eq!(server.get("/a.txt").unwrap().status, 200);
    assert!(server.stop().unwrap().success());
    assert!(inside(&folder).is_empty() && inside(&server.root().join("other")).is_empty());
}

/// How a server ends that must not start, and what it says.
fn refused(prepared: &Prepared) -> String {
    refused_as(prepared, &mut prepared.command().unwrap())
}

fn refused_as(prepared: &Prepared, command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap() + &prepared.text("error.log");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!prepared.root().join("pid").exists());
    said
}

#[test]
fn what_is_not_ours_is_never_overwritten() {
    let prepared = Prepared::new(&configuration("ScoreBoardFile run/board"), FILES).unwrap();
    let path = prepared.root().join("run/board");
    fs::write(&path, "a letter to my aunt").unwrap();
    let said = refused(&prepared);
    assert!(
        said.contains("/run/board: the file there is no scoreboard of this server"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "a letter to my aunt");
    fs::write(&path, b"parkade\0\x63\0\0\0 and so on").unwrap();
    let said = refused(&prepared);
    assert!(said.contains("version 99"), "{said}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let said = refused(&prepared);
    assert!(said.contains("a directory is there"), "{said}");
    fs::remove_dir(&path).unwrap();
    fs::remove_dir_all(prepared.root().join("run")).unwrap();
    let said = refused(&prepared);
    assert!(
        said.contains("ScoreBoardFile: No such file or directory"),
        "{said}"
    );
}

#[test]
fn a_file_of_a_server_that_lives_is_its_own_and_that_of_a_dead_one_is_replaced() {
    let text = configuration("ScoreBoardFile run/board");
    let server = Server::start(&text, FILES).unwrap();
    let path = server.root().join("run/board");
    let second = configuration(&format!("ScoreBoardFile {}", path.display()));
    let prepared = Prepared::new(&second, FILES).unwrap();
    let said = refused(&prepared);
    assert!(
        said.contains(&format!(
            "the server with pid {}, which is running",
            server.pid()
        )),
        "{said}"
    );
    assert!(path.exists());
    signal(server.pid(), libc::SIGKILL);
    ready::until("the server's death", PATIENCE, || {
        !parkade_tests::procfs::alive(server.pid())
    })
    .unwrap();
    assert!(path.exists());
    let mut next = Server::start(&second, FILES).unwrap();
    let log = next.text("error.log");
    assert_eq!(
        log.matches("replaced: unclean shutdown").count(),
        1,
        "{log}"
    );
    assert!(next.stop().unwrap().success());
    assert!(!path.exists());
}

#[test]
fn no_room_for_the_file_is_an_error_and_no_later_crash() {
    let prepared = Prepared::new(&configuration("ScoreBoardFile run/board"), FILES).unwrap();
    let folder = prepared.root().join("run");
    let limit = || {
        let most = libc::rlimit {
            rlim_cur: 4096,
            rlim_max: 4096,
        };
        // SAFETY: a valid limit; setrlimit touches no other memory.
        match unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const most) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    let mut command = prepared.command().unwrap();
    // SAFETY: the closure only makes a system call.
    unsafe { command.pre_exec(limit) };
    let said = refused_as(&prepared, &mut command);
    assert!(
        said.contains("could not make the scoreboard (ScoreBoardFile ")
            && said.contains("File too large"),
        "{said}"
    );
    assert_eq!(inside(&folder), Vec::<PathBuf>::new());

    // A disk of its own, which only this process sees.
    let on_small_disk = |program: &OsStr| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c"]);
        command.arg("mount -t tmpfs -o size=4k none \"$0\" && exec \"$@\"");
        command.arg(&folder).arg(program);
        command
    };
    let possible = on_small_disk(OsStr::new("true")).status();
    if !is_root() || !possible.is_ok_and(|s| s.success()) {
        return eprintln!("skipped in part: only root can mount a disk, and not everywhere");
    }
    let plain = prepared.command().unwrap();
    let mut command = on_small_disk(plain.get_program());
    command.args(plain.get_args());
    let said = refused_as(&prepared, &mut command);
    assert!(said.contains("No space left on device"), "{said}");
}
