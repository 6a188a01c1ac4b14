//! Running futures on one worker.
//!
//! `burst` polls the future of a burst in place, in a recycled cell of its type; `task` is what `spawn` makes, a cell
//! of async-task; `remote` is a task that another thread asked for; `inbox` is how any other thread hands a worker
//! something and wakes it, `flags` what the two tell each other beside it.

pub(crate) mod burst;
pub(crate) mod flags;
pub(crate) mod inbox;
pub(crate) mod remote;
pub(crate) mod task;

#[cfg(all(test, loom))]
mod models;
