//! A hello server on compio, through io_uring.

use std::io;

use compio::BufResult;
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::Runtime;
use parkade_rivals::answer::{ANSWER, owed};
use parkade_rivals::heads::Heads;
use parkade_rivals::threads;

/// Held by each connection for as long as it is open.
const BUFFER: usize = 4 * 1024;

fn main() -> io::Result<()> {
    threads::run(|listener| Runtime::new()?.block_on(serve(listener)))
}

async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        compio::runtime::spawn(talk(stream)).detach();
    }
}

async fn talk(mut stream: TcpStream) {
    let mut heads = Heads::default();
    let mut input = Vec::with_capacity(BUFFER);
    loop {
        let BufResult(read, back) = stream.read(input).await;
        input = back;
        let Ok(n @ 1..) = read else { return };
        let Some(asked) = heads.take(&input[..n]) else {
            return;
        };
        let mut left = asked.heads * ANSWER.len();
        while left > 0 {
            let bytes = owed(left);
            let BufResult(sent, _) = stream.write_all(bytes).await;
            if sent.is_err() {
                return;
            }
            left -= bytes.len();
        }
        if asked.close {
            return;
        }
        input.clear();
    }
}
