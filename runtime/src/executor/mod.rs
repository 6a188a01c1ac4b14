//! Running futures on one worker.
//!
//! `burst` polls the future of a burst in place, in a recycled cell of its type; `task` is what `spawn` makes, a cell
//! of async-task; `yielding` is how it lets others go first; `remote` is a task that another thread asked for; `inbox` is how any other thread hands a worker
//! something and wakes it, `handed` a connection on its way there, `flags` what the two tell each other beside it.

pub(crate) mod burst;
pub(crate) mod flags;
pub(crate) mod handed;
pub(crate) mod inbox;
pub(crate) mod remote;
pub(crate) mod task;
pub(crate) mod yielding;

#[cfg(all(test, loom))]
mod models;
