//! ListenCoresBucketsRatio: several sockets for one address, each with children of its own.
//!
//! The kernel spreads new connections over the sockets (socket(7), SO_REUSEPORT). While their number changes it is told
//! to use only those that stay: a socket that is being closed would take connections with it, and one that nobody
//! accepts from yet would keep them waiting.

use parkade_config::Config;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

/// Sockets for each address: one for so many cores, and no more than there may be children.
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
        _ => (cores / ratio).min(most as usize).max(1),
    }
}

/// New connections go to the first `n` of the sockets of an address from now on, whichever of these sockets is given.
pub(super) fn direct(socket: &TcpListener, n: usize) -> io::Result<()> {
    // A number at random, what it leaves after a division by n, and that is the socket's place among those that listen.
    const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM) as u32;
    let step = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, RANDOM),
        step(
            libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K,
            u32::try_from(n.max(1)).unwrap_or(u32::MAX),
        ),
        step(libc::BPF_RET | libc::BPF_A, 0),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: a valid descriptor, and a program of the length given, which the kernel copies.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    } != 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::listeners;
    use std::net::TcpStream;

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
