//! What an event, a timeout or the end of a burst does to a connection.

use super::{Home, Job, Worker};
use crate::executor::handed::Handed;
use crate::executor::inbox::Message;
use crate::net::conn::Conn;
use crate::net::next::{Next, Then};
use crate::net::{linger, output};
use crate::park::state::{
    self, ACTIVE, LINGERING, MOVING, PARKED, Readiness, Rest, SILENT, Snapshot, TIMED, WRITING,
};
use crate::park::wheel::{LOOKS, Verdict, before};
use crate::reactor::{Event, IN, OUT, RDHUP};
use crate::sys::socket;
use crate::time::Keepalive;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// How long a connection that was told goodbye may take to close.
const FAREWELL: Duration = Duration::from_secs(2);
/// How many milliseconds a connection that has not spoken yet may take for it when a shutdown begins.
pub(crate) const LAST_CALL: u32 = 2_000;

/// What a deadline that has passed ended.
enum Expired {
    /// A rest; the slot is CLOSING now, and was so before.
    Slot(u32, Snapshot),
    /// A pending read or write: its owner's waiter.
    Wait(u16, u32),
}

impl Worker {
    /// An event of a connection of `home`, harvested by this worker. Inlined, as a rescuer's call makes it two.
    #[inline(always)]
    pub(super) fn ready(self: &Rc<Self>, home: &Home, event: Event) {
        if let Some((index, generation)) = self.take_up(home, event) {
            self.start(home, index, generation);
        }
    }

    /// Does what an event asks for, but for a connection that was parked: that is claimed now, and is to be started.
    #[inline(always)]
    pub(super) fn take_up(self: &Rc<Self>, home: &Home, event: Event) -> Option<(u32, u32)> {
        let (generation, index) = ((event.token >> 32) as u32, event.token as u32);
        let Some(slot) = home.slots.slot(index) else {
            self.ready_neighbour(event);
            return None;
        };
        let mut edges = 0;
        if event.edges & IN != 0 {
            edges |= state::READY;
        }
        if event.edges & OUT != 0 {
            edges |= state::WREADY;
        }
        if event.edges & RDHUP != 0 {
            edges |= state::RDHUP;
        }
        match slot.state.readiness(generation, self.home.id, edges) {
            Readiness::Claimed(was) if was.has(WRITING) => {
                home.counters.writing.sub(1);
                output::drive(self, home, index, generation)
            }
            Readiness::Claimed(was) if was.has(LINGERING) => {
                home.counters.lingering.sub(1);
                linger::drive(self, home, index, generation)
            }
            Readiness::Claimed(_) => return Some((index, generation)),
            Readiness::Wake(owner) => {
                let waiter = slot.waiter.load(Ordering::Relaxed);
                self.wake_owner(owner, waiter);
            }
            Readiness::Recorded | Readiness::Stale => {}
        }
        None
    }

    #[cold]
    #[inline(never)]
    fn wake_owner(&self, owner: u16, waiter: u32) {
        let Some(key) = waiter.checked_sub(1) else {
            return;
        };
        if owner == self.home.id {
            self.wake_waiter(key);
        } else if let Some(home) = self.shared.owner(owner) {
            home.post(Message::Waiter(key));
        }
    }

    /// Starts a burst on a claimed connection.
    #[inline]
    pub(super) fn start(self: &Rc<Self>, home: &Home, index: u32, generation: u32) {
        let listener = home.slots.claimed_cold(index).listener();
        let conn = Conn::new(self.clone(), home.id, index, generation);
        if let Some(service) = self.service(listener) {
            self.home.counters.bursts.add_mine(1);
            service.start(self, conn);
        }
    }

    /// A burst has ended with nothing left to do.
    pub(crate) fn rest(self: &Rc<Self>, conn: Conn, keepalive: Keepalive) {
        let back = conn.give_back();
        let home = &self.shared.homes[back.home as usize];
        self.forget_waiter(home.slots.claimed(back.index));
        if back.drained {
            self.park(home, back.index, back.generation, keepalive);
        } else {
            self.queue(Job::Start {
                home: back.home,
                index: back.index,
                generation: back.generation,
            });
        }
    }

