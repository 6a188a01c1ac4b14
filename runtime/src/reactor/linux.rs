//! What Linux waits with.

use super::Pollset;
use super::choice::Backend;
use super::epoll::Epoll;
#[cfg(as_bsd)]
use super::kqueue::{Kqueue, model::Model};
use std::io;

/// What was measured to be best (benches/RESULTS.md).
pub(super) const BEST: Backend = Backend::Epoll;

pub(super) fn has(backend: Backend) -> bool {
    match backend {
        Backend::Auto | Backend::Epoll | Backend::EpollOneShot | Backend::IoUring => true,
        Backend::Kqueue => cfg!(as_bsd),
    }
}

/// A pollset, of the kind that goes with `backend`.
pub(crate) fn open(backend: Backend) -> io::Result<Box<dyn Pollset>> {
    match backend {
        #[cfg(as_bsd)]
        Backend::Kqueue => Ok(Box::new(Kqueue::over(Model::new(true)?)?)),
        Backend::EpollOneShot => Ok(Box::new(Epoll::one_shot()?)),
        _ => Ok(Box::new(Epoll::new()?)),
    }
}
