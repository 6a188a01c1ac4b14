//! A hello server on monoio's epoll driver.

use monoio::{LegacyDriver, RuntimeBuilder};
use parkade_rivals::{on_monoio, threads};

fn main() -> std::io::Result<()> {
    threads::run(|listener| {
        // Its accept(2) would wait in the kernel; that of io_uring must, on a listener that blocks.
        listener.set_nonblocking(true)?;
        let mut runtime = RuntimeBuilder::<LegacyDriver>::new().build()?;
        runtime.block_on(on_monoio::serve(listener))
    })
}
