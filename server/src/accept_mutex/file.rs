//! The LockFile: made by the supervisor, locked by children, gone with the last that may lock it.

use super::Owner;
use crate::log::{Level, write};
use crate::owned::is_gone;
use nix::unistd::{Gid, Pid, Uid, fchown};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A LockFile of this process; dropping it removes the file.
pub(super) struct LockFile {
    /// As the configuration has it, and with the supervisor's number.
    asked: PathBuf,
    path: PathBuf,
    /// The supervisor.
    pid: u32,
    pub(super) file: File,
}

impl LockFile {
    pub(super) fn create(asked: PathBuf, owner: Option<Owner>) -> io::Result<Self> {
        remove_stale(&asked);
        let pid = std::process::id();
        let mut path = asked.clone().into_os_string();
        path.push(format!(".{pid}"));
        let path = PathBuf::from(path);
        let mut options = fs::OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
        let file = options.open(&path).map_err(|e| {
            let text = format!("could not create LockFile {}: {e}", path.display());
            io::Error::new(e.kind(), text)
        })?;
        let made = Self {
            asked,
            path,
            pid,
            file,
        };
        made.chown(owner)?;
        made.warn();
        Ok(made)
    }

    /// The path of the configuration.
    pub(super) fn asked(&self) -> &Path {
        &self.asked
    }

    /// Gives it to the account that children run as.
    pub(super) fn chown(&self, owner: Option<Owner>) -> io::Result<()> {
        let Some(owner) = owner else { return Ok(()) };
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        fchown(&self.file, Some(uid), Some(gid)).map_err(|e| {
            let e = io::Error::from(e);
            let text = format!("could not chown LockFile {}: {e}", self.path.display());
            io::Error::new(e.kind(), text)
        })
    }

    /// Opened once more, which flock(2) needs: it locks for whoever shares an open file.
    pub(super) fn reopen(&self) -> io::Result<File> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true);
        // This file, whatever has become of its name.
        let same = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        options
            .open(same)
            .or_else(|_| {
                options.custom_flags(libc::O_NOFOLLOW);
                options.open(&self.path)
            })
            .map_err(|e| {
                let text = format!("could not open LockFile {}: {e}", self.path.display());
                io::Error::new(e.kind(), text)
            })
    }

    /// Says what makes a bad place.
    fn warn(&self) {
        let path = self.path.display();
        let folder = self.path.parent().and_then(|f| fs::metadata(f).ok());
        if folder.is_some_and(|f| f.mode() & 0o002 != 0) {
            let text = format!("LockFile {path} is in a directory that everybody may write to");
            write("core", Level::Warn, &text);
        }
        // Locks of files on a network are slow, or none.
        if crate::sys::extras::is_remote(&self.file) {
            let text = format!("LockFile {path} is not on a local disk");
            write("core", Level::Warn, &text);
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // A forked child inherits the value, not the file.
        if std::process::id() != self.pid {
            return;
        }
        let id = |m: fs::Metadata| (m.dev(), m.ino());
        let ours = self.file.metadata().map(id);
        let there = fs::symlink_metadata(&self.path).map(id);
        if matches!((ours, there), (Ok(ours), Ok(there)) if ours == there) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what supervisors that were killed have left at this path, with one warning.
pub(super) fn remove_stale(asked: &Path) {
    let (Some(folder), Some(name)) = (asked.parent(), asked.file_name()) else {
        return;
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut removed = 0;
    for entry in entries.flatten() {
        let found = entry.file_name();
        let number = found
            .to_str()
            .zip(name.to_str())
            .and_then(|(found, name)| found.strip_prefix(name)?.strip_prefix('.'))
            .and_then(|number| number.parse::<i32>().ok())
            .filter(|number| *number > 0);
        let Some(number) = number else { continue };
        // Our own number in the name of a file that we have not made was another's.
        let gone = number.unsigned_abs() == std::process::id() || is_gone(Pid::from_raw(number));
        let file = entry.file_type().is_ok_and(|t| t.is_file());
        if gone && file && fs::remove_file(entry.path()).is_ok() {
            removed += 1;
        }
    }
    if removed > 0 {
        let text = format!(
            "removed {removed} stale LockFile(s) at {}: their supervisors are gone",
            asked.display()
        );
        write("core", Level::Warn, &text);
    }
}
