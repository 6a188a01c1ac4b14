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
    spawn: |times| run(async |executor| measures::spawn(times, |f| executor.spawn(f)).await),
    across,
    timer: |times| run(async |_| measures::timer(times, Timer::after).await),
    channel: |times| run(async |executor| measures::channel(times, |f| executor.spawn(f)).await),
};

fn run(make: impl AsyncFnOnce(Rc<LocalExecutor<'static>>) -> Duration) -> Duration {
    pin(0);
    let executor = Rc::new(LocalExecutor::new());
    block_on(executor.run(make(executor.clone())))
}

fn alone<F: Future>(core: usize, future: F) -> F::Output {
    pin(core);
    block_on(LocalExecutor::new().run(future))
}

fn across(times: u64) -> Duration {
    let (near, far) = measures::across(times);
    let other = std::thread::spawn(move || alone(1, far));
    let took = alone(0, near);
    other.join().expect("the far end ends well");
    took
}
