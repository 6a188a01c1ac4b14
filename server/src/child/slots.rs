//! Request slots: how many requests a child works on at once.
//!
//! A slot is taken when a request has come whole and its answer needs more than memory, and given back when the answer
//! is made: connections that are parked, that are written to or that linger hold none. Requests beyond the slots wait
//! in order of arrival; none is refused. What is answered from memory at once takes none: its thread is the bound. What
//! shows the server's state is answered without one when all are taken, as it is wanted just then.

use crate::scoreboard::{Beginning, Board, Child, Detail, Doing, monotonic};
use crate::sys::bell::Bell;
use parkade_http::Request;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The slots of this child.
pub(crate) struct Slots {
    busy: Option<Bell>,
    board: Arc<Board>,
    record: usize,
    most: u32,
    state: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    taken: u32,
    /// Requests that are answered without a slot, as all are taken.
    outside: u32,
    next: u64,
    waiting: VecDeque<(u64, Waker)>,
    /// Tickets of waiters that have a slot and do not know it yet, with that slot.
    granted: Vec<(u64, usize)>,
    /// Slots that were given back, and how many were ever taken: the one used last is used next.
    free: Vec<usize>,
    touched: usize,
}

impl Queue {
    /// The number of a slot that is free; there must be one.
    fn pick(&mut self) -> usize {
        self.taken += 1;
        self.free.pop().unwrap_or_else(|| {
            self.touched += 1;
            self.touched - 1
        })
    }
}

impl Slots {
    /// `busy` is rung when the supervisor wants to hear that few are free.
    pub(crate) fn new(board: Arc<Board>, record: usize, most: u32, busy: Option<Bell>) -> Self {
        Self {
            busy,
            board,
            record,
            most: most.max(1),
            state: Mutex::default(),
        }
    }

    /// The scoreboard that the slots are shown on.
    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// Waits for a slot, which dropping the value gives back.
    pub(crate) async fn take(&self) -> Slot<'_> {
        let mut wait = Wait {
            slots: self,
            ticket: None,
        };
        let number = poll_fn(|cx| wait.poll(cx)).await;
        Slot {
            slots: self,
            number,
            begun: false,
        }
    }

    /// For an answer that is made at once and must not wait: a slot, if one is free.
    pub(crate) fn try_take(&self) -> Option<Slot<'_>> {
        let number = self.pick(&mut self.lock())?;
        Some(Slot {
            slots: self,
            number,
            begun: false,
        })
    }

    /// Counts a request that is answered without a slot, until the value is dropped.
    pub(crate) fn outside(&self) -> Outside<'_> {
        let mut queue = self.lock();
        queue.outside += 1;
        self.show(&queue);
        Outside(self)
    }

    /// The number of a free slot, which is taken.
    fn pick(&self, queue: &mut Queue) -> Option<usize> {
        (queue.taken < self.most).then(|| {
            let number = queue.pick();
            self.say(number, Doing::Writing);
            self.show(queue);
            number
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> Option<&Child> {
        self.board.child(self.record)
    }

    /// Shows the numbers; the lock makes this child's threads one writer.
    fn show(&self, queue: &Queue) {
        if let Some(record) = self.record() {
            record.busy.store(queue.taken + queue.outside, Relaxed);
            let waiting = u32::try_from(queue.waiting.len()).unwrap_or(u32::MAX);
            record.waiting.store(waiting, Relaxed);
        }
        let low = &self.board.header().low_water;
        if self.most - queue.taken < low.load(Relaxed) {
            self.tell_once(low);
        }
    }

    #[cold]
    fn tell_once(&self, low: &AtomicU32) {
        if let Some(busy) = &self.busy
            && low.swap(0, Relaxed) > 0
        {
            busy.ring();
        }
    }

    /// Shows what a slot does; only its holder says so, or whoever has the lock while nobody holds it.
    fn say(&self, number: usize, doing: Doing) {
        if let Some(state) = self.board.slots(self.record).get(number) {
            doing.show(state);
        }
    }

    /// `None` without ExtendedStatus.
    fn detail(&self, number: usize) -> Option<&Detail> {
        self.board.details(self.record).get(number)
    }

    fn give_back(&self, number: usize, mut queue: MutexGuard<'_, Queue>) {
        let next = queue.waiting.pop_front();
        match &next {
            // The slot passes on.
            Some((ticket, _)) => queue.granted.push((*ticket, number)),
            None => {
                queue.taken -= 1;
                queue.free.push(number);
                self.say(number, Doing::Free);
            }
        }
        self.show(&queue);
        drop(queue);
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }
}

/// One taken slot.
pub(crate) struct Slot<'a> {
    slots: &'a Slots,
    number: usize,
    /// It is shown what it is used for.
    begun: bool,
}

impl Slot<'_> {
    /// With ExtendedStatus, shows what it is used for.
    pub(crate) fn begin(&mut self, request: &Request, host: usize) {
        if let Some(detail) = self.slots.detail(self.number) {
            detail.begin(&Beginning {
                peer: request.peer(),
                host: host as u32,
                minor: request.minor_version(),
                line: request.request_line(),
                now: monotonic(),
            });
            self.begun = true;
        }
    }

    /// Shows that a body is being read.
    pub(crate) fn reading(&self) {
        self.slots.say(self.number, Doing::Reading);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let detail = self.slots.detail(self.number).filter(|_| self.begun);
        let took = detail.map_or(0, |detail| detail.end(monotonic()));
        let queue = self.slots.lock();
        if took > 0
            && let Some(record) = self.slots.record()
        {
            // The lock makes this child's threads one writer.
            record.took.store(record.took.load(Relaxed) + took, Relaxed);
        }
        self.slots.give_back(self.number, queue);
    }
}

