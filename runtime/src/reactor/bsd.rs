//! What the BSDs and macOS wait with.

use super::Pollset;
use super::choice::Backend;
use super::kqueue::Kqueue;
use std::io;

/// There is no other.
pub(super) const BEST: Backend = Backend::Kqueue;

pub(super) fn has(backend: Backend) -> bool {
    matches!(backend, Backend::Auto | Backend::Kqueue)
}

/// A pollset, of the kind that goes with `backend`.
pub(crate) fn open(_backend: Backend) -> io::Result<Box<dyn Pollset>> {
    Ok(Box::new(Kqueue::new()?))
}
