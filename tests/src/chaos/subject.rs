//! The server under chaos: started, looked at, configured anew, and started again after it was killed.

use super::options::Options;
use super::site::{self, FILES, Settings};
use crate::clock::Clock;
use crate::server::{Prepared, is_root, signal};
use crate::{client, procfs, ready};
use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
/// Room for the logs of a run, small enough to be filled in a moment.
const DISK: usize = 48 << 20;

pub(super) struct Subject {
    pub prepared: Prepared,
    pub settings: Settings,
    /// The supervisor; after an upgrade no child of this process at first.
    supervisor: u32,
    /// The logs have a disk of their own.
    pub disk: bool,
    /// Its wall clock, where there is a C compiler.
    pub clock: Option<Clock>,
}

impl Subject {
    pub(super) fn start(_: &Options) -> io::Result<Subject> {
        let settings = Settings::first();
        let files: Vec<_> = (0..=FILES).map(site::file).collect();
        let paths: Vec<_> = files
            .iter()
            .map(|(name, _)| format!("site/{name}"))
            .collect();
        let files: Vec<_> = paths
            .iter()
            .zip(&files)
            .map(|(p, (_, c))| (p.as_str(), c.as_slice()))
            .collect();
        let prepared = Prepared::new(&settings.text(), &files)?;
        for folder in ["logs", "run"] {
            fs::create_dir(prepared.root().join(folder))?;
        }
        let disk = own_disk(&prepared.root().join("logs")).is_ok();
        let clock = Clock::new(prepared.root())?;
        let supervisor = launch(&prepared, clock.as_ref())?;
        let mut subject = Subject {
            prepared,
            settings,
            supervisor,
            disk,
            clock,
        };
        subject.serving()?;
        Ok(subject)
    }

    pub(super) fn pid(&self) -> u32 {
        self.supervisor
    }

    pub(super) fn children(&self) -> Vec<u32> {
        let all = procfs::children(self.pid()).unwrap_or_default();
        all.into_iter().filter(|pid| procfs::alive(*pid)).collect()
    }

    pub(super) fn alive(&self) -> bool {
        procfs::alive(self.supervisor)
    }

    /// The client ports of the connections that a process holds.
    pub(super) fn clients_of(&self, pid: u32) -> HashSet<u16> {
        procfs::peers(pid, self.prepared.address().port()).unwrap_or_default()
    }

    pub(super) fn log(&self) -> PathBuf {
        self.prepared.root().join("logs/error")
    }

    /// How often the error log says this.
    pub(super) fn said(&self, words: &str) -> usize {
        self.prepared.text("logs/error").matches(words).count()
    }

    pub(super) fn configure(&self, text: &str) -> io::Result<()> {
        self.prepared.configure(text)
    }

    /// A killed supervisor's successor. The old children may still hold the port for a while.
    pub(super) fn start_again(&mut self, orphans: &[u32]) -> io::Result<()> {
        reap(self.supervisor);
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let waiting = orphans.iter().any(|pid| procfs::alive(*pid)) && Instant::now() < end;
            self.supervisor = launch(&self.prepared, self.clock.as_ref())?;
            match self.serving() {
                Ok(()) => return Ok(()),
                Err(_) if waiting => std::thread::sleep(Duration::from_millis(100)),
                Err(e) => return Err(e),
            }
        }
    }

    fn serving(&mut self) -> io::Result<()> {
        let address = self.prepared.address();
        let pid = self.supervisor;
        let mut ended = None;
        ready::until("the server", PATIENCE, || {
            ended = reap(pid);
            let ours = self.named() == Some(pid);
            ended.is_some()
                || ours && procfs::children(pid).is_ok_and(|c| !c.is_empty()) && answers(address)
        })?;
        match ended {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!(
                "wait status {status}\n{}",
                self.prepared.text("stderr")
            ))),
        }
    }

    /// The process that the PidFile names.
    fn named(&self) -> Option<u32> {
        self.prepared.text("run/pid").trim().parse().ok()
    }

    /// Lets the server be taken over, and waits until the old one is gone.
    pub(super) fn upgrade(&mut self) -> io::Result<()> {
        let old = self.supervisor;
        signal(old, libc::SIGUSR2);
        ready::until("a new server", PATIENCE, || {
            self.named().is_some_and(|pid| pid != old)
        })?;
        self.supervisor = self.named().ok_or_else(|| io::Error::other("no PidFile"))?;
        ready::until("the old server's end", Duration::from_secs(60), || {
            reap(old);
            !procfs::alive(old)
        })
    }

    /// What `?auto` says.
    pub(super) fn figures(&self) -> HashMap<String, String> {
        let request = b"GET /server-status?auto HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let body = client::exchange(self.prepared.address(), request)
            .map(|r| r.body)
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&body).into_owned();
        let pairs = text.lines().filter_map(|line| line.split_once(": "));
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    /// Ends it. Nothing else may be done with it then.
    pub(super) fn end(&mut self) -> io::Result<()> {
        signal(self.pid(), libc::SIGTERM);
        let (pid, mut status) = (self.supervisor, None);
        ready::until("the supervisor's end", PATIENCE, || {
            status = reap(pid);
            status.is_some()
        })?;
        match status {
            Some(0) => Ok(()),
            status => Err(io::Error::other(format!(
                "the supervisor ended with wait status {status:?}"
            ))),
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if self.alive() {
            let children = self.children();
            signal(self.supervisor, libc::SIGKILL);
            for pid in children {
                signal(pid, libc::SIGKILL);
            }
        }
    }
}

/// The wait status of a process that has ended and is this one's to wait for.
fn reap(pid: u32) -> Option<i32> {
    let mut status = 0;
    // SAFETY: a valid out-parameter.
    let got = unsafe { libc::waitpid(pid as libc::pid_t, &raw mut status, libc::WNOHANG) };
    (got > 0).then_some(status)
}

/// Starts the server; whoever calls waits for it by its number.
#[allow(clippy::zombie_processes, reason = "waited for by number")]
fn launch(prepared: &Prepared, clock: Option<&Clock>) -> io::Result<u32> {
    let errors = prepared.root().join("stderr");
    File::create(&errors)?;
    let errors = OpenOptions::new().append(true).open(errors)?;
    let mut command = prepared.command()?;
    if let Some(clock) = clock {
        clock.rule(&mut command);
    }
    let child = command.stdout(Stdio::null()).stderr(errors).spawn()?;
    Ok(child.id())
}

fn answers(address: std::net::SocketAddr) -> bool {
    client::exchange(
        address,
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .is_ok()
}

/// Gives a folder a small disk that ends with this thread and its children; root alone can.
fn own_disk(folder: &std::path::Path) -> io::Result<()> {
    if !is_root() {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    let text = |s: &str| CString::new(s).map_err(io::Error::other);
    let (root, none, kind) = (text("/")?, text("none")?, text("tmpfs")?);
    let place = text(&folder.to_string_lossy())?;
    let options = text(&format!("size={DISK},mode=755"))?;
    let checked = |failed: i32| {
        if failed == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    // SAFETY: unshare touches no memory.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    // SAFETY: strings that live through the call; the last argument may be null.
    checked(unsafe {
        libc::mount(
            none.as_ptr(),
            root.as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        )
    })?;
    // SAFETY: strings that live through the call.
    checked(unsafe {
        libc::mount(
            kind.as_ptr(),
            place.as_ptr(),
            kind.as_ptr(),
            0,
            options.as_ptr().cast(),
        )
    })?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}
