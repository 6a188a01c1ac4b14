//! What is measured: the same futures everywhere, made, woken and timed by the runtime they run on.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smol::channel::{Receiver, Sender, bounded};

use crate::baton::{Baton, relay};
use crate::contestants::Contestant;

/// One row of figures.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    /// How often in a round: some ten milliseconds.
    pub(crate) times: u64,
    pub(crate) of: fn(&Contestant) -> fn(u64) -> Duration,
}

pub(crate) const ALL: [Measure; 4] = [
    Measure {
        name: "a task is spawned, wakes itself once and is awaited",
        times: 100_000,
        of: |contestant| contestant.spawn,
    },
    Measure {
        name: "a wake of a task on another, idle thread",
        times: 2_000,
        of: |contestant| contestant.across,
    },
    Measure {
        name: "a sleep of an hour is begun and dropped",
        times: 100_000,
        of: |contestant| contestant.timer,
    },
    Measure {
        name: "a message from one task to another that waits for it",
        times: 100_000,
        of: |contestant| contestant.channel,
    },
];

/// Wakes itself once.
#[derive(Default)]
pub(crate) struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Tasks one after the other.
pub(crate) async fn spawn<J: Future>(times: u64, spawn: impl Fn(Yield) -> J) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        spawn(Yield::default()).await;
    }
    start.elapsed()
}

/// Sleeps that are polled once and dropped.
pub(crate) async fn timer<S: Future>(times: u64, sleep: impl Fn(Duration) -> S) -> Duration {
    let hour = Duration::from_secs(3_600);
    poll_fn(|cx| {
        let start = Instant::now();
        for _ in 0..times {
            assert!(pin!(sleep(hour)).poll(cx).is_pending());
        }
        Poll::Ready(start.elapsed())
    })
    .await
}

/// What [`channel`] has spawned.
pub(crate) type Echo = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Messages to a task that sends each back, through the same channels on every runtime.
pub(crate) async fn channel<J: Future>(times: u64, spawn: impl FnOnce(Echo) -> J) -> Duration {
    let (there, here) = bounded(1);
    let (back, answers) = bounded(1);
    let echo = spawn(Box::pin(echo(here, back)));
    let start = Instant::now();
    for n in 0..times.div_ceil(2) {
        there.send(n).await.expect("the echo listens");
        assert_eq!(answers.recv().await, Ok(n));
    }
    let took = start.elapsed();
    drop(there);
    echo.await;
    took
}

async fn echo(here: Receiver<u64>, back: Sender<u64>) {
    while let Ok(n) = here.recv().await {
        if back.send(n).await.is_err() {
            return;
        }
    }
}

/// The two ends of a relay between threads: the first is timed, once both run.
pub(crate) fn across(
    times: u64,
) -> (
    impl Future<Output = Duration> + Send,
    impl Future<Output = ()> + Send,
) {
    let baton = Arc::new(Baton::default());
    let rounds = times.div_ceil(2);
    let far = relay(baton.clone(), 1, rounds + 1);
    let near = async move {
        relay(baton.clone(), 0, 1).await;
        let start = Instant::now();
        relay(baton, 0, rounds).await;
        start.elapsed()
    };
    (near, far)
}
