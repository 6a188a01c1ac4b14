//! The yardstick with answers that a socket's buffer does not hold: what a send leaves is owed and goes when there is room.
//!
//! As bare as the other loop: one number for each descriptor.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{self, RecvFlags, SendFlags};

use super::{BUFFER, accept_all};

/// Bytes of answers behind each other that one send may take.
const AT_ONCE: usize = 1 << 20;

/// Serves until killed.
pub(super) fn serve(listener: &OwnedFd, answer: &[u8]) -> io::Result<()> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let own = listener.as_raw_fd();
    let data = EventData::new_u64(own as u64);
    epoll::add(&poll, listener, data, EventFlags::IN)?;
    let answers = answer.repeat(AT_ONCE / answer.len() + 1);
    let finder = memchr::memmem::Finder::new(b"\r\n\r\n");
    let mut input = vec![0_u8; BUFFER];
    let mut owed: Vec<usize> = Vec::new();
    let mut events: Vec<Event> = Vec::with_capacity(512);
    let edges = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
    loop {
        events.clear();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        for event in &events {
            let fd = event.data.u64() as RawFd;
            if fd == own {
                accept_all(&poll, listener, edges)?;
                continue;
            }
            let n = fd as usize;
            if owed.len() <= n {
                owed.resize(n + 1, 0);
            }
            // SAFETY: a descriptor in the set is open: it is closed below only, which takes it out of the set, and an
            // edge reports it once per wait.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            let goes_on = pay(socket, &mut owed[n], &answers, answer.len())
                && (owed[n] > 0
                    || take(socket, &mut input, &finder, answer.len(), &mut owed[n])
                        && pay(socket, &mut owed[n], &answers, answer.len()));
            if !goes_on {
                owed[n] = 0;
                // SAFETY: as above; `accept_all` gave its ownership up.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
}

/// Sends what is owed, as far as there is room. False when the connection is over.
fn pay(socket: BorrowedFd<'_>, owed: &mut usize, answers: &[u8], each: usize) -> bool {
    while *owed > 0 {
        // Within an answer, where the last send ended in one.
        let from = (each - *owed % each) % each;
        let to = answers.len().min(from + *owed);
        match net::send(socket, &answers[from..to], SendFlags::NOSIGNAL) {
            Ok(sent) => *owed -= sent,
            Err(rustix::io::Errno::AGAIN) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Reads what is there and owes an answer for each head. False when the connection is over.
fn take(
    socket: BorrowedFd<'_>,
    input: &mut [u8],
    finder: &memchr::memmem::Finder<'_>,
    each: usize,
    owed: &mut usize,
) -> bool {
    loop {
        match net::recv(socket, &mut *input, RecvFlags::empty()) {
            Ok((0, _)) => return false,
            Ok((got, _)) => {
                *owed += finder.find_iter(&input[..got]).count() * each;
                if got < input.len() {
                    return true;
                }
            }
            Err(rustix::io::Errno::AGAIN) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
