//! Responses that outlive their burst: bytes, then a part of a file, written as the peer takes them.

use super::linger;
use super::next::{Output, Then};
use crate::park::state::{WREADY, WRITING};
use crate::sys::socket;
use crate::worker::{Home, Job, Worker};
use bytes::Buf;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

/// At most so much of a file in one call, and so many calls in one go: a fast reader must not hold the worker.
const PIECE: u64 = 512 * 1024;
const PIECES: usize = 4;

enum Progress {
    Done,
    Full,
    Yield,
}

/// Begins with an output whose slot this worker has claimed.
pub(crate) fn begin(
    worker: &Rc<Worker>,
    home: &Home,
    index: u32,
    generation: u32,
    output: Output,
    then: Then,
) {
    home.with_rare(home.slots.claimed_cold(index), |rare| {
        rare.writing = Some((output, then))
    });
    drive(worker, home, index, generation);
}

/// Writes what the socket takes; the slot is claimed and has an output.
pub(crate) fn drive(worker: &Rc<Worker>, home: &Home, index: u32, generation: u32) {
    let slot = home.slots.claimed(index);
    let cold = home.slots.claimed_cold(index);
    let Some((mut output, then)) = home.take_writing(cold) else {
        return home.close(index);
    };
    loop {
        match write(slot.fd(), &mut output) {
            Err(_) => return home.close(index),
            Ok(Progress::Done) => return go_on(worker, home, index, generation, then),
            Ok(Progress::Yield) => {
                home.with_rare(cold, |rare| rare.writing = Some((output, then)));
                return worker.queue(Job::Drive {
                    home: home.id,
                    index,
                    generation,
                });
            }
            Ok(Progress::Full) => {
                if home.arm_output(slot, generation, index).is_err() {
                    return home.close(index);
                }
                let ms = u32::try_from(output.timeout.as_millis()).unwrap_or(u32::MAX >> 4);
                slot.deadline
                    .store(worker.now.get().wrapping_add(ms), Relaxed);
                // The rest may be taken up by anybody from the moment the slot is at rest.
                home.with_rare(cold, |rare| rare.writing = Some((output, then)));
                if slot.state.rest(WRITING, WREADY) == crate::park::state::Rest::Resting {
                    return home.relink(index, generation, worker);
                }
                let Some((again, _)) = home.take_writing(cold) else {
                    return home.close(index);
                };
                output = again;
            }
        }
    }
}

fn write(socket: std::os::fd::BorrowedFd<'_>, output: &mut Output) -> io::Result<Progress> {
    for _ in 0..PIECES {
        if !output.bytes.is_empty() {
            match socket::send(socket, &output.bytes) {
                Ok(n) => output.bytes.advance(n),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Progress::Full),
                Err(e) => return Err(e),
            }
            continue;
        }
        let Some(range) = output.file.as_mut().filter(|r| r.len > 0) else {
            return Ok(Progress::Done);
        };
        let most = usize::try_from(range.len.min(PIECE)).unwrap_or(usize::MAX);
        match socket::sendfile(socket, range.file.as_fd(), &mut range.offset, most) {
            // The file has shrunk: what was announced cannot be sent, so the connection must end.
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => range.len -= n as u64,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Progress::Full),
            Err(e) => return Err(e),
        }
    }
    let rest = !output.bytes.is_empty() || output.file.as_ref().is_some_and(|r| r.len > 0);
    Ok(if rest {
        Progress::Yield
    } else {
        Progress::Done
    })
}

fn go_on(worker: &Rc<Worker>, home: &Home, index: u32, generation: u32, then: Then) {
    match then {
        Then::Park(keepalive) => worker.park(home, index, generation, keepalive),
        Then::Resume => worker.queue(Job::Start {
            home: home.id,
            index,
            generation,
        }),
        Then::Linger(most) => linger::begin(worker, home, index, generation, most),
        Then::Close => home.close(index),
    }
}
