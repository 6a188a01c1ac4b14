//! What a stream socket can be told: socket(7), tcp(7).

use super::StreamSocket;
use crate::net::family::Family;
use crate::net::tcp::Tcp;
use rustix::net::sockopt;
use std::io;
use std::time::Duration;

/// When a silent TCP peer is asked whether it is still there, and given up: tcp(7).
///
/// ```
/// use parkade::{Probes, TcpStream};
/// use std::time::Duration;
///
/// fn watch(stream: &TcpStream) -> std::io::Result<()> {
///     let seconds = Duration::from_secs;
///     stream.set_probes(Some(Probes { after: seconds(60), every: seconds(10), count: 3 }))
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probes {
    /// How long the connection must be silent before the first probe (`TCP_KEEPIDLE`, whole seconds, at least one).
    pub after: Duration,
    /// The time between two probes (`TCP_KEEPINTVL`, whole seconds, at least one).
    pub every: Duration,
    /// So many unanswered probes end the connection (`TCP_KEEPCNT`).
    pub count: u32,
}

impl<F: Family> StreamSocket<F> {
    /// Bytes of the kernel's receive buffer (`SO_RCVBUF`, socket(7)); Linux doubles what was set.
    ///
    /// # Errors
    /// That of getsockopt(2).
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        Ok(sockopt::socket_recv_buffer_size(self.socket.fd())?)
    }

    /// Sets the bytes of the kernel's receive buffer; the system has bounds.
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_recv_buffer_size(
            self.socket.fd(),
            bytes,
        )?)
    }

    /// Bytes of the kernel's send buffer (`SO_SNDBUF`, socket(7)); Linux doubles what was set.
    ///
    /// # Errors
    /// That of getsockopt(2).
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        Ok(sockopt::socket_send_buffer_size(self.socket.fd())?)
    }

    /// Sets the bytes of the kernel's send buffer; the system has bounds.
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_send_buffer_size(
            self.socket.fd(),
            bytes,
        )?)
    }

    /// An error that the socket has met and told nobody yet, once (`SO_ERROR`, socket(7)).
    ///
    /// # Errors
    /// That of getsockopt(2).
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = sockopt::socket_error(self.socket.fd())?;
        Ok(error.err().map(io::Error::from))
    }
}

impl StreamSocket<Tcp> {
    /// Whether small writes are sent at once (`TCP_NODELAY`, tcp(7)); off at first.
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        Ok(sockopt::set_tcp_nodelay(self.socket.fd(), on)?)
    }

    /// What [`StreamSocket::set_nodelay`] has set.
    ///
    /// # Errors
    /// That of getsockopt(2).
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(sockopt::tcp_nodelay(self.socket.fd())?)
    }

    /// What closing does with bytes that were not sent (`SO_LINGER`, socket(7)): `None`, the default, leaves them to the
    /// kernel; zero throws them away and resets the connection. A time would block the worker that closes.
    ///
    /// # Errors
    /// `InvalidInput` for a time above zero; that of setsockopt(2).
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        if linger.is_some_and(|time| !time.is_zero()) {
            let why = "closing would block its worker for that long";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(sockopt::set_socket_linger(self.socket.fd(), linger)?)
    }

    /// What [`StreamSocket::set_linger`] has set.
    ///
    /// # Errors
    /// That of getsockopt(2).
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(sockopt::socket_linger(self.socket.fd())?)
    }

    /// Whether and how a silent peer is probed (`SO_KEEPALIVE`, socket(7)); not at first.
    ///
    /// # Errors
    /// That of setsockopt(2), such as a number that the system does not take.
    pub fn set_probes(&self, probes: Option<Probes>) -> io::Result<()> {
        let socket = self.socket.fd();
        #[cfg(not(target_os = "openbsd"))]
        if let Some(Probes {
            after,
            every,
            count,
        }) = probes
        {
            sockopt::set_tcp_keepidle(socket, after)?;
            sockopt::set_tcp_keepintvl(socket, every)?;
            sockopt::set_tcp_keepcnt(socket, count)?;
        }
        Ok(sockopt::set_socket_keepalive(socket, probes.is_some())?)
    }

    /// Whether a silent peer is probed.
    ///
    /// # Errors
    /// That of getsockopt(2).
    pub fn probes(&self) -> io::Result<bool> {
        Ok(sockopt::socket_keepalive(self.socket.fd())?)
    }

    /// How many routers a packet may pass (`IP_TTL`, ip(7)), of an IPv4 connection.
    ///
    /// # Errors
    /// That of getsockopt(2).
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(sockopt::ip_ttl(self.socket.fd())?)
    }

    /// Sets how many routers a packet may pass, 1 to 255.
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn set_ttl(&self, routers: u32) -> io::Result<()> {
        Ok(sockopt::set_ip_ttl(self.socket.fd(), routers)?)
    }
}
