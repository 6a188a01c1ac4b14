//! A hello server on hyper and tokio.

use parkade_rivals::{on_hyper, on_tokio};

fn main() -> std::io::Result<()> {
    on_tokio::run(|listener| on_hyper::serve(listener, false))
}
