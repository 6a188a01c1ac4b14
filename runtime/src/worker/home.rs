//! What a home worker shares with the others: its pollset, its slots and its inbox.

use crate::executor::flags::Ended;
use crate::executor::inbox::{Inbox, Message};
use crate::metrics::{Counter, Place, WorkerCounters, WorkerMetrics};
use crate::net::next::{Carry, Output, Rare, Then};
use crate::net::written::Written;
use crate::park::batch::Batch;
use crate::park::harvest::HarvestWord;
use crate::park::slots::{Cold, Slot, SlotStore};
use crate::park::state::{OUT_ARMED, PARKED, RDHUP, READY, Rest, UNPARK, WREADY, WRITING};
use crate::park::wheel::before;
use crate::reactor::{Interest, Pollset, token};
use crate::worker::Worker;
use slab::Slab;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Told when a connection comes to rest or ends while the connections are given to another process.
pub(crate) type News = Arc<dyn Fn() + Send + Sync>;

/// What the pollset knows of a connection that is to be laid to rest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    /// Nothing.
    New,
    /// It was registered before, and edges may have been missed.
    Renewed,
}

/// A home worker, as every thread may see it.
pub(crate) struct Home {
    pub(crate) id: u16,
    pub(crate) pollset: Box<dyn Pollset>,
    /// The pollset has to be asked for each event of a connection.
    one_shot: bool,
    pub(crate) harvest: HarvestWord,
    pub(crate) slots: SlotStore,
    pub(crate) inbox: Inbox,
    pub(crate) batch: Batch,
    pub(crate) counters: Place,
    /// Connections in the slots; placement compares it, nothing depends on it.
    pub(crate) connections: AtomicU32,
    /// Until when the owner may sleep in its wait; a foreign link that is due earlier must tell it.
    pub(crate) sleeps_until: AtomicU32,
    /// Its worker has ended and takes no more messages.
    pub(crate) ended: Ended,
    /// Its owner ends with its last connection, which may end elsewhere.
    pub(crate) ends: AtomicBool,
    /// Bursts that a neighbour with nothing to do has started.
    pub(crate) stolen: Counter,
    /// A neighbour had to help since its worker looked here last.
    pub(crate) stuck: AtomicBool,
    /// Where the next search for parked connections begins.
    pub(crate) searched: AtomicU32,
    /// Set once, when the runtime begins to hand over.
    pub(crate) news: OnceLock<News>,
    rare: Mutex<Slab<Rare>>,
}

impl Home {
    pub(crate) fn new(
        id: u16,
        pollset: Box<dyn Pollset>,
        capacity: u32,
        now: u32,
        counters: Option<&'static WorkerCounters>,
    ) -> io::Result<Self> {
        Ok(Self {
            id,
            one_shot: pollset.is_one_shot(),
            pollset,
            harvest: HarvestWord::new(),
            slots: SlotStore::new(capacity, now)?,
            inbox: Inbox::default(),
            batch: Batch::default(),
            counters: Place::new(counters),
            connections: AtomicU32::new(0),
            // Until its first look the owner knows of nothing: every foreign link must tell it.
            sleeps_until: AtomicU32::new(now.wrapping_add(i32::MAX as u32)),
            ended: Ended::new(),
            ends: AtomicBool::new(false),
            stolen: Counter::zero(),
            stuck: AtomicBool::new(false),
            searched: AtomicU32::new(0),
            news: OnceLock::new(),
            rare: Mutex::default(),
        })
    }

    /// Hands the worker something and wakes it if it may be asleep.
    pub(crate) fn post(&self, message: Message) {
        self.inbox.push(message);
        if self.harvest.must_wake() {
            self.pollset.wake();
        }
    }

    /// Ends a connection that the caller has claimed.
    pub(crate) fn close(&self, index: u32) {
        self.drop_rare(self.slots.claimed_cold(index));
        drop(self.slots.release(index));
        self.one_less();
        self.tell();
    }

    /// Ends a connection whose MOVING slot the caller holds, from any thread.
    pub(crate) fn forget(&self, index: u32) {
        self.drop_rare(self.slots.claimed_cold(index));
        drop(self.slots.release(index));
        self.one_less();
    }

    /// A connection is gone. An owner that ends with its last one may sleep.
    fn one_less(&self) {
        self.counters.closed.add(1);
        let last = self.connections.fetch_sub(1, Ordering::SeqCst) == 1;
        // Pairs with the owner's look at the connections: one of the two sees what the other has done.
        if last && self.ends.load(Ordering::SeqCst) {
            self.post(Message::Due);
        }
    }

    pub(crate) fn metrics(&self) -> WorkerMetrics {
        WorkerMetrics {
            stolen: self.stolen.get(),
            ..self.counters.read()
        }
    }

    /// A connection has come to rest, or has ended.
    pub(crate) fn tell(&self) {
        if let Some(news) = self.news.get() {
            news();
        }
    }

    /// Registers a connection that the caller has claimed and lays it to rest, with `silent` or not. From any thread: an
    /// edge that comes in between is asked for again, so whoever harvests it then finds the connection at rest. Says
    /// whether somebody has asked for a burst meanwhile.
    ///
    /// # Errors
    /// The kernel's; the connection is closed.
    pub(crate) fn settle(
        &self,
        index: u32,
        generation: u32,
        silent: u64,
        mut how: Registration,
    ) -> io::Result<bool> {
        let slot = self.slots.claimed(index);
        let token = token(generation, index);
        let mut asked = false;
        loop {
            let registered = match how {
                Registration::New => self.pollset.add(slot.fd(), token, Interest::Connection),
                Registration::Renewed => {
                    self.pollset.modify(slot.fd(), token, Interest::Connection)
                }
            };
            if let Err(e) = registered {
                self.close(index);
                return Err(e);
            }
            match slot.state.rest(PARKED | silent, READY | RDHUP | UNPARK) {
                Rest::Resting => return Ok(asked),
                Rest::Again(seen) => {
                    asked |= seen.has(UNPARK);
                    slot.state.mark(0, READY | WREADY | RDHUP);
                }
            };
            how = Registration::Renewed;
        }
    }

