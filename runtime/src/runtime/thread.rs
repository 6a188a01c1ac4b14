//! The threads of a runtime.

use super::Shared;
use crate::sys::affinity;
use crate::worker::{Home, Worker, reserve};
use std::sync::Arc;

/// The life of a home worker's thread.
pub(super) fn work(shared: Arc<Shared>, home: Arc<Home>, cpu: Option<usize>) {
    if let Some(cpu) = cpu
        && let Err(e) = affinity::bind(cpu)
    {
        tracing::warn!(target: "parkade", "worker {}: cannot be bound to processor {cpu}: {e}", home.id);
    }
    let abort = AbortOnPanic;
    let worker = Worker::new(shared.clone(), home);
    let entered = Worker::enter(&worker);
    worker.run();
    worker.clear();
    drop(entered);
    std::mem::forget(abort);
    shared.one_has_ended();
}

/// The life of a reserve's thread.
pub(super) fn reserve(shared: &Arc<Shared>, seat: usize) {
    let abort = AbortOnPanic;
    reserve::run(shared, seat);
    std::mem::forget(abort);
}

/// Panics of bursts, tasks and wakers are caught. One of our own would leave a process whose connections nobody serves.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        tracing::error!(target: "parkade", "a worker panicked outside any handler: aborting");
        std::process::abort();
    }
}
