//! Bursts: the future that lives while a connection has input.
//!
//! Its type is known, so it is written into a recycled cell and polled in place: a burst that is ready at once costs
//! no allocation. Only a pending one keeps its cell, whose waker any thread may use; a wake that outlives its burst
//! polls whatever burst is in the cell then, which is a spurious wake and harmless.

use super::flags::Queued;
use super::inbox::Message;
use crate::net::conn::Conn;
use crate::net::next::{Carry, Next};
use crate::net::service::{Attempt, LocalService, Service};
use crate::worker::{Home, Job, Worker};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A recycled place for one burst future.
struct BurstCell<F> {
    future: Pin<Box<Slot<F>>>,
    wake: Arc<BurstWake>,
    waker: Waker,
}

/// An `Option` that is pinned together with its content.
struct Slot<F>(Option<F>);

impl<F> Slot<F> {
    fn project(self: Pin<&mut Self>) -> Pin<&mut Option<F>> {
        // SAFETY: the field is structurally pinned: `Slot` is neither moved out of nor `Unpin` unless `F` is.
        unsafe { self.map_unchecked_mut(|s| &mut s.0) }
    }
}

struct BurstWake {
    home: Arc<Home>,
    service: u8,
    cell: u32,
    queued: Queued,
}

impl Wake for BurstWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.set() {
            return;
        }
        let (service, cell) = (self.service, self.cell);
        if !Worker::on(&self.home, |worker| {
            worker.queue(Job::Burst { service, cell })
        }) {
            self.home.post(Message::Burst { service, cell });
        }
    }
}

/// One worker's bursts of one service.
pub(crate) struct Bursts<S: Service> {
    service: Arc<S>,
    local: Rc<S::Local>,
    id: u8,
    home: Arc<Home>,
    /// The free cell that the next burst takes: the warm path touches nothing else.
    hot: RefCell<Option<(u32, BurstCell<S::Burst>)>>,
    cells: RefCell<Cells<S::Burst>>,
    /// Connections whose rest is put off.
    put_off: Cell<u32>,
}

struct Cells<F> {
    all: Vec<Option<BurstCell<F>>>,
    free: Vec<u32>,
}

/// At most so many connections wait for what was put off: a turn's batch, as a rule. Sent without a pause between them,
/// the answers reach a client before it has caught up, so that it is woken once a batch and not once a group; a wake-up
/// costs the sender more than an answer does.
const GROUP: u32 = 64;

/// Free cells kept for the next bursts; more than that were needed only by a crowd of pending ones.
const KEPT: usize = 64;

impl<S: Service> Bursts<S> {
    pub(crate) fn new(service: Arc<S>, id: u8, home: Arc<Home>) -> Self {
        let local = Rc::new(service.local());
        Self {
            service,
            local,
            id,
            home,
            hot: RefCell::new(None),
            put_off: Cell::new(0),
            cells: RefCell::new(Cells {
                all: Vec::new(),
                free: Vec::new(),
            }),
        }
    }

    fn take_cell(&self) -> (u32, BurstCell<S::Burst>) {
        let mut cells = self.cells.borrow_mut();
        if let Some(index) = cells.free.pop() {
            if let Some(cell) = cells.all[index as usize].take() {
                return (index, cell);
            }
            return (index, self.new_cell(index));
        }
        let index = cells.all.len() as u32;
        cells.all.push(None);
        (index, self.new_cell(index))
    }

    fn new_cell(&self, cell: u32) -> BurstCell<S::Burst> {
        let wake = Arc::new(BurstWake {
            home: self.home.clone(),
            service: self.id,
            cell,
            queued: Queued::new(),
        });
        let waker = Waker::from(wake.clone());
        BurstCell {
            future: Box::pin(Slot(None)),
            wake,
            waker,
        }
    }

