//! What is left of a semaphore when its supervisor and all its children were killed at once: a System V semaphore stays
//! in the kernel then (sysvipc(7)). A file beside the PidFile names it, and the next server with that PidFile, which alone
//! holds its lock, removes it.

use super::sysvsem::{Made, made, remove};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file; dropping it removes it, if it is still this semaphore's.
pub(super) struct Trace {
    path: PathBuf,
    of: Made,
}

/// Where it is, by the PidFile.
pub(super) fn path(pid_file: &Path) -> PathBuf {
    let mut path = pid_file.as_os_str().to_owned();
    path.push(".sem");
    path.into()
}

/// Removes the semaphore that a file names, if it is the one that was meant: the kernel's number, and the moment of its
/// last change, which no later semaphore of that number has; and made by the account that we are.
pub(super) fn clean_up(path: &Path) {
    let Some(of) = read(path) else { return };
    if made(of.id) == Some(of) && of.creator == rustix::process::geteuid().as_raw() {
        remove(of.id);
    }
    let _ = fs::remove_file(path);
}

fn read(path: &Path) -> Option<Made> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(CWD, path, flags, Mode::empty()).ok()?;
    let file = fs::File::from(file);
    let about = file.metadata().ok()?;
    // Whoever else may write there could name anybody's.
    if !about.is_file() || about.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let mut text = String::new();
    (&file).take(128).read_to_string(&mut text).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse::<i64>);
    let mut next = || numbers.next()?.ok();
    Some(Made {
        id: next()?.try_into().ok()?,
        changed: next()?,
        creator: next()?.try_into().ok()?,
    })
}

impl Trace {
    /// Writes the file. Without it nothing is wrong but that nobody would clean up.
    pub(super) fn leave(path: PathBuf, id: i32) -> Option<Self> {
        let of = made(id)?;
        let _ = fs::remove_file(&path);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR).ok()?;
        let trace = Self { path, of };
        let text = format!("{} {} {}\n", of.id, of.changed, of.creator);
        fs::File::from(file).write_all(text.as_bytes()).ok()?;
        Some(trace)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if read(&self.path) == Some(self.of) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
