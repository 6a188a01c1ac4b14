//! io_uring(7) for what a worker does to its sockets: many receives, or many sends, for one system call.
//!
//! Readiness stays with epoll, so a parked connection costs what it costs there and neighbours can harvest. The ring is a
//! way to make calls together: every operation is told not to wait (`MSG_DONTWAIT`), so all of them are complete when the
//! call that submitted them returns. Nothing is ever in flight outside of it: there is nothing to cancel, and a buffer need
//! live no longer than the call. Where accepts would wait whatever they are told (before Linux 6.10), accepting stays
//! accept4(2).

mod accept;
pub(crate) use accept::Accepted;

use io_uring::{IoUring, Probe, opcode, squeue, types};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Connections whose input is received together. Their requests wait for each other, so not as many as a batch has.
pub(crate) const TOGETHER: usize = 32;
/// Bytes of each; a request that fills them is read on from its socket.
pub(crate) const ROOM: usize = 1024;
/// From one buffer to the next: not a power of two, or all would fall into the same sets of the cache.
const STRIDE: usize = ROOM + 64;
/// Operations of one system call.
const ENTRIES: u32 = 64;

/// A ring that belongs to one thread.
pub(crate) struct Ring {
    ring: IoUring,
    entries: usize,
    input: Box<[u8]>,
    accepts: bool,
    peers: Box<[accept::Peer]>,
    accepted: Vec<io::Result<usize>>,
}

impl Ring {
    /// For the calling thread alone.
    ///
    /// # Errors
    /// The kernel's: it has none (`ENOSYS`), does not allow it (`EPERM`), has no memory for it; `EOPNOTSUPP` if it lacks an
    /// operation.
    pub(crate) fn new() -> io::Result<Self> {
        Self::with_entries(ENTRIES)
    }

    fn with_entries(entries: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(entries)
            .or_else(|e| match e.raw_os_error() {
                // Kernels before 6.1 do not know them.
                Some(libc::EINVAL) => IoUring::new(entries),
                _ => Err(e),
            })?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let needed = [opcode::Recv::CODE, opcode::Send::CODE];
        if !needed.iter().all(|code| probe.is_supported(*code)) {
            return Err(Errno::OPNOTSUPP.into());
        }
        let mut ring = Self {
            ring,
            entries: entries as usize,
            input: vec![0; TOGETHER * STRIDE].into(),
            accepts: false,
            peers: Box::default(),
            accepted: Vec::new(),
        };
        ring.accepts = probe.is_supported(opcode::Accept::CODE) && ring.probe_accept();
        if ring.accepts {
            ring.peers = [accept::Peer::UNKNOWN; accept::ACCEPTS].into();
        }
        Ok(ring)
    }

    /// Receives once from each of `count` sockets, at most [`TOGETHER`]; `results` are what recv(2) would have returned.
    pub(crate) fn receive<'a>(
        &mut self,
        count: usize,
        socket: impl Fn(usize) -> BorrowedFd<'a>,
        results: &mut Vec<io::Result<usize>>,
    ) {
        debug_assert!(count <= TOGETHER, "one buffer for each");
        let base = self.input.as_mut_ptr();
        let entry = |at: usize| {
            // SAFETY: buffers lie within `input`, one behind the other.
            let room = unsafe { base.add(at * STRIDE) };
            opcode::Recv::new(types::Fd(socket(at).as_raw_fd()), room, ROOM as u32)
                .flags(libc::MSG_DONTWAIT)
                .build()
        };
        // SAFETY: `input` is this value's, and each operation is over when the call returns.
        unsafe { self.run(count.min(TOGETHER), entry, results) };
    }

    /// What the receive at this place of the last [`Ring::receive`] has read.
    pub(crate) fn received(&self, at: usize, n: usize) -> &[u8] {
        let start = at * STRIDE;
        &self.input[start..start + n.min(ROOM)]
    }

    /// Receives once into `buffer`.
    pub(crate) fn receive_one(
        &mut self,
        fd: BorrowedFd<'_>,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(types::Fd(fd.as_raw_fd()), buffer.as_mut_ptr(), length)
            .flags(libc::MSG_DONTWAIT)
            .build();
        // SAFETY: `buffer` is borrowed for longer than the operation lasts.
        unsafe { self.run_one(&entry) }
    }

    /// Sends `count` answers, each once; `results` are what send(2) would have returned.
    pub(crate) fn send<'a>(
        &mut self,
        count: usize,
        answer: impl Fn(usize) -> (BorrowedFd<'a>, &'a [u8]),
        results: &mut Vec<io::Result<usize>>,
    ) {
        // SAFETY: the bytes are borrowed for longer than the operations last.
        unsafe { self.run(count, |at| sending(answer(at)), results) };
    }

    pub(crate) fn send_one(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: as above.
        unsafe { self.run_one(&sending((fd, bytes))) }
    }

    /// # Safety
    /// What the entry points to must live until this returns.
    unsafe fn run_one(&mut self, entry: &squeue::Entry) -> io::Result<usize> {
        let mut result = -libc::EIO;
        // SAFETY: the caller's promise, kept by waiting below.
        let pushed = unsafe { self.ring.submission().push(entry) };
        debug_assert!(pushed.is_ok(), "it was empty");
        self.complete(1, &mut |_, done| result = done);
        returned(result)
    }

    /// Submits `count` operations, as many at once as the queue holds, and waits until all are complete.
    ///
    /// # Safety
    /// What the entries point to must live until this returns.
    unsafe fn run(
        &mut self,
        count: usize,
        entry: impl Fn(usize) -> squeue::Entry,
        results: &mut Vec<io::Result<usize>>,
    ) {
        results.clear();
        results.extend((0..count).map(|_| Ok(0)));
        for first in (0..count).step_by(self.entries) {
            let part = first..count.min(first + self.entries);
            {
                let mut queue = self.ring.submission();
                for at in part.clone() {
                    let entry = entry(at).user_data(at as u64);
                    // SAFETY: the caller's promise, kept by waiting below.
                    let pushed = unsafe { queue.push(&entry) };
                    debug_assert!(pushed.is_ok(), "it was empty and holds a part");
                }
            }
            self.complete(part.len(), &mut |at, done| {
                if let Some(place) = results.get_mut(at) {
                    *place = returned(done);
                }
            });
        }
    }

    fn complete(&mut self, count: usize, note: &mut dyn FnMut(usize, i32)) {
        let mut left = count;
        while left > 0 {
            match self.ring.submit_and_wait(left) {
                Ok(_) => {}
                Err(e)
                    if matches!(
                        e.raw_os_error(),
                        Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)
                    ) => {}
                Err(e) => {
                    // Operations may be under way, with pointers into memory that is about to be used for something else.
                    tracing::error!(target: "parkade", "io_uring_enter: {e}: aborting");
                    std::process::abort();
                }
            }
            for done in self.ring.completion() {
                note(done.user_data() as usize, done.result());
                left -= 1;
            }
        }
    }
}

