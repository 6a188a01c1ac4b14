//! Futures on workers: made, woken, and waiting for a time.
#![allow(
    clippy::expect_used,
    reason = "a measurement of nothing must not look like one"
)]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use parkade::{Affinity, Runtime, Workers};

use super::baton::{Baton, relay};

fn runtime(workers: usize) -> Runtime {
    Runtime::builder()
        .workers(Workers::Count(workers))
        .affinity(Affinity::PerCore)
        .build()
        .expect("a runtime")
}

pub(super) fn spawn(times: u64) -> Duration {
    runtime(1).block_on(async move {
        let start = Instant::now();
        for _ in 0..times {
            parkade::spawn(async {}).await;
        }
        start.elapsed()
    })
}

pub(super) fn sleep_drop(times: u64) -> Duration {
    let hour = Duration::from_secs(3_600);
    runtime(1).block_on(poll_fn(move |cx| {
        let start = Instant::now();
        for _ in 0..times {
            let sleep = pin!(parkade::time::sleep(hour));
            assert!(sleep.poll(cx).is_pending());
        }
        Poll::Ready(start.elapsed())
    }))
}

pub(super) fn wake(times: u64) -> Duration {
    runtime(1).block_on(async move {
        let baton = Arc::new(Baton::default());
        let other = parkade::spawn(relay(baton.clone(), 1, times.div_ceil(2)));
        let start = Instant::now();
        relay(baton, 0, times.div_ceil(2)).await;
        other.await;
        start.elapsed()
    })
}

pub(super) fn wake_across(times: u64) -> Duration {
    let runtime = runtime(2);
    let baton = Arc::new(Baton::default());
    let rounds = times.div_ceil(2);
    let away = baton.clone();
    let other = runtime.handle().spawn_on(1, move || relay(away, 1, rounds));
    runtime.block_on(async move {
        let start = Instant::now();
        relay(baton, 0, rounds).await;
        other.await;
        start.elapsed()
    })
}
