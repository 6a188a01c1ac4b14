//! A hello server on smol: async-executor above async-io.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use parkade_rivals::answer::{ANSWER, owed};
use parkade_rivals::command::Command;
use parkade_rivals::heads::Heads;
use parkade_rivals::threads;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Executor, LocalExecutor};

type Listener = Async<std::net::TcpListener>;
type Stream = Async<std::net::TcpStream>;

/// Held by each connection for as long as it is open.
const BUFFER: usize = 4 * 1024;

fn main() -> io::Result<()> {
    let command = Command::get();
    let listener = threads::listener(command.address)?;
    threads::announce(listener.local_addr()?);
    let listener = Listener::new(listener)?;
    if command.threads == 1 {
        threads::pin(0);
        one(listener)
    } else {
        many(listener, command.threads)
    }
}

fn one(listener: Listener) -> io::Result<()> {
    let executor = Rc::new(LocalExecutor::new());
    smol::block_on(executor.run(async {
        loop {
            let (stream, _) = listener.accept().await?;
            executor.spawn(talk(stream)).detach();
        }
    }))
}

fn many(listener: Listener, threads: usize) -> io::Result<()> {
    let executor = Arc::new(Executor::new());
    for _ in 1..threads {
        let executor = executor.clone();
        std::thread::spawn(move || smol::block_on(executor.run(std::future::pending::<()>())));
    }
    smol::block_on(executor.run(async {
        loop {
            let (stream, _) = listener.accept().await?;
            executor.spawn(talk(stream)).detach();
        }
    }))
}

async fn talk(mut stream: Stream) {
    let mut heads = Heads::default();
    let mut input = vec![0; BUFFER];
    loop {
        let Ok(n @ 1..) = stream.read(&mut input).await else {
            return;
        };
        let Some(asked) = heads.take(&input[..n]) else {
            return;
        };
        let mut left = asked.heads * ANSWER.len();
        while left > 0 {
            let bytes = owed(left);
            if stream.write_all(bytes).await.is_err() {
                return;
            }
            left -= bytes.len();
        }
        if asked.close {
            return;
        }
    }
}