/// One request without a slot.
pub(crate) struct Outside<'a>(&'a Slots);

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.outside -= 1;
        self.0.show(&queue);
    }
}

struct Wait<'a> {
    slots: &'a Slots,
    ticket: Option<u64>,
}

impl Wait<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut queue = self.slots.lock();
        let Some(ticket) = self.ticket else {
            if let Some(number) = self.slots.pick(&mut queue) {
                return Poll::Ready(number);
            }
            let ticket = queue.next;
            queue.next += 1;
            queue.waiting.push_back((ticket, cx.waker().clone()));
            self.slots.show(&queue);
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        if let Some(at) = queue.granted.iter().position(|(t, _)| *t == ticket) {
            let (_, number) = queue.granted.swap_remove(at);
            self.ticket = None;
            self.slots.say(number, Doing::Writing);
            return Poll::Ready(number);
        }
        if let Some((_, waker)) = queue.waiting.iter_mut().find(|(t, _)| *t == ticket) {
            waker.clone_from(cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut queue = self.slots.lock();
        if let Some(at) = queue.granted.iter().position(|(t, _)| *t == ticket) {
            let (_, number) = queue.granted.swap_remove(at);
            return self.slots.give_back(number, queue);
        }
        queue.waiting.retain(|(t, _)| *t != ticket);
        self.slots.show(&queue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::Size;
    use std::pin::{Pin, pin};

    fn poll<F: Future>(f: &mut Pin<&mut F>) -> Poll<F::Output> {
        f.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn slots(most: u32) -> (Slots, Arc<Board>) {
        let size = Size {
            children: 1,
            workers: 1,
            slots: most as usize,
            extended: true,
        };
        let board = Arc::new(Board::new(size, 0, None).unwrap());
        let at = board.claim(most, 0).unwrap();
        (Slots::new(board.clone(), at, most, None), board)
    }

    fn shown(board: &Board) -> (u32, u32) {
        let child = board.child(0).unwrap();
        (child.busy.load(Relaxed), child.waiting.load(Relaxed))
    }

    #[test]
    fn requests_beyond_the_slots_wait_in_order() {
        let (slots, board) = slots(1);
        let first = poll(&mut pin!(slots.take()));
        let Poll::Ready(first) = first else {
            unreachable!()
        };
        let mut second = pin!(slots.take());
        let mut third = pin!(slots.take());
        assert!(poll(&mut second).is_pending() && poll(&mut third).is_pending());
        assert_eq!(shown(&board), (1, 2));
        drop(first);
        assert!(poll(&mut third).is_pending(), "it is not its turn");
        let Poll::Ready(second) = poll(&mut second) else {
            unreachable!()
        };
        assert_eq!(shown(&board), (1, 1));
        drop(second);
        assert!(poll(&mut third).is_ready());
        assert_eq!(shown(&board), (0, 0), "it was dropped at once");
    }

    #[test]
    fn a_request_without_a_slot_is_counted_and_takes_none() {
        let (slots, board) = slots(1);
        let held = slots.try_take();
        assert!(held.is_some() && slots.try_take().is_none());
        let outside = slots.outside();
        let mut waits = pin!(slots.take());
        assert!(poll(&mut waits).is_pending());
        assert_eq!(shown(&board), (2, 1));
        drop(outside);
        assert_eq!(shown(&board), (1, 1));
        drop(held);
        assert!(poll(&mut waits).is_ready());
    }

    #[test]
    fn each_slot_says_what_it_does_and_the_one_used_last_is_used_next() {
        let (slots, board) = slots(3);
        let says = || -> Vec<Doing> { board.slots(0).iter().map(Doing::of).collect() };
        use Doing::{Free, Reading, Untouched, Writing};
        assert_eq!(says(), [Untouched; 3]);
        let Poll::Ready(first) = poll(&mut pin!(slots.take())) else {
            unreachable!()
        };
        let Poll::Ready(second) = poll(&mut pin!(slots.take())) else {
            unreachable!()
        };
        second.reading();
        assert_eq!(says(), [Writing, Reading, Untouched]);
        drop(first);
        assert_eq!(says(), [Free, Reading, Untouched]);
        let Poll::Ready(again) = poll(&mut pin!(slots.take())) else {
            unreachable!()
        };
        assert_eq!(says(), [Writing, Reading, Untouched]);
        drop((again, second));
        assert_eq!(says(), [Free, Free, Untouched]);
    }

    #[test]
    fn a_slot_granted_to_a_request_that_has_gone_passes_on() {
        let (slots, board) = slots(1);
        let first = poll(&mut pin!(slots.take()));
        let mut gone = Box::pin(slots.take());
        assert!(poll(&mut gone.as_mut()).is_pending());
        let mut last = pin!(slots.take());
        assert!(poll(&mut last).is_pending());
        drop(first);
        drop(gone);
        assert!(poll(&mut last).is_ready());
        assert_eq!(shown(&board), (0, 0));
        let mut quitter = Box::pin(slots.take());
        let held = poll(&mut pin!(slots.take()));
        assert!(poll(&mut quitter.as_mut()).is_pending());
        drop(quitter);
        assert_eq!(shown(&board), (1, 0));
        drop(held);
        assert_eq!(shown(&board), (0, 0));
    }
}
