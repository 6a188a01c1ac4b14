//! The threads that are no home workers: they do what blocks, watch the home workers, and help those that are stuck.
//!
//! A reserve that has nothing to do sleeps at no cost. One of them holds the monitor's duty. A reserve becomes a worker
//! when it helps for the first time: what it starts belongs to it, so it has an inbox, timers and a pollset of its own,
//! in which it sleeps from then on.

use super::duties::{Duties, Duty};
use super::monitor::{Plan, Stuck, Watch};
use super::{Home, Worker};
use crate::executor::inbox::Message;
use crate::metrics::WorkerCounters;
use crate::reactor::{Event, WAKE};
use crate::runtime::Shared;
use crate::sys::{clock, slice};
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// Something that may block.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// For how long a helper runs at a time. Its answers are short, and all cores may be taken by handlers that are not: with
/// the usual slice (1.4 ms here), the p99 of 4,000 requests a second beside two such handlers on two cores was 3.96 ms.
const SLICE: Duration = Duration::from_micros(100);

/// All reserves of a runtime.
pub(crate) struct Reserves {
    duties: Mutex<Duties<Work>>,
    seats: Box<[Seat]>,
    watch: Mutex<Watch>,
    /// The number of the first reserve.
    first: usize,
    /// Slots of each.
    files: u32,
}

/// One reserve, as the others may see it.
#[derive(Default)]
struct Seat {
    thread: OnceLock<Thread>,
    home: OnceLock<Arc<Home>>,
    counters: Option<&'static WorkerCounters>,
}

