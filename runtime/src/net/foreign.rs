//! Descriptors of other crates: whatever the pollset takes can be waited for.

use super::registered::Registered;
use crate::error::{Error, Result};
use crate::reactor::Interest;
use crate::sys::{descriptor, socket};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::task::{Context, Poll};

/// Somebody else's descriptor (a pipe, an eventfd, a raw socket, a database connection), waited for by this worker.
///
/// The runtime waits with a duplicate of its own, so whatever happens to `T` happens to no other descriptor; that costs
/// a second descriptor. Regular files cannot be waited for. Of several tasks that wait for the same direction at once,
/// the last one that was polled is woken.
///
/// ```
/// use parkade::{Async, Runtime, Workers, spawn};
/// use std::io::{Read, Write, pipe};
///
/// async fn through_a_pipe() -> parkade::Result<[u8; 5]> {
///     let (reader, mut writer) = pipe()?;
///     let reader = Async::new(reader)?;
///     spawn(async move { writer.write_all(b"hello") });
///     let mut said = [0; 5];
///     reader.read_with(|mut pipe| pipe.read(&mut said)).await?;
///     Ok(said)
/// }
///
/// let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
/// let said = parkade::block_on(runtime.handle().spawn_on(0, through_a_pipe))?;
/// assert_eq!(&said, b"hello");
/// # Ok::<(), parkade::Error>(())
/// ```
pub struct Async<T> {
    waits: Waits,
    inner: T,
}

/// The duplicate in its slot.
struct Waits(Registered);

impl Drop for Waits {
    fn drop(&mut self) {
        // The description lives on with the original.
        self.0.unregister();
    }
}

impl<T: AsFd> Async<T> {
    /// Registers `inner` with the current worker and makes it non-blocking: for all who share it, and for good.
    ///
    /// # Errors
    /// It is of a kind that cannot be waited for (`PermissionDenied` for a regular file); no descriptor or slot is left;
    /// not called on a worker.
    pub fn new(inner: T) -> Result<Self> {
        let register = || {
            socket::set_nonblocking(inner.as_fd())?;
            let duplicate = descriptor::duplicate(inner.as_fd())?;
            Registered::new(duplicate, Interest::Connection)
        };
        match register() {
            Ok(registered) => Ok(Self {
                waits: Waits(registered),
                inner,
            }),
            Err(e) => {
                let object = format!("descriptor {}", inner.as_fd().as_raw_fd());
                Err(Error::new("register", object, e))
            }
        }
    }

    /// Waits until a read would not wait: input, the end, or a failure. Cancel safe.
    ///
    /// # Errors
    /// The kernel has no memory for the wait.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// [`Async::readable`] for hand-written futures.
    ///
    /// # Errors
    /// As [`Async::readable`].
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fd = self.inner.as_fd();
        self.poll_read_with(cx, |_| unless_it_waits(socket::readable(fd)))
    }

    /// Waits until a write would not wait: room, or a failure. Cancel safe.
    ///
    /// # Errors
    /// The kernel has no memory for the wait.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_writable(cx)).await
    }

    /// [`Async::writable`] for hand-written futures.
    ///
    /// # Errors
    /// As [`Async::writable`].
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fd = self.inner.as_fd();
        self.poll_write_with(cx, |_| unless_it_waits(descriptor::writable(fd)))
    }

    /// Does `read` as soon as it no longer says `WouldBlock`, which it must do only where more input would help. Cancel
    /// safe if `read` is.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn read_with<R>(&self, mut read: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        poll_fn(|cx| self.poll_read_with(cx, &mut read)).await
    }

    /// [`Async::read_with`] for hand-written futures.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.waits.0.poll_input(cx, || {
            self.waits.0.forget_edges();
            read(&self.inner)
        })
    }

    /// Does `write` as soon as it no longer says `WouldBlock`, which it must do only where more room would help. Cancel
    /// safe if `write` is.
    ///
    /// # Errors
    /// Those of `write`.
    pub async fn write_with<R>(&self, mut write: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        poll_fn(|cx| self.poll_write_with(cx, &mut write)).await
    }

    /// [`Async::write_with`] for hand-written futures.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.waits.0.poll_output(cx, || write(&self.inner))
    }
}

impl<T> Async<T> {
    /// What is waited for.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The same, to be changed. Whatever is put in its place is not waited for: the old descriptor is.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// The runtime shuts down.
    pub(crate) fn ending(&self) -> bool {
        self.waits.0.ending()
    }

    /// Ends the registration. What comes back is still non-blocking.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

fn unless_it_waits(ready: bool) -> io::Result<()> {
    match ready {
        true => Ok(()),
        false => Err(ErrorKind::WouldBlock.into()),
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<T: fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.inner).finish()
    }
}
