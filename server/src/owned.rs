//! A file that belongs to one running supervisor: made beside its place and moved there whole, locked while its owner
//! lives, removed with it.
//!
//! The lock is fcntl(2)'s: it belongs to the supervisor alone, no child inherits it, and the kernel takes it back when
//! the supervisor dies, however that comes. Closing any descriptor of the file would end it: an owner must not open its
//! own file again.

use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file of this process; dropping it removes the file.
pub(crate) struct OwnedFile {
    path: PathBuf,
    owner: u32,
    /// Holds the lock.
    file: File,
}

impl OwnedFile {
    /// An empty, locked file beside `path`, in the same folder.
    pub(crate) fn beside(path: &Path, mode: u32) -> io::Result<Self> {
        let owner = std::process::id();
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{owner}"));
        let path = PathBuf::from(temporary);
        let mut options = fs::OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path)?;
        // From here on it is removed whatever goes wrong.
        let owned = Self { path, owner, file };
        // Before anybody can see it under its name.
        rustix::fs::fcntl_lock(
            &owned.file,
            rustix::fs::FlockOperation::NonBlockingLockExclusive,
        )?;
        Ok(owned)
    }

    /// Moves it to its place; what lies there is replaced.
    pub(crate) fn publish(&mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        path.clone_into(&mut self.path);
        Ok(())
    }

    /// Removes it, if it is still ours. A forked child inherits the value, not the file.
    pub(crate) fn remove(&self) -> io::Result<()> {
        if std::process::id() == self.owner && self.is_in_place() {
            return fs::remove_file(&self.path);
        }
        Ok(())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the path still leads to our file.
    pub(crate) fn is_in_place(&self) -> bool {
        let id = |m: fs::Metadata| (m.dev(), m.ino());
        let ours = self.file.metadata().map(id);
        let there = fs::symlink_metadata(&self.path).map(id);
        matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
    }
}

impl Drop for OwnedFile {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

/// Whether there is no such process any more; one that is dead and was not waited for yet is none.
pub(crate) fn is_gone(pid: Pid) -> bool {
    if nix::sys::signal::kill(pid, None) == Err(nix::errno::Errno::ESRCH) {
        return true;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// The process that holds the lock of a file.
pub(crate) fn holder(file: &File) -> Option<Pid> {
    // SAFETY: zero bytes are a valid `flock`: a whole-file lock from its beginning.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    fcntl(file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    (lock.l_type != libc::F_UNLCK as libc::c_short && lock.l_pid > 1)
        .then(|| Pid::from_raw(lock.l_pid))
}
