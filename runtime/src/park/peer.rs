//! The address of a peer, as a slot keeps it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// An IP address in 16 bytes; IPv4 is mapped into IPv6 (RFC 4291 section 2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(pub(crate) [u64; 2]);

impl Peer {
    /// The address.
    ///
    /// ```
    /// let peer = parkade::Peer::from(std::net::IpAddr::from([127, 0, 0, 1]));
    /// assert_eq!(peer.ip().to_string(), "127.0.0.1");
    /// ```
    #[must_use]
    pub fn ip(self) -> IpAddr {
        let [high, low] = self.0;
        Ipv6Addr::from(u128::from(high) << 64 | u128::from(low)).to_canonical()
    }
}

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Self {
        let bits = match ip {
            IpAddr::V4(a) => u128::from(a.to_ipv6_mapped()),
            IpAddr::V6(a) => u128::from(a),
        };
        Self([(bits >> 64) as u64, bits as u64])
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}
