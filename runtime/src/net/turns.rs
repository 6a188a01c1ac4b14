//! Taking turns at accepting with other processes, by a lock that they share.
//!
//! A worker whose listener is ready tries the lock, accepts a bounded batch and gives it back. Without the lock it takes
//! its listeners out of the pollset for a few milliseconds: put back, they say whether the connection that it was woken
//! for still waits. So a worker tries again as long as there is something to accept, and no longer; it never blocks.

use std::sync::Arc;

/// A lock that processes with the same listeners take turns by.
///
/// The methods are called by workers, several of them perhaps at once: they must not block, and of two workers of one
/// process only one may get it. A worker gives back what it got in the same turn, on the same thread.
///
/// ```
/// use parkade::{AcceptLock, Runtime};
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// struct Flag(AtomicBool);
///
/// impl AcceptLock for Flag {
///     fn try_lock(&self) -> bool {
///         !self.0.swap(true, Ordering::Acquire)
///     }
///
///     fn unlock(&self) {
///         self.0.store(false, Ordering::Release);
///     }
/// }
///
/// let runtime = Runtime::builder().accept_lock(Flag(AtomicBool::new(false))).build()?;
/// # Ok::<(), parkade::Error>(())
/// ```
pub trait AcceptLock: Send + Sync + 'static {
    /// Takes it if it is free; whether it was. A lock that is out of order counts as taken by another.
    fn try_lock(&self) -> bool;

    /// Gives it back.
    fn unlock(&self);
}

impl<T: AcceptLock + ?Sized> AcceptLock for Arc<T> {
    fn try_lock(&self) -> bool {
        (**self).try_lock()
    }

    fn unlock(&self) {
        (**self).unlock();
    }
}
