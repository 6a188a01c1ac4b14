//! Responses that outlive their burst: bytes, then a part of a file, written as the peer takes them.

use super::linger;
use super::next::{Copying, FileRange, Output, Then};
use super::resident::{self, Window};
use crate::blocking::spawn_blocking;
use crate::executor::task::spawn;
use crate::park::state::{WREADY, WRITING};
use crate::sys::socket;
use crate::worker::{Home, Job, Worker};
use bytes::Buf;
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

/// At most so much of a file in one call, and so many calls in one go: a fast reader must not hold the worker.
const PIECE: u64 = 512 * 1024;
const PIECES: usize = 4;
/// What one read takes where the kernel does not copy; borrowed for one call.
const SCRATCH_BYTES: usize = 128 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

enum Progress {
    Done,
    Full,
    Yield,
    /// What comes next is not in memory.
    Cold,
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
        let before = output.remaining();
        let wrote = write(slot.fd(), &mut output);
        worker
            .home
            .counters
            .bytes
            .add(before.saturating_sub(output.remaining()));
        match wrote {
            Err(_) => return home.close(index),
            Ok(Progress::Done) => {
                if let Some(written) = home.take_written(cold) {
                    written.tell();
                }
                return go_on(worker, home, index, generation, then);
            }
            Ok(Progress::Yield) => {
                home.with_rare(cold, |rare| rare.writing = Some((output, then)));
                return worker.queue(Job::Drive {
                    home: home.id,
                    index,
                    generation,
                });
            }
            Ok(Progress::Cold) => {
                let window = output.file.as_mut().map(resident::window);
                home.with_rare(cold, |rare| rare.writing = Some((output, then)));
                let Some(window) = window else {
                    return home.close(index);
                };
                return read_ahead(worker, home.id, index, generation, window);
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
                if home.rest(index, generation, WRITING, WREADY)
                    == crate::park::state::Rest::Resting
                {
                    home.counters.writing.add(1);
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

/// Waits for a disk on a reserve thread, then goes on here. The slot stays claimed meanwhile.
fn read_ahead(worker: &Worker, home: u16, index: u32, generation: u32, window: Window) {
    if Worker::current().is_none() {
        // A thread that may block helps out: it does so itself.
        window.read();
        return worker.queue(Job::Drive {
            home,
            index,
            generation,
        });
    }
    drop(spawn(async move {
        spawn_blocking(move || window.read()).await;
        if let Some(worker) = Worker::current() {
            worker.queue(Job::Drive {
                home,
                index,
                generation,
            });
        }
    }));
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
        let Some(range) = output.file.as_mut().filter(|r| !r.is_empty()) else {
            return Ok(Progress::Done);
        };
        let sent = match range.way() {
            Copying::InKernel => send_file(socket, range),
            Copying::ThroughBuffer => send_read(socket, range),
        };
        match sent {
            Ok(None) => return Ok(Progress::Cold),
            // The file has shrunk: what was announced cannot be sent, so the connection must end.
            Ok(Some(0)) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(Some(n)) => range.sent(n as u64),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Progress::Full),
            Err(e) => return Err(e),
        }
    }
    let rest = !output.bytes.is_empty() || output.file.as_ref().is_some_and(|r| !r.is_empty());
    Ok(if rest {
        Progress::Yield
    } else {
        Progress::Done
    })
}

/// One sendfile(2); `None` if it would wait for a disk.
fn send_file(
    socket: std::os::fd::BorrowedFd<'_>,
    range: &mut FileRange,
) -> io::Result<Option<usize>> {
    let most = range.len().min(PIECE);
    if !range.take_trust() && !resident::is(range, most) {
        return Ok(None);
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    socket::sendfile(socket, range.file.as_fd(), &mut range.offset, most).map(Some)
}

/// One read and one send; what the socket does not take is read again later, so that a slow reader holds no buffer.
fn send_read(
    socket: std::os::fd::BorrowedFd<'_>,
    range: &mut FileRange,
) -> io::Result<Option<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(SCRATCH_BYTES, 0);
        let most = usize::try_from(range.len())
            .unwrap_or(usize::MAX)
            .min(SCRATCH_BYTES);
        let Some(n) = resident::read(range, &mut scratch[..most])? else {
            return Ok(None);
        };
        if n == 0 {
            return Ok(Some(0));
        }
        let sent = socket::send(socket, &scratch[..n])?;
        range.offset += sent as u64;
        Ok(Some(sent))
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
