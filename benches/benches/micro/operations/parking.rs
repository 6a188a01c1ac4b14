//! What requests and deadlines do to a slot.
#![allow(
    clippy::expect_used,
    reason = "a measurement of nothing must not look like one"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use parkade::micro::Parked;

const BUSY: u32 = 64;
const MANY: u32 = 4096;

fn parked(count: u32) -> Parked {
    Parked::new(count).expect("address space for the slots")
}

fn each(times: u64, mut step: impl FnMut(u32) -> bool) -> Duration {
    let mut index = 0;
    let mut all = true;
    let start = Instant::now();
    for _ in 0..times {
        all &= step(black_box(index));
        index = (index + 1) % BUSY;
    }
    let took = start.elapsed();
    assert!(all, "a step went another way");
    took
}

pub(super) fn turn(times: u64) -> Duration {
    let parked = parked(BUSY);
    each(times, |index| parked.turn(index))
}

pub(super) fn wait(times: u64) -> Duration {
    let parked = parked(BUSY);
    each(times, |index| parked.wait(index))
}

pub(super) fn renew(times: u64) -> Duration {
    let parked = parked(BUSY);
    for index in 0..BUSY {
        parked.renew(index, 300_000);
    }
    each(times, |index| !parked.renew(index, 300_000))
}

/// From the end of a keep-alive to that of a head and back.
pub(super) fn relink(times: u64) -> Duration {
    let parked = parked(BUSY);
    for index in 0..BUSY {
        parked.renew(index, 300_000);
    }
    let mut short = false;
    each(times, |index| {
        short ^= index == 0;
        parked.renew(index, if short { 5_000 } else { 300_000 })
    })
}

pub(super) fn expire(times: u64) -> Duration {
    let mut parked = parked(MANY);
    // Spread over a minute by a step that meets every remainder.
    let mut serial = 0_u32;
    let mut ahead = move || {
        serial = serial.wrapping_add(1);
        1 + serial.wrapping_mul(7919) % 60_000
    };
    for index in 0..MANY {
        parked.renew(index, ahead());
    }
    let mut expired = Vec::with_capacity(MANY as usize);
    let mut left = times;
    let start = Instant::now();
    while left > 0 {
        parked.tick(64, |index| expired.push(index));
        left = left.saturating_sub(expired.len() as u64);
        for index in expired.drain(..) {
            parked.renew(index, ahead());
        }
    }
    start.elapsed()
}
