//! An echo server whose idle connections are parked: 56 bytes each, no task, no buffer.
//!
//! `cargo run --release -p parkade --example echo -- 127.0.0.1:7000`

use parkade::{Affinity, Conn, Keepalive, Next, Runtime, Workers};

async fn echo(mut conn: Conn) -> parkade::Result<Next> {
    while let Some(chunk) = conn.recv_ready().await? {
        conn.send(chunk.filled()).await?;
    }
    Ok(if conn.ended() {
        Next::Close(conn)
    } else {
        Next::Park(conn, Keepalive::secs(300))
    })
}

fn main() -> parkade::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:7000".into());
    let address = address
        .parse()
        .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidInput, e))?;
    Runtime::builder()
        .workers(Workers::Count(1))
        .affinity(Affinity::PerCore)
        .build()?
        .serve(address, parkade::bursts(echo))
}
