//! Work that blocks, on threads of its own: the workers go on with everything else.
//!
//! A client sends a number and hears how many primes are below it. The counting takes its time and is done by reserves;
//! a client that sends an empty line is answered at once, however many others are waiting.
//!
//! `cargo run --release -p parkade --example blocking_work -- 127.0.0.1:7000`

use parkade::{Conn, Keepalive, Next, Runtime, Workers, bursts, spawn_blocking};

/// Larger numbers are refused.
const MOST: u32 = 20_000_000;

fn primes_below(most: u32) -> u32 {
    let mut composite = vec![false; most as usize];
    let mut count = 0;
    for n in 2..most as usize {
        if !composite[n] {
            count += 1;
            (n * n..most as usize)
                .step_by(n)
                .for_each(|m| composite[m] = true);
        }
    }
    count
}

async fn serve(mut conn: Conn) -> parkade::Result<Next> {
    while let Some(chunk) = conn.recv_ready().await? {
        let text = String::from_utf8_lossy(chunk.filled()).into_owned();
        for line in text.lines() {
            let answer = match line.parse() {
                Ok(most @ 0..=MOST) => {
                    let count = spawn_blocking(move || primes_below(most)).await;
                    format!("{count}\n")
                }
                _ if line.is_empty() => "still here\n".into(),
                _ => format!("a number up to {MOST}, please\n"),
            };
            conn.send(answer.as_bytes()).await?;
        }
    }
    Ok(match conn.ended() {
        true => Next::Close(conn),
        false => Next::Park(conn, Keepalive::secs(60)),
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:7000").parse()?;
    Runtime::builder()
        .workers(Workers::Count(1))
        .reserves(2)
        .build()?
        .serve(address, bursts(serve))?;
    Ok(())
}
