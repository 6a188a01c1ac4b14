//! How a neighbour serves the connections of a worker that is stuck in one poll of a task.
//!
//! The stuck worker's pollset becomes a member of the neighbour's own, level-triggered, so the neighbour sleeps until
//! there is something to do. Events are taken out one at a time: the harvest word, one event, the word back, and only
//! then the claim and the handler. So a neighbour that gets stuck itself holds nothing back. What the stuck worker had
//! already taken out of the kernel is read once from its published batch. Connections keep their home, so parking them
//! again costs no system call; a future that has been started stays where it is.

use super::{Home, Worker};
use crate::park::harvest::Refused;
use crate::reactor::{BATCH, Event, Interest, LISTENER, STUCK, WAKE, is_listener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// So many unwanted listener events end a round, for they come again and again.
const LISTENERS: u32 = 4;
/// After so many rounds that found nothing else the neighbour naps. Whoever accepts takes microseconds.
const FRUITLESS: u32 = 8;
const NAP: Duration = Duration::from_millis(1);

/// A home that is helped, for as long as its owner stays in the turn in which it was found stuck.
#[derive(Clone, Copy)]
pub(super) struct Helped {
    home: u16,
    turn: u64,
}

/// What a look into a stuck worker's pollset found.
enum Found {
    Event(Event),
    Nothing,
    /// The owner has moved on: no more help is needed.
    Moved,
}

impl Worker {
    /// Serves, from now on, what waits at a home that was found stuck in `turn`.
    #[cold]
    pub(crate) fn help(self: &Rc<Self>, id: u16, turn: u64) {
        let Some(home) = self.shared.homes.get(id as usize).map(Arc::clone) else {
            return;
        };
        if !stuck_in(&home, turn) {
            return;
        }
        let mut helping = self.helping.borrow_mut();
        match helping.iter_mut().find(|h| h.home == id) {
            Some(helped) => helped.turn = turn,
            None => {
                helping.push(Helped { home: id, turn });
                if let Some(theirs) = home.pollset.descriptor() {
                    let token = STUCK + u64::from(id);
                    if let Err(e) = self.home.pollset.add(theirs, token, Interest::Pollset) {
                        tracing::error!(target: "parkade", "worker {}: watching worker {id}: {e}", self.home.id);
                    }
                }
            }
        }
        drop(helping);
        home.stuck.store(true, std::sync::atomic::Ordering::Relaxed);
        tracing::debug!(target: "parkade", "worker {id} is stuck, worker {} helps", self.home.id);
        self.serve_hostages(&home, turn);
        self.rescue(&home, turn);
    }

    /// An event that belongs to no slot: a stuck neighbour's pollset has something.
    #[cold]
    #[inline(never)]
    pub(super) fn ready_neighbour(self: &Rc<Self>, event: Event) {
        if event.token >> 16 != STUCK >> 16 {
            return;
        }
        let id = (event.token - STUCK) as u16;
        let helped = self.helping.borrow().iter().find(|h| h.home == id).copied();
        if let Some(Helped { turn, .. }) = helped {
            let home = Arc::clone(&self.shared.homes[id as usize]);
            self.rescue(&home, turn);
        }
    }

    /// What the stuck worker has taken out of the kernel and not got to yet.
    fn serve_hostages(self: &Rc<Self>, home: &Home, turn: u64) {
        let mut hostages = Vec::new();
        home.batch.snapshot(&mut hostages);
        for event in hostages {
            if !stuck_in(home, turn) {
                return;
            }
            // Whoever has it is told by the stuck worker, later: it would only look once more for nothing.
            let slot = home.slots.slot(event.token as u32);
            if slot.is_some_and(|s| s.state.peek().at_rest()) {
                self.serve_one(home, event);
            }
        }
    }

    /// Serves what waits at a stuck `home`, at most a batch.
    fn rescue(self: &Rc<Self>, home: &Home, turn: u64) {
        // Put off, an answer would wait for the next handler.
        let crowded = self.crowded.replace(false);
        let mut listeners = 0;
        let mut served = false;
        for _ in 0..BATCH {
            match self.take_one(home, turn) {
                Found::Event(event) if is_listener(event.token) => {
                    let id = (event.token - LISTENER) as u8;
                    if self.helps_all() && self.accept_instead(id) {
                        served = true;
                    } else {
                        listeners += 1;
                        if listeners == LISTENERS {
                            break;
                        }
                    }
                }
                Found::Event(event) => {
                    served = true;
                    self.serve_one(home, event);
                    if !self.jobs.borrow().is_empty() {
                        break;
                    }
                }
                Found::Nothing => break,
                Found::Moved => {
                    self.leave_alone(home);
                    break;
                }
            }
        }
        self.crowded.set(crowded);
        if served || listeners == 0 {
            self.fruitless.set(0);
        } else {
            self.fruitless.set(self.fruitless.get() + 1);
            if self.fruitless.get() >= FRUITLESS {
                std::thread::sleep(NAP);
            }
        }
    }

    /// A handler may take its time: the clock is read anew, and the monitor sees that this worker gets on.
    #[inline(never)]
    fn serve_one(self: &Rc<Self>, home: &Home, event: Event) {
        self.read_clocks();
        home.counters.rescued.add(1);
        self.ready(home, event);
        self.home.harvest.next_turn();
    }

    fn take_one(&self, home: &Home, turn: u64) -> Found {
        loop {
            let harvest = match home.harvest.try_harvest(self.home.id, turn) {
                Ok(harvest) => harvest,
                Err(Refused::Moved) => return Found::Moved,
                // It is level-triggered: what is left is reported again.
                Err(Refused::Taken) => return Found::Nothing,
            };
            let taken = home.pollset.take();
            // A wake is meant for the owner: it must not be swallowed.
            let wake = matches!(&taken, Ok(Some(event)) if event.token == WAKE);
            home.harvest.release(harvest, wake);
            match taken {
                Ok(Some(_)) if wake => {}
                Ok(Some(event)) => return Found::Event(event),
                Ok(None) | Err(_) => return Found::Nothing,
            }
        }
    }

    /// The owner has moved on.
    fn leave_alone(&self, home: &Home) {
        self.helping.borrow_mut().retain(|h| h.home != home.id);
        if let Some(theirs) = home.pollset.descriptor() {
            let _ = self.home.pollset.delete(theirs);
        }
    }

    /// Whether no home is left that could accept.
    fn helps_all(&self) -> bool {
        let helping = self.helping.borrow();
        let homes = &self.shared.homes;
        helping.len() == homes.len()
            && helping
                .iter()
                .all(|h| stuck_in(&homes[h.home as usize], h.turn))
    }
}

fn stuck_in(home: &Home, turn: u64) -> bool {
    let look = home.harvest.look();
    look.busy() && look.turn() == turn
}

#[cfg(all(test, not(loom)))]
mod tests;
