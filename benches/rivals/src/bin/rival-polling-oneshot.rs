//! A hello server on `polling` as it is on every system: one event, and a call to wait for the next.

use parkade_rivals::{on_polling, threads};

fn main() -> std::io::Result<()> {
    threads::run(|listener| on_polling::serve(&listener, polling::PollMode::Oneshot))
}
