//! A hello server on `polling`, level-triggered: no call to wait again.

use parkade_rivals::{on_polling, threads};

fn main() -> std::io::Result<()> {
    threads::run(|listener| on_polling::serve(&listener, polling::PollMode::Level))
}
