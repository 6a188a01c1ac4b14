//! Parkade: tasks stay on the worker that spawned them.

use std::future::Future;
use std::time::Duration;

use parkade::time::sleep;
use parkade::{Affinity, Runtime, Workers, block_on, spawn};

use super::Contestant;
use crate::measures;

pub(super) const PARKADE: Contestant = Contestant {
    name: "parkade",
    spawn: |times| run(move || measures::spawn(times, spawn)),
    across,
    timer: |times| run(move || measures::timer(times, sleep)),
    channel: |times| run(move || measures::channel(times, spawn)),
};

fn runtime(workers: usize) -> Runtime {
    Runtime::builder()
        .workers(Workers::Count(workers))
        .affinity(Affinity::PerCore)
        .build()
        .expect("workers")
}

fn run<F>(make: impl FnOnce() -> F + Send + 'static) -> Duration
where
    F: Future<Output = Duration> + 'static,
{
    let runtime = runtime(1);
    block_on(runtime.handle().spawn_on(0, make))
}

fn across(times: u64) -> Duration {
    let (near, far) = measures::across(times);
    let runtime = runtime(2);
    let far = runtime.handle().spawn_on(1, move || far);
    let took = runtime.block_on(near);
    block_on(far);
    took
}
