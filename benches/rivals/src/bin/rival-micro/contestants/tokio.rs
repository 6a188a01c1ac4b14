//! Tokio, with its runtime of one thread and with that of many.

use std::future::Future;
use std::time::Duration;

use parkade_rivals::threads::pin;
use tokio::runtime::{Builder, Runtime};
use tokio::spawn;
use tokio::time::sleep;

use super::Contestant;
use crate::measures;

pub(super) const CURRENT_THREAD: Contestant = Contestant {
    name: "tokio current_thread",
    spawn: |times| one(measures::spawn(times, spawn)),
    across: across_two,
    timer: |times| one(measures::timer(times, sleep)),
    channel: |times| one(measures::channel(times, spawn)),
};

pub(super) const MULTI_THREAD: Contestant = Contestant {
    name: "tokio multi_thread",
    spawn: |times| many(measures::spawn(times, spawn)),
    across: across_many,
    timer: |times| many(measures::timer(times, sleep)),
    channel: |times| many(measures::channel(times, spawn)),
};

fn one<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    pin(0);
    alone(future)
}

fn alone<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let task = runtime.spawn(future);
    runtime.block_on(task).expect("a task that ends well")
}

fn workers(count: usize) -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(count)
        .enable_all()
        .build();
    runtime.expect("workers")
}

fn many(future: impl Future<Output = Duration> + Send + 'static) -> Duration {
    let runtime = workers(2);
    let task = runtime.spawn(future);
    runtime.block_on(task).expect("a task that ends well")
}

/// A runtime on each thread.
fn across_two(times: u64) -> Duration {
    let (near, far) = measures::across(times);
    let other = std::thread::spawn(move || {
        pin(1);
        alone(far);
    });
    let took = one(near);
    other.join().expect("the far end ends well");
    took
}

/// Two workers would keep both ends on one of them, so the near end is on the thread that waits, which is none.
fn across_many(times: u64) -> Duration {
    let (near, far) = measures::across(times);
    // Its worker inherits where it may run.
    pin(1);
    let runtime = workers(1);
    let other = runtime.spawn(far);
    pin(0);
    let took = runtime.block_on(near);
    runtime.block_on(other).expect("the far end ends well");
    took
}
