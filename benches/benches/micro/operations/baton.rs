//! Two tasks that wake each other in turn, and nothing else.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Held by one of two tasks, which are numbered 0 and 1; at first by 0.
#[derive(Default)]
pub(crate) struct Baton(Mutex<State>);

#[derive(Default)]
struct State {
    holder: usize,
    /// Of the task that waits for it.
    waker: Option<Waker>,
}

impl Baton {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the baton and passes it on, so many times.
pub(crate) async fn relay(baton: Arc<Baton>, me: usize, rounds: u64) {
    for _ in 0..rounds {
        poll_fn(|cx| {
            let mut state = baton.lock();
            if state.holder == me {
                return Poll::Ready(());
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        let mut state = baton.lock();
        state.holder = 1 - me;
        let other = state.waker.take();
        drop(state);
        if let Some(waker) = other {
            waker.wake();
        }
    }
}
