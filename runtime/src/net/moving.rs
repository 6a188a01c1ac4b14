//! Connections that go to another process, and those that come from one.
//!
//! The state word is the only arbiter. Whoever takes a parked connection holds its slot (MOVING): no event, deadline,
//! eviction or shutdown touches it, and its registration is ended before its descriptor goes anywhere, as the
//! description lives on elsewhere. The descriptor here stays open until the other side has acknowledged. What comes
//! back, like what comes in, is registered and laid to rest: registering reports what has come meanwhile.

use super::next::Carry;
use super::parked;
use crate::error::{Error, Result};
use crate::executor::inbox::Message;
use crate::park::state::{MOVING, SILENT};
use crate::park::wheel::{HORIZON, before};
use crate::runtime::Shared;
use crate::sys::{clock, socket};
use crate::time::Deadline;
use crate::worker::{Home, Registration, Worker};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::fence;

/// A longer unfinished input stays here and is served here.
const LONGEST_CARRY: usize = 64 * 1024;

/// What of a parked connection another process must know, beside its socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which listener it came through, in the order of [`crate::Runtime::listen`] over there.
    pub listener: u8,
    /// The peer's address.
    pub peer: IpAddr,
    /// Requests so far.
    pub requests: u32,
    /// When its time is over: for the next request, the first byte or the unfinished head.
    pub deadline: Deadline,
    /// Nothing has come from the peer yet.
    pub silent: bool,
    /// Unfinished input.
    pub carry: Option<Carry>,
}

/// One slot in the state MOVING.
struct Held {
    shared: Arc<Shared>,
    home: u16,
    index: u32,
    generation: u32,
    /// It was let go.
    over: bool,
}

impl Held {
    fn home(&self) -> &Home {
        &self.shared.homes[self.home as usize]
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.home().slots.claimed(self.index).fd()
    }

    /// Ends it here: the generation, then the descriptor. The peer hears nothing if another process has a copy.
    fn forget(&mut self) {
        self.over = true;
        self.home().forget(self.index);
    }

    /// Registers it and lays it to rest.
    fn settle(&mut self, how: Registration) -> io::Result<()> {
        self.over = true;
        let (home, index, generation) = (self.home(), self.index, self.generation);
        let was = home.slots.claimed(index).state.land();
        let asked = home.settle(index, generation, was.0 & SILENT, how)?;
        home.relink_from_outside(index, generation, clock::monotonic_ms());
        if asked {
            parked::unpark(&self.shared, self.home, index, generation);
        }
        self.say_goodbye_if_that_has_begun();
        Ok(())
    }

    /// A shutdown may have looked at all connections while this one was away.
    fn say_goodbye_if_that_has_begun(&self) {
        // Pairs with the fence in `Worker::dismiss_all`: it finds this one at rest, or the shutdown is seen here.
        fence(SeqCst);
        if !self.shared.draining() {
            return;
        }
        let (home, index, generation) = (self.home(), self.index, self.generation);
        home.post(Message::Spawn(Box::new(move || {
            if let Some(worker) = Worker::current() {
                worker.dismiss(&worker.home, index);
            }
        })));
        // Nobody may be there to take the message.
        if home.ended.has_ended() {
            let slot = home.slots.claimed(index);
            if slot.state.expire(generation, home.id).is_some() {
                socket::shutdown_write(slot.fd());
                home.close(index);
            }
        }
    }
}

/// A parked connection on its way to another process.
///
/// Dropped without [`Departing::arrived`] it rests here again as if nothing had happened, and is served.
pub struct Departing {
    held: Held,
    record: Record,
}

impl Departing {
    /// The socket, to be sent to the other process. It must not be read or written here.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.held.socket()
    }

    /// What goes with it.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The other side has it: the descriptor here is closed, which the peer does not notice.
    pub fn arrived(mut self) {
        self.held.forget();
    }

    fn take(shared: &Arc<Shared>, home: &Home, index: u32, generation: u32) -> Option<Self> {
        let slot = home.slots.claimed(index);
        let cold = home.slots.claimed_cold(index);
        // A hint: the slot is nobody's yet.
        if home.carry_len(cold) > LONGEST_CARRY {
            return None;
        }
        let was = slot.state.depart(generation)?;
        let mut held = Held {
            shared: shared.clone(),
            home: home.id,
            index,
            generation,
            over: false,
        };
        if home.carry_len(cold) > LONGEST_CARRY {
            held.stay(Registration::Renewed);
            return None;
        }
        if let Err(e) = home.pollset.delete(slot.fd()) {
            tracing::error!(target: "parkade", "taking a connection out of the pollset: {e}");
            held.stay(Registration::New);
            return None;
        }
        let record = Record {
            listener: cold.listener(),
            peer: cold.packed_peer().ip(),
            requests: cold.requests.load(Relaxed),
            deadline: Deadline(slot.deadline.load(Relaxed)),
            silent: was.has(SILENT),
            carry: home.take_carry(cold),
        };
        Some(Self { held, record })
    }
}

