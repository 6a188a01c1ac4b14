//! Reading what is in memory, by preadv2(2) with RWF_NOWAIT.

use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::IoSliceMut;

/// Reads from the beginning; EAGAIN if that would wait for a disk.
pub(crate) fn read(file: &File, into: &mut [u8]) -> Result<usize, Errno> {
    let mut slices = [IoSliceMut::new(into)];
    preadv2(file, &mut slices, 0, ReadWriteFlags::NOWAIT)
}
