//! Accepting through a ring: several accepts for one system call, each told not to wait.

use super::Ring;
use io_uring::{opcode, squeue, types};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::SocketAddrAny;
use rustix::net::addr::{SocketAddrLen, SocketAddrStorage};
use std::mem::{MaybeUninit, size_of};

/// Accepts of one system call at most.
pub(crate) const ACCEPTS: usize = 16;
/// io_uring_enter(2), `IORING_ACCEPT_DONTWAIT`, since Linux 6.10: in the entry's `ioprio`.
const DONTWAIT: u16 = 1 << 1;

/// Where the kernel writes who has come.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    address: MaybeUninit<SocketAddrStorage>,
    length: libc::socklen_t,
}

impl Peer {
    const ROOM: libc::socklen_t = size_of::<SocketAddrStorage>() as libc::socklen_t;

    pub(super) const UNKNOWN: Self = Self {
        address: MaybeUninit::zeroed(),
        length: 0,
    };

    fn address(&self) -> Option<SocketAddrAny> {
        let known = size_of::<libc::sa_family_t>() as SocketAddrLen..=Self::ROOM;
        // SAFETY: zeroed at first, and the kernel has written an address of that length.
        known
            .contains(&self.length)
            .then(|| unsafe { SocketAddrAny::new(self.address, self.length) })
    }
}

/// What accept4(2) would have returned.
pub(crate) type Accepted = Result<(OwnedFd, Option<SocketAddrAny>), Errno>;

impl Ring {
    /// Whether the kernel knows accepts that do not wait. One that does not refuses the flag before it looks at the
    /// descriptor, which is no socket.
    pub(super) fn probe_accept(&mut self) -> bool {
        let ring = self.ring.as_raw_fd();
        let mut nobody = Peer::UNKNOWN;
        let entry = accepting(ring, &mut nobody);
        // SAFETY: `nobody` outlives the operation.
        let result = unsafe { self.run_one(&entry) };
        result.is_err_and(|e| e.raw_os_error() == Some(libc::ENOTSOCK))
    }

    /// Accepts at most `most` times, and at most [`ACCEPTS`], without waiting; new sockets are non-blocking and
    /// close-on-exec. `results` are what accept4(2) would have returned. `false` if this kernel's accepts would wait.
    pub(crate) fn accept(
        &mut self,
        listener: BorrowedFd<'_>,
        most: usize,
        results: &mut Vec<Accepted>,
    ) -> bool {
        if !self.accepts {
            return false;
        }
        let count = most.min(ACCEPTS);
        let peers = self.peers.as_mut_ptr();
        let mut done = std::mem::take(&mut self.accepted);
        let entry = |at: usize| {
            // SAFETY: there is one for each; they live as long as the ring, and this one is used by this operation only.
            accepting(listener.as_raw_fd(), unsafe { &mut *peers.add(at) })
        };
        // SAFETY: the addresses are this value's.
        unsafe { self.run(count, entry, &mut done) };
        for (result, peer) in done.drain(..).zip(&*self.peers) {
            results.push(match result {
                // SAFETY: the operation has yielded it, and nobody else has seen it.
                Ok(fd) => Ok((unsafe { OwnedFd::from_raw_fd(fd as i32) }, peer.address())),
                Err(e) => Err(Errno::from_io_error(&e).unwrap_or(Errno::IO)),
            });
        }
        self.accepted = done;
        true
    }
}

fn accepting(listener: i32, peer: &mut Peer) -> squeue::Entry {
    peer.length = Peer::ROOM;
    let address = peer.address.as_mut_ptr().cast();
    let mut entry = opcode::Accept::new(types::Fd(listener), address, &raw mut peer.length)
        .flags(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
        .build();
    const { assert!(size_of::<squeue::Entry>() == 64, "struct io_uring_sqe") };
    // SAFETY: an entry is the kernel's struct io_uring_sqe (`repr(C)`, as long as that): a u16, `ioprio`, follows the
    // opcode and the flags of one byte each. The library has no name for it.
    unsafe { (&raw mut entry).byte_add(2).cast::<u16>().write(DONTWAIT) };
    entry
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, reason = "for tests only")]
mod tests {
    use super::super::tests::ring;
    use super::*;
    use rustix::fd::AsFd;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    fn address(accepted: &Accepted) -> Option<SocketAddr> {
        let address = accepted.as_ref().ok()?.1.clone()?;
        SocketAddr::try_from(address).ok()
    }

    /// `None` as well where accepts would wait.
    fn accepting_ring(entries: u32) -> Option<Ring> {
        let ring = ring(entries).filter(|ring| ring.accepts);
        if ring.is_none() {
            eprintln!("skipped: accepts that do not wait");
        }
        ring
    }

    #[test]
    fn nobody_waits_and_nothing_hangs_though_the_listener_would_block() {
        let Some(mut ring) = accepting_ring(4) else {
            return;
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut results = Vec::new();
        assert!(ring.accept(listener.as_fd(), 3, &mut results));
        assert_eq!(results.len(), 3);
        for result in results {
            assert_eq!(result.unwrap_err(), Errno::AGAIN);
        }
        let not_a_listener = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut results = Vec::new();
        ring.accept(not_a_listener.as_fd(), 1, &mut results);
        assert_eq!(results[0].as_ref().unwrap_err(), &Errno::INVAL);
    }

    #[test]
    fn a_queue_of_four_accepts_all_who_wait_and_says_who_they_are() {
        let Some(mut ring) = accepting_ring(4) else {
            return;
        };
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(any) else {
                eprintln!("skipped: {any}");
                continue;
            };
            let to = listener.local_addr().unwrap();
            let clients: Vec<_> = (0..11).map(|_| TcpStream::connect(to).unwrap()).collect();
            let mut results = Vec::new();
            ring.accept(listener.as_fd(), usize::MAX, &mut results);
            assert_eq!(results.len(), ACCEPTS);
            let ours: Vec<_> = clients.iter().map(|c| c.local_addr().ok()).collect();
            let theirs: Vec<_> = results.iter().map(address).collect();
            assert_eq!(theirs[..11], ours[..]);
            for (n, result) in results.iter().enumerate() {
                let Ok((socket, _)) = result else {
                    assert!(n >= 11);
                    continue;
                };
                let flags = rustix::fs::fcntl_getfl(socket).unwrap();
                assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
                let flags = rustix::io::fcntl_getfd(socket).unwrap();
                assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            }
        }
    }
}
