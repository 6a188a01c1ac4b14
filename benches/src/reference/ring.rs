//! The yardstick for io_uring: accepts, receives and sends all go through a ring, and one call submits, waits and reaps.
//!
//! Multishot accept and receive, buffers from a ring the kernel picks from (Linux 6.1 and newer). The descriptor is the
//! datum, as in the epoll loop.

use std::alloc::Layout;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::{BATCH, BUFFER, Mode};

const ENTRIES: u32 = 1024;
/// Buffers to receive into; a power of two.
const BUFFERS: u16 = 512;
const GROUP: u16 = 0;
const PAGE: usize = 4096;

const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;

/// Serves until killed.
pub(super) fn serve(listener: &OwnedFd, mode: Mode, one: &'static [u8]) -> io::Result<()> {
    let mut ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(4 * ENTRIES)
        .build(ENTRIES)?;
    let mut buffers = Buffers::new(&ring)?;
    let answers = Answers {
        each: one.len(),
        all: one.repeat(BATCH),
    };
    let finder = memchr::memmem::Finder::new(b"\r\n\r\n");
    let own = listener.as_raw_fd();
    push(&mut ring, &accept(own))?;
    let mut done: Vec<cqueue::Entry> = Vec::with_capacity(4 * ENTRIES as usize);
    loop {
        match ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(e) if matches!(e.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => {}
            Err(e) => return Err(e),
        }
        done.clear();
        done.extend(ring.completion());
        for entry in &done {
            let fd = entry.user_data() as u32 as RawFd;
            match entry.user_data() >> 32 << 32 {
                ACCEPT => {
                    if entry.result() >= 0 {
                        push(&mut ring, &receive(entry.result()))?;
                    }
                    if !cqueue::more(entry.flags()) {
                        push(&mut ring, &accept(own))?;
                    }
                }
                RECEIVE => {
                    let goes_on = match cqueue::buffer_select(entry.flags()) {
                        Some(id) => {
                            let bytes = buffers.bytes(id, entry.result() as usize);
                            let goes_on = answer(&mut ring, fd, bytes, &answers, &finder, mode)?;
                            buffers.give_back(id);
                            goes_on
                        }
                        // Out of buffers for a moment: armed again below.
                        None => entry.result() == -libc::ENOBUFS,
                    };
                    let more = cqueue::more(entry.flags());
                    match (goes_on, more) {
                        (true, true) => {}
                        (true, false) => push(&mut ring, &receive(fd))?,
                        // SAFETY: what is armed on it has ended; it was accepted above, and nobody else closes it.
                        (false, false) => drop(unsafe { OwnedFd::from_raw_fd(fd) }),
                        // The armed receive ends with it, and comes here once more.
                        (false, true) => {
                            // SAFETY: an open socket of this loop.
                            unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// As many behind each other as one send may take.
struct Answers {
    each: usize,
    all: Vec<u8>,
}

/// Submits the answers to the request heads in `bytes`. False when the connection is over.
fn answer(
    ring: &mut IoUring,
    fd: RawFd,
    bytes: &[u8],
    answers: &Answers,
    finder: &memchr::memmem::Finder<'_>,
    mode: Mode,
) -> io::Result<bool> {
    if mode == Mode::Echo {
        // Its buffer goes back before the send is done, so this one is sent here.
        // SAFETY: the bytes are readable for the length of the call.
        let sent =
            unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
        return Ok(usize::try_from(sent) == Ok(bytes.len()));
    }
    let mut left = finder.find_iter(bytes).count() * answers.each;
    while left > 0 {
        let now = left.min(answers.all.len());
        push(ring, &send(fd, &answers.all[..now]))?;
        left -= now;
    }
    Ok(memchr::memmem::find(bytes, b"Connection: close\r\n").is_none())
}

fn accept(fd: RawFd) -> squeue::Entry {
    opcode::AcceptMulti::new(Fd(fd))
        .flags(libc::SOCK_CLOEXEC)
        .build()
        .user_data(ACCEPT | fd as u64)
}

fn receive(fd: RawFd) -> squeue::Entry {
    opcode::RecvMulti::new(Fd(fd), GROUP)
        .build()
        .user_data(RECEIVE | fd as u64)
}

fn send(fd: RawFd, bytes: &[u8]) -> squeue::Entry {
    opcode::Send::new(Fd(fd), bytes.as_ptr(), bytes.len() as u32)
        .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
        .build()
        .flags(squeue::Flags::SKIP_SUCCESS)
        .user_data(SEND | fd as u64)
}

fn push(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<()> {
    // SAFETY: answers live as long as the loop, buffers of receives as long as the ring.
    while unsafe { ring.submission().push(entry) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}

/// A ring of buffers that the kernel receives into.
struct Buffers {
    entries: *mut BufRingEntry,
    memory: Vec<u8>,
    tail: u16,
}

impl Buffers {
    fn new(ring: &IoUring) -> io::Result<Self> {
        let size = size_of::<BufRingEntry>() * usize::from(BUFFERS);
        let layout = Layout::from_size_align(size, PAGE).map_err(io::Error::other)?;
        // SAFETY: the size is not 0. It is never freed: the ring uses it until the process ends.
        let entries = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<BufRingEntry>();
        if entries.is_null() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let mut buffers = Self {
            entries,
            memory: vec![0; BUFFER * usize::from(BUFFERS)],
            tail: 0,
        };
        // SAFETY: page aligned, as large as said, and never freed.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(entries as u64, BUFFERS, GROUP, 0)?;
        }
        for id in 0..BUFFERS {
            buffers.give_back(id);
        }
        Ok(buffers)
    }

    fn bytes(&self, id: u16, n: usize) -> &[u8] {
        let start = usize::from(id) * BUFFER;
        &self.memory[start..start + n.min(BUFFER)]
    }

    fn give_back(&mut self, id: u16) {
        let at = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: within the entries, and the kernel does not read this one before the tail moves past it.
        let entry = unsafe { &mut *self.entries.add(at) };
        entry.set_addr(self.memory.as_ptr() as u64 + u64::from(id) * BUFFER as u64);
        entry.set_len(BUFFER as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry, is aligned, and is written by this thread alone.
        unsafe {
            let tail = BufRingEntry::tail(self.entries).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}
