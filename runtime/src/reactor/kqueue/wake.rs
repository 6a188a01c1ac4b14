//! Ending a wait from another thread: an event of the program's own where the system has such, else a pipe.

use super::event::{ADD, CLEAR, Change, Filter};
use crate::reactor::WAKE;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// What a pollset is woken by.
pub(super) enum Wake {
    /// It clears itself when it is reported, so any number of wakes is one event.
    Event,
    /// Level-triggered. Bytes are taken out only by a wait that reports the wake, so none is lost; a full pipe is as
    /// readable as one with a single byte.
    Pipe { reader: OwnedFd, writer: OwnedFd },
}

impl Wake {
    pub(super) fn new(user_events: bool) -> io::Result<Self> {
        if user_events {
            return Ok(Wake::Event);
        }
        let (reader, writer) = rustix::pipe::pipe()?;
        for end in [&reader, &writer] {
            // Not pipe2(2), which macOS does not have.
            fcntl_setfd(end, FdFlags::CLOEXEC)?;
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(Wake::Pipe { reader, writer })
    }

    /// What makes it known to the kernel.
    pub(super) fn registration(&self) -> Change {
        let (ident, filter, flags) = match self {
            Wake::Event => (0, Filter::User, ADD | CLEAR),
            Wake::Pipe { reader, .. } => (reader.as_raw_fd(), Filter::Read, ADD),
        };
        Change {
            ident,
            filter,
            flags,
            token: WAKE,
            trigger: false,
        }
    }

    /// Raises it; what is left to do is a change for the kernel.
    pub(super) fn raise(&self) -> Option<Change> {
        match self {
            Wake::Event => Some(Change {
                flags: 0,
                trigger: true,
                ..self.registration()
            }),
            Wake::Pipe { writer, .. } => {
                let _ = rustix::io::write(writer, &[0]);
                None
            }
        }
    }

    /// It has been reported.
    pub(super) fn settle(&self) {
        if let Wake::Pipe { reader, .. } = self {
            let mut bytes = [0; 64];
            while matches!(rustix::io::read(reader, &mut bytes), Ok(n) if n == bytes.len()) {}
        }
    }
}
