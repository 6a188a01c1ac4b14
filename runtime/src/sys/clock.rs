//! Clocks, read through the vDSO: no system call; and a sleep.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

/// CLOCK_MONOTONIC in milliseconds, wrapping; good for differences below 2^31.
pub(crate) fn monotonic_ms() -> u32 {
    let t = clock_gettime(ClockId::Monotonic);
    (t.tv_sec as u64)
        .wrapping_mul(1000)
        .wrapping_add(t.tv_nsec as u64 / 1_000_000) as u32
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// As exact as the kernel's tick, where there is such a clock.
#[cfg(target_os = "linux")]
const WALL: ClockId = ClockId::RealtimeCoarse;
#[cfg(not(target_os = "linux"))]
const WALL: ClockId = ClockId::Realtime;

/// Seconds since the epoch.
pub(crate) fn unix_seconds() -> u64 {
    u64::try_from(clock_gettime(WALL).tv_sec).unwrap_or(0)
}

/// Sleeps for so long, or until a signal comes.
pub(crate) fn sleep(time: Duration) {
    let time = Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    };
    let _ = rustix::thread::nanosleep(&time);
}
