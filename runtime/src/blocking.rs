//! Work that blocks, on threads that a handler does not hold up: the reserves.

use crate::worker::Worker;
use crate::worker::reserve::Work;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

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