    /// Lays a claimed connection to rest, see [`StateWord::rest`](crate::park::state::StateWord::rest).
    #[inline(always)]
    pub(crate) fn rest(&self, index: u32, generation: u32, kind: u64, unless: u64) -> Rest {
        if self.one_shot {
            // Before: from its rest on it is anybody's. What comes in between makes it rest again.
            self.ask_again(
                index,
                generation,
                match kind {
                    WRITING => Interest::Output,
                    _ => Interest::Connection,
                },
            );
        }
        self.slots.claimed(index).state.rest(kind, unless)
    }

    /// A task is about to await edges of a claimed connection: output, or input with output or without.
    #[cold]
    pub(crate) fn ask_for(&self, index: u32, generation: u32, input: bool, output: bool) {
        let interest = match (input, output) {
            (false, _) => Interest::Output,
            (true, true) => Interest::ConnectionOut,
            (true, false) => Interest::Connection,
        };
        self.ask_again(index, generation, interest);
    }

    /// Whether each event has to be asked for.
    #[inline]
    pub(crate) fn is_one_shot(&self) -> bool {
        self.one_shot
    }

    #[cold]
    fn ask_again(&self, index: u32, generation: u32, interest: Interest) {
        let fd = self.slots.claimed(index).fd();
        if let Err(e) = self.pollset.modify(fd, token(generation, index), interest) {
            tracing::error!(target: "parkade", "asking the pollset for a connection's next event: {e}");
        }
    }

    /// [`Home::relink`] from a thread that is no worker.
    pub(crate) fn relink_from_outside(&self, index: u32, generation: u32, now: u32) {
        if let Some(due) = self.slots.link(index, generation, now, true) {
            self.tell_due(due);
        }
    }

    /// A sleeping owner must know of an earlier deadline.
    fn tell_due(&self, due: u32) {
        if before(due, self.sleeps_until.load(Ordering::Relaxed)) {
            // A message, not a bare wake: the owner may have read its next deadline and not be asleep yet.
            self.post(Message::Due);
        }
    }

    /// After a deadline was stored: the wheel looks in time, and a sleeping home wakes in time.
    #[inline]
    pub(crate) fn relink(&self, index: u32, generation: u32, worker: &Worker) {
        let foreign = worker.home.id != self.id;
        let Some(due) = self
            .slots
            .link(index, generation, worker.now.get(), foreign)
        else {
            return;
        };
        if !foreign {
            worker.looks_by(due);
        } else {
            self.tell_due(due);
        }
    }

    /// Asks for output edges from now on. Done once: a MOD looks at readiness again, so no edge is lost.
    pub(crate) fn arm_output(&self, slot: &Slot, generation: u32, index: u32) -> io::Result<()> {
        if slot.state.peek().has(OUT_ARMED) {
            return Ok(());
        }
        slot.state.mark(OUT_ARMED, 0);
        self.pollset
            .modify(slot.fd(), token(generation, index), Interest::ConnectionOut)
    }

    /// The rare part of a claimed connection, made if it has none.
    pub(crate) fn with_rare<T>(&self, cold: &Cold, f: impl FnOnce(&mut Rare) -> T) -> T {
        let mut all = self.rare.lock().unwrap_or_else(PoisonError::into_inner);
        match cold.rare().and_then(|key| all.get_mut(key)) {
            Some(rare) => f(rare),
            None => {
                let mut rare = Rare::default();
                let out = f(&mut rare);
                cold.set_rare(Some(all.insert(rare)));
                out
            }
        }
    }

    /// Takes the rare part apart: whatever `f` leaves empty is given back.
    fn take_rare<T>(&self, cold: &Cold, f: impl FnOnce(&mut Rare) -> Option<T>) -> Option<T> {
        let key = cold.rare()?;
        let mut all = self.rare.lock().unwrap_or_else(PoisonError::into_inner);
        let rare = all.get_mut(key)?;
        let out = f(rare);
        if rare.carry.is_none() && rare.writing.is_none() && rare.written.is_none() {
            all.remove(key);
            cold.set_rare(None);
            if all.is_empty() {
                all.shrink_to_fit();
            }
        }
        out
    }

    /// Bytes of the carry.
    pub(crate) fn carry_len(&self, cold: &Cold) -> usize {
        let Some(key) = cold.rare() else { return 0 };
        let all = self.rare.lock().unwrap_or_else(PoisonError::into_inner);
        let carry = all.get(key).and_then(|rare| rare.carry.as_ref());
        carry.map_or(0, |carry| carry.bytes.len())
    }

    pub(crate) fn take_carry(&self, cold: &Cold) -> Option<Carry> {
        self.take_rare(cold, |rare| rare.carry.take())
    }

    pub(crate) fn take_writing(&self, cold: &Cold) -> Option<(Output, Then)> {
        self.take_rare(cold, |rare| rare.writing.take())
    }

    pub(crate) fn take_written(&self, cold: &Cold) -> Option<Written> {
        self.take_rare(cold, |rare| rare.written.take())
    }

    /// Gives the rare part back, if there is one.
    pub(crate) fn drop_rare(&self, cold: &Cold) {
        if cold.rare().is_some() {
            // Dropped outside the lock: somebody may hear of it.
            drop(self.take_rare(cold, |rare| Some(std::mem::take(rare))));
        }
    }
}
