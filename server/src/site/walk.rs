//! A path taken component by component, so that each symbolic link meets the options of the directory it stands in.
//!
//! Every component is opened relative to the one before, never by a name that could mean something else by then. A link
//! is read as the same thing that was looked at (`sys::link`), and its target is opened and then looked at.

use crate::sys::link::{self, STEP};
use crate::sys::resolve::{self, How};
use parkade_config::Options;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Where a walk has led.
pub(super) struct Walked {
    pub(super) fd: OwnedFd,
    /// A link was followed that no option asks for, because it stays below the root.
    pub(super) inside: bool,
}

/// Opens `path` below `root`; `options` says what holds in a directory (its path below the root).
pub(super) fn walk(
    root: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    options: &dyn Fn(&str) -> Options,
) -> Result<Walked, Errno> {
    let mut at = openat(root, ".", STEP, Mode::empty())?;
    let mut inside = false;
    let mut rest = path.trim_end_matches('/');
    while !rest.is_empty() {
        let (part, after) = rest.split_once('/').unwrap_or((rest, ""));
        let parent = path[..path.len() - rest.len()].trim_end_matches('/');
        let how = if after.is_empty() { flags } else { STEP };
        at = match openat(&at, part, how | OFlags::NOFOLLOW, Mode::empty()) {
            // It may be a link: O_DIRECTORY says ENOTDIR, a plain open ELOOP.
            Err(e @ (Errno::NOTDIR | Errno::LOOP)) => {
                let step = Step {
                    root,
                    at: at.as_fd(),
                    part,
                    whole: &path[..parent.len() + usize::from(!parent.is_empty()) + part.len()],
                };
                let (fd, stayed) = step.follow(how, options(parent), e)?;
                inside |= stayed;
                fd
            }
            other => other?,
        };
        rest = after.trim_start_matches('/');
    }
    Ok(Walked { fd: at, inside })
}

struct Step<'a> {
    root: BorrowedFd<'a>,
    at: BorrowedFd<'a>,
    part: &'a str,
    /// The path up to and with `part`.
    whole: &'a str,
}

impl Step<'_> {
    /// Follows a link if that is allowed; `otherwise` if it is none.
    fn follow(
        &self,
        flags: OFlags,
        options: Options,
        otherwise: Errno,
    ) -> Result<(OwnedFd, bool), Errno> {
        let Some(link) = link::read(self.at, self.part)? else {
            return Err(otherwise);
        };
        if options.follow_sym_links || options.sym_links_if_owner_match {
            let opened = anywhere(self.at, &link.target, flags)?;
            if !options.follow_sym_links && fstat(&opened)?.st_uid != link.owner {
                return Err(Errno::ACCESS);
            }
            return Ok((opened, false));
        }
        // No option asks for it: only as far as it stays below the root.
        let how = How {
            beneath: true,
            no_magic: true,
            ..How::default()
        };
        match resolve::open(self.root, self.whole, flags, how) {
            Ok(opened) => Ok((opened, true)),
            Err(Errno::NOSYS) => Err(Errno::LOOP),
            Err(e) => Err(e),
        }
    }
}

/// Opens what a link says, wherever that is, but not through the links of /proc that are none.
fn anywhere(at: BorrowedFd<'_>, target: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let how = How {
        no_magic: true,
        ..How::default()
    };
    match resolve::open(at, target, flags, how) {
        Err(Errno::NOSYS | Errno::PERM) => openat(at, target, flags, Mode::empty()),
        other => other,
    }
}

/// Opens a path that must meet no link, for kernels without openat2(2): ELOOP if it does.
pub(super) fn without_links(
    root: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let mut at = openat(root, ".", STEP, Mode::empty())?;
    let mut parts = path
        .split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .peekable();
    if parts.peek().is_none() {
        return openat(root, ".", flags, Mode::empty());
    }
    while let Some(part) = parts.next() {
        let how = if parts.peek().is_some() { STEP } else { flags };
        at = match openat(&at, part, how | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::NOTDIR) => {
                let stat = statat(&at, part, AtFlags::SYMLINK_NOFOLLOW)?;
                let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
                return Err(if is_link { Errno::LOOP } else { Errno::NOTDIR });
            }
            other => other?,
        };
    }
    Ok(at)
}

/// Where an open file stands, as a path below the root. `None` if that cannot be said.
pub(super) fn real(root: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Option<String> {
    let path = |fd: BorrowedFd<'_>| -> Option<PathBuf> {
        let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let bytes = rustix::fs::readlink(name, Vec::new()).ok()?.into_bytes();
        Some(std::ffi::OsString::from_vec(bytes).into())
    };
    let (root, file) = (path(root)?, path(file)?);
    file.strip_prefix(root).ok()?.to_str().map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use std::fs::{File, create_dir, write};
    use std::os::unix::fs::symlink;

    const READ: OFlags = super::super::lookup::READ;

    fn tree() -> (tempfile::TempDir, File) {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        create_dir(at("d")).unwrap();
        write(at("d/f"), "f").unwrap();
        symlink("d", at("link")).unwrap();
        symlink("f", at("d/link")).unwrap();
        symlink("/etc/passwd", at("d/out")).unwrap();
        let open = File::open(root.path()).unwrap();
        (root, open)
    }

    /// What stands in for openat2(2) where the kernel has none.
    #[test]
    fn a_path_without_links_is_opened_and_a_link_is_seen_wherever_it_stands() {
        let (_root, open) = tree();
        let try_open = |path| without_links(open.as_fd(), path, READ).map(drop);
        for (path, expected) in [
            ("d/f", Ok(())),
            ("d", Ok(())),
            ("d/", Ok(())),
            (".", Ok(())),
            ("link/f", Err(Errno::LOOP)),
            ("link", Err(Errno::LOOP)),
            ("d/link", Err(Errno::LOOP)),
            ("d/f/x", Err(Errno::NOTDIR)),
            ("none", Err(Errno::NOENT)),
        ] {
            assert_eq!(try_open(path), expected, "{path}");
        }
    }

    #[test]
    fn each_link_meets_the_options_of_its_directory() {
        let (_root, open) = tree();
        let none = Options::default();
        let follow = Options {
            follow_sym_links: true,
            ..none
        };
        // Links are followed in d, not beside it.
        let options = |directory: &str| if directory == "d" { follow } else { none };
        let walked = |path| {
            walk(open.as_fd(), path, READ, &options).map(|w| {
                let real = w.inside.then(|| real(open.as_fd(), w.fd.as_fd())).flatten();
                (w.inside, real)
            })
        };
        assert_eq!(walked("d/f"), Ok((false, None)));
        assert_eq!(walked("d/link"), Ok((false, None)));
        assert_eq!(walked("d/out"), Ok((false, None)));
        assert_eq!(walked("link/f"), Ok((true, Some("d/f".to_owned()))));
        assert_eq!(
            walked("link/out"),
            Err(Errno::XDEV),
            "not by the other name"
        );
    }
}
