//! Spawned tasks: `!Send` futures on the worker that spawned them.

use super::inbox::Message;
use crate::worker::{Job, Worker};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs `future` on the current worker, next to whatever else runs there.
///
/// Dropping the handle lets the task run on.
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
    let (runnable, task) = async_task::spawn_local(future, schedule);
    runnable.schedule();
    JoinHandle(Some(task))
}

/// Awaits the output of a spawned task.
///
/// Dropping it detaches the task; [`JoinHandle::abort`] ends it.
pub struct JoinHandle<T>(Option<async_task::Task<T>>);

impl<T> JoinHandle<T> {
    /// Ends the task at its next await point, at once if it is not running.
    pub fn abort(mut self) {
        drop(self.0.take());
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            Some(task) => Pin::new(task).poll(cx),
            None => Poll::Pending,
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
