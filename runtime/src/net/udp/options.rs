//! What a datagram socket can be told: socket(7), ip(7), ipv6(7).

use super::UdpSocket;
use rustix::net::sockopt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

impl UdpSocket {
    /// Whether it may send to a broadcast address (`SO_BROADCAST`); not at first.
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        Ok(sockopt::set_socket_broadcast(self.0.fd(), on)?)
    }

    /// How many routers a datagram may pass, 1 to 255 (`IP_TTL`), of an IPv4 socket.
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn set_ttl(&self, routers: u32) -> io::Result<()> {
        Ok(sockopt::set_ip_ttl(self.0.fd(), routers)?)
    }

    /// Receives what is sent to `group`, on the interface with the address `interface`; the unspecified address leaves
    /// the choice to the system (`IP_ADD_MEMBERSHIP`).
    ///
    /// # Errors
    /// That of setsockopt(2), such as an address that is no group.
    pub fn join_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        Ok(sockopt::set_ip_add_membership(
            self.0.fd(),
            &group,
            &interface,
        )?)
    }

    /// Takes [`UdpSocket::join_v4`] back (`IP_DROP_MEMBERSHIP`).
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn leave_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        Ok(sockopt::set_ip_drop_membership(
            self.0.fd(),
            &group,
            &interface,
        )?)
    }

    /// Receives what is sent to `group`, on the interface with this index; 0 leaves the choice to the system
    /// (`IPV6_ADD_MEMBERSHIP`).
    ///
    /// # Errors
    /// That of setsockopt(2), such as an address that is no group.
    pub fn join_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        Ok(sockopt::set_ipv6_add_membership(
            self.0.fd(),
            &group,
            interface,
        )?)
    }

    /// Takes [`UdpSocket::join_v6`] back (`IPV6_DROP_MEMBERSHIP`).
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn leave_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        Ok(sockopt::set_ipv6_drop_membership(
            self.0.fd(),
            &group,
            interface,
        )?)
    }

    /// Whether what is sent to a group is heard on this machine, too (`IP_MULTICAST_LOOP`); so it is at first.
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        Ok(sockopt::set_ip_multicast_loop(self.0.fd(), on)?)
    }

    /// Sets the bytes of the kernel's receive buffer (`SO_RCVBUF`); the system has bounds.
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_recv_buffer_size(self.0.fd(), bytes)?)
    }

    /// Bytes of the kernel's receive buffer; Linux doubles what was set.
    ///
    /// # Errors
    /// That of getsockopt(2).
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        Ok(sockopt::socket_recv_buffer_size(self.0.fd())?)
    }

    /// Sets the bytes of the kernel's send buffer (`SO_SNDBUF`); the system has bounds.
    ///
    /// # Errors
    /// That of setsockopt(2).
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_send_buffer_size(self.0.fd(), bytes)?)
    }
}
