//! Whether a part of a file is in memory, and how it gets there without a worker waiting.
//!
//! preadv2(2) with RWF_NOWAIT answers EAGAIN instead of waiting for a disk. File systems that cannot tell (EOPNOTSUPP)
//! count as cold, as do all where there is no such call: their windows are read by a reserve first.

use super::next::FileRange;
use crate::sys::nowait;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Read in one go by a reserve; twice the most that one sendfile(2) is asked for.
const WINDOW: u64 = 1024 * 1024;
/// Distance of the probes: the kernel reads ahead in pieces of this size or more.
const STRIDE: u64 = 128 * 1024;

/// Whether the next `len` bytes are most likely in memory: single bytes of them are looked at.
pub(super) fn is(range: &FileRange, len: u64) -> bool {
    let last = range.offset + len.saturating_sub(1);
    let mut at = range.offset;
    loop {
        match nowait::read(&range.file, at, &mut [0]) {
            // Nothing there: the file has shrunk, and sendfile(2) will say so.
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
        if at == last {
            return true;
        }
        at = (at + STRIDE).min(last);
    }
}

/// Reads from where the range stands; `None` if that would wait for a disk.
pub(super) fn read(range: &mut FileRange, into: &mut [u8]) -> io::Result<Option<usize>> {
    if range.take_trust() {
        return range.file.read_at(into, range.offset).map(Some);
    }
    match nowait::read(&range.file, range.offset, into) {
        Ok(n) => Ok(Some(n)),
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// A part of a file that is to be brought into memory.
pub(super) struct Window {
    file: Arc<File>,
    from: u64,
    to: u64,
}

/// The window where `range` stands. Once it is read, `range` is trusted to be in memory, once: so it gets on even where
/// nobody can tell.
pub(super) fn window(range: &mut FileRange) -> Window {
    let to = range.offset + range.len().min(WINDOW);
    range.trust();
    Window {
        file: range.file.clone(),
        from: range.offset,
        to,
    }
}

impl Window {
    /// Reads it; blocks. An error is left for the one who sends to find.
    pub(super) fn read(self) {
        let mut scratch = vec![0; STRIDE as usize];
        let mut at = self.from;
        while at < self.to {
            let most = (self.to - at).min(STRIDE) as usize;
            match self.file.read_at(&mut scratch[..most], at) {
                Ok(0) | Err(_) => return,
                Ok(n) => at += n as u64,
            }
        }
    }
}
