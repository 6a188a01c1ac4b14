//! ListenCoresBucketsRatio: several sockets for one address, each with children of its own.
//!
//! The kernel spreads new connections over the sockets (socket(7), SO_REUSEPORT). While their number changes it is told
//! to use only those that stay: a socket that is being closed would take connections with it, and one that nobody
//! accepts from yet would keep them waiting.

use crate::sys::reuseport::SPREADS;
pub(super) use crate::sys::reuseport::direct;
use parkade_config::Config;

/// Sockets for each address: one for so many cores, and no more than there may be children. Where the kernel does not
/// spread connections over them, one.
pub(super) fn wanted(config: &Config, one_process: bool) -> usize {
    let ratio = *config.listen_cores_buckets_ratio as usize;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let most = if one_process {
        1
    } else {
        config.limits.children
    };
    match ratio {
        0 => 1,
        _ if !SPREADS => 1,
        _ => (cores / ratio).min(most as usize).max(1),
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::listeners;
    use std::net::{TcpListener, TcpStream};

    /// How many of 64 new connections came to each socket.
    fn spread(sockets: &[&TcpListener]) -> Vec<usize> {
        let address = sockets[0].local_addr().unwrap();
        let _clients: Vec<_> = (0..64)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let accepted = |socket: &&TcpListener| std::iter::from_fn(|| socket.accept().ok()).count();
        sockets.iter().map(accepted).collect()
    }

    #[test]
    fn connections_come_to_the_first_sockets_as_many_as_they_are_said_to_be() {
        let sockets = listeners::three_for_a_test();
        let sockets: Vec<_> = sockets.iter().collect();
        let used = |all: &[usize]| all.iter().map(|n| *n > 0).collect::<Vec<_>>();
        assert_eq!(spread(&sockets).iter().sum::<usize>(), 64);
        for n in 1..=3 {
            direct(sockets[n - 1], n).unwrap();
            let seen = spread(&sockets);
            assert_eq!(used(&seen), [true, n > 1, n > 2], "{seen:?}");
            assert_eq!(seen.iter().sum::<usize>(), 64, "none is lost");
        }
    }
}
