//! Smol, with an executor of its own for each thread.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use parkade_rivals::threads::pin;
use smol::{LocalExecutor, Timer, block_on};

use super::Contestant;
use crate::measures;

pub(super) const SMOL: Contestant = Contestant {
    name: "smol",
    spawn: |times| run(move |executor| measures::spawn(times, move |f| executor.spawn(f))),
    across,
    timer: |times| run(move |_| measures::timer(times, Timer::after)),
    channel: |times| run(move |executor| measures::channel(times, move |f| executor.spawn(f))),
};

fn run<F>(make: impl FnOnce(Rc<LocalExecutor<'static>>) -> F) -> Duration
where
    F: Future<Output = Duration> + 'static,
{
    pin(0);
    let executor = Rc::new(LocalExecutor::new());
    let task = executor.spawn(make(executor.clone()));
    block_on(executor.run(task))
}

fn alone<T: 'static>(core: usize, future: impl Future<Output = T> + 'static) -> T {
    pin(core);
    let executor = LocalExecutor::new();
    let task = executor.spawn(future);
    block_on(executor.run(task))
}

fn across(times: u64) -> Duration {
    let (near, far) = measures::across(times);
    let other = std::thread::spawn(move || alone(1, far));
    let took = alone(0, near);
    other.join().expect("the far end ends well");
    took
}
