//! Work that blocks, on threads that do nothing else: the reserves.

use crate::worker::Worker;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

type Work = Box<dyn FnOnce() + Send>;

/// The queue that reserves sleep on.
#[derive(Default)]
pub(crate) struct Reserves {
    state: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    closed: bool,
    threads: usize,
}

impl Reserves {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of one reserve thread.
    pub(crate) fn run(&self) {
        let mut queue = self.lock();
        queue.threads += 1;
        loop {
            if let Some(work) = queue.waiting.pop_front() {
                drop(queue);
                work();
                queue = self.lock();
            } else if queue.closed {
                return;
            } else {
                queue = self
                    .work
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Hands work over; gives it back if there is no thread to do it.
    fn submit(&self, work: Work) -> Result<(), Work> {
        let mut queue = self.lock();
        if queue.threads == 0 || queue.closed {
            return Err(work);
        }
        queue.waiting.push_back(work);
        drop(queue);
        self.work.notify_one();
        Ok(())
    }

    /// What is queued is still done, then the threads end.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }
}

struct Answer<T> {
    state: Mutex<(Option<std::thread::Result<T>>, Option<Waker>)>,
}

/// Runs `f` where blocking hurts nobody: on a reserve thread of this runtime, or right here if it has none.
///
/// Dropping the future does not stop `f`. A panic of `f` goes on in whoever awaits it.
pub fn spawn_blocking<T, F>(f: F) -> Blocking<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let answer = Arc::new(Answer {
        state: Mutex::new((None, None)),
    });
    let theirs = answer.clone();
    let work: Work = Box::new(move || {
        let done = catch_unwind(AssertUnwindSafe(f));
        let waker = {
            let mut state = theirs.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = Some(done);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    let left = match Worker::current() {
        Some(worker) => worker.shared.reserves.submit(work),
        None => Err(work),
    };
    if let Err(work) = left {
        work();
    }
    Blocking(answer)
}

/// The future of [`spawn_blocking`].
pub struct Blocking<T>(Arc<Answer<T>>);

impl<T> Future for Blocking<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.0.take() {
            Some(Ok(value)) => Poll::Ready(value),
            Some(Err(panic)) => {
                drop(state);
                resume_unwind(panic)
            }
            None => {
                state.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
