//! Ticks at a steady pace.

use super::sleep::Sleep;
use crate::sys::clock;
use futures_core::Stream;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Ticks every `period`, which counts as a nanosecond if it is zero; the first tick comes after one period.
///
/// The pace is kept whatever the work between two ticks takes. Ticks that were missed altogether are not made up for: the
/// next one comes at its usual moment. Must be polled on a worker of the runtime; elsewhere it ticks without a pause.
///
/// ```
/// use parkade::{Runtime, Workers, time::interval};
/// use std::time::{Duration, Instant};
///
/// let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
/// let ticking = runtime.handle().spawn_on(0, || async {
///     let began = Instant::now();
///     let mut every = interval(Duration::from_millis(5));
///     for _ in 0..3 {
///         every.tick().await;
///     }
///     began.elapsed()
/// });
/// let took = parkade::block_on(ticking);
/// assert!(took >= Duration::from_millis(15));
/// # Ok::<(), parkade::Error>(())
/// ```
pub fn interval(period: Duration) -> Interval {
    let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    Interval {
        sleep: Sleep::until(clock::monotonic_ns().saturating_add(period)),
        period,
    }
}

/// Ticks at a steady pace; see [`interval`]. As a stream it never ends.
pub struct Interval {
    sleep: Sleep,
    /// Nanoseconds.
    period: u64,
}

impl Interval {
    /// The next tick. Cancel safe: a tick that nobody awaited is still to come.
    pub async fn tick(&mut self) {
        poll_fn(|cx| self.poll_tick(cx)).await;
    }

    /// [`Interval::tick`] for hand-written futures.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let next = following(self.sleep.at(), self.period, clock::monotonic_ns());
        self.sleep = Sleep::until(next);
        Poll::Ready(())
    }

    /// The time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.period)
    }
}

/// The first moment after `now` that is whole periods after `last`.
fn following(last: u64, period: u64, now: u64) -> u64 {
    let missed = now.saturating_sub(last) / period;
    last.saturating_add(period.saturating_mul(missed.saturating_add(1)))
}

impl Stream for Interval {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_tick(cx).map(Some)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interval")
            .field("period", &self.period())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::following;

    #[test]
    fn missed_ticks_are_passed_over_and_the_pace_is_kept() {
        assert_eq!(following(100, 10, 100), 110);
        assert_eq!(following(100, 10, 109), 110);
        assert_eq!(following(100, 10, 110), 120);
        assert_eq!(following(100, 10, 137), 140);
        // Polled early, by whoever was woken for something else.
        assert_eq!(following(100, 10, 90), 110);
        assert_eq!(following(100, u64::MAX, 200), u64::MAX);
    }
}
