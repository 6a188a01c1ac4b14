//! The real server: built once, started with a configuration of the test's own, stopped with it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::{self, Response};
use crate::{procfs, ready};

/// Starting and stopping take milliseconds; this is for a machine busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with a configuration and files, for one server.
#[derive(Debug)]
pub struct Prepared {
    root: TempDir,
    address: SocketAddr,
    file: PathBuf,
}

impl Prepared {
    /// Fills a fresh folder, as [`Server::start`] describes.
    ///
    /// # Errors
    /// The folder could not be filled, or there is no free address.
    pub fn new(configuration: &str, files: &[(&str, &[u8])]) -> io::Result<Prepared> {
        let root = tempfile::tempdir()?;
        // A server started by root serves as another user.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
        for (path, content) in files {
            let path = root.path().join(path);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, content)?;
        }
        let file = root.path().join("parkade.conf");
        let prepared = Prepared {
            root,
            address: ready::free_address()?,
            file,
        };
        prepared.configure(configuration)?;
        Ok(prepared)
    }

    /// Another configuration in the place of the first, with the same words replaced. A running server reads either the
    /// one or the other.
    ///
    /// # Errors
    /// It could not be written.
    pub fn configure(&self, configuration: &str) -> io::Result<()> {
        let text = configuration
            .replace("{listen}", &self.address.to_string())
            .replace("{root}", &self.root.path().to_string_lossy())
            .replace("{user}", if is_root() { "User nobody" } else { "" });
        let new = self.file.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(new, &self.file)
    }

    /// `parkade -f` with the configuration, to which arguments may be added.
    ///
    /// # Errors
    /// The build failed.
    pub fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(binary()?);
        command.arg("-f").arg(&self.file).stdin(Stdio::null());
        Ok(command)
    }

    /// What `{listen}` became.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The text of a file below the folder; empty if there is none.
    #[must_use]
    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.path().join(path)).unwrap_or_default()
    }
}

/// Whether the test runs as root.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// A running `parkade`. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    prepared: Prepared,
}

impl Server {
    /// Starts the server. In `configuration`, `{listen}` stands for a free address and `{root}` for
    /// a fresh folder, and a line `{user}` for the `User` that root must name. The folder is what
    /// `files` (path below it, content) fill first. Returns once it answers.
    ///
    /// # Errors
    /// The build failed, or the server ended or did not listen in time; the error holds what it
    /// wrote to standard error.
    pub fn start(configuration: &str, files: &[(&str, &[u8])]) -> io::Result<Server> {
        Server::start_with(configuration, files, |_| {})
    }

    /// The same, with a command that `change` has changed.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(
        configuration: &str,
        files: &[(&str, &[u8])],
        change: impl FnOnce(&mut Command),
    ) -> io::Result<Server> {
        let prepared = Prepared::new(configuration, files)?;
        let address = prepared.address;
        let errors = prepared.root.path().join("stderr");
        let mut command = prepared.command()?;
        command
            .stdout(Stdio::null())
            .stderr(fs::File::create(&errors)?);
        change(&mut command);
        let child = command
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{command:?}: {e}")))?;
        let mut server = Server { child, prepared };
        let mut ended = None;
        let listening = ready::until("the server", PATIENCE, || {
            ended = server.child.try_wait().ok().flatten();
            ended.is_some() || answers(address)
        });
        match (listening, ended) {
            (Ok(()), None) => Ok(server),
            (result, ended) => {
                let said = fs::read_to_string(&errors).unwrap_or_default();
                let how = ended.map_or_else(|| format!("{result:?}"), |status| status.to_string());
                Err(io::Error::other(format!(
                    "the server did not start: {how}\n{said}"
                )))
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.prepared.address
    }

    /// The folder that was `{root}`.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.prepared.root()
    }

    /// The text of a file below the folder, such as `error.log`; empty if there is none.
    #[must_use]
    pub fn text(&self, path: &str) -> String {
        self.prepared.text(path)
    }

    /// The supervisor's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The children's process ids.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub fn children(&self) -> io::Result<Vec<u32>> {
        procfs::children(self.pid())
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.text("stderr")
    }

    /// Sends `request` on a connection of its own and reads one response.
    ///
    /// # Errors
    /// As [`client::exchange`].
    pub fn exchange(&self, request: &[u8]) -> io::Result<Response> {
        client::exchange(self.prepared.address, request)
    }

    /// `GET path`.
    ///
    /// # Errors
    /// As [`client::exchange`].
    pub fn get(&self, path: &str) -> io::Result<Response> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    /// Sends TERM and waits for the end.
    ///
    /// # Errors
    /// `TimedOut` when it has not ended in time.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        // The child has not been waited for, so the process id is still its own.
        signal(self.child.id(), libc::SIGTERM);
        self.ended()
    }

    /// Waits for the end, whatever brings it.
    ///
    /// # Errors
    /// `TimedOut` when it has not ended in time.
    pub fn ended(&mut self) -> io::Result<ExitStatus> {
        let mut status = None;
        let child = &mut self.child;
        ready::until("the server's end", PATIENCE, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        })?;
        status.ok_or_else(|| io::Error::other("no exit status"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stop().is_err() {
            let children = self.children().unwrap_or_default();
            let _ = self.child.kill();
            let _ = self.child.wait();
            // A supervisor that had to be killed could not end its children.
            for pid in children {
                // These were the supervisor's own a moment ago.
                signal(pid, libc::SIGKILL);
            }
        }
    }
}

/// Sends a signal; whether the process is still there is for others to ask.
pub fn signal(pid: u32, signal: i32) {
    // SAFETY: kill touches no memory of ours.
    let _ = unsafe { libc::kill(pid as libc::pid_t, signal) };
}

/// True when a request gets any response at all.
fn answers(address: SocketAddr) -> bool {
    let request = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    client::exchange(address, request).is_ok()
}

/// Builds the server once for this process, in the profile the test itself was built in.
///
/// # Errors
/// What cargo said.
pub fn binary() -> io::Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BINARY.get_or_init(|| {
        crate::build::program("parkade-server", "--bin", "parkade", "").map_err(|e| e.to_string())
    });
    built.as_deref().map_err(|e| io::Error::other(e.clone()))
}
