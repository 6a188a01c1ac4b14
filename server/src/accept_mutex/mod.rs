//! `AcceptMutex`: what children take turns by when they accept.
//!
//! Each mechanism is a room of its own: `flock` and `fcntl` lock the LockFile (`file`), `posixsem` and `pthread` live in
//! memory that the children share (`shared`), `sysvsem` in the kernel (`trace` lets a later
//! server find it). The supervisor makes one before it forks; a child
//! enters it before it gives up root. A holder that is killed gives it back: the kernel does that for `flock`, `fcntl` and
//! `sysvsem`, the next one that tries for `pthread`, the supervisor for `posixsem`.
//!
//! A restart that changes neither mechanism nor file nor user goes on with the same mutex, so both generations take turns
//! with each other. Otherwise it makes another one, and the one before goes with its last child. A file at the same path
//! is the same file.

mod fcntl;
mod file;
mod flock;
#[cfg_attr(target_vendor = "apple", path = "absent/posixsem.rs")]
mod posixsem;
#[cfg_attr(
    any(target_vendor = "apple", target_os = "netbsd"),
    path = "absent/pthread.rs"
)]
mod pthread;
#[cfg_attr(target_os = "netbsd", path = "absent/sysvsem.rs")]
mod sysvsem;
#[cfg_attr(
    target_os = "netbsd",
    allow(dead_code, reason = "no semaphore is noted")
)]
mod trace;

use crate::log::{Level, write};
use crate::scoreboard::Board;
use crate::settings::Settings;
use file::LockFile;
use parkade::AcceptLock;
use parkade_config::AcceptMutex as Mechanism;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A child's way to lock it.
pub(crate) type Lock = Arc<dyn AcceptLock>;

/// The mutex of one generation of children, or of several.
pub(crate) struct AcceptMutex {
    kind: Kind,
    owner: Option<Owner>,
}

enum Kind {
    Flock(Arc<LockFile>),
    Fcntl(Arc<LockFile>),
    PosixSem(Arc<posixsem::Semaphore>),
    Pthread(Arc<pthread::Mutex>),
    SysvSem(Arc<sysvsem::Semaphore>),
}

/// Whom files and semaphores belong to: the account that children run as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Owner {
    uid: u32,
    gid: u32,
}

/// This system does not have it.
#[cfg(any(target_vendor = "apple", target_os = "netbsd"))]
fn absent(others: &str) -> io::Error {
    let text = format!("not available on this platform; available: {others}");
    io::Error::new(io::ErrorKind::Unsupported, text)
}

/// Its name in a configuration.
pub(crate) fn name(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Default => "default",
        Mechanism::Flock => "flock",
        Mechanism::Fcntl => "fcntl",
        Mechanism::PosixSem => "posixsem",
        Mechanism::Pthread => "pthread",
        Mechanism::SysvSem => "sysvsem",
    }
}

