//! How a neighbour serves the connections of a worker that is stuck in one poll of a task.
//!
//! The neighbour takes the harvest word, drains at most one batch with timeout 0, gives the word back, and serves
//! what it can claim; what the stuck worker had already taken out of the kernel it reads from the published batch.
//! Connections keep their home, so parking them again costs no system call.

use super::{Home, Worker};
use crate::reactor::{Event, LISTENER, WAKE};
use std::rc::Rc;
use std::time::Duration;

impl Worker {
    #[cfg_attr(
        any(loom, not(test)),
        allow(dead_code, reason = "for the monitor, which is not built yet")
    )]
    /// Serves what waits at `home`; returns how many events there were. Zero if its owner is not busy.
    pub(crate) fn rescue(self: &Rc<Self>, home: &Home) -> usize {
        let mut events: Vec<Event> = Vec::with_capacity(crate::reactor::BATCH);
        if !home.harvest.try_harvest(self.home.id) {
            return 0;
        }
        let waited = home.pollset.wait(&mut events, Some(Duration::ZERO));
        home.harvest.release();
        if waited.is_err() {
            events.clear();
        }
        // A wake is meant for the owner: it must not be swallowed. A listener is level-triggered and comes again.
        if events.iter().any(|e| e.token == WAKE) {
            home.pollset.wake();
        }
        let mut hostages = Vec::new();
        home.batch.snapshot(&mut hostages);
        events.extend(hostages);
        events.retain(|e| e.token != WAKE && e.token >> 16 != LISTENER >> 16);
        self.read_clocks();
        for event in &events {
            self.ready(home, *event);
        }
        self.home.counters.rescued.add(events.len() as u64);
        events.len()
    }
}
