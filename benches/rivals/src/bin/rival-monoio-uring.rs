//! A hello server on monoio's io_uring driver.

use monoio::{IoUringDriver, RuntimeBuilder};
use parkade_rivals::{on_monoio, threads};

fn main() -> std::io::Result<()> {
    threads::run(|listener| {
        let mut runtime = RuntimeBuilder::<IoUringDriver>::new().build()?;
        runtime.block_on(on_monoio::serve(listener))
    })
}
