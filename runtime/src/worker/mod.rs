//! One worker: the thread that waits for its pollset, runs bursts and tasks, and ticks its wheel.
//!
//! `home` is what others may see of it, `turn` its loop, `dispatch` what an event, a timeout or the end of a burst
//! does to a connection, `rescue` how a neighbour serves the connections of a worker that is stuck. `reserve` is the
//! life of the other threads, `duties` what each of them does, `monitor` how one of them finds workers that are stuck,
//! `steal` how workers share what one of them cannot do alone, `slow` for how long slow handlers are remembered,
//! `coalesce` when one wake may do for several, `calls` how the kernel is asked.

pub(crate) mod calls;
mod coalesce;
mod dispatch;
mod duties;
mod home;
mod monitor;
mod rescue;
pub(crate) mod reserve;
mod slow;
mod steal;
#[cfg(all(test, not(loom)))]
mod tests;
mod turn;

pub(crate) use dispatch::LAST_CALL;
pub(crate) use home::{Home, News, Registration};

use crate::buf::BufferPool;
use crate::net::accept::Accepting;
use crate::net::service::LocalService;
use crate::park::slots::Slot;
use crate::reactor::Event;
use crate::reactor::choice::Backend;
use crate::runtime::Shared;
use crate::time::timers::Timers;
use async_task::Runnable;
use slab::Slab;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;
use std::time::Duration;

/// Work that this worker has given itself.
pub(crate) enum Job {
    /// Poll a spawned task.
    Run(Runnable),
    /// Poll a pending burst.
    Burst { service: u8, cell: u32 },
    /// Start a burst on a claimed connection that has input left.
    Start {
        home: u16,
        index: u32,
        generation: u32,
    },
    /// Go on with an output or a linger of a claimed connection.
    Drive {
        home: u16,
        index: u32,
        generation: u32,
    },
}

/// What belongs to the worker's thread alone.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) home: Arc<Home>,
    /// Which reserve this is, if it is no home worker.
    pub(crate) seat: Option<usize>,
    /// Wrapping milliseconds, read once a turn.
    pub(crate) now: Cell<u32>,
    pub(crate) unix: Cell<u64>,
    pub(crate) pool: BufferPool,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) accepting: RefCell<Accepting>,
    /// One waker per task that was spawned here and has not ended.
    pub(crate) tasks: RefCell<Slab<Waker>>,
    jobs: RefCell<VecDeque<Job>>,
    /// One place per listener.
    services: Box<[OnceCell<Rc<dyn LocalService>>; 256]>,
    waiters: RefCell<Slab<Waiter>>,
    events: RefCell<Vec<Event>>,
    /// The wheel need not be looked at earlier; `None` while it is empty. Kept here so that neither a wait nor a tick
    /// with nothing due takes the lock: what is linked here lowers it, what others link comes as a message, and what
    /// was removed costs one look for nothing.
    next_due: Cell<Option<u32>>,
    /// More than one connection is ready in this turn, and handlers are quick: services may put off what they like.
    pub(crate) crowded: Cell<bool>,
    /// The service that has put something off.
    behind: Cell<Option<u8>>,
    /// When the present bursts began, in nanoseconds.
    bursts_began: Cell<u64>,
    /// Whether there are neighbours that may be told of a backlog; when the present batch began, in nanoseconds.
    shares: bool,
    batch_began: Cell<u64>,
    coalescing: coalesce::Coalescing,
    pub(crate) calls: calls::Calls,
    slowness: Cell<slow::Slowness>,
    /// The end of accepting has come here.
    left_once: Cell<bool>,
    /// It has accepted its last.
    pub(crate) left_listeners: Cell<bool>,
    /// Requests in progress were cut here.
    cut_once: Cell<bool>,
    /// Draining has begun here.
    drained_once: Cell<bool>,
    /// Stuck homes whose connections this worker serves, too.
    helping: RefCell<Vec<rescue::Helped>>,
    /// The last turn of a reserve had something to run.
    ran: Cell<bool>,
    /// Looks in a row that have found nothing but listeners which are not this worker's to accept from.
    fruitless: Cell<u32>,
}

/// What awaits the edges of one connection.
#[derive(Default)]
struct Waiter {
    input: Option<Waker>,
    output: Option<Waker>,
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Input,
    Output,
}

