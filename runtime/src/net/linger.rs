//! Lingering close: our side has ended, the peer's last bytes are thrown away, so that no RST destroys the answer
//! (RFC 9112 section 9.6).

use crate::park::state::{LINGERING, READY, Rest};
use crate::sys::socket;
use crate::worker::{Home, Job, Worker};
use std::io::ErrorKind;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Reads of one go: a peer that sends without end must not hold the worker.
const READS: usize = 16;

/// Begins to linger with a slot that this worker has claimed.
pub(crate) fn begin(worker: &Worker, home: &Home, index: u32, generation: u32, most: Duration) {
    let slot = home.slots.claimed(index);
    socket::shutdown_write(slot.fd());
    let ms = u32::try_from(most.as_millis())
        .unwrap_or(30_000)
        .min(30_000);
    slot.deadline
        .store(worker.now.get().wrapping_add(ms), Relaxed);
    home.drop_rare(home.slots.claimed_cold(index));
    drive(worker, home, index, generation);
}

/// Discards what is there; the slot is claimed. Its deadline is not extended by what comes.
pub(crate) fn drive(worker: &Worker, home: &Home, index: u32, generation: u32) {
    let slot = home.slots.claimed(index);
    let mut scratch = worker.pool.take();
    for _ in 0..READS {
        let room = scratch.capacity();
        match socket::discard(slot.fd(), &mut scratch.spare_mut()[..room]) {
            Ok(0) => return home.close(index),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if home.rest(index, generation, LINGERING, READY) == Rest::Resting {
                    home.counters.lingering.add(1);
                    return home.relink(index, generation, worker);
                }
            }
            Err(_) => return home.close(index),
        }
    }
    worker.queue(Job::Drive {
        home: home.id,
        index,
        generation,
    });
}
