//! The loop: wait, accept, serve what is ready, run what was queued, tick.

use super::calls::{Batched, Claimed};
use super::{Job, Worker};
use crate::executor::handed::Handed;
use crate::executor::inbox::Message;
use crate::park::harvest::Entry;
use crate::park::state::WRITING;
use crate::park::wheel::HORIZON;
use crate::reactor::{BATCH, Event, LISTENER, WAKE, is_listener};
use crate::sys::clock;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// Jobs run in one turn before the kernel is asked again.
const BUDGET: usize = 256;
/// How long an ended worker waits for tasks that are being woken from elsewhere.
const CLEARING: Duration = Duration::from_secs(1);

/// A worker with nothing to wait for looks at the clock this often. Half a turn of the clock (24.8 days) after it fell
/// asleep, deadlines that lie ahead would look past, and those of neighbours would not wake it. A week leaves room for
/// the farthest deadline (6.2 days and 1/16) at its end, and nobody pays for one wake-up a week.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
const _: () = assert!(LONGEST.as_millis() + (HORIZON + HORIZON / 16) as u128 <= i32::MAX as u128);

/// A deadline farther away than so many milliseconds is waited for by the clock of the turn's beginning.
const FAR_MS: u64 = 4_000;

/// Whether the loop goes on.
#[derive(PartialEq, Eq)]
pub(crate) enum Turn {
    Continue,
    Stop,
}

impl Worker {
    pub(super) fn read_clocks(&self) {
        let now = clock::monotonic_ms();
        // Turns are often shorter than a millisecond, and a second need not begin more exactly than that.
        if self.now.replace(now) != now {
            self.unix.set(clock::unix_seconds());
        }
    }

    /// Runs until the runtime ends.
    pub(crate) fn run(self: &Rc<Self>) {
        while self.turn(None) == Turn::Continue {}
    }

    /// One turn. `most` bounds the wait.
    pub(crate) fn turn(self: &Rc<Self>, most: Option<Duration>) -> Turn {
        let mut events = self.events.take();
        self.wait(&mut events, most);
        if let Some(seat) = self.seat {
            self.reserve_awakes(seat, &events);
        }
        self.read_clocks();

        // Connections in the backlog first: a handler may take its time.
        for event in events.iter().filter(|e| is_listener(e.token)) {
            self.accept((event.token - LISTENER) as u8);
        }
        let several = events.len() > 1;
        if several {
            self.home.batch.publish(&events);
            self.begin_group();
            self.begin_batch();
        }
        let left = match self.calls.batched() {
            Some(batched) if self.crowded.get() => self.serve_together(batched, &events),
            _ => 0..events.len(),
        };
        // Only where there are neighbours that take events.
        let shares = several && self.shares;
        for at in left {
            let event = &events[at];
            if event.token == WAKE || is_listener(event.token) {
                continue;
            }
            if shares && self.home.batch.is_taken(at) {
                continue;
            }
            self.ready(&self.home, *event);
            if shares {
                self.share(at + 1, events.len());
            }
        }
        if several {
            self.end_group();
            self.home.batch.withdraw();
        }
        self.events.replace(events);
        self.take_messages();
        self.run_timers();
        self.run_jobs();
        self.tick();
        self.end_of_turn()
    }

    /// Serves the events of a batch, some of them at a time: input is received from all of these in one call. As soon as a
    /// handler was slow, the rest of the batch is left to be served one by one.
    #[inline(never)]
    fn serve_together(
        self: &Rc<Self>,
        batched: &Batched,
        events: &[Event],
    ) -> std::ops::Range<usize> {
        let (mut claimed, mut at) = ([Claimed::default(); Batched::TOGETHER], 0);
        while at < events.len() && self.crowded.get() {
            let mut count = 0;
            while at < events.len() && count < claimed.len() {
                let event = events[at];
                let special = event.token == WAKE || is_listener(event.token);
                if !special
                    && !self.home.batch.is_taken(at)
                    && let Some((index, generation)) = self.take_up(&self.home, event)
                {
                    claimed[count] = Claimed { index, generation };
                    count += 1;
                }
                at += 1;
            }
            let claimed = &claimed[..count];
            let slots = &self.home.slots;
            batched.receive(count, |n| slots.claimed(claimed[n].index).fd());
            self.begin_bursts();
            for (n, claimed) in claimed.iter().enumerate() {
                batched.begin(*claimed, n);
                self.start(&self.home, claimed.index, claimed.generation);
                batched.begun();
            }
            // Slow ones are not claimed before their turn: neighbours may have them.
            if !self.were_quick() {
                self.crowded.set(false);
            }
            self.share_now(at, events.len());
        }
        at..events.len()
    }

