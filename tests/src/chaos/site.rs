//! What the server under chaos serves, and the configurations it goes through.

use fastrand::Rng;
use std::fmt::Write;

/// Files that clients ask for, each of its own size and content.
pub(super) const FILES: usize = 48;
/// A file that takes a slow reader a while.
pub(super) const LARGE: usize = 2 << 20;

/// Its path below the document root.
pub(super) fn file_name(n: usize) -> String {
    format!("f{n}.txt")
}

/// Path and content of file `n`; number [`FILES`] is the large one.
pub(super) fn file(n: usize) -> (String, Vec<u8>) {
    let size = match n {
        FILES => LARGE,
        n => 13 + n * n * 11,
    };
    let mut content = format!("file {n} ").into_bytes();
    let mut rng = Rng::with_seed(n as u64);
    content.resize_with(size.max(8), || rng.alphanumeric() as u8);
    (file_name(n), content)
}

/// One good configuration. The values that chaos turns are all of them allowed to change on a restart.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    children: u32,
    threads: u32,
    keep_alive: u32,
    backlog: u32,
    recycle: u32,
    buffer: u32,
    mutex: &'static str,
}

impl Settings {
    pub(super) fn first() -> Settings {
        Settings {
            children: 3,
            threads: 4,
            keep_alive: 300,
            backlog: 511,
            recycle: 0,
            buffer: 0,
            mutex: "none",
        }
    }

    pub(super) fn turn(&mut self, rng: &mut Rng) {
        match rng.u8(..7) {
            0 => self.children = rng.u32(2..5),
            1 => self.threads = rng.u32(2..9),
            2 => self.keep_alive = rng.u32(120..400),
            3 => self.backlog = rng.u32(128..1024),
            4 => self.recycle = [0, 200, 2000][rng.usize(..3)],
            5 => self.buffer = [0, 16_384, 262_144][rng.usize(..3)],
            _ => {
                self.mutex =
                    ["none", "flock", "fcntl", "posixsem", "pthread", "sysvsem"][rng.usize(..6)]
            }
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/run/pid\n\
             ScoreBoardFile {{root}}/run/board\nLockFile {{root}}/run/lock\n\
             ErrorLog {{root}}/logs/error\nCustomLog {{root}}/logs/access common\n\
             DocumentRoot {{root}}/site\nMaxKeepAliveRequests 0\nKeepAliveTimeout {}\nTimeout 60\n\
             RequestReadTimeout header=60 body=60\nServerLimit 16\nThreadLimit 16\nMaxClients 128\n\
             StartServers {}\nThreadsPerChild {}\nListenBacklog {}\nMaxRequestsPerChild {}\n\
             SendBufferSize {}\nGracefulDrainTimeout 60\n",
            self.keep_alive, self.children, self.threads, self.backlog, self.recycle, self.buffer
        );
        if self.mutex != "none" {
            let _ = writeln!(text, "AcceptMutex {}", self.mutex);
        }
        text.push_str(
            "<Directory {root}/site>\n  Require all granted\n</Directory>\n\
             <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n\
             <Location /server-status>\n  SetHandler server-status\n</Location>\n",
        );
        text
    }

    /// A configuration that must not be taken.
    pub(super) fn broken(&self, rng: &mut Rng) -> String {
        let faults = [
            "ThreadsPerChld 3\n",
            "<Directory /nowhere>\n",
            "ThreadsPerChild abc\n",
            "User nobody-by-that-name\n",
            "Include nothing-like-this.conf\n",
        ];
        format!("{}{}", self.text(), faults[rng.usize(..faults.len())])
    }
}
