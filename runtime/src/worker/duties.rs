//! Who does what among the reserves: decided here, under one lock; slept and woken elsewhere.
//!
//! Every method says whom to wake, and that is done when the lock is free. A reserve that is told to rest is in `idle`
//! before it sleeps, and a wake that comes before its sleep is kept (a thread's token, or a pollset's descriptor): so what
//! is handed over is always found by somebody who is awake.

use std::collections::VecDeque;

/// Workers have numbers of twelve bits, and at most 1,024 of them are homes: reserves beyond this only do what blocks.
pub(super) const HELPERS: usize = 3_000;

/// What a reserve does next.
#[derive(Debug)]
pub(super) enum Duty<W> {
    Work(W),
    Watch,
    Rest,
    End,
}

pub(super) struct Duties<W> {
    waiting: VecDeque<W>,
    closed: bool,
    pub(super) threads: usize,
    /// Reserves that sleep and may be woken for anything.
    idle: Vec<usize>,
    /// Who has the monitor's duty.
    monitor: Option<usize>,
}

impl<W> Default for Duties<W> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            closed: false,
            threads: 0,
            idle: Vec::new(),
            monitor: None,
        }
    }
}

impl<W> Duties<W> {
    pub(super) fn monitor(&self) -> Option<usize> {
        self.monitor
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Takes the monitor's duty from whoever has it; says who has it now, and is to be woken.
    fn hand_on(&mut self) -> Option<usize> {
        let next = self.idle.iter().rposition(|seat| *seat < HELPERS);
        self.monitor = next.map(|at| self.idle.swap_remove(at));
        self.monitor
    }

    /// Hands work over; gives it back if there is no thread to do it.
    pub(super) fn submit(&mut self, work: W) -> Result<Option<usize>, W> {
        if self.threads == 0 || self.closed {
            return Err(work);
        }
        self.waiting.push_back(work);
        // If nobody sleeps: a helper takes it between two turns.
        Ok(self.idle.pop().or(self.monitor))
    }

    /// For a thread that is awake.
    pub(super) fn next(&mut self, seat: usize) -> (Duty<W>, Option<usize>) {
        if let Some(work) = self.waiting.pop_front() {
            let monitor = match self.monitor == Some(seat) {
                true => self.hand_on(),
                false => None,
            };
            return (Duty::Work(work), monitor);
        }
        if self.closed {
            return (Duty::End, None);
        }
        if seat < HELPERS && self.monitor.is_none_or(|monitor| monitor == seat) {
            self.monitor = Some(seat);
            return (Duty::Watch, None);
        }
        self.idle.push(seat);
        (Duty::Rest, None)
    }

    /// A sleep is over. `runs`: handlers are about to run here, which may take their time.
    pub(super) fn awake(&mut self, seat: usize, runs: bool) -> Option<usize> {
        let was_idle = self.idle.iter().position(|idle| *idle == seat);
        if let Some(at) = was_idle {
            self.idle.swap_remove(at);
        }
        if runs && self.monitor == Some(seat) {
            self.hand_on()
        } else if runs && was_idle.is_none() && !self.waiting.is_empty() {
            // It was woken for that.
            self.idle.pop().or(self.monitor)
        } else {
            None
        }
    }
}

#[cfg(all(test, loom))]
mod models;