    /// Polls the cell once; what is pending goes back to its place, what is ready frees it.
    fn drive(&self, worker: &Rc<Worker>, index: u32, mut cell: BurstCell<S::Burst>) {
        cell.wake.queued.clear();
        let mut cx = Context::from_waker(&cell.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            match cell.future.as_mut().project().as_pin_mut() {
                Some(future) => future.poll(&mut cx),
                None => Poll::Pending,
            }
        }));
        match polled {
            Ok(Poll::Pending) => {
                self.cells.borrow_mut().all[index as usize] = Some(cell);
            }
            Ok(Poll::Ready(next)) => {
                cell.future.as_mut().project().set(None);
                self.recycle(index, cell);
                worker.finish(next);
            }
            Err(panic) => {
                // Dropping the future drops its connection, which closes it.
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    cell.future.as_mut().project().set(None)
                }));
                worker.home.counters.panics.add(1);
                tracing::error!(target: "parkade", "a handler panicked: {}", describe(panic.as_ref()));
                let mut cells = self.cells.borrow_mut();
                cells.free.push(index);
            }
        }
    }

    /// A future is about to be polled for the first time, which may take its time: what others have been answered goes
    /// out before.
    #[cold]
    #[inline(never)]
    fn catch_up_early(&self, worker: &Rc<Worker>) {
        LocalService::catch_up(self, worker);
    }

    fn recycle(&self, index: u32, cell: BurstCell<S::Burst>) {
        let mut hot = self.hot.borrow_mut();
        if hot.is_none() {
            *hot = Some((index, cell));
        } else {
            self.keep(index, cell);
        }
    }

    fn keep(&self, index: u32, cell: BurstCell<S::Burst>) {
        let mut cells = self.cells.borrow_mut();
        if cells.free.len() < KEPT {
            cells.all[index as usize] = Some(cell);
        }
        cells.free.push(index);
    }
}

impl<S: Service> LocalService for Bursts<S> {
    fn start(&self, worker: &Rc<Worker>, conn: Conn) {
        let mut hot = self.hot.borrow_mut();
        let (_, cell) = hot.get_or_insert_with(|| self.take_cell());
        let mut cx = Context::from_waker(&cell.waker);
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            self.service.attempt(&self.local, conn, &mut cx)
        }));
        match attempt {
            Ok(Attempt::Over(next)) => {
                drop(hot);
                match next {
                    Next::Park(conn, keepalive) => worker.rest(conn, keepalive),
                    next => worker.finish(next),
                }
            }
            Ok(Attempt::Later) => {
                drop(hot);
                worker.is_behind(self.id);
                self.put_off.set(self.put_off.get() + 1);
                if self.put_off.get() == GROUP {
                    self.catch_up(worker);
                }
            }
            Ok(Attempt::Burst(future)) => {
                let taken = hot.take();
                drop(hot);
                if self.put_off.get() > 0 {
                    self.catch_up_early(worker);
                }
                if let Some((index, mut cell)) = taken {
                    cell.future.as_mut().project().set(Some(future));
                    self.drive(worker, index, cell);
                }
            }
            Err(panic) => {
                worker.home.counters.panics.add(1);
                tracing::error!(target: "parkade", "a handler panicked: {}", describe(panic.as_ref()));
            }
        }
    }

    fn catch_up(&self, worker: &Rc<Worker>) {
        if self.put_off.replace(0) == 0 {
            return;
        }
        // What a returned connection starts at once is not put off again.
        let crowded = worker.crowded.replace(false);
        let quick = crowded && worker.were_quick();
        self.service.catch_up(&self.local, &mut |next| match next {
            Next::Park(conn, keepalive) => worker.rest(conn, keepalive),
            next => worker.finish(next),
        });
        if quick {
            worker.begin_bursts();
        }
        worker.crowded.set(quick);
    }

    fn resume(&self, worker: &Rc<Worker>, index: u32) {
        let cell = self
            .cells
            .borrow_mut()
            .all
            .get_mut(index as usize)
            .and_then(Option::take);
        let Some(cell) = cell else { return };
        if cell.future.0.is_none() {
            // A late wake of a cell that is free.
            cell.wake.queued.clear();
            self.cells.borrow_mut().all[index as usize] = Some(cell);
            return;
        }
        self.drive(worker, index, cell);
    }

    fn timed_out(&self, carry: Option<&Carry>) -> Option<Bytes> {
        self.service.timed_out(&self.local, carry)
    }

    fn pending(&self) -> usize {
        let cells = self.cells.borrow();
        cells
            .all
            .iter()
            .flatten()
            .filter(|c| c.future.0.is_some())
            .count()
    }

    fn clear(&self) {
        drop(self.hot.take());
        let all = std::mem::take(&mut self.cells.borrow_mut().all);
        for cell in all {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(cell)));
        }
        self.cells.borrow_mut().free.clear();
    }
}

/// The message of a panic.
pub(crate) fn describe(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}
