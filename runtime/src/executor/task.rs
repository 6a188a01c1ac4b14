//! Spawned tasks: `!Send` futures on the worker that spawned them.

use super::inbox::Message;
use crate::worker::{Job, Worker};
use async_task::FallibleTask;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread;

/// Runs `future` on the current worker, next to whatever else runs there.
///
/// Dropping the handle lets the task run on. A task that panics is logged and counted; the panic goes on in whoever
/// awaits the handle, and nothing else notices. A runtime that ends drops what its tasks still have, on their own
/// thread; a graceful shutdown waits for those that hold sockets, until the grace is over.
///
/// # Panics
/// Outside a worker thread of a runtime, as there is no worker to run it on.
#[allow(
    clippy::panic,
    reason = "documented; the alternative is a task that silently never runs"
)]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let Some(worker) = Worker::current() else {
        panic!("parkade::spawn outside a worker")
    };
    let home = worker.home.clone();
    let schedule = move |runnable| {
        let mut runnable = Some(runnable);
        let here = Worker::on(&home, |worker| {
            if let Some(r) = runnable.take() {
                worker.queue(Job::Run(r));
            }
        });
        if !here && let Some(r) = runnable.take() {
            home.post(Message::Run(r));
        }
    };
    let key = worker.tasks.borrow().vacant_key();
    let tracked = Tracked {
        future: ManuallyDrop::new(future),
        worker: worker.clone(),
        key,
    };
    let (runnable, task) = async_task::spawn_local(tracked, schedule);
    worker.tasks.borrow_mut().insert(runnable.waker());
    runnable.schedule();
    JoinHandle(Some(task.fallible()))
}

/// A task's future, which its worker can end: the worker keeps a waker of each, for a task that nobody wakes any more
/// (or only another thread) would outlive it.
struct Tracked<F> {
    future: ManuallyDrop<F>,
    worker: Rc<Worker>,
    key: usize,
}

impl<F: Future> Future for Tracked<F> {
    type Output = thread::Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is structurally pinned: it is dropped in place and never moved out of.
        let (future, worker) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut *this.future), &this.worker)
        };
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => {
                worker.home.counters.panics.add(1);
                tracing::error!(target: "parkade", "a task panicked: {}", super::burst::describe(panic.as_ref()));
                Poll::Ready(Err(panic))
            }
        }
    }
}

impl<F> Drop for Tracked<F> {
    fn drop(&mut self) {
        // SAFETY: dropped here and nowhere else. A panic must not leave a destructor of async-task, which would abort.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe {
            ManuallyDrop::drop(&mut self.future);
        }));
        if let Err(panic) = dropped {
            self.worker.home.counters.panics.add(1);
            tracing::error!(target: "parkade", "a task panicked while it was dropped: {}", super::burst::describe(panic.as_ref()));
        }
        let waker = self.worker.tasks.borrow_mut().try_remove(self.key);
        drop(waker);
    }
}

/// Awaits the output of a spawned task.
///
/// Dropping it detaches the task; [`JoinHandle::abort`] ends it. The handle may be awaited on any thread if the output
/// is `Send`.
///
/// # Panics
/// When awaited: with the task's own panic, or because the task's runtime ended before the task.
pub struct JoinHandle<T>(Option<FallibleTask<thread::Result<T>>>);

impl<T> JoinHandle<T> {
    /// Ends the task at its next await point, at once if it is not running.
    pub fn abort(mut self) {
        drop(self.0.take());
    }

    /// Whether the task has ended, in whatever way.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.as_ref().is_none_or(FallibleTask::is_finished)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    #[allow(clippy::panic, reason = "documented; there is no output to give")]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(task) = &mut self.0 else {
            return Poll::Pending;
        };
        match Pin::new(task).poll(cx) {
            Poll::Ready(Some(Ok(output))) => Poll::Ready(output),
            Poll::Ready(Some(Err(panic))) => resume_unwind(panic),
            Poll::Ready(None) => panic!("the runtime of an awaited task has ended"),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}
