//! Letting connections in.
//!
//! Listeners are level-triggered and exclusive. A woken worker accepts at most 16, before it runs any handler, and
//! adds each socket straight to the pollset of its home, which need not be woken for it. After 16 accepts it takes
//! the listener out and puts it back, so that the kernel's wait queue rotates and no process gets everything; a process
//! clearly ahead of its siblings leaves it out for a moment. Where processes take turns by a lock ([`super::turns`]),
//! nothing is accepted without it.

use crate::park::state::{ACTIVE, PARKED, SILENT};
use crate::park::wheel::before;
use crate::reactor::{Interest, LISTENER};
use crate::sys::{clock, socket};
use crate::worker::calls::Accepted;
use crate::worker::{Home, LAST_CALL, Registration, Worker};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Accepts at most in one go, and per turn in the wait queue.
const TURN: u32 = 16;
/// Accepts at most so many of a listener that this worker leaves for good.
const LAST: u32 = 256;
/// Milliseconds for which a worker that cannot or shall not accept leaves its listeners alone before it looks again.
const PAUSE: u32 = 50;
/// Milliseconds after which a worker that did not get the lock tries again; up to as many more by chance.
const RETRY: u32 = 5;
/// So many milliseconds a worker that leaves tries to get the lock.
const LEAVING: u32 = 1_000;
/// A new connection may be silent so long unless its service's listener says otherwise.
const FIRST_BYTE: u32 = 60_000;
/// Longest-parked connections closed at once when descriptors run out.
const EVICTED: usize = 8;

/// Between two lines in the log about descriptors that have run out.
const SAID: u32 = 1_000;

/// Other processes that accept from the same listeners.
///
/// The methods are called by workers between two accepts, and every 50 ms while accepting rests: they must not block.
pub trait Siblings: Send + Sync + 'static {
    /// Whether this process has enough to do and a sibling has not: new connections are left to siblings then.
    fn yield_to(&self) -> bool;

    /// Whether this process has clearly more connections than its siblings, and they do accept: it sits a moment out
    /// then. Asked once per turn in the wait queue.
    fn ahead(&self) -> bool;

    /// Whether any sibling accepts, so that this process, short of descriptors, need not close parked connections.
    fn accept(&self) -> bool;

    /// This process has run short of descriptors, or has enough again.
    fn short(&self, short: bool);

    /// Whether this process bounds its connections. Then every worker is woken for a new one, not just one of them: who
    /// may not take it leaves it where it is, and nobody else would hear of it.
    fn bounds(&self) -> bool {
        false
    }

    /// Whether this process may take no connection now, whoever else could. Asked before each accept of a process that
    /// [`Siblings::bounds`] its connections.
    fn full(&self) -> bool {
        false
    }
}

/// The listeners of one worker.
#[derive(Default)]
pub(crate) struct Accepting {
    listeners: Vec<Listening>,
    /// Listeners are out of the pollset; when to look again.
    paused: Option<u32>,
    /// Listeners that were left without a last look into their backlogs, as another has the lock.
    leaving: Vec<Listening>,
    /// When that look is taken all the same.
    late: u32,
    random: u32,
    /// When the log last heard that descriptors have run out.
    said: Option<u32>,
    /// How many the last call that accepted any has accepted, and room for what the next one answers.
    last: u32,
    accepted: Vec<Accepted>,
}

/// Who has come in one call.
enum Came {
    Nobody,
    Some,
    Failed(Errno),
}

impl Came {
    fn or(self, other: Came) -> Came {
        match self {
            Came::Nobody => other,
            known => known,
        }
    }
}

struct Listening {
    id: u8,
    fd: Arc<OwnedFd>,
    since_rotation: u32,
}

impl Accepting {
    /// The longest sleep from `now` on while accepting is paused.
    pub(crate) fn pause(&self, now: u32) -> Option<Duration> {
        let left = |until: u32| u64::from(until.wrapping_sub(now)).min(u64::from(PAUSE));
        self.paused.map(|until| match before(now, until) {
            true => Duration::from_millis(left(until)),
            false => Duration::ZERO,
        })
    }
}

