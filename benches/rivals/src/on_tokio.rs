//! The runtime that a command line asks for: the one on the calling thread, or the one with many workers.

use std::future::Future;
use std::io;

use tokio::net::TcpListener;

use crate::command::Command;
use crate::threads;

/// Runs `serve` with a listener.
pub fn run<F>(serve: impl FnOnce(TcpListener) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    let command = Command::get();
    let listener = threads::listener(command.address)?;
    listener.set_nonblocking(true)?;
    let mut builder = if command.threads == 1 {
        threads::pin(0);
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder
        .worker_threads(command.threads)
        .enable_all()
        .build()?;
    let address = listener.local_addr()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        threads::announce(address);
        serve(listener).await
    })
}
