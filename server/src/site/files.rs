//! Static files below a root that nothing in a URL can leave.

use super::cache;
use super::media::Types;
use super::tree::Rules;
use parkade::FileRange;
use parkade_http::precondition::{Validators, Verdict, evaluate, format_date};
use parkade_http::range::{self, Range};
use parkade_http::{Body, Method, Prepared, Request, Response};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Size and time of a file: if neither has changed, it has not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    size: u64,
    seconds: i64,
    nanos: i64,
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|m| Self::from(&m))
    }

    pub(crate) fn seconds(&self) -> u64 {
        u64::try_from(self.seconds).unwrap_or(0)
    }

    /// Size and microseconds, as Apache writes them.
    fn etag(&self) -> String {
        format!(
            "\"{:x}-{:x}\"",
            self.size,
            self.seconds * 1_000_000 + self.nanos / 1000
        )
    }
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(m: &std::fs::Metadata) -> Self {
        Self {
            size: m.len(),
            seconds: m.mtime(),
            nanos: m.mtime_nsec(),
            inode: m.ino(),
        }
    }
}

/// Answers GET and HEAD for a normalised path.
pub(crate) fn answer(
    request: &Request,
    root: &Path,
    path: &[u8],
    rules: &Rules,
    media: &Types,
) -> Response {
    let Ok(text) = std::str::from_utf8(path) else {
        return Response::not_found();
    };
    let directory = match openat(
        CWD,
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(directory) => directory,
        Err(_) => return Response::not_found(),
    };
    let relative = text.trim_start_matches('/');
    let (file, name) = if text.ends_with('/') {
        match index(directory.as_fd(), relative, rules) {
            Ok(found) => found,
            Err(status) => return Response::error(status),
        }
    } else {
        match open(directory.as_fd(), relative, rules) {
            Ok(file) => (file, relative.to_owned()),
            Err(e) => return Response::error(status_of(e)),
        }
    };
    let file = File::from(file);
    let Ok(metadata) = file.metadata() else {
        return Response::error(500);
    };
    if metadata.is_dir() {
        return redirect(request);
    }
    if !metadata.is_file() {
        return Response::error(403);
    }
    let full = root.join(&name);
    serve(request, file, Stamp::from(&metadata), full, rules, media)
}

/// Opens a path below the root. Symbolic links may lead out only where `FollowSymLinks` says so; a FIFO or a device
/// does not block (and is refused afterwards).
fn open(root: BorrowedFd<'_>, path: &str, rules: &Rules) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { "." } else { path };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    if rules.options.follow_sym_links {
        return openat(root, path, flags, Mode::empty());
    }
    match openat2(
        root,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    ) {
        // Kernels before 5.6: no link at all, component by component.
        Err(Errno::NOSYS) => {
            let mut at = openat(root, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let mut parts = path.split('/').filter(|p| !p.is_empty()).peekable();
            while let Some(part) = parts.next() {
                let how = if parts.peek().is_some() {
                    OFlags::PATH | OFlags::CLOEXEC
                } else {
                    flags
                };
                at = openat(&at, part, how | OFlags::NOFOLLOW, Mode::empty())?;
            }
            Ok(at)
        }
        other => other,
    }
}

fn status_of(e: Errno) -> u16 {
    match e {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => 404,
        Errno::ACCESS | Errno::PERM | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NODEV => 403,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => 503,
        _ => 404,
    }
}

/// The first DirectoryIndex that is there.
fn index(root: BorrowedFd<'_>, directory: &str, rules: &Rules) -> Result<(OwnedFd, String), u16> {
    let inside = open(root, directory, rules).map_err(status_of)?;
    let is_directory = rustix::fs::fstat(&inside).is_ok_and(|s| {
        rustix::fs::FileType::from_raw_mode(s.st_mode) == rustix::fs::FileType::Directory
    });
    if !is_directory {
        // `file/` names nothing.
        return Err(404);
    }
    for name in &rules.index {
        let path = format!("{directory}{}", name.trim_start_matches('/'));
        match open(root, &path, rules) {
            Ok(file) => return Ok((file, path)),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(status_of(e)),
        }
    }
    // A directory without index: listings are not built, so it is forbidden to look.
    Err(403)
}

/// A directory is asked for without its slash.
fn redirect(request: &Request) -> Response {
    let mut location = Vec::from(&b"/"[..]);
    // Never `//host`: that would be another site's address.
    let path = request.path();
    let start = path.iter().position(|b| *b != b'/').unwrap_or(path.len());
    location.extend_from_slice(&path[start..]);
    location.push(b'/');
    if let Some(query) = request.query() {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    Response::error(301).with_field("Location", location)
}

/// 304 with what a cache wants to know.
pub(crate) fn not_modified(validators: &Validators<'_>) -> Response {
    Response::new(304).with_field("ETag", validators.etag)
}

fn serve(
    request: &Request,
    mut file: File,
    stamp: Stamp,
    path: PathBuf,
    rules: &Rules,
    media: &Types,
) -> Response {
    let etag = stamp.etag();
    let validators = Validators {
        etag: &etag,
        modified: stamp.seconds(),
    };
    let ranges = match evaluate(request, &validators) {
        Verdict::Failed => return Response::error(412),
        Verdict::NotModified => return not_modified(&validators),
        Verdict::Proceed { ranges } => ranges && request.method() == Method::Get,
    };
    let range = match request.field("Range").filter(|_| ranges) {
        Some(value) => range::parse(value, stamp.size),
        None => Range::Whole,
    };
    let kind = rules
        .force_type
        .clone()
        .or_else(|| media.of(&path, &rules.types));
    let describe = |response: Response| {
        let response = response
            .with_field("Last-Modified", format_date(stamp.seconds()))
            .with_field("ETag", &etag)
            .with_field("Accept-Ranges", "bytes");
        match &kind {
            Some(kind) => response.with_field("Content-Type", kind),
            None => response,
        }
    };
    match range {
        Range::Unsatisfiable => {
            Response::error(416).with_field("Content-Range", format!("bytes */{}", stamp.size))
        }
        Range::Part { offset, len } => {
            let text = format!("bytes {offset}-{}/{}", offset + len - 1, stamp.size);
            let body = Body::File(FileRange {
                file: Arc::new(file),
                offset,
                len,
            });
            describe(Response::new(206).with_field("Content-Range", text)).with_body(body)
        }
        Range::Whole if stamp.size <= cache::SMALL => {
            let mut bytes = Vec::with_capacity(stamp.size as usize);
            if (&mut file)
                .take(stamp.size)
                .read_to_end(&mut bytes)
                .is_err()
            {
                return Response::error(500);
            }
            let response = describe(Response::new(200)).with_body(Body::Bytes(bytes.into()));
            let prepared = Arc::new(Prepared::new(response));
            if rules.open_to_all() {
                cache::keep(request, prepared.clone(), etag.clone(), stamp, path);
            }
            Response::prepared(prepared)
        }
        Range::Whole => {
            let body = Body::File(FileRange {
                file: Arc::new(file),
                offset: 0,
                len: stamp.size,
            });
            describe(Response::new(200)).with_body(body)
        }
    }
}
