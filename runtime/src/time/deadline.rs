//! Coarse moments, as connections keep them.

use crate::park::wheel::{HORIZON, before};
use std::time::Duration;

/// A moment in coarse monotonic milliseconds; meaningful within six days of now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline(pub(crate) u32);

impl Deadline {
    /// `duration` after `now`; the farthest is six days ahead.
    #[must_use]
    pub fn after(now: Deadline, duration: Duration) -> Self {
        Self(now.0.wrapping_add(millis(duration)))
    }

    /// Monotonic milliseconds, wrapping: all processes of a machine count the same.
    #[must_use]
    pub fn to_millis(self) -> u32 {
        self.0
    }

    /// What [`Deadline::to_millis`] has said, perhaps in another process.
    #[must_use]
    pub fn from_millis(ms: u32) -> Self {
        Self(ms)
    }

    /// Whether the moment has come.
    #[must_use]
    pub fn expired(self, now: Deadline) -> bool {
        !before(now.0, self.0)
    }

    /// Whether this moment comes before `other`.
    #[must_use]
    pub fn is_before(self, other: Deadline) -> bool {
        before(self.0, other.0)
    }

    /// How long from `earlier` to this moment; zero if it is not later.
    #[must_use]
    pub fn since(self, earlier: Deadline) -> Duration {
        let ms = self.0.wrapping_sub(earlier.0) as i32;
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000))
        .unwrap_or(HORIZON)
        .min(HORIZON)
}

/// How long a connection may stay parked before it is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive(Limit);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Limit {
    For(u32),
    Until(Deadline),
}

impl Keepalive {
    /// For `duration` from now, at most six days.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self(Limit::For(millis(duration)))
    }

    /// For so many seconds from now.
    #[must_use]
    pub const fn secs(seconds: u32) -> Self {
        Self::millis(seconds.saturating_mul(1000))
    }

    /// For so many milliseconds from now.
    #[must_use]
    pub const fn millis(ms: u32) -> Self {
        Self(Limit::For(if ms < HORIZON { ms } else { HORIZON }))
    }

    /// Until a moment decided earlier, such as the total deadline of a request head.
    #[must_use]
    pub const fn at(deadline: Deadline) -> Self {
        Self(Limit::Until(deadline))
    }

    pub(crate) fn deadline(self, now: u32) -> u32 {
        match self.0 {
            Limit::For(ms) => now.wrapping_add(ms),
            Limit::Until(deadline) => deadline.0,
        }
    }
}
