//! What differs between the kinds of stream sockets: their addresses, and how one is made.

use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A kind of stream sockets: [`crate::Tcp`] or [`crate::Unix`]. Sealed; there are no others.
///
/// What all kinds can is written once, over this trait:
///
/// ```
/// use parkade::{Family, StreamSocket};
///
/// async fn first_byte<F: Family>(stream: &StreamSocket<F>) -> std::io::Result<u8> {
///     let mut byte = [0];
///     stream.read_exact(&mut byte).await?;
///     Ok(byte[0])
/// }
/// ```
pub trait Family: Calls {}

/// The calls that depend on the kind.
pub trait Calls: Sized + 'static {
    /// How its sockets are addressed.
    type Address: Clone + fmt::Debug;
    /// What a stream and a listener are called.
    #[doc(hidden)]
    const NAMES: [&'static str; 2];
    /// accept(2), non-blocking.
    #[doc(hidden)]
    fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Self::Address), Errno>;
    /// getpeername(2).
    #[doc(hidden)]
    fn peer(socket: BorrowedFd<'_>) -> io::Result<Self::Address>;
    /// getsockname(2).
    #[doc(hidden)]
    fn local(socket: BorrowedFd<'_>) -> io::Result<Self::Address>;
}
