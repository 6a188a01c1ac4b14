//! Reading what is in memory, by preadv2(2) with RWF_NOWAIT.

use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::AsFd;

/// Reads at `offset`; EAGAIN if that would wait for a disk, EOPNOTSUPP where the file system cannot tell.
pub(crate) fn read(file: &File, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
    loop {
        let mut slices = [IoSliceMut::new(into)];
        match rustix::io::preadv2(file.as_fd(), &mut slices, offset, ReadWriteFlags::NOWAIT) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