impl Worker {
    /// Starts to accept from a listener.
    pub(crate) fn listen(self: &Rc<Self>, id: u8, listener: &Arc<OwnedFd>) {
        let listener = Listening {
            id,
            fd: listener.clone(),
            since_rotation: 0,
        };
        if !self.shared.running() {
            // It comes too late to be waited for, but perhaps its clients do not.
            self.take_leave(vec![listener]);
            return self.home.tell();
        }
        let added = self.home.pollset.add(
            listener.fd.as_fd(),
            LISTENER + u64::from(id),
            self.interest(),
        );
        if let Err(e) = added {
            tracing::error!(target: "parkade", "worker {}: adding a listener: {e}", self.home.id);
        }
        self.accepting.borrow_mut().listeners.push(listener);
    }

    /// A listener has connections.
    pub(crate) fn accept(self: &Rc<Self>, id: u8) {
        let Some(lock) = &self.shared.accept_lock else {
            self.accept_some(id);
            return self.stop_if_told();
        };
        // Already out of the pollset: an event of the same turn.
        if self.accepting.borrow().paused.is_some() {
            return;
        }
        if lock.try_lock() {
            self.accept_some(id);
            lock.unlock();
        } else {
            self.pause(self.retry());
        }
        self.stop_if_told();
    }

    /// Handlers may take their time: who has been told to stop accepting does so before they run.
    fn stop_if_told(self: &Rc<Self>) {
        if !self.shared.running() {
            self.stop_accepting();
        }
    }

    fn accept_some(self: &Rc<Self>, id: u8) {
        let Some(fd) = self
            .accepting
            .borrow()
            .listeners
            .iter()
            .find(|l| l.id == id)
            .map(|l| l.fd.clone())
        else {
            return;
        };
        let mut left = TURN;
        while left > 0 {
            if !self.shared.running() {
                return;
            }
            if self.is_full() {
                return self.sit_out();
            }
            let most = self.accepts_at_once().min(left);
            left -= most;
            match self.accept_at_once(&fd, id, most) {
                Came::Nobody => return,
                Came::Some => {}
                Came::Failed(e) => {
                    self.say_short(e);
                    return self.relieve();
                }
            }
            if self.turn_is_over(id) {
                // Being ahead costs no more than the rotation would: out now, back in later.
                if self.shared.siblings.as_ref().is_some_and(|s| s.ahead()) {
                    return self.sit_out();
                }
                self.rotate(&fd, id);
            }
            if self.shared.descriptors_short() {
                return self.relieve();
            }
            // Only now: the kernel has told nobody else of the connection that this worker was woken for.
            if self.shared.siblings.as_ref().is_some_and(|s| s.yield_to()) {
                return self.sit_out();
            }
        }
    }

    /// How many accepts go together, where that makes one system call of them: one more than there were to do last
    /// time. A process that bounds its connections takes one at a time.
    fn accepts_at_once(&self) -> u32 {
        match &self.shared.siblings {
            Some(siblings) if siblings.bounds() => 1,
            _ => 1 + self.accepting.borrow().last,
        }
    }

    fn accept_at_once(self: &Rc<Self>, fd: &OwnedFd, id: u8, most: u32) -> Came {
        let mut accepted = std::mem::take(&mut self.accepting.borrow_mut().accepted);
        self.calls.accept(fd.as_fd(), most as usize, &mut accepted);
        let (mut came, mut count) = (Came::Nobody, 0);
        for result in accepted.drain(..) {
            match result {
                Ok((socket, peer)) => {
                    self.place(socket, peer, id);
                    count += 1;
                    came = came.or(Came::Some);
                }
                Err(Errno::AGAIN) => {}
                // The client has gone again, or a signal came: the next one.
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => came = came.or(Came::Some),
                Err(e) => came = Came::Failed(e),
            }
        }
        let mut accepting = self.accepting.borrow_mut();
        accepting.accepted = accepted;
        if count > 0 {
            accepting.last = count;
        }
        if let Some(listener) = accepting.listeners.iter_mut().find(|l| l.id == id) {
            listener.since_rotation += count;
        }
        came
    }

