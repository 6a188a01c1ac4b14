//! What becomes of a connection after a burst.

use super::conn::Conn;
use super::written::Written;
use crate::time::{Deadline, Keepalive};
use bytes::Bytes;
use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// How a burst ends.
pub enum Next {
    /// The connection is idle: it rests in its slot until there is input or the time is over.
    Park(Conn, Keepalive),
    /// The rest of a response is written as plain data; then the connection goes on as [`Then`] says.
    Write(Conn, Output, Then),
    /// Our side has ended: input is discarded until the peer closes, at most so long.
    Linger(Conn, Duration),
    /// Closed at once.
    Close(Conn),
    /// The burst dropped its connection, which closed it.
    Gone,
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Next::Park(..) => "Park",
            Next::Write(..) => "Write",
            Next::Linger(..) => "Linger",
            Next::Close(_) => "Close",
            Next::Gone => "Gone",
        })
    }
}

/// What becomes of a connection when its output is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// It parks.
    Park(Keepalive),
    /// A new burst starts at once: the carry holds input that was not looked at yet.
    Resume,
    /// It lingers.
    Linger(Duration),
    /// It is closed.
    Close,
}

/// Bytes and a part of a file that are on their way to the peer.
#[derive(Debug)]
pub struct Output {
    /// Goes first.
    pub bytes: Bytes,
    /// Follows the bytes.
    pub file: Option<FileRange>,
    /// The connection is closed when nothing could be written for so long.
    pub timeout: Duration,
}

impl Output {
    /// Bytes that are still to be written.
    pub(crate) fn remaining(&self) -> u64 {
        self.bytes.len() as u64 + self.file.as_ref().map_or(0, FileRange::len)
    }
}

/// A part of a regular file.
///
/// What of it is not in memory is read on a reserve thread first, so that no worker waits for a disk. If the file turns
/// out shorter than announced, the connection is closed.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// Where the bytes come from.
    pub(crate) file: Arc<File>,
    /// The first byte that was not sent yet.
    pub(crate) offset: u64,
    /// `THROUGH` | `TRUSTED` | bytes left (62): the end of a burst is passed by value, so it is kept small.
    rest: u64,
}

/// The bytes are copied through a buffer.
const THROUGH: u64 = 1 << 63;
/// What comes next was read ahead a moment ago: whether it is in memory need not be asked, once.
const TRUSTED: u64 = 1 << 62;

/// How the bytes of a file get to the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copying {
    /// sendfile(2): they never enter this process.
    InKernel,
    /// Read into a borrowed buffer and sent from there, for file systems that sendfile(2) does not serve well.
    ThroughBuffer,
}

impl FileRange {
    /// `len` bytes of `file` from `offset` on, copied by the kernel.
    #[must_use]
    pub fn new(file: Arc<File>, offset: u64, len: u64) -> Self {
        Self {
            file,
            offset,
            // No file is larger (off_t is signed).
            rest: len.min(TRUSTED - 1),
        }
    }

    /// The same, copied in another way.
    #[must_use]
    pub fn copying(mut self, copying: Copying) -> Self {
        match copying {
            Copying::InKernel => self.rest &= !THROUGH,
            Copying::ThroughBuffer => self.rest |= THROUGH,
        }
        self
    }

    /// How many bytes are left.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.rest & (TRUSTED - 1)
    }

    /// Whether no bytes are left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn way(&self) -> Copying {
        if self.rest & THROUGH == 0 {
            Copying::InKernel
        } else {
            Copying::ThroughBuffer
        }
    }

    /// `n` bytes, at most what is left, were sent; `offset` is the caller's.
    pub(crate) fn sent(&mut self, n: u64) {
        self.rest -= n.min(self.len());
    }

    pub(crate) fn trust(&mut self) {
        self.rest |= TRUSTED;
    }

    /// Whether it was trusted; no longer.
    pub(crate) fn take_trust(&mut self) -> bool {
        let trusted = self.rest & TRUSTED != 0;
        self.rest &= !TRUSTED;
        trusted
    }
}

/// What a burst leaves for the next one, beside the slot: an unfinished head, a partial frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carry {
    /// Input that waits for more.
    pub bytes: Vec<u8>,
    /// A deadline that spans several bursts.
    pub deadline: Option<Deadline>,
    /// Free for the protocol.
    pub tag: u32,
}

/// What few connections have, kept beside the slots of their home.
#[derive(Default)]
pub(crate) struct Rare {
    pub(crate) carry: Option<Carry>,
    pub(crate) writing: Option<(Output, Then)>,
    /// Hears what becomes of the output.
    pub(crate) written: Option<Written>,
}
