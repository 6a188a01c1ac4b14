//! Processors, where threads are not bound to them (macOS cannot, NetBSD lets only root).

use std::io;

/// As many numbers as there are processors.
pub(crate) fn cpus() -> Vec<usize> {
    (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
}

/// Not here.
pub(crate) fn bind(_cpu: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
