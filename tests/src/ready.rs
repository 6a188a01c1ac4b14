//! Waiting, always bounded.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A loopback address with a port nobody uses at this moment.
///
/// # Errors
/// No port is free.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Asks `condition` every few milliseconds until it is true.
///
/// # Errors
/// `TimedOut`, naming `what`, when it did not come true within `patience`.
pub fn until(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> bool,
) -> io::Result<()> {
    let end = Instant::now() + patience;
    while !condition() {
        if Instant::now() > end {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{what}: not within {patience:?}"),
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Waits until somebody listens at `address`.
///
/// # Errors
/// `TimedOut` when nobody does within `patience`.
pub fn listening(address: SocketAddr, patience: Duration) -> io::Result<()> {
    until(&format!("a listener at {address}"), patience, || {
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    })
}
