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
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
/// Room for the logs of a run, small enough to be filled in a moment.
const DISK: usize = 48 << 20;

pub(super) struct Subject {
    pub prepared: Prepared,
    pub settings: Settings,
    supervisor: Child,
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
        self.supervisor.id()
    }

    pub(super) fn children(&self) -> Vec<u32> {
        let all = procfs::children(self.pid()).unwrap_or_default();
        all.into_iter().filter(|pid| procfs::alive(*pid)).collect()
    }

    pub(super) fn alive(&mut self) -> bool {
        matches!(self.supervisor.try_wait(), Ok(None))
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
        let _ = self.supervisor.wait();
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
        let pid = self.pid().to_string();
        let mut ended = None;
        let root = self.prepared.root().join("run/pid");
        let child = &mut self.supervisor;
        ready::until("the server", PATIENCE, || {
            ended = child.try_wait().ok().flatten();
            let ours = fs::read_to_string(&root).is_ok_and(|text| text.trim() == pid);
            ended.is_some()
                || ours
                    && procfs::children(child.id()).is_ok_and(|c| !c.is_empty())
                    && answers(address)
        })?;
        match ended {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!(
                "{status}\n{}",
                self.prepared.text("stderr")
            ))),
        }
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
        let child = &mut self.supervisor;
        let mut status = None;
        ready::until("the supervisor's end", PATIENCE, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        })?;
        match status {
            Some(status) if status.success() => Ok(()),
            status => Err(io::Error::other(format!(
                "the supervisor ended with {status:?}"
            ))),
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if self.alive() {
            let children = self.children();
            let _ = self.supervisor.kill();
            let _ = self.supervisor.wait();
            for pid in children {
                signal(pid, libc::SIGKILL);
            }
        }
    }
}

fn launch(prepared: &Prepared, clock: Option<&Clock>) -> io::Result<Child> {
    let errors = prepared.root().join("stderr");
    File::create(&errors)?;
    let errors = OpenOptions::new().append(true).open(errors)?;
    let mut command = prepared.command()?;
    if let Some(clock) = clock {
        clock.rule(&mut command);
    }
    command.stdout(Stdio::null()).stderr(errors).spawn()
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
