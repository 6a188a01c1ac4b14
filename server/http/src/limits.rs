//! Limits on everything a client can grow or stretch.

use crate::head::HeadLimits;
use parkade::Deadline;
use std::time::Duration;

/// How long something that comes in pieces may take in all: `initial`, plus a second per `min_rate` bytes that came,
/// up to `max`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Without a byte. Zero: no limit.
    pub initial: Duration,
    /// At most; `None` for no cap.
    pub max: Option<Duration>,
    /// Bytes that buy a second; 0 for none.
    pub min_rate: u32,
}

impl Pace {
    /// The moment at which patience ends, when `bytes` have come since `began`.
    #[must_use]
    pub fn deadline(&self, began: Deadline, bytes: u64) -> Option<Deadline> {
        if self.initial.is_zero() {
            return None;
        }
        let earned = match self.min_rate {
            0 => 0,
            rate => bytes * 1000 / u64::from(rate),
        };
        let total = self.initial.saturating_add(Duration::from_millis(earned));
        Some(Deadline::after(
            began,
            self.max.map_or(total, |m| total.min(m.max(self.initial))),
        ))
    }
}

/// What one connection may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of request heads.
    pub head: HeadLimits,
    /// How long a head may take from its first byte; 408 after that.
    pub head_pace: Pace,
    /// How long a body may take.
    pub body_pace: Pace,
    /// Bytes of a request body; more is 413.
    pub body: u64,
    /// How long a connection waits for its next request.
    pub keep_alive: Duration,
    /// Requests per connection; 0 for no limit, 1 for no keep-alive.
    pub requests: u32,
    /// How long a response may make no progress.
    pub write: Duration,
    /// How long a closed connection is read from, so that the last answer is not lost.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            head: HeadLimits::default(),
            head_pace: Pace {
                initial: seconds(20),
                max: Some(seconds(40)),
                min_rate: 500,
            },
            body_pace: Pace {
                initial: seconds(20),
                max: None,
                min_rate: 500,
            },
            body: 1 << 30,
            keep_alive: seconds(5),
            requests: 100,
            write: seconds(60),
            linger: seconds(30),
        }
    }
}