/// As the system call would have returned it.
fn returned(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

fn sending((fd, bytes): (BorrowedFd<'_>, &[u8])) -> squeue::Entry {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    opcode::Send::new(types::Fd(fd.as_raw_fd()), bytes.as_ptr(), length)
        .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
        .build()
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, reason = "for tests only")]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::Shutdown;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    /// `None` where the kernel or a container does not allow it.
    pub(super) fn ring(entries: u32) -> Option<Ring> {
        Ring::with_entries(entries)
            .inspect_err(|e| eprintln!("skipped: io_uring: {e}"))
            .ok()
    }

    #[test]
    fn a_queue_of_four_loses_nothing() {
        let Some(mut ring) = ring(4) else { return };
        let mut pairs: Vec<_> = (0..TOGETHER).map(|_| UnixStream::pair().unwrap()).collect();
        for (n, (ours, _)) in pairs.iter_mut().enumerate() {
            match n % 4 {
                0 => ours.write_all(&[n as u8; 5]).unwrap(),
                1 => ours.write_all(&[n as u8; 2 * ROOM]).unwrap(),
                2 => ours.shutdown(Shutdown::Write).unwrap(),
                // Says nothing: told not to wait, the operation does not, though the socket would.
                _ => {}
            }
        }
        let mut results = Vec::new();
        ring.receive(TOGETHER, |at| pairs[at].1.as_fd(), &mut results);
        assert_eq!(results.len(), TOGETHER);
        for (n, result) in results.iter().enumerate() {
            match n % 4 {
                0 => assert_eq!(ring.received(n, *result.as_ref().unwrap()), [n as u8; 5]),
                1 => assert_eq!(ring.received(n, *result.as_ref().unwrap()), [n as u8; ROOM]),
                2 => assert_eq!(*result.as_ref().unwrap(), 0),
                _ => assert_eq!(result.as_ref().unwrap_err().kind(), ErrorKind::WouldBlock),
            }
        }
        let out = |at: usize| (pairs[at].1.as_fd(), &b"answer"[..]);
        ring.send(TOGETHER, out, &mut results);
        assert!(results.iter().all(|r| matches!(r, Ok(6))), "{results:?}");
        for (ours, _) in &mut pairs {
            let mut answer = [0; 6];
            ours.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"answer");
        }
    }

    #[test]
    fn a_full_socket_takes_a_part_and_then_says_so() {
        let Some(mut ring) = ring(8) else { return };
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let much = vec![7; 1 << 20];
        let mut sent = 0;
        let why = loop {
            match ring.send_one(theirs.as_fd(), &much) {
                Ok(n) => sent += n,
                Err(e) => break e.kind(),
            }
        };
        assert_eq!(why, ErrorKind::WouldBlock);
        assert!(sent > 0);
        ours.set_nonblocking(true).unwrap();
        let mut got = 0;
        while let Ok(n) = ours.read(&mut [0; 65536]) {
            got += n;
        }
        assert_eq!(got, sent);
        drop(ours);
        // No SIGPIPE.
        let gone = ring.send_one(theirs.as_fd(), b"x").unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::BrokenPipe);
    }
}
