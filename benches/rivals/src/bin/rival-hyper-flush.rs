//! A hello server on hyper and tokio, which writes answers of a pipeline together. An experimental setting: whole requests
//! wait for the end of a head that has begun behind them.

use parkade_rivals::{on_hyper, on_tokio};

fn main() -> std::io::Result<()> {
    on_tokio::run(|listener| on_hyper::serve(listener, true))
}