impl AcceptMutex {
    /// What the settings ask for; `None` if children need not take turns. `before` is that of the generation that serves;
    /// `first`: nobody serves yet, so what is left of others is removed.
    ///
    /// # Errors
    /// The file, the memory or the semaphore cannot be made; the text names it.
    pub(crate) fn make(
        settings: &Settings,
        before: Option<&Arc<Self>>,
        first: bool,
    ) -> io::Result<Option<Arc<Self>>> {
        let mechanism = *settings.config.accept_mutex;
        let by_file = matches!(mechanism, Mechanism::Flock | Mechanism::Fcntl);
        if let Some(path) = settings.config.lock_file.as_ref().filter(|_| !by_file) {
            let (name, path) = (name(mechanism), path.display());
            let text = format!("LockFile {path} is unused: AcceptMutex is {name}");
            write("core", Level::Info, &text);
        }
        let text = match mechanism {
            Mechanism::Default => "AcceptMutex default: none, the kernel hands out connections",
            _ => &format!("AcceptMutex {} (default: none)", name(mechanism)),
        };
        write("mpm_event", Level::Debug, text);
        let owner = settings.identity.as_ref().map(|identity| Owner {
            uid: identity.user.uid.as_raw(),
            gid: identity.gid.as_raw(),
        });
        if let Some(before) = before.filter(|b| b.owner == owner && b.is(settings)) {
            return Ok(Some(before.clone()));
        }
        if first {
            if let Some(path) = settings.pid_path() {
                trace::clean_up(&trace::path(path));
            }
            file::remove_stale(&lock_path(settings));
        }
        let file = || {
            let path = lock_path(settings);
            match before.and_then(|b| b.file()).filter(|f| f.asked() == path) {
                Some(file) => file.chown(owner).map(|()| file.clone()),
                None => LockFile::create(path, owner).map(Arc::new),
            }
        };
        let named = |e: io::Error| {
            let text = format!("could not make AcceptMutex {}: {e}", name(mechanism));
            io::Error::new(e.kind(), text)
        };
        let kind = match mechanism {
            Mechanism::Default => return Ok(None),
            Mechanism::Flock => Kind::Flock(file()?),
            Mechanism::Fcntl => Kind::Fcntl(file()?),
            Mechanism::PosixSem => {
                Kind::PosixSem(Arc::new(posixsem::Semaphore::new().map_err(named)?))
            }
            Mechanism::Pthread => Kind::Pthread(Arc::new(pthread::Mutex::new().map_err(named)?)),
            Mechanism::SysvSem => {
                let pid_file = settings.pid_path().map(Path::to_owned);
                let made = sysvsem::Semaphore::new(owner, pid_file).map_err(named)?;
                Kind::SysvSem(Arc::new(made))
            }
        };
        Ok(Some(Arc::new(Self { kind, owner })))
    }

    /// Whether it is what the settings ask for.
    fn is(&self, settings: &Settings) -> bool {
        let mechanism = match self.kind {
            Kind::Flock(_) => Mechanism::Flock,
            Kind::Fcntl(_) => Mechanism::Fcntl,
            Kind::PosixSem(_) => Mechanism::PosixSem,
            Kind::Pthread(_) => Mechanism::Pthread,
            Kind::SysvSem(_) => Mechanism::SysvSem,
        };
        mechanism == *settings.config.accept_mutex
            && self
                .file()
                .is_none_or(|file| file.asked() == lock_path(settings))
    }

    fn file(&self) -> Option<&Arc<LockFile>> {
        match &self.kind {
            Kind::Flock(file) | Kind::Fcntl(file) => Some(file),
            _ => None,
        }
    }

    /// In a child, while it may still open the file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn enter(&self, board: &Arc<Board>, record: usize) -> io::Result<Lock> {
        Ok(match &self.kind {
            Kind::Flock(file) => Arc::new(flock::Flock::open(file)?),
            Kind::Fcntl(file) => Arc::new(fcntl::Fcntl::new(file.clone())),
            Kind::PosixSem(semaphore) => {
                let (board, semaphore) = (board.clone(), semaphore.clone());
                Arc::new(posixsem::Turns::new(semaphore, board, record))
            }
            Kind::Pthread(mutex) => mutex.clone(),
            Kind::SysvSem(semaphore) => semaphore.clone(),
        })
    }

    /// In the supervisor, after a child has ended: what the `living` children that use this mutex say of themselves
    /// decides whether the dead one held it. Whether that cannot be told yet, and is to be asked again.
    pub(crate) fn recover<'a>(
        &self,
        living: impl Iterator<Item = (&'a Board, usize)> + Clone,
    ) -> bool {
        match &self.kind {
            Kind::PosixSem(semaphore) => semaphore.recover(living),
            _ => false,
        }
    }

    /// In a child at its end. If the supervisor has died, what it would have removed is removed here.
    pub(crate) fn leave(&self) {
        if let Kind::SysvSem(semaphore) = &self.kind {
            semaphore.leave();
        }
    }
}

/// The LockFile's path without the number that is added.
fn lock_path(settings: &Settings) -> PathBuf {
    let config = &settings.config;
    match &config.lock_file {
        Some(path) => path.value.clone(),
        None => config.server_root.join("logs/accept.lock"),
    }
}

/// Says what is wrong with a lock, once.
struct Complaint(AtomicBool);

impl Complaint {
    const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    fn say(&self, call: &str, e: &io::Error) {
        if !self.0.swap(true, Relaxed) {
            let text = format!("AcceptMutex: {call}: {e}");
            write("mpm_event", Level::Error, &text);
        }
    }
}

#[cfg(test)]
mod tests;