    /// A burst has ended.
    pub(crate) fn finish(self: &Rc<Self>, next: Next) {
        let shared = &self.shared;
        match next {
            Next::Park(conn, keepalive) => self.rest(conn, keepalive),
            Next::Write(conn, out, then) => {
                self.forget_waiter(shared.homes[conn.home_id()].slots.claimed(conn.index));
                let back = conn.give_back();
                let then = match then {
                    Then::Park(_) if !back.drained => Then::Resume,
                    then => then,
                };
                output::begin(
                    self,
                    &shared.homes[back.home as usize],
                    back.index,
                    back.generation,
                    out,
                    then,
                );
            }
            Next::Linger(conn, most) => {
                conn.forget_input();
                self.forget_waiter(shared.homes[conn.home_id()].slots.claimed(conn.index));
                let back = conn.give_back();
                linger::begin(
                    self,
                    &shared.homes[back.home as usize],
                    back.index,
                    back.generation,
                    most,
                );
            }
            Next::Close(conn) => drop(conn),
            Next::Gone => {}
        }
    }

    /// Lays a claimed connection to rest, or takes it up again at once if an edge came meanwhile.
    #[inline(always)]
    pub(crate) fn park(
        self: &Rc<Self>,
        home: &Home,
        index: u32,
        generation: u32,
        keepalive: Keepalive,
    ) {
        let slot = home.slots.claimed(index);
        slot.deadline
            .store(keepalive.deadline(self.now.get()), Ordering::Relaxed);
        match home.rest(
            index,
            generation,
            PARKED,
            state::READY | state::RDHUP | state::UNPARK,
        ) {
            Rest::Resting => {
                home.relink(index, generation, self);
                if !self.shared.running() {
                    self.rests_at_the_end(home, index);
                }
            }
            Rest::Again(_) => self.queue(Job::Start {
                home: home.id,
                index,
                generation,
            }),
        }
    }

    /// A connection was parked after the runtime has begun to end.
    #[cold]
    fn rests_at_the_end(self: &Rc<Self>, home: &Home, index: u32) {
        if self.shared.draining() {
            self.dismiss(home, index);
        } else {
            home.tell();
        }
    }

    /// Closes a connection at rest politely: our FIN first, so that a client that speaks meanwhile is not reset. A
    /// request whose head has begun to come is awaited, and for a moment one whose connection is new.
    pub(crate) fn dismiss(self: &Rc<Self>, home: &Home, index: u32) {
        let Some(slot) = home.slots.slot(index) else {
            return;
        };
        let seen = slot.state.peek();
        if !seen.has(PARKED) || seen.has(ACTIVE) {
            return;
        }
        let generation = seen.generation();
        let Some(was) = slot.state.expire(generation, self.home.id) else {
            return;
        };
        if self.take_up_if_it_speaks(home, index, generation) {
            return;
        }
        let awaited = was.has(SILENT) || home.slots.claimed_cold(index).rare().is_some();
        if awaited {
            if was.has(SILENT) {
                let last = self.now.get().wrapping_add(LAST_CALL);
                if before(last, slot.deadline.load(Ordering::Relaxed)) {
                    slot.deadline.store(last, Ordering::Relaxed);
                }
            }
            slot.state.revive();
            let kind = PARKED | was.0 & SILENT;
            let unless = state::READY | state::RDHUP | state::UNPARK;
            return match home.rest(index, generation, kind, unless) {
                Rest::Resting => home.relink(index, generation, self),
                Rest::Again(_) => self.queue(Job::Start {
                    home: home.id,
                    index,
                    generation,
                }),
            };
        }
        slot.state.revive();
        linger::begin(self, home, index, generation, FAREWELL);
    }

    /// A parked connection was chosen to end, and its peer has our FIN.
    pub(super) fn see_off(self: &Rc<Self>, handed: Handed) {
        let Some((home, index, generation)) = handed.take() else {
            return;
        };
        home.slots.claimed(index).state.revive();
        linger::begin(self, &home, index, generation, FAREWELL);
    }

    /// A connection about to be closed at its rest, CLOSING already, whose request has come meanwhile, perhaps in this
    /// very turn, is taken up instead: no want of descriptors and no shutdown may cost it.
    pub(crate) fn take_up_if_it_speaks(&self, home: &Home, index: u32, generation: u32) -> bool {
        let slot = home.slots.claimed(index);
        let speaks = socket::has_input(slot.fd());
        if speaks {
            slot.state.revive();
            self.queue(Job::Start {
                home: home.id,
                index,
                generation,
            });
        }
        speaks
    }

    /// Looks at what is due in this worker's wheel, a bounded number at a time.
    pub(super) fn tick(self: &Rc<Self>) {
        let now = self.now.get();
        if self.next_due.get().is_some_and(|due| !before(now, due)) {
            self.look_at_due(now);
        }
    }

