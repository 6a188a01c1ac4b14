//! The runtimes: a file for each, with how it runs a future, spawns a task and sleeps. What is measured is a task itself:
//! the future that `block_on` gets is woken in another way by some.
//!
//! What is local runs on one thread on core 0, but for tokio's runtime of many workers, which has two. `across` is between
//! that thread and one on core 1.

mod monoio;
mod parkade;
mod smol;
mod tokio;

use std::time::Duration;

/// Each takes how often, and returns how long that took.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) spawn: fn(u64) -> Duration,
    pub(crate) across: fn(u64) -> Duration,
    pub(crate) timer: fn(u64) -> Duration,
    pub(crate) channel: fn(u64) -> Duration,
}

/// The first is what the others are compared with.
pub(crate) const ALL: [Contestant; 6] = [
    parkade::PARKADE,
    tokio::CURRENT_THREAD,
    tokio::MULTI_THREAD,
    smol::SMOL,
    monoio::EPOLL,
    monoio::URING,
];
