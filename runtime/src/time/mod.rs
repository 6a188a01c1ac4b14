//! Time: the coarse clock of connections, and fine timers for `sleep` and `timeout`.

mod deadline;
mod sleep;
pub(crate) mod timers;

pub use deadline::{Deadline, Keepalive};
pub use sleep::{Elapsed, Sleep, Timeout, sleep, timeout};