    /// Accepts while no home worker can; whether anybody was let in. Siblings that could have are left the rest.
    pub(crate) fn accept_instead(self: &Rc<Self>, id: u8) -> bool {
        let Some(lock) = &self.shared.accept_lock else {
            return self.accept_some_instead(id);
        };
        if !lock.try_lock() {
            return false;
        }
        let any = self.accept_some_instead(id);
        lock.unlock();
        any
    }

    fn accept_some_instead(self: &Rc<Self>, id: u8) -> bool {
        let Some(fd) = self.shared.listener(id) else {
            return false;
        };
        let siblings = self.shared.siblings.as_ref();
        for turn in 0..TURN {
            let Some(_leave) = self.shared.accept_instead() else {
                return turn > 0;
            };
            if self.shared.descriptors_short()
                || self.is_full()
                || siblings.is_some_and(|s| s.yield_to())
            {
                return turn > 0;
            }
            match socket::accept(fd.as_fd()) {
                Ok((socket, peer)) => self.place(socket, peer, id),
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
                Err(_) => return turn > 0,
            }
        }
        true
    }

    /// This process bounds its connections and has as many as it may.
    fn is_full(&self) -> bool {
        let siblings = self.shared.siblings.as_ref();
        siblings.is_some_and(|s| s.bounds() && s.full())
    }

    /// Who is woken for a new connection.
    fn interest(&self) -> Interest {
        match &self.shared.siblings {
            Some(siblings) if siblings.bounds() => Interest::CommonListener,
            _ => Interest::Listener,
        }
    }

    /// A failing accept is tried again and again; the log hears of it once a second.
    fn say_short(&self, e: Errno) {
        let now = self.now.get();
        let mut accepting = self.accepting.borrow_mut();
        if accepting
            .said
            .is_none_or(|said| now.wrapping_sub(said) >= SAID)
        {
            accepting.said = Some(now);
            tracing::warn!(target: "parkade", "accept: {}; new connections wait, the longest-parked ones are closed", std::io::Error::from(e));
        }
    }

    /// Leaves new connections alone for a moment.
    fn sit_out(&self) {
        self.home.counters.paused.set(1);
        self.pause(PAUSE);
    }

    /// Milliseconds until the lock is tried again; by chance, so that those who wait for it do not keep meeting.
    fn retry(&self) -> u32 {
        RETRY + clock::monotonic_ns() as u32 % (RETRY + 1)
    }

    /// Takes the listeners out for so many milliseconds.
    fn pause(&self, ms: u32) {
        let mut accepting = self.accepting.borrow_mut();
        let again = Some(self.now.get().wrapping_add(ms));
        if std::mem::replace(&mut accepting.paused, again).is_none() {
            for listener in &accepting.listeners {
                let _ = self.home.pollset.delete(listener.fd.as_fd());
            }
        }
    }

    /// Takes the listeners out for a moment and makes room.
    fn relieve(self: &Rc<Self>) {
        self.sit_out();
        if let Some(siblings) = &self.shared.siblings {
            siblings.short(true);
        }
        // An accept fails for want of descriptors even when nobody waits: then nothing need be closed.
        if self.somebody_waits() {
            self.evict();
        }
    }

    /// Whether a listener has a connection that nobody has taken yet.
    fn somebody_waits(&self) -> bool {
        let accepting = self.accepting.borrow();
        accepting
            .listeners
            .iter()
            .any(|l| socket::readable(l.fd.as_fd()))
    }

