//! Letting connections in.
//!
//! Listeners are level-triggered and exclusive. A woken worker accepts at most 16, before it runs any handler, and
//! adds each socket straight to the pollset of its home, which need not be woken for it. After 16 accepts it takes
//! the listener out and puts it back, so that the kernel's wait queue rotates and no process gets everything.

use crate::park::state::PARKED;
use crate::reactor::{Interest, LISTENER, token};
use crate::sys::socket;
use crate::worker::{Home, Worker};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Accepts at most in one go, and per turn in the wait queue.
const TURN: u32 = 16;
/// How long a worker that ran out of descriptors leaves its listeners alone before it looks again.
const PAUSE: Duration = Duration::from_millis(50);
/// A new connection may be silent so long unless its service's listener says otherwise.
const FIRST_BYTE: u32 = 60_000;
/// Longest-parked connections closed at once when descriptors run out.
const EVICTED: usize = 8;

/// The listeners of one worker.
#[derive(Default)]
pub(crate) struct Accepting {
    listeners: Vec<Listening>,
    paused: bool,
    random: u32,
}

struct Listening {
    id: u8,
    fd: Arc<OwnedFd>,
    since_rotation: u32,
}

impl Accepting {
    /// The longest sleep while accepting is paused.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.paused.then_some(PAUSE)
    }
}

impl Worker {
    /// Starts to accept from a listener.
    pub(crate) fn listen(self: &Rc<Self>, id: u8, listener: &Arc<OwnedFd>) {
        let added = self.home.pollset.add(
            listener.as_fd(),
            LISTENER + u64::from(id),
            Interest::Listener,
        );
        if let Err(e) = added {
            tracing::error!(target: "parkade", "worker {}: adding a listener: {e}", self.home.id);
        }
        self.accepting.borrow_mut().listeners.push(Listening {
            id,
            fd: listener.clone(),
            since_rotation: 0,
        });
    }

    /// A listener has connections.
    pub(crate) fn accept(self: &Rc<Self>, id: u8) {
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
        for _ in 0..TURN {
            if self.shared.draining() {
                return;
            }
            match socket::accept(fd.as_fd()) {
                Ok((socket, peer)) => {
                    self.place(socket, peer, id);
                    self.rotate(id);
                }
                Err(Errno::AGAIN) => return,
                // The client has gone again, or a signal came: the next one.
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
                Err(e @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS)) => {
                    tracing::warn!(target: "parkade", "accept: {}; the longest-parked connections are closed", std::io::Error::from(e));
                    self.relieve();
                    return;
                }
                Err(e) => {
                    tracing::error!(target: "parkade", "accept: {}", std::io::Error::from(e));
                    self.relieve();
                    return;
                }
            }
            if self.shared.descriptors_short() {
                self.relieve();
                return;
            }
        }
    }

    /// Takes the listeners out for a moment and makes room.
    fn relieve(self: &Rc<Self>) {
        {
            let mut accepting = self.accepting.borrow_mut();
            if !accepting.paused {
                accepting.paused = true;
                for listener in &accepting.listeners {
                    let _ = self.home.pollset.delete(listener.fd.as_fd());
                }
            }
        }
        self.evict();
    }

    /// Closes a few of the longest-parked connections, unless a sibling process still accepts.
    fn evict(self: &Rc<Self>) {
        if self.shared.siblings_accept() {
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
                home.counters.evicted.add(1);
                home.close(index);
            }
        }
    }

    /// Accepts again when descriptors are free.
    pub(crate) fn resume_accepting(&self) {
        let mut accepting = self.accepting.borrow_mut();
        if !accepting.paused || self.shared.descriptors_short() || self.shared.draining() {
            return;
        }
        accepting.paused = false;
        for listener in &accepting.listeners {
            let _ = self.home.pollset.add(
                listener.fd.as_fd(),
                LISTENER + u64::from(listener.id),
                Interest::Listener,
            );
        }
    }

    /// Stops for good: a shared listener must leave the pollset before its descriptor is closed.
    pub(crate) fn stop_accepting(&self) {
        let mut accepting = self.accepting.borrow_mut();
        let paused = accepting.paused;
        for listener in accepting.listeners.drain(..) {
            if !paused {
                let _ = self.home.pollset.delete(listener.fd.as_fd());
            }
        }
    }

    fn rotate(&self, id: u8) {
        let mut accepting = self.accepting.borrow_mut();
        let Some(listener) = accepting.listeners.iter_mut().find(|l| l.id == id) else {
            return;
        };
        listener.since_rotation += 1;
        if listener.since_rotation >= TURN {
            listener.since_rotation = 0;
            let _ = self.home.pollset.delete(listener.fd.as_fd());
            let _ = self.home.pollset.add(
                listener.fd.as_fd(),
                LISTENER + u64::from(id),
                Interest::Listener,
            );
        }
    }

    /// Gives a new connection a home: the emptier of two drawn at random.
    pub(crate) fn place(self: &Rc<Self>, socket: OwnedFd, peer: std::net::IpAddr, listener: u8) {
        let homes = &self.shared.homes;
        let home: &Home = match homes.len() {
            1 => &homes[0],
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
        slot.deadline.store(
            self.now
                .get()
                .wrapping_add(self.shared.first_byte(listener, FIRST_BYTE)),
            Relaxed,
        );
        // Parked from the first moment; an edge may be harvested before ADD returns.
        slot.state.publish(generation, home.id, PARKED);
        let fd = slot.fd();
        if let Err(e) = home
            .pollset
            .add(fd, token(generation, index), Interest::Connection)
        {
            tracing::error!(target: "parkade", "adding a connection to the pollset: {e}");
            if slot.state.expire(generation, self.home.id).is_some() {
                home.close(index);
            }
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
