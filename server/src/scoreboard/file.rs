//! ScoreBoardFile: the file that a scoreboard is, for readers that are no process of the server.
//!
//! Each generation has a file of its own. It is made beside its place and gets its name when the generation serves; the
//! one before lives on without a name for as long as its children do. What lies at the path and is not ours stays.

use super::record::{MAGIC, VERSION};
use crate::log::{Level, write};
use crate::owned::{OwnedFile, holder};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Whose file may be at the path.
pub(crate) enum Holder<'a> {
    Nobody,
    /// The generation that serves.
    Own(&'a BoardFile),
    /// The server that this one takes over from.
    Server(Pid),
}

/// A scoreboard's file; dropping it removes the file.
pub(crate) struct BoardFile {
    owned: OwnedFile,
    /// Where it belongs.
    path: PathBuf,
}

impl BoardFile {
    /// An empty file beside `path`, unless that belongs to somebody else than who serves until then.
    ///
    /// # Errors
    /// The path is taken, or no file can be made there.
    pub(crate) fn beside(path: &Path, before: &Holder<'_>) -> io::Result<Self> {
        let (ours, server) = match before {
            Holder::Own(b) => (b.path == path && b.owned.is_in_place(), None),
            Holder::Server(pid) => (false, Some(*pid)),
            Holder::Nobody => (false, None),
        };
        if !ours {
            may_replace(path, server).map_err(|e| named(path, &e))?;
        }
        if matches!(before, Holder::Nobody) {
            clear_unnamed(path);
        }
        Ok(Self {
            owned: OwnedFile::beside(path, 0o640).map_err(|e| named(path, &e))?,
            path: path.to_owned(),
        })
    }

    pub(crate) fn file(&self) -> &File {
        self.owned.file()
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// It cannot be moved there.
    pub(crate) fn publish(&mut self) -> io::Result<()> {
        let moved = self.owned.publish(&self.path);
        moved.map_err(|e| named(&self.path, &e))
    }
}

fn named(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("ScoreBoardFile {}: {e}", path.display()))
}

/// `Ok` if nothing is there, or a scoreboard that its server has left behind.
fn may_replace(path: &Path, server: Option<Pid>) -> io::Result<()> {
    let taken = |why: String| io::Error::new(io::ErrorKind::AlreadyExists, why);
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "a directory"
        } else if kind.is_symlink() {
            "a symbolic link"
        } else {
            "no regular file"
        };
        return Err(taken(format!("{what} is there; choose another path")));
    }
    let mut options = fs::OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut file = options.open(path)?;
    let mut head = [0; 12];
    let whole = file.read_exact(&mut head).is_ok();
    let (magic, version) = head.split_at(8);
    if !whole || magic != MAGIC.to_ne_bytes() {
        let why = "the file there is no scoreboard of this server: it is not overwritten; choose another path";
        return Err(taken(why.to_owned()));
    }
    let held = holder(&file);
    if held.is_some() && held == server {
        return Ok(());
    }
    if let Some(pid) = held {
        let why = format!("it is the scoreboard of the server with pid {pid}, which is running");
        return Err(taken(why));
    }
    if version != VERSION.to_ne_bytes() {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(version);
        return Err(taken(format!(
            "it is a scoreboard of version {} (this server writes version {VERSION}), left behind by another version of \
             this server: remove it if that does not run any more",
            u32::from_ne_bytes(bytes)
        )));
    }
    let shown = path.display();
    let text = format!("ScoreBoardFile {shown} replaced: unclean shutdown of the server before?");
    write("core", Level::Warn, &text);
    Ok(())
}

/// Removes what supervisors that were killed in the middle of a restart have left beside `path`.
fn clear_unnamed(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    // A bare name lies in the working directory.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let rest = found.as_bytes().strip_prefix(name.as_bytes());
        let pid = rest.and_then(|rest| rest.strip_prefix(b"."));
        if pid.is_some_and(|pid| !pid.is_empty() && pid.iter().all(u8::is_ascii_digit))
            && is_left_behind(&entry.path())
            && fs::remove_file(entry.path()).is_ok()
        {
            let shown = entry.path().display().to_string();
            let text = format!("{shown} removed: unclean shutdown of the server before?");
            write("core", Level::Warn, &text);
        }
    }
}

/// Whether a scoreboard lies there, and nobody holds it.
fn is_left_behind(path: &Path) -> bool {
    let mut options = fs::OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let Ok(mut file) = options.open(path) else {
        return false;
    };
    let mut magic = [0; 8];
    let whole = file.read_exact(&mut magic).is_ok();
    whole && magic == MAGIC.to_ne_bytes() && holder(&file).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::{Board, Size};
    use std::os::unix::fs::MetadataExt;

    fn board(path: &Path, before: Option<&BoardFile>) -> io::Result<BoardFile> {
        let before = &before.map_or(Holder::Nobody, Holder::Own);
        let size = Size {
            children: 3,
            workers: 2,
            slots: 5,
            extended: true,
        };
        let mut file = BoardFile::beside(path, before)?;
        Board::new(size, 0, Some(file.file()))?;
        file.publish()?;
        Ok(file)
    }

    #[test]
    fn a_file_is_as_long_as_its_layout_says_and_is_gone_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        let file = board(&path, None).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.len(), 128 + 3 * (128 + 2 * 128 + 128 + 5 * 256));
        assert!(
            found.blocks() * 512 >= found.len(),
            "there is room for all of it"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let next = board(&path, Some(&file)).unwrap();
        drop(file);
        assert!(path.exists(), "the next one has its place");
        drop(next);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_supervisor_left_beside_it_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        let beside = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let scoreboard = MAGIC.to_ne_bytes();
        let left = beside("board.4711", &scoreboard);
        let others = [
            beside("board.12", b"notes of another program"),
            beside("board.12a", &scoreboard),
            beside("board.", &scoreboard),
            beside("boards.12", &scoreboard),
        ];
        let file = board(&path, None).unwrap();
        assert!(!left.exists());
        // A restart is no start.
        let late = beside("board.4712", &scoreboard);
        drop(board(&path, Some(&file)).unwrap());
        assert!(late.exists());
        assert!(others.iter().all(|other| other.exists()));
    }

    #[test]
    fn what_belongs_to_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        let refused = |part: &str| {
            let e = board(&path, None).err().unwrap().to_string();
            assert!(e.contains(part) && e.contains("ScoreBoardFile /"), "{e}");
        };
        for other in ["", "short", "some notes of another program"] {
            fs::write(&path, other).unwrap();
            refused("no scoreboard of this server");
            assert_eq!(fs::read_to_string(&path).unwrap(), other);
        }
        let mut old = MAGIC.to_ne_bytes().to_vec();
        old.extend((VERSION - 1).to_ne_bytes());
        fs::write(&path, &old).unwrap();
        refused("remove it if that does not run");
        old.truncate(8);
        old.extend(VERSION.to_ne_bytes());
        fs::write(&path, &old).unwrap();
        drop(board(&path, None).unwrap());
        fs::create_dir(&path).unwrap();
        refused("a directory is there");
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        refused("a symbolic link is there");
    }
}