impl Waiter {
    fn side(&mut self, side: Side) -> &mut Option<Waker> {
        match side {
            Side::Input => &mut self.input,
            Side::Output => &mut self.output,
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, home: Arc<Home>) -> Rc<Self> {
        let counts = home.clone();
        let pool = BufferPool::new(shared.free_memory, move |bytes| {
            counts.counters.retained.set(bytes as u64);
        });
        let seat = (home.id as usize).checked_sub(shared.homes.len());
        let coalescing = match seat {
            None => shared.coalescing,
            Some(_) => Duration::ZERO,
        };
        let backend = match seat {
            None => shared.backend,
            // What others have left is served connection by connection.
            Some(_) => Backend::Epoll,
        };
        let calls = calls::Calls::new(backend, &shared.fell_back);
        let shares = shared.stealing && seat.is_none() && shared.homes.len() > 1;
        let worker = Rc::new(Self {
            shared,
            home,
            seat,
            now: Cell::new(0),
            unix: Cell::new(0),
            pool,
            timers: RefCell::default(),
            accepting: RefCell::default(),
            tasks: RefCell::default(),
            jobs: RefCell::default(),
            services: Box::new([const { OnceCell::new() }; 256]),
            waiters: RefCell::default(),
            events: RefCell::new(Vec::with_capacity(crate::reactor::BATCH)),
            next_due: Cell::new(None),
            crowded: Cell::new(false),
            behind: Cell::new(None),
            bursts_began: Cell::new(0),
            shares,
            batch_began: Cell::new(0),
            coalescing: coalesce::Coalescing::new(coalescing),
            calls,
            slowness: Cell::default(),
            left_once: Cell::new(false),
            left_listeners: Cell::new(false),
            cut_once: Cell::new(false),
            drained_once: Cell::new(false),
            helping: RefCell::default(),
            ran: Cell::new(false),
            fruitless: Cell::new(0),
        });
        worker.read_clocks();
        worker
    }

    /// The worker of this thread.
    pub(crate) fn current() -> Option<Rc<Self>> {
        CURRENT.try_with(|c| c.borrow().clone()).ok().flatten()
    }

    /// Runs `f` if this thread is the worker of `home`.
    pub(crate) fn on(home: &Arc<Home>, f: impl FnOnce(&Worker)) -> bool {
        CURRENT
            .try_with(|current| match &*current.borrow() {
                Some(worker) if Arc::ptr_eq(&worker.home, home) => {
                    f(worker);
                    true
                }
                _ => false,
            })
            .unwrap_or(false)
    }

    /// Makes `worker` the one of this thread.
    pub(crate) fn enter(worker: &Rc<Self>) -> Entered {
        CURRENT.set(Some(worker.clone()));
        Entered(())
    }

    pub(crate) fn queue(&self, job: Job) {
        self.jobs.borrow_mut().push_back(job);
    }

    /// This worker's side of a listener's service, made when its first connection comes.
    pub(crate) fn service(&self, id: u8) -> Option<&dyn LocalService> {
        let place = &self.services[id as usize];
        match place.get() {
            Some(service) => Some(&**service),
            None => self.localise(id, place),
        }
    }

    #[cold]
    fn localise<'a>(
        &self,
        id: u8,
        place: &'a OnceCell<Rc<dyn LocalService>>,
    ) -> Option<&'a dyn LocalService> {
        let service = self.shared.service(id)?.localise(id, self.home.clone());
        Some(&**place.get_or_init(|| service))
    }

    /// Registers `waker` as what an edge of `slot` wakes, and says under which key.
    pub(crate) fn waiter(&self, slot: &Slot, waker: &Waker, side: Side) -> u32 {
        let mut waiters = self.waiters.borrow_mut();
        if let Some(key) = slot.waiter.load(Relaxed).checked_sub(1)
            && let Some(waiter) = waiters.get_mut(key as usize)
        {
            match waiter.side(side) {
                Some(old) => old.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
            return key;
        }
        let mut waiter = Waiter::default();
        *waiter.side(side) = Some(waker.clone());
        waiters.insert(waiter) as u32
    }

    /// Which sides of `slot` are waited for: input, output.
    pub(crate) fn awaits(&self, slot: &Slot) -> (bool, bool) {
        let waiters = self.waiters.borrow();
        let key = slot.waiter.load(Relaxed).checked_sub(1);
        let waiter = key.and_then(|key| waiters.get(key as usize));
        waiter.map_or((false, false), |w| (w.input.is_some(), w.output.is_some()))
    }

    /// The burst of `slot` is over.
    #[inline]
    pub(crate) fn forget_waiter(&self, slot: &Slot) {
        if let Some(key) = slot.waiter.load(Relaxed).checked_sub(1) {
            self.remove_waiter(key);
            slot.waiter.store(0, Relaxed);
        }
    }

    #[cold]
    fn remove_waiter(&self, key: u32) {
        self.waiters.borrow_mut().try_remove(key as usize);
    }

    /// Wakes; a waker may be anybody's, so its panic must not end the worker.
    fn wake(&self, waker: Waker) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            self.home.counters.panics.add(1);
            tracing::error!(target: "parkade", "a waker panicked: {}", crate::executor::burst::describe(panic.as_ref()));
        }
    }

    /// Wakes both sides: whichever has nothing to do waits on, and says so again.
    fn wake_waiter(&self, key: u32) {
        let mut waiters = self.waiters.borrow_mut();
        let waiter = waiters.get_mut(key as usize).map(std::mem::take);
        drop(waiters);
        if let Some(Waiter { input, output }) = waiter {
            if let Some(output) = output.filter(|o| input.as_ref().is_none_or(|i| !i.will_wake(o)))
            {
                self.wake(output);
            }
            if let Some(input) = input {
                self.wake(input);
            }
        }
    }

    /// Wakes whatever waits for an edge: draining has begun, and idling ends with it.
    fn wake_waiters(&self) {
        let keys: Vec<usize> = self.waiters.borrow().iter().map(|(key, _)| key).collect();
        for key in keys {
            self.wake_waiter(key as u32);
        }
    }
}

/// While it lives, its thread has a worker.
pub(crate) struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}