    /// Closes a few of the longest-parked connections, unless a sibling process still accepts.
    fn evict(self: &Rc<Self>) {
        if self.shared.siblings.as_ref().is_some_and(|s| s.accept()) {
            return;
        }
        let home = Arc::clone(&self.home);
        let mut oldest = [0; EVICTED];
        let parked = |index| {
            let slot = home.slots.slot(index);
            slot.is_some_and(|s| s.state.peek().has(PARKED))
        };
        let books = home.slots.books();
        let found = books.wheel.soonest(&home.slots, &mut oldest, parked);
        drop(books);
        for &index in &oldest[..found] {
            let Some(slot) = home.slots.slot(index) else {
                continue;
            };
            let seen = slot.state.peek();
            if seen.has(PARKED) && slot.state.expire(seen.generation(), home.id).is_some() {
                if self.take_up_if_it_speaks(&home, index, seen.generation()) {
                    continue;
                }
                home.counters.evicted.add(1);
                home.close(index);
            }
        }
    }

    /// Accepts again when descriptors are free.
    #[inline]
    pub(crate) fn resume_accepting(self: &Rc<Self>) {
        if self.accepting.borrow().paused.is_some() {
            self.try_to_resume();
        }
    }

    #[cold]
    fn try_to_resume(self: &Rc<Self>) {
        let now = self.now.get();
        let paused = self.accepting.borrow().paused;
        // The moment must have passed: what made accept fail may not show in any number of ours.
        if paused.is_none_or(|until| before(now, until)) || !self.shared.running() {
            return;
        }
        if self.shared.descriptors_short() {
            return self.relieve();
        }
        let mut accepting = self.accepting.borrow_mut();
        if let Some(siblings) = &self.shared.siblings {
            siblings.short(false);
            if siblings.yield_to() || self.is_full() {
                self.home.counters.paused.set(1);
                accepting.paused = Some(now.wrapping_add(PAUSE));
                return;
            }
        }
        accepting.paused = None;
        self.home.counters.paused.set(0);
        for listener in &mut accepting.listeners {
            // One accept, then the question again: who is still ahead does not take a whole turn.
            listener.since_rotation = TURN - 1;
            let _ = self.home.pollset.add(
                listener.fd.as_fd(),
                LISTENER + u64::from(listener.id),
                self.interest(),
            );
        }
    }

    /// Stops for good: a shared listener must leave the pollset before its descriptor is closed.
    ///
    /// The kernel has told nobody else of a connection that this worker was woken for, in this turn or after its last
    /// look. So what waits is accepted, once no more wakes can come.
    pub(crate) fn stop_accepting(self: &Rc<Self>) {
        let mut accepting = self.accepting.borrow_mut();
        let paused = accepting.paused.take();
        let listeners = std::mem::take(&mut accepting.listeners);
        drop(accepting);
        if paused.is_none() {
            for listener in &listeners {
                let _ = self.home.pollset.delete(listener.fd.as_fd());
            }
        }
        self.take_leave(listeners);
        self.leave();
    }

    /// Listeners that are in no pollset any more are looked at for the last time.
    fn take_leave(self: &Rc<Self>, listeners: Vec<Listening>) {
        if self.shared.accept_lock.is_none() {
            for listener in &listeners {
                self.accept_the_last(listener);
            }
            return;
        }
        let mut accepting = self.accepting.borrow_mut();
        let now = self.now.get();
        accepting.late = now.wrapping_add(LEAVING);
        accepting.leaving.extend(listeners);
        accepting.paused = Some(now);
        drop(accepting);
        self.go_on_leaving();
    }

    /// Tries again to get the lock for the last look. It is not waited for without end: whom the kernel has announced to
    /// this worker alone is worth more than strict turns.
    pub(crate) fn go_on_leaving(self: &Rc<Self>) {
        let now = self.now.get();
        let (paused, late) = {
            let accepting = self.accepting.borrow();
            (accepting.paused, accepting.late)
        };
        if paused.is_none_or(|at| before(now, at)) {
            return;
        }
        let lock = self.shared.accept_lock.as_ref();
        let locked = lock.filter(|lock| lock.try_lock());
        if locked.is_none() && before(now, late) && !self.shared.stop_now() {
            let again = now.wrapping_add(self.retry());
            self.accepting.borrow_mut().paused = Some(again);
            return;
        }
        let listeners = {
            let mut accepting = self.accepting.borrow_mut();
            accepting.paused = None;
            std::mem::take(&mut accepting.leaving)
        };
        for listener in &listeners {
            self.accept_the_last(listener);
        }
        if let Some(lock) = locked {
            lock.unlock();
        }
        self.leave();
        self.home.tell();
    }

