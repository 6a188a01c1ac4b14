//! From a path below a root to an opened file, without a way out and without waiting where that is asked.
//!
//! Where links are followed anywhere, and where there are none in the way, one openat2(2) does it; with RESOLVE_CACHED
//! it answers EAGAIN instead of reading a directory from disk. Only a path that meets a link in a place with rules of its
//! own is walked (`walk`).

use super::stamp::Stamp;
use super::tree::Tree;
use super::walk;
use crate::sys::link::STEP as DIRECTORY;
use crate::sys::resolve::{self, How};
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, openat};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// How a file is opened: a FIFO does not block, a terminal does not become ours.
pub(super) const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY);

/// What may be waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    /// Only what is in memory; a worker asks so.
    Memory,
    /// The disk; a reserve thread.
    Disk,
}

/// A file to be served.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    pub(super) stamp: Stamp,
    /// Its path below the root, the name of an index file included.
    pub(super) name: String,
    /// For an index file: what its directory looked like, since a better index may appear there.
    pub(super) directory: Option<Stamp>,
    /// Where the file really stands below the root, if a link led there that stays inside and is not asked for by Options.
    pub(super) inside: Option<String>,
    /// Links were followed by the rules of the places they stand in: those may change without a trace in the file.
    pub(super) walked: bool,
}

/// Why there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The disk has to be asked.
    Again,
    /// A directory was asked for without its slash.
    Redirect,
    /// An error status.
    Status(u16),
}

/// What is looked for.
pub(super) struct Wanted<'a> {
    pub(super) tree: &'a Tree,
    pub(super) host: usize,
    pub(super) root: &'a Path,
    /// A normalised URL path.
    pub(super) path: &'a str,
    /// `DirectoryIndex`.
    pub(super) index: &'a [String],
}

/// Finds and opens a file.
pub(super) fn find(wanted: &Wanted<'_>, patience: Patience) -> Result<Found, Failure> {
    let root = open_root(wanted.root, patience).map_err(|e| failure(e, patience))?;
    let relative = wanted.path.trim_start_matches('/');
    let lookup = Lookup {
        wanted,
        root: root.as_fd(),
        patience,
    };
    if wanted.path.ends_with('/') {
        return lookup.index(relative);
    }
    let opened = lookup
        .open(relative, READ)
        .map_err(|e| failure(e, patience))?;
    let (stat, opened) = opened.stat()?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Failure::Redirect),
        FileType::RegularFile => Ok(opened.found(&stat, relative.to_owned(), None)),
        // A FIFO, a socket, a device: never waited for, never served.
        _ => Err(Failure::Status(403)),
    }
}

/// Something that was opened, and whether a link led there that stays inside.
struct Opened {
    fd: OwnedFd,
    inside: Option<String>,
    walked: bool,
}

impl Opened {
    fn stat(self) -> Result<(Stat, Self), Failure> {
        match rustix::fs::fstat(&self.fd) {
            Ok(stat) => Ok((stat, self)),
            Err(_) => Err(Failure::Status(500)),
        }
    }

    fn found(self, stat: &Stat, name: String, directory: Option<Stamp>) -> Found {
        Found {
            file: File::from(self.fd),
            stamp: Stamp::from(stat),
            name,
            directory,
            inside: self.inside,
            walked: self.walked,
        }
    }
}

struct Lookup<'a> {
    wanted: &'a Wanted<'a>,
    root: BorrowedFd<'a>,
    patience: Patience,
}

impl Lookup<'_> {
    /// The first index file that is there.
    fn index(&self, directory: &str) -> Result<Found, Failure> {
        let failed = |e| failure(e, self.patience);
        // Also says whether it is a directory at all: `file/` names nothing.
        let (stat, _open) = self.open(directory, DIRECTORY).map_err(failed)?.stat()?;
        let stamp = Stamp::from(&stat);
        for name in self.wanted.index {
            // A name with a slash in front is a path of its own.
            let path = match name.strip_prefix('/') {
                Some(absolute) => absolute.to_owned(),
                None => format!("{directory}{name}"),
            };
            match self.open(&path, READ) {
                Ok(opened) => {
                    let (stat, opened) = opened.stat()?;
                    match FileType::from_raw_mode(stat.st_mode) {
                        FileType::RegularFile => {
                            return Ok(opened.found(&stat, path, Some(stamp)));
                        }
                        FileType::Directory => {}
                        _ => return Err(Failure::Status(403)),
                    }
                }
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(e) => return Err(failed(e)),
            }
        }
        // A directory without index: listings are not built, so it is forbidden to look.
        Err(Failure::Status(403))
    }

    fn open(&self, path: &str, flags: OFlags) -> Result<Opened, Errno> {
        let path = if path.is_empty() { "." } else { path };
        let Wanted { tree, host, .. } = *self.wanted;
        let plain = |fd| Opened {
            fd,
            inside: None,
            walked: false,
        };
        if tree.follows_everywhere(host) {
            return straight(
                self.root,
                path,
                flags,
                How {
                    no_magic: true,
                    ..How::default()
                },
                self.patience,
            )
            .map(plain);
        }
        let strict = How {
            beneath: true,
            no_links: true,
            no_magic: true,
            cached: false,
        };
        match straight(self.root, path, flags, strict, self.patience) {
            Err(Errno::LOOP) if self.patience == Patience::Memory => Err(Errno::AGAIN),
            Err(Errno::LOOP) => {
                let walked = walk::walk(self.root, path, flags, &|directory| {
                    tree.options(host, directory)
                })?;
                let inside = walked
                    .inside
                    .then(|| walk::real(self.root, walked.fd.as_fd()));
                match inside {
                    // Where it stands cannot be said, so whether it may be seen cannot either.
                    Some(None) => Err(Errno::ACCESS),
                    inside => Ok(Opened {
                        fd: walked.fd,
                        inside: inside.flatten(),
                        walked: true,
                    }),
                }
            }
            other => other.map(plain),
        }
    }
}

/// openat2(2), or its like where the kernel has none.
fn straight(
    root: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    how: How,
    patience: Patience,
) -> Result<OwnedFd, Errno> {
    let cached = patience == Patience::Memory;
    match resolve::open(root, path, flags, How { cached, ..how }) {
        // Before 5.12 nobody can tell what is cached; before 5.6 (or behind a filter) there is no such call.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) if patience == Patience::Memory => {
            Err(Errno::AGAIN)
        }
        Err(Errno::NOSYS | Errno::PERM) => without_openat2(root, path, flags, how),
        other => other,
    }
}

fn without_openat2(
    root: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    how: How,
) -> Result<OwnedFd, Errno> {
    if !how.no_links {
        return openat(root, path, flags, Mode::empty());
    }
    walk::without_links(root, path, flags)
}

fn open_root(root: &Path, patience: Patience) -> Result<OwnedFd, Errno> {
    if patience == Patience::Memory {
        let cached = How {
            cached: true,
            ..How::default()
        };
        return match resolve::open(CWD, root, DIRECTORY, cached) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => Err(Errno::AGAIN),
            other => other,
        };
    }
    openat(CWD, root, DIRECTORY, Mode::empty())
}

fn failure(e: Errno, patience: Patience) -> Failure {
    Failure::Status(match e {
        Errno::AGAIN if patience == Patience::Memory => return Failure::Again,
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => 404,
        Errno::ACCESS | Errno::PERM | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NODEV => 403,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => 503,
        _ => 404,
    })
}