impl Seat {
    fn wake(&self) {
        // Where it sleeps: in its pollset, or before and after its time as a worker without one.
        if let Some(home) = self.home.get() {
            home.pollset.wake();
        }
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Reserves {
    /// `count` reserves beside `homes` home workers.
    pub(crate) fn new(
        count: usize,
        homes: usize,
        files: u32,
        counters: &[&'static WorkerCounters],
    ) -> Self {
        let seat = |at| Seat {
            counters: counters.get(at).copied(),
            ..Seat::default()
        };
        Self {
            duties: Mutex::default(),
            seats: (0..count).map(seat).collect(),
            watch: Mutex::default(),
            first: homes,
            files,
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn for_tests(homes: usize, helpers: Vec<Arc<Home>>) -> Self {
        let reserves = Self::new(helpers.len(), homes, 1024, &[]);
        for (seat, home) in reserves.seats.iter().zip(helpers) {
            let _ = seat.home.set(home);
        }
        reserves
    }

    fn lock(&self) -> MutexGuard<'_, Duties<Work>> {
        self.duties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, seat: Option<usize>) {
        if let Some(seat) = seat.and_then(|at| self.seats.get(at)) {
            seat.wake();
        }
    }

    /// What others may see of the reserve with the number `id`, if it has helped.
    pub(crate) fn home(&self, id: u16) -> Option<&Arc<Home>> {
        let seat = (id as usize).checked_sub(self.first)?;
        self.seats.get(seat)?.home.get()
    }

    /// Those that have helped.
    pub(crate) fn homes(&self) -> impl Iterator<Item = &Arc<Home>> {
        self.seats.iter().filter_map(|seat| seat.home.get())
    }

    /// Hands work over; gives it back if there is no thread to do it.
    pub(crate) fn submit(&self, work: Work) -> Result<(), Work> {
        let seat = self.lock().submit(work)?;
        self.wake(seat);
        Ok(())
    }

    /// A home worker begins a turn, and the monitor is asleep.
    #[cold]
    #[inline(never)]
    pub(crate) fn wake_monitor(&self) {
        let monitor = self.lock().monitor();
        self.wake(monitor);
    }

    /// What is queued is still done, then the threads end.
    pub(crate) fn close(&self) {
        self.lock().close();
        self.seats.iter().for_each(Seat::wake);
    }

    /// For a thread that is awake.
    fn next(&self, seat: usize) -> Duty<Work> {
        let (duty, wake) = self.lock().next(seat);
        self.wake(wake);
        duty
    }

    /// A sleep is over. `runs`: handlers are about to run here, which may take their time.
    fn awake(&self, seat: usize, runs: bool) {
        let wake = self.lock().awake(seat, runs);
        self.wake(wake);
    }
}

/// The life of one reserve thread.
pub(crate) fn run(shared: &Arc<Shared>, seat: usize) {
    let reserves = &shared.reserves;
    if let Some(seat) = reserves.seats.get(seat) {
        let _ = seat.thread.set(thread::current());
    }
    reserves.lock().threads += 1;
    let mut reserve = Reserve {
        shared: shared.clone(),
        seat,
        worker: None,
    };
    loop {
        match reserves.next(seat) {
            Duty::Work(work) => {
                work();
                // Its own bursts wait meanwhile.
                reserve.turn(Some(Duration::ZERO));
            }
            Duty::Watch if shared.stop_now() => reserve.sleep(None),
            Duty::Watch => reserve.watch(),
            Duty::Rest => reserve.sleep(None),
            Duty::End => break,
        }
    }
    if let Some(worker) = &reserve.worker {
        let _entered = Worker::enter(worker);
        worker.clear();
    }
}

/// What belongs to a reserve's thread alone.
struct Reserve {
    shared: Arc<Shared>,
    seat: usize,
    /// Once it has helped.
    worker: Option<Rc<Worker>>,
}

impl Reserve {
    fn sleep(&mut self, most: Option<Duration>) {
        if self.worker.is_some() {
            return self.turn(most);
        }
        match most {
            Some(most) => thread::park_timeout(most),
            None => thread::park(),
        }
        self.shared.reserves.awake(self.seat, false);
    }

    /// One turn as a worker.
    fn turn(&mut self, most: Option<Duration>) {
        let Some(worker) = &self.worker else { return };
        let _entered = Worker::enter(worker);
        worker.turn(most);
        if worker.ran.get() && self.shared.draining() {
            // A home that waits for its last connection, which may have ended here, is to look again.
            for home in &self.shared.homes {
                home.post(Message::Spawn(Box::new(|| {})));
            }
            self.shared.look_again();
        }
        if self.shared.stop_now() {
            worker.clear();
            self.worker = None;
        }
    }

    /// One look as the monitor, and what follows from it.
    fn watch(&mut self) {
        let shared = self.shared.clone();
        let reserves = &shared.reserves;
        let me = (reserves.first + self.seat) as u16;
        let watch = || {
            reserves
                .watch
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let plan = watch().look(
            &shared.homes,
            |id| reserves.home(id).cloned(),
            me,
            clock::monotonic_ns(),
        );
        let stuck = match plan {
            Plan::Sleep(most) => return self.sleep(most),
            Plan::Help(stuck) => stuck,
        };
        let worker = match self.worker() {
            Ok(worker) => worker,
            Err(e) => {
                tracing::debug!(target: "parkade", "a reserve cannot help: {e}");
                watch().forget_help();
                return;
            }
        };
        reserves.awake(self.seat, true);
        let entered = Worker::enter(&worker);
        for Stuck { home, turn } in stuck {
            worker.help(home, turn);
        }
        drop(entered);
        // What the help has left to do.
        self.turn(Some(Duration::ZERO));
    }

    /// Becomes a worker, the first time.
    fn worker(&mut self) -> io::Result<Rc<Worker>> {
        if let Some(worker) = &self.worker {
            return Ok(worker.clone());
        }
        slice::shorten(SLICE);
        let reserves = &self.shared.reserves;
        let seat = &reserves.seats[self.seat];
        let home = Arc::new(Home::new(
            (reserves.first + self.seat) as u16,
            crate::reactor::open(self.shared.backend)?,
            reserves.files,
            clock::monotonic_ms(),
            seat.counters,
        )?);
        let _ = seat.home.set(home.clone());
        let worker = Worker::new(self.shared.clone(), home);
        Ok(self.worker.insert(worker).clone())
    }
}

impl Worker {
    /// A reserve's wait is over: it was idle, or watched, and is not if it has something to run.
    #[cold]
    #[inline(never)]
    pub(super) fn reserve_awakes(&self, seat: usize, events: &[Event]) {
        let runs = events.iter().any(|e| e.token != WAKE)
            || !self.home.inbox.is_empty()
            || !self.jobs.borrow().is_empty()
            || self.timers.borrow().next().is_some();
        self.shared.reserves.awake(seat, runs);
        self.ran.set(runs);
    }
}