    #[cold]
    #[inline(never)]
    fn look_at_due(self: &Rc<Self>, now: u32) {
        let home = Arc::clone(&self.home);
        // What comes of the looks, for when the books are closed again.
        let mut results = [const { None }; LOOKS];
        let mut count = 0;
        {
            let mut books = home.slots.books();
            books.wheel.expire(&home.slots, now, LOOKS, |index| {
                // Pairs with the fence in `SlotStore::link`.
                fence(Ordering::SeqCst);
                let slot = home.slots.claimed(index);
                let seen = slot.state.peek();
                let deadline = slot.deadline.load(Ordering::Relaxed);
                // Whoever lays it to rest, or back to rest, links it again.
                if seen.has(ACTIVE | MOVING) && !seen.has(TIMED) {
                    return Verdict::Drop;
                }
                if before(now, deadline) {
                    return Verdict::Keep(deadline);
                }
                if let Some(was) = slot.state.expire(seen.generation(), home.id) {
                    if was.has(WRITING) {
                        home.counters.writing.sub(1);
                    } else if was.has(LINGERING) {
                        home.counters.lingering.sub(1);
                    }
                    results[count] = Some(Expired::Slot(index, was));
                    count += 1;
                } else if let Some(owner) = slot.state.expire_wait(seen.generation()) {
                    let waiter = slot.waiter.load(Ordering::Relaxed);
                    results[count] = Some(Expired::Wait(owner, waiter));
                    count += 1;
                }
                Verdict::Drop
            });
        }
        for result in results.into_iter().take(count).flatten() {
            match result {
                Expired::Wait(owner, waiter) => self.wake_owner(owner, waiter),
                Expired::Slot(index, was) => self.expired(&home, index, was),
            }
        }
        self.look_at_wheel();
    }

    /// Asks the wheel when it is to be looked at next.
    pub(super) fn look_at_wheel(&self) {
        // Stored under the lock: a link that comes later compares with this one.
        let books = self.home.slots.books();
        let due = books.wheel.next_due();
        self.next_due.set(due);
        let until = due.unwrap_or_else(|| self.never());
        self.home.sleeps_until.store(until, Ordering::Relaxed);
    }

    /// This worker has linked a connection that is due then.
    pub(super) fn looks_by(&self, due: u32) {
        if self.next_due.get().is_none_or(|next| before(due, next)) {
            self.next_due.set(Some(due));
            self.home.sleeps_until.store(due, Ordering::Relaxed);
        }
    }

    /// So far ahead that every link is due earlier.
    pub(super) fn never(&self) -> u32 {
        self.now.get().wrapping_add(i32::MAX as u32)
    }

    /// A deadline has won a slot that was at rest.
    fn expired(self: &Rc<Self>, home: &Home, index: u32, was: Snapshot) {
        let slot = home.slots.claimed(index);
        // Between the look at the deadline and the compare-and-swap a neighbour may have served the connection and laid
        // it to rest anew. The slot is ours now, so this look decides; an edge may have come meanwhile, so the
        // connection is taken up, not laid back.
        if before(self.now.get(), slot.deadline.load(Ordering::Relaxed)) {
            slot.state.revive();
            let (home, generation) = (home.id, was.generation());
            self.queue(if was.has(PARKED) {
                Job::Start {
                    home,
                    index,
                    generation,
                }
            } else {
                Job::Drive {
                    home,
                    index,
                    generation,
                }
            });
            return;
        }
        home.counters.timeouts.add(1);
        self.time_over(home, index, was.has(PARKED));
    }

    /// A deadline won the slot: say farewell if the protocol has one to say, and close.
    fn time_over(self: &Rc<Self>, home: &Home, index: u32, parked: bool) {
        let slot = home.slots.claimed(index);
        let cold = home.slots.claimed_cold(index);
        let service = self.service(cold.listener()).filter(|_| parked);
        let carry = home.take_carry(cold);
        match service.and_then(|s| s.timed_out(carry.as_ref())) {
            Some(farewell) => {
                slot.state.revive();
                // One try: whoever lets time pass need not be waited for to hear that it has.
                let _ = socket::send(slot.fd(), &farewell);
                let generation = slot.state.peek().generation();
                linger::begin(self, home, index, generation, FAREWELL);
            }
            None => home.close(index),
        }
    }
}
