//! The operations: each runs so many times and says how long that took, its preparations not counted.
//!
//! `parking` is what a request does to a slot, `tasks` what a future costs on a worker, `heads` what a head does. `baton` is passed between
//! two tasks.

mod baton;
mod heads;
mod parking;
mod tasks;

use std::time::Duration;

/// One of them.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) run: fn(u64) -> Duration,
}

const fn named(name: &'static str, run: fn(u64) -> Duration) -> Operation {
    Operation { name, run }
}

/// All of them.
pub(crate) const ALL: &[Operation] = &[
    // A claim and a park of the state word.
    named("state-turn", parking::turn),
    // The same with a wait for input between, and its wake.
    named("state-wait", parking::wait),
    // A deadline is set anew where the wheel need not know.
    named("deadline-renew", parking::renew),
    // One that the wheel must link elsewhere.
    named("deadline-relink", parking::relink),
    // A deadline is linked and runs out, one of 4,096.
    named("wheel-expire", parking::expire),
    // A request of two lines, and a browser's.
    named("parse-short", heads::short),
    named("parse-browser", heads::browser),
    // A task is made, runs and is awaited on one worker.
    named("spawn", tasks::spawn),
    // A task wakes another one on its worker, which runs.
    named("wake", tasks::wake),
    // A task wakes one on another worker, which is asleep or about to be.
    named("wake-across", tasks::wake_across),
    // A sleep is begun and dropped.
    named("sleep-drop", tasks::sleep_drop),
];
