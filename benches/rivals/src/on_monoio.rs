//! A hello server on monoio, whatever its driver.

use std::io;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};

use crate::answer::{ANSWER, owed};
use crate::heads::Heads;

/// Held by each connection for as long as it is open.
const BUFFER: usize = 4 * 1024;

/// Serves until accepting fails.
pub async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        monoio::spawn(talk(stream));
    }
}

async fn talk(mut stream: TcpStream) {
    let mut heads = Heads::default();
    let mut input = Vec::with_capacity(BUFFER);
    loop {
        let (read, back) = stream.read(input).await;
        input = back;
        let Ok(1..) = read else { return };
        let Some(asked) = heads.take(&input) else {
            return;
        };
        let mut left = asked.heads * ANSWER.len();
        while left > 0 {
            let (sent, _) = stream.write_all(owed(left)).await;
            let Ok(n @ 1..) = sent else { return };
            left -= n;
        }
        if asked.close {
            return;
        }
        input.clear();
    }
}