    /// Whether no listener waits for its last look.
    pub(crate) fn has_left(&self) -> bool {
        self.accepting.borrow().leaving.is_empty()
    }

    /// Says so, once.
    fn leave(&self) {
        if self.has_left() && !self.left_listeners.replace(true) {
            self.shared.one_has_left();
        }
    }

    fn accept_the_last(self: &Rc<Self>, listener: &Listening) {
        for _ in 0..LAST {
            if self.shared.stop_now() || self.shared.descriptors_short() {
                return;
            }
            match socket::accept(listener.fd.as_fd()) {
                Ok((socket, peer)) => self.place(socket, peer, listener.id),
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
                Err(Errno::AGAIN) => return,
                Err(e) => return self.say_short(e),
            }
        }
    }

    /// Whether this worker's turn in the kernel's wait queue is over; counted anew then.
    fn turn_is_over(&self, id: u8) -> bool {
        let mut accepting = self.accepting.borrow_mut();
        let Some(listener) = accepting.listeners.iter_mut().find(|l| l.id == id) else {
            return false;
        };
        let over = listener.since_rotation >= TURN;
        if over {
            listener.since_rotation = 0;
        }
        over
    }

    /// To the other end of the kernel's wait queue.
    fn rotate(&self, fd: &OwnedFd, id: u8) {
        let _ = self.home.pollset.delete(fd.as_fd());
        let listener = LISTENER + u64::from(id);
        let _ = self.home.pollset.add(fd.as_fd(), listener, self.interest());
    }

    /// Gives a new connection a home: the emptier of two drawn at random, or at the end its own, as others may be gone.
    pub(crate) fn place(self: &Rc<Self>, socket: OwnedFd, peer: std::net::IpAddr, listener: u8) {
        let homes = &self.shared.homes;
        let home: &Home = match homes.len() {
            1 => &homes[0],
            // A reserve's own home is for what tasks have opened.
            _ if !self.shared.running() && self.seat.is_none() => &self.home,
            n => {
                let (a, b) = self.draw(n);
                let (a, b) = (&homes[a], &homes[b]);
                if b.connections.load(Relaxed) < a.connections.load(Relaxed) {
                    b
                } else {
                    a
                }
            }
        };
        let (index, generation) = match home.slots.allocate(socket, peer, listener) {
            Ok(place) => place,
            Err(_full) => {
                tracing::warn!(target: "parkade", "no slot left for a connection ({})", home.slots.capacity());
                return;
            }
        };
        home.connections.fetch_add(1, Relaxed);
        home.counters.accepted.add(1);
        let slot = home.slots.claimed(index);
        let mut patience = self.shared.first_byte(listener, FIRST_BYTE);
        if self.shared.draining() {
            patience = patience.min(LAST_CALL);
        }
        slot.deadline
            .store(self.now.get().wrapping_add(patience), Relaxed);
        // At rest only when it is registered: from then on anybody may take it, and close it.
        slot.state.publish(generation, home.id, ACTIVE);
        if let Err(e) = home.settle(index, generation, SILENT, Registration::New) {
            tracing::error!(target: "parkade", "adding a connection to the pollset: {e}");
            return;
        }
        home.relink(index, generation, self);
    }

    /// Two different numbers below `n` (xorshift: placement needs no better).
    fn draw(&self, n: usize) -> (usize, usize) {
        let mut accepting = self.accepting.borrow_mut();
        let mut x = accepting.random | 1;
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        accepting.random = x;
        let a = x as usize % n;
        let b = (a + 1 + (x >> 16) as usize % (n - 1)) % n;
        (a, b)
    }
}
