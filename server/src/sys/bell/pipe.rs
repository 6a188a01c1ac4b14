//! A bell that is a pipe.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Readable from when it is rung until it is silenced. A copy is the same bell.
#[derive(Clone)]
pub(crate) struct Bell(Arc<(PipeReader, PipeWriter)>);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        Ok(Self(Arc::new((reader, writer))))
    }

    pub(crate) fn ring(&self) {
        // A pipe that is full rings already.
        let _ = rustix::io::write(&self.0.1, &[1]);
    }

    /// Whether it has been rung since it was asked last.
    pub(crate) fn silence(&self) -> bool {
        let mut rung = false;
        while matches!(rustix::io::read(&self.0.0, &mut [0; 64]), Ok(1..)) {
            rung = true;
        }
        rung
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}
