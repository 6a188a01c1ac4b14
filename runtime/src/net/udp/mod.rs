//! Datagrams for tasks. `options` is what such a socket can be told.

mod options;

use super::registered::Registered;
use crate::error::{Error, Result};
use crate::reactor::Interest;
use crate::sys::{datagram, socket};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

/// A UDP socket of a task, on the worker that made it: udp(7).
///
/// All calls take `&self`. Of several receivers (or senders) that wait at once, the last one that was polled is woken.
/// A datagram that does not fit into the buffer is cut.
///
/// ```
/// use parkade::{Runtime, UdpSocket, Workers};
///
/// async fn ping() -> parkade::Result<usize> {
///     let (here, there) = (UdpSocket::bind(([127, 0, 0, 1], 0).into())?, UdpSocket::bind(([127, 0, 0, 1], 0).into())?);
///     here.send_to(b"ping", there.local_addr()?).await?;
///     let mut buf = [0; 16];
///     let (n, from) = there.recv_from(&mut buf).await?;
///     assert_eq!(from, here.local_addr()?);
///     Ok(n)
/// }
///
/// let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
/// assert_eq!(parkade::block_on(runtime.handle().spawn_on(0, ping))?, 4);
/// # Ok::<(), parkade::Error>(())
/// ```
pub struct UdpSocket(Registered);

impl UdpSocket {
    /// Binds `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// The address cannot be bound; no descriptor or slot is left; not called on a worker.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let failed = |e| Error::new("bind", address.to_string(), e);
        Self::from_std(std::net::UdpSocket::bind(address).map_err(failed)?).map_err(failed)
    }

    /// Takes over a socket that exists.
    ///
    /// # Errors
    /// It cannot be made non-blocking or registered; not called on a worker.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self(Registered::new(socket.into(), Interest::Connection)?))
    }

    /// From now on [`UdpSocket::send`] goes to `peer`, and nothing is received but from there: connect(2). At once.
    ///
    /// # Errors
    /// connect(2)'s, with the address.
    pub fn connect(&self, peer: SocketAddr) -> Result<()> {
        rustix::net::connect(self.0.fd(), &peer)
            .map_err(|e| Error::new("connect", peer.to_string(), e))
    }

    /// Receives a datagram that is there now, and says how long it is and who has sent it: recvfrom(2).
    ///
    /// # Errors
    /// `WouldBlock` if there is none; otherwise as [`UdpSocket::recv_from`].
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.forget_edges();
        datagram::recv_from(self.0.fd(), buf, false)
    }

    /// Receives a datagram and says how long it is and who has sent it. Cancel safe: no datagram is lost.
    ///
    /// # Errors
    /// recvfrom(2)'s: of a connected socket `ConnectionRefused`, when the peer's machine said that nobody listens there.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|cx| self.poll_recv_from(cx, buf)).await
    }

    /// [`UdpSocket::recv_from`] for hand-written futures.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`].
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.0.poll_input(cx, || self.try_recv_from(buf))
    }

    /// The next datagram, which stays to be received. Cancel safe.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`].
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut attempt = || {
            self.0.forget_edges();
            datagram::recv_from(self.0.fd(), buf, true)
        };
        poll_fn(|cx| self.0.poll_input(cx, &mut attempt)).await
    }

    /// Receives a datagram that is there now: recv(2).
    ///
    /// # Errors
    /// As [`UdpSocket::try_recv_from`].
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.forget_edges();
        socket::recv(self.0.fd(), buf)
    }

    /// Receives a datagram. Cancel safe: no datagram is lost.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`].
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.0.poll_input(cx, || self.try_recv(buf))).await
    }

    /// Sends a datagram now: sendto(2).
    ///
    /// # Errors
    /// `WouldBlock` if the socket is full; otherwise as [`UdpSocket::send_to`].
    pub fn try_send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        datagram::send_to(self.0.fd(), datagram, &to)
    }

    /// Sends a datagram to `to`, waiting while the socket is full; how many bytes it has. Cancel safe: it was not sent then.
    ///
    /// # Errors
    /// sendto(2)'s, such as a datagram that is too long.
    pub async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send_to(cx, datagram, to)).await
    }

    /// [`UdpSocket::send_to`] for hand-written futures.
    ///
    /// # Errors
    /// As [`UdpSocket::send_to`].
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_output(cx, || self.try_send_to(datagram, to))
    }

    /// Sends a datagram to the peer of [`UdpSocket::connect`] now: send(2).
    ///
    /// # Errors
    /// As [`UdpSocket::try_send_to`]; there is no such peer.
    pub fn try_send(&self, datagram: &[u8]) -> io::Result<usize> {
        socket::send(self.0.fd(), datagram)
    }

    /// Sends a datagram to the peer of [`UdpSocket::connect`]. Cancel safe: it was not sent then.
    ///
    /// # Errors
    /// As [`UdpSocket::send_to`]; there is no such peer.
    pub async fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.0.poll_output(cx, || self.try_send(datagram))).await
    }

    /// Our own address: getsockname(2).
    ///
    /// # Errors
    /// That of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::local(self.0.fd())
    }

    /// The peer of [`UdpSocket::connect`]: getpeername(2).
    ///
    /// # Errors
    /// `NotConnected` if there is none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        socket::peer(self.0.fd())
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("local", &self.local_addr().ok())
            .finish()
    }
}
