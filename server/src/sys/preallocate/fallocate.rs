//! Room on a disk, by posix_fallocate(3).

use std::fs::File;
use std::io;

/// Makes an empty file so long; a disk that is full says so.
pub(crate) fn preallocate(file: &File, len: usize) -> io::Result<()> {
    let end = i64::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
    Ok(nix::fcntl::posix_fallocate(file, 0, end)?)
}
