//! The PidFile: written whole or not at all, removed at the end, and read by `-k`.

use crate::settings::Settings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A PidFile of this process; dropping it removes the file.
pub(crate) struct PidFile {
    path: PathBuf,
    owner: u32,
}

impl PidFile {
    /// Writes the file by way of a temporary one.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let named = |e: io::Error| {
            io::Error::new(
                e.kind(),
                format!("could not create PidFile {}: {e}", path.display()),
            )
        };
        let owner = std::process::id();
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{owner}"));
        let temporary = PathBuf::from(temporary);
        let mut options = fs::OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW);
        let written = options
            .open(&temporary)
            .and_then(|mut file| writeln!(file, "{owner}"))
            .and_then(|()| fs::rename(&temporary, path));
        if let Err(e) = written {
            let _ = fs::remove_file(&temporary);
            return Err(named(e));
        }
        Ok(Self {
            path: path.to_owned(),
            owner,
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A forked child inherits the value, not the file.
        if std::process::id() == self.owner {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The process that a PidFile names, if it lives.
pub(crate) fn running(path: &Path) -> Option<Pid> {
    let pid: i32 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    let pid = Pid::from_raw(pid);
    (pid.as_raw() > 1 && pid != Pid::this() && kill(pid, None).is_ok()).then_some(pid)
}

/// `-k stop`.
pub(crate) fn stop(settings: &Settings) -> io::Result<()> {
    let Some(path) = settings
        .config
        .pid_file
        .as_ref()
        .filter(|_| !settings.builtin)
    else {
        return Err(io::Error::other(
            "-k stop needs a configuration file (-f) whose PidFile names the server",
        ));
    };
    match running(path) {
        Some(pid) => kill(pid, Signal::SIGTERM).map_err(io::Error::from),
        None if path.exists() => {
            println!(
                "parkade (pid {}?) not running",
                fs::read_to_string(&path.value).unwrap_or_default().trim()
            );
            Ok(())
        }
        None => {
            println!("parkade (no pid file) not running");
            Ok(())
        }
    }
}