    /// A service has put something off. One at a time: another one catches up now.
    pub(crate) fn is_behind(self: &Rc<Self>, service: u8) {
        match self.behind.replace(Some(service)) {
            Some(other) if other != service => self.catch_up(other),
            _ => {}
        }
    }

    fn end_group(self: &Rc<Self>) {
        if let Some(service) = self.behind.take() {
            self.catch_up(service);
        }
        self.crowded.set(false);
    }

    fn catch_up(self: &Rc<Self>, service: u8) {
        if let Some(service) = self.service(service) {
            service.catch_up(self);
        }
    }

    /// Waits for events, or only collects them if there is something else to do.
    fn wait(&self, events: &mut Vec<Event>, most: Option<Duration>) {
        let mut timeout = if self.jobs.borrow().is_empty() {
            most
        } else {
            Some(Duration::ZERO)
        };
        if timeout != Some(Duration::ZERO) {
            timeout = Some(self.nearest(timeout));
        }
        match self.home.harvest.enter_poll() {
            Entry::Polling => {}
            Entry::Woken => timeout = Some(Duration::ZERO),
            Entry::Harvested => {
                // A neighbour is taking an event out of our pollset: local work meanwhile.
                events.clear();
                std::hint::spin_loop();
                return;
            }
        }
        // The second half of Dekker: POLLING is visible, so whoever pushes from here on wakes us.
        if !self.home.inbox.is_empty() {
            timeout = Some(Duration::ZERO);
        }
        self.home.counters.busy.set(0);
        let coalesces = self.coalescing.is_on();
        if coalesces {
            let most = timeout.unwrap_or(LONGEST);
            if let Some(nap) = self.coalescing.nap(clock::monotonic_ns(), most) {
                clock::sleep(nap);
                timeout = Some(most.saturating_sub(nap));
            }
        }
        let waited = self.home.pollset.wait(events, timeout);
        if coalesces {
            self.coalescing.woken(clock::monotonic_ns(), events.len());
        }
        self.home.counters.busy.set(1);
        if let Err(e) = waited {
            tracing::error!(target: "parkade", "worker {}: waiting for events: {e}", self.home.id);
            events.clear();
        }
        if self.home.harvest.leave_poll() {
            self.shared.reserves.wake_monitor();
        }
        debug_assert!(events.len() <= BATCH, "a batch is bounded");
    }

    /// How long the worker may sleep until a timer, a deadline or a paused listener needs it.
    fn nearest(&self, most: Option<Duration>) -> Duration {
        let mut nearest = most.map_or(LONGEST, |most| most.min(LONGEST));
        let mut at_most = |d: Duration| nearest = nearest.min(d);
        if let Some(at) = self.timers.borrow().next() {
            at_most(Duration::from_nanos(
                at.saturating_sub(clock::monotonic_ns()),
            ));
        }
        if self.home.slots.take_emptied() {
            self.look_at_wheel();
        }
        if let Some(due) = self.next_due.get() {
            let ahead = |now: u32| u64::try_from(due.wrapping_sub(now) as i32).unwrap_or(0);
            let left = match ahead(self.now.get()) {
                // This turn has taken some of it, which matters only if little is left.
                0..FAR_MS => ahead(clock::monotonic_ms()),
                far => far,
            };
            at_most(Duration::from_millis(left));
        } else {
            let never = self.never();
            self.home.sleeps_until.store(never, Ordering::Relaxed);
        }
        if let Some(grace) = self.shared.grace_left(self.cut_once.get()) {
            at_most(grace);
        }
        if let Some(pause) = self.accepting.borrow().pause(self.now.get()) {
            at_most(pause);
        }
        nearest
    }

    fn take_messages(self: &Rc<Self>) {
        // Most turns have none, and asking is cheaper than trying. What comes now is found before the next wait.
        if self.home.inbox.is_empty() {
            return;
        }
        for _ in 0..BUDGET {
            let Some(message) = self.home.inbox.pop() else {
                break;
            };
            match message {
                Message::Run(runnable) => self.queue(Job::Run(runnable)),
                Message::Burst { service, cell } => self.queue(Job::Burst { service, cell }),
                Message::Waiter(key) => self.wake_waiter(key),
                Message::Due => self.look_at_wheel(),
                Message::Steal { home, turn } => self.steal(home, turn),
                Message::Start(handed) => self.take_over(handed),
                Message::SeeOff(handed) => self.see_off(handed),
                Message::Spawn(make) => make(),
                Message::Help { home, turn } => self.help(home, turn),
                Message::Listen { id, listener } => self.listen(id, &listener),
            }
        }
    }

    /// A connection that another thread has claimed for this worker.
    pub(crate) fn take_over(&self, handed: Handed) {
        let Some((home, index, generation)) = handed.take() else {
            return;
        };
        self.queue(Job::Start {
            home: home.id,
            index,
            generation,
        });
    }

