//! What becomes of a connection after a burst.

use super::conn::Conn;
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

/// A part of a file.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// Where the bytes come from; a regular file.
    pub file: Arc<File>,
    /// The first byte.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// What a burst leaves for the next one, beside the slot: an unfinished head, a partial frame.
#[derive(Debug, Default)]
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
}
