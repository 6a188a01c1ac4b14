//! Tasks that another thread asks for: made on their worker, awaited anywhere.

use super::inbox::Message;
use super::task::spawn;
use crate::worker::Home;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

enum State<T> {
    Pending(Option<Waker>),
    Done(T),
    /// Answered and taken, or never to be answered.
    Gone,
}

struct Answer<T>(Mutex<State<T>>);

impl<T> Answer<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles what is still pending.
    fn settle(&self, to: State<T>) {
        let mut state = self.lock();
        let before = match *state {
            State::Pending(_) => std::mem::replace(&mut *state, to),
            _ => return,
        };
        drop(state);
        if let State::Pending(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// The task's side; dropped without an answer, it says that there will be none.
struct Sender<T>(Arc<Answer<T>>);

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.settle(State::Gone);
    }
}

/// Awaits the output of a task on some worker; see [`crate::Handle::spawn_on`].
///
/// Dropping it lets the task run on.
///
/// # Panics
/// When awaited: because the task panicked (its log line says why), or because its runtime ended first.
pub struct Remote<T> {
    answer: Arc<Answer<T>>,
    home: Arc<Home>,
}

impl<T: Send + 'static> Remote<T> {
    pub(crate) fn spawn<F>(home: &Arc<Home>, make: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = T> + 'static,
    {
        let answer = Arc::new(Answer(Mutex::new(State::Pending(None))));
        let sender = Sender(answer.clone());
        let start = move || {
            // Made inside the task: a panic of `make` is the task's.
            drop(spawn(async move {
                let output = make().await;
                sender.0.settle(State::Done(output));
            }));
        };
        home.post(Message::Spawn(Box::new(start)));
        Self {
            answer,
            home: home.clone(),
        }
    }
}

impl<T> Future for Remote<T> {
    type Output = T;

    #[allow(clippy::panic, reason = "documented; there is no output to give")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = self.answer.lock();
        if let State::Pending(waker) = &mut *state {
            *waker = Some(cx.waker().clone());
            drop(state);
            if !self.home.ended.has_ended() {
                return Poll::Pending;
            }
            state = self.answer.lock();
        }
        match std::mem::replace(&mut *state, State::Gone) {
            State::Done(output) => Poll::Ready(output),
            _ => {
                drop(state);
                panic!("a task panicked or its runtime ended")
            }
        }
    }
}