impl Held {
    /// Back to rest.
    fn stay(&mut self, how: Registration) {
        if let Err(e) = self.settle(how) {
            tracing::error!(target: "parkade", "adding a connection to the pollset: {e}");
        }
    }
}

impl Drop for Departing {
    fn drop(&mut self) {
        if self.held.over {
            return;
        }
        if let Some(carry) = self.record.carry.take() {
            let home = self.held.home();
            let cold = home.slots.claimed_cold(self.held.index);
            home.with_rare(cold, |rare| rare.carry = Some(carry));
        }
        self.held.stay(Registration::New);
    }
}

impl AsFd for Departing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket()
    }
}

impl fmt::Debug for Departing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departing")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

/// A connection that has come from another process and has its place here, but was neither read nor registered yet.
///
/// The time between is for the acknowledgement: until [`Arriving::start`] the sender may still serve the connection
/// itself, afterwards it must not. Dropped without it the descriptor here is closed, which the peer does not notice while
/// the sender has its own.
pub struct Arriving(Held);

impl Arriving {
    /// It is served from here on. What has come meanwhile is seen.
    ///
    /// # Errors
    /// The kernel has no memory to register it; it is closed.
    pub fn start(mut self) -> Result<()> {
        self.0
            .settle(Registration::New)
            .map_err(|e| Error::new("adopt", "a connection", e))
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.0.over {
            self.0.forget();
        }
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving").finish_non_exhaustive()
    }
}

/// Takes at most `most` parked connections of all workers.
pub(crate) fn take(shared: &Arc<Shared>, most: usize, into: &mut Vec<Departing>) {
    let most = into.len().saturating_add(most);
    let mut found = Vec::new();
    for home in &shared.homes {
        if into.len() >= most {
            return;
        }
        found.clear();
        // Where the last search ended: what was taken before need not be passed again and again.
        let from = home.searched.load(Relaxed);
        let next = home.slots.parked(from, most - into.len(), &mut found);
        home.searched.store(next, Relaxed);
        let taken = found
            .iter()
            .filter_map(|(index, generation)| Departing::take(shared, home, *index, *generation));
        into.extend(taken);
    }
}

/// Gives a connection of another process a slot of the emptiest home.
pub(crate) fn adopt(shared: &Arc<Shared>, socket: OwnedFd, record: Record) -> Result<Arriving> {
    let refuse = |kind: ErrorKind, why: String| {
        Err(Error::new(
            "adopt",
            "a connection",
            io::Error::new(kind, why),
        ))
    };
    if !shared.running() {
        return refuse(
            ErrorKind::NotConnected,
            "the runtime accepts no more connections".into(),
        );
    }
    if shared.service(record.listener).is_none() {
        return refuse(
            ErrorKind::InvalidInput,
            format!("there is no listener {}", record.listener),
        );
    }
    socket::set_nonblocking(socket.as_fd())
        .map_err(|e| Error::new("set non-blocking", "a connection", e))?;
    let emptiest = shared
        .homes
        .iter()
        .min_by_key(|home| home.connections.load(Relaxed));
    let placed = emptiest.and_then(|home| {
        let placed = home.slots.allocate(socket, record.peer, record.listener);
        placed
            .ok()
            .map(|(index, generation)| (home, index, generation))
    });
    let Some((home, index, generation)) = placed else {
        return refuse(ErrorKind::QuotaExceeded, "no slot is left".into());
    };
    home.connections.fetch_add(1, Relaxed);
    home.counters.adopted.add(1);
    let slot = home.slots.claimed(index);
    let cold = home.slots.claimed_cold(index);
    let farthest = clock::monotonic_ms().wrapping_add(HORIZON);
    let deadline = match before(farthest, record.deadline.0) {
        true => farthest,
        false => record.deadline.0,
    };
    slot.deadline.store(deadline, Relaxed);
    cold.requests.store(record.requests, Relaxed);
    if record.carry.is_some() {
        home.with_rare(cold, |rare| rare.carry = record.carry);
    }
    let silent = if record.silent { SILENT } else { 0 };
    slot.state.publish(generation, home.id, MOVING | silent);
    Ok(Arriving(Held {
        shared: shared.clone(),
        home: home.id,
        index,
        generation,
        over: false,
    }))
}
