//! Time: the coarse clock of connections, and fine timers for `sleep`, `timeout` and `interval`.

mod deadline;
mod interval;
mod sleep;
pub(crate) mod timers;

pub use deadline::{Deadline, Keepalive};
pub use interval::{Interval, interval};
pub use sleep::{Elapsed, Sleep, Timeout, sleep, timeout};
