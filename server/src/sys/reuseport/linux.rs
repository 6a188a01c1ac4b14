//! Several sockets with one address, and which of them get connections (socket(7), SO_REUSEPORT).

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

/// The kernel spreads connections over them, as it is told.
pub(crate) const SPREADS: bool = true;

/// New connections go to the first `n` of the sockets of an address from now on, whichever of these sockets is given.
pub(crate) fn direct(socket: &TcpListener, n: usize) -> io::Result<()> {
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
