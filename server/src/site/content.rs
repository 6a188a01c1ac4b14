//! The content of small files: from memory on the worker, from disk on a reserve thread.

use super::stamp::Stamp;
use crate::sys::nowait;
use parkade::spawn_blocking;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Somebody may be writing while we read.
const ATTEMPTS: usize = 3;

/// A content and the stamp it belongs to.
pub(super) type Content = io::Result<(Vec<u8>, Stamp)>;

/// Reads a whole file that had `stamp` when it was opened. If it changes meanwhile, the content and the stamp of a later
/// moment are given; if it never rests, what was read counts with the size that was read.
pub(super) async fn read(file: File, stamp: Stamp) -> (File, Content) {
    let mut bytes = vec![0; stamp.size as usize];
    if let Ok(true) = from_memory(&file, &mut bytes)
        && now(&file).is_ok_and(|n| n == stamp)
    {
        return (file, Ok((bytes, stamp)));
    }
    spawn_blocking(move || {
        let content = from_disk(&file, bytes, stamp);
        (file, content)
    })
    .await
}

fn now(file: &File) -> io::Result<Stamp> {
    Ok(Stamp::from(&rustix::fs::fstat(file)?))
}

/// `Ok(true)` if everything was there.
fn from_memory(file: &File, into: &mut [u8]) -> Result<bool, Errno> {
    if into.is_empty() {
        return Ok(true);
    }
    let wanted = into.len();
    let n = nowait::read(file, into)?;
    Ok(n == wanted)
}

fn from_disk(file: &File, mut bytes: Vec<u8>, mut stamp: Stamp) -> Content {
    for _ in 0..ATTEMPTS {
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let after = now(file)?;
        if after == stamp && filled == bytes.len() {
            break;
        }
        if after.size > super::cache::SMALL {
            // It grows: what was announced so far is what is sent.
            bytes.truncate(filled);
            break;
        }
        stamp = after;
        bytes.truncate(filled);
        bytes.resize(after.size as usize, 0);
    }
    // A length that does not fit its stamp is the length of what is sent.
    stamp.size = bytes.len() as u64;
    Ok((bytes, stamp))
}
