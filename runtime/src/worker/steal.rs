//! How a worker with nothing to do serves connections of one that has more to do than it can.
//!
//! After the first, the second, the fourth … burst of a batch its owner looks at the clock. If what is left takes so long
//! that waking somebody is worth it, it tells one neighbour that waits for events. That one takes events from the end of the
//! published batch, one at a time, for as long as the owner is in the same turn; the owner passes over those. Connections
//! keep their home, so parking them again costs no system call, and a future that was started stays where it is.

use super::Worker;
use crate::executor::inbox::Message;
use crate::park::harvest::Look;
use crate::sys::clock;
use std::rc::Rc;
use std::sync::Arc;

/// What is left of a batch is shared if it takes longer: the neighbour has to be woken, and what is served elsewhere moves
/// cache lines. What it is worth is measured (benches/RESULTS.md, skew).
const BACKLOG_NS: u64 = 100_000;
/// Connections of a neighbour that are served between two looks at one's own.
const AT_ONCE: usize = 4;

impl Worker {
    /// A batch of several events begins.
    #[inline]
    pub(super) fn begin_batch(&self) {
        if self.shares {
            self.batch_began.set(clock::monotonic_ns());
        }
    }

    /// `done` of `all` events of this batch have been dealt with: a look at the clock, as often as they double.
    #[inline]
    pub(super) fn share(&self, done: usize, all: usize) {
        if done.is_power_of_two() {
            self.share_now(done, all);
        }
    }

    /// The same, whatever the number.
    #[inline]
    pub(super) fn share_now(&self, done: usize, all: usize) {
        if self.shares && 0 < done && done < all {
            self.share_what_is_left(done as u64, (all - done) as u64);
        }
    }

    fn share_what_is_left(&self, done: u64, left: u64) {
        let took = clock::monotonic_ns() - self.batch_began.get();
        if took * left / done < BACKLOG_NS || !self.shared.running() {
            return;
        }
        let homes = &self.shared.homes;
        let me = self.home.id as usize;
        // Who has been told already is awake, or has a message.
        let others = homes.iter().cycle().skip(me + 1).take(homes.len() - 1);
        let sleeps = |look: Look| !look.busy();
        if let Some(idle) = { others }.find(|h| sleeps(h.harvest.look()) && h.inbox.is_empty()) {
            idle.post(Message::Steal {
                home: self.home.id,
                turn: self.home.harvest.look().turn(),
            });
        }
    }

    /// Serves what a neighbour has not got to in `turn`, a little at a time.
    #[cold]
    pub(super) fn steal(self: &Rc<Self>, id: u16, turn: u64) {
        let Some(home) = self.shared.homes.get(id as usize).map(Arc::clone) else {
            return;
        };
        // Put off, an answer would wait for the next handler.
        let crowded = self.crowded.replace(false);
        let mut more = true;
        for _ in 0..AT_ONCE {
            let look = home.harvest.look();
            more = look.busy() && look.turn() == turn && self.shared.running();
            let Some(event) = more.then(|| home.batch.take_last()).flatten() else {
                more = false;
                break;
            };
            home.stolen.add(1);
            self.read_clocks();
            self.ready(&home, event);
        }
        self.crowded.set(crowded);
        if more {
            // After a look at its own connections.
            self.home.post(Message::Steal { home: id, turn });
        }
    }
}