    fn run_timers(&self) {
        if self.timers.borrow().next().is_none() {
            return;
        }
        let now = clock::monotonic_ns();
        loop {
            let due = self.timers.borrow_mut().pop(now);
            let Some(waker) = due else { break };
            self.wake(waker);
        }
    }

    fn run_jobs(self: &Rc<Self>) {
        for _ in 0..BUDGET {
            let job = self.jobs.borrow_mut().pop_front();
            let Some(job) = job else { break };
            match job {
                Job::Run(runnable) => {
                    // Its panics are caught within: `executor::task`.
                    runnable.run();
                }
                Job::Burst { service, cell } => {
                    if let Some(service) = self.service(service) {
                        service.resume(self, cell);
                    }
                }
                Job::Start {
                    home,
                    index,
                    generation,
                } => {
                    let shared = self.shared.clone();
                    self.start(&shared.homes[home as usize], index, generation);
                }
                Job::Drive {
                    home,
                    index,
                    generation,
                } => {
                    let shared = self.shared.clone();
                    let home = &shared.homes[home as usize];
                    if home.slots.claimed_cold(index).rare().is_some() {
                        crate::net::output::drive(self, home, index, generation);
                    } else {
                        crate::net::linger::drive(self, home, index, generation);
                    }
                }
            }
        }
    }

    /// Between two turns: accept again if that was paused, drain or stop if that was asked.
    fn end_of_turn(self: &Rc<Self>) -> Turn {
        if self.shared.running() {
            self.resume_accepting();
            return Turn::Continue;
        }
        if !self.left_once.replace(true) {
            self.stop_accepting();
            self.wake_waiters();
            // What has come to rest before this worker knew that somebody wants to hear of it.
            self.home.tell();
        }
        self.go_on_leaving();
        if !self.shared.draining() {
            if self.shared.cut_now() && !self.cut_once.replace(true) {
                self.cut_requests();
            }
            return Turn::Continue;
        }
        if !self.drained_once.replace(true) {
            self.home.ends.store(true, Ordering::SeqCst);
            self.dismiss_all();
        }
        let idle = self.pending() == 0
            && self.has_left()
            && self.shared.nobody_accepts_instead()
            && self.jobs.borrow().is_empty()
            && self.home.connections.load(Ordering::SeqCst) == 0;
        if idle || self.shared.stop_now() {
            Turn::Stop
        } else {
            Turn::Continue
        }
    }

    /// Ends the requests in progress: bursts, and responses that wait for their peers. Parked connections live.
    fn cut_requests(self: &Rc<Self>) {
        for service in self.services.iter().filter_map(|s| s.get()) {
            service.clear();
        }
        let home = Arc::clone(&self.home);
        let all: Vec<u32> = home.slots.books().bitmap.iter().collect();
        for index in all {
            let slot = home.slots.claimed(index);
            let seen = slot.state.peek();
            if seen.has(WRITING) && slot.state.expire(seen.generation(), home.id).is_some() {
                home.counters.writing.sub(1);
                home.close(index);
            }
        }
    }

    /// Closes every connection that waits for its next request.
    fn dismiss_all(self: &Rc<Self>) {
        // Pairs with the fence where a connection is laid back to rest from outside.
        fence(Ordering::SeqCst);
        let home = Arc::clone(&self.home);
        let all: Vec<u32> = home.slots.books().bitmap.iter().collect();
        for index in all {
            self.dismiss(&home, index);
        }
    }

    /// Bursts in progress on this worker.
    pub(super) fn pending(&self) -> usize {
        self.services
            .iter()
            .filter_map(|s| s.get())
            .map(|s| s.pending())
            .sum()
    }

    /// Ends everything that belongs to this worker.
    pub(crate) fn clear(&self) {
        for service in self.services.iter().filter_map(|s| s.get()) {
            service.clear();
        }
        // Whoever posts from here on sees this, or is found below.
        self.home.ended.end();
        // A woken task is queued, and dropped with the queue: here, as its future may not be dropped on another thread.
        // Dropping one may spawn or wake another, or close a connection. One that another thread is waking this very
        // moment arrives in the inbox.
        let end = std::time::Instant::now() + CLEARING;
        loop {
            let tasks: Vec<_> = self.tasks.borrow().iter().map(|(_, w)| w.clone()).collect();
            for waker in tasks {
                waker.wake();
            }
            let jobs = std::mem::take(&mut *self.jobs.borrow_mut());
            drop(jobs);
            while let Some(message) = self.home.inbox.pop() {
                drop(message);
            }
            let done = self.tasks.borrow().is_empty() && self.jobs.borrow().is_empty();
            if done && self.home.inbox.is_empty() {
                break;
            }
            if std::time::Instant::now() > end {
                tracing::error!(target: "parkade", "worker {}: tasks are left behind", self.home.id);
                break;
            }
            std::thread::yield_now();
        }
    }
}
