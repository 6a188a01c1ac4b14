//! Room on a disk, by writing zeroes: macOS and NetBSD have no call for it, and ZFS refuses FreeBSD's.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Makes an empty file so long; a disk that is full says so.
pub(crate) fn preallocate(file: &File, len: usize) -> io::Result<()> {
    let zeroes = [0; 64 * 1024];
    let mut at = 0;
    while at < len {
        let piece = (len - at).min(zeroes.len());
        file.write_all_at(&zeroes[..piece], at as u64)?;
        at += piece;
    }
    Ok(())
}
