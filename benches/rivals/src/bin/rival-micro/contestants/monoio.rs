//! Monoio on both of its drivers, a runtime on each thread.

use std::future::Future;

use monoio::time::sleep;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder, spawn};
use parkade_rivals::threads::pin;

use super::Contestant;
use crate::measures;

pub(super) const EPOLL: Contestant = Contestant {
    name: "monoio, epoll",
    spawn: |times| epoll(0, measures::spawn(times, spawn)),
    across: |times| {
        let (near, far) = measures::across(times);
        let other = std::thread::spawn(move || epoll(1, far));
        let took = epoll(0, near);
        other.join().expect("the far end ends well");
        took
    },
    timer: |times| epoll(0, measures::timer(times, sleep)),
    channel: |times| epoll(0, measures::channel(times, spawn)),
};

pub(super) const URING: Contestant = Contestant {
    name: "monoio, io_uring",
    spawn: |times| uring(0, measures::spawn(times, spawn)),
    across: |times| {
        let (near, far) = measures::across(times);
        let other = std::thread::spawn(move || uring(1, far));
        let took = uring(0, near);
        other.join().expect("the far end ends well");
        took
    },
    timer: |times| uring(0, measures::timer(times, sleep)),
    channel: |times| uring(0, measures::channel(times, spawn)),
};

fn epoll<T: 'static>(core: usize, future: impl Future<Output = T> + 'static) -> T {
    pin(core);
    let runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build();
    let task = async { spawn(future).await };
    runtime.expect("a runtime").block_on(task)
}

fn uring<T: 'static>(core: usize, future: impl Future<Output = T> + 'static) -> T {
    pin(core);
    let runtime = RuntimeBuilder::<IoUringDriver>::new()
        .enable_timer()
        .build();
    let task = async { spawn(future).await };
    runtime.expect("a runtime").block_on(task)
}
