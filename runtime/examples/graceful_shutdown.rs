//! An end that no client need notice: SIGTERM or ctrl-c lets requests in progress finish.
//!
//! Each request takes a second here. After the signal nobody new is let in and idle connections are told goodbye; what has
//! begun is answered, for ten seconds at most.
//!
//! `cargo run -p parkade --example graceful_shutdown -- 127.0.0.1:7000`

use parkade::signal::{Signal, signals};
use parkade::{Conn, Handle, Keepalive, Next, Runtime, Workers, bursts, time};
use std::time::Duration;

async fn serve(mut conn: Conn) -> parkade::Result<Next> {
    while let Some(chunk) = conn.recv_ready().await? {
        time::sleep(Duration::from_secs(1)).await;
        conn.send(chunk.filled()).await?;
    }
    Ok(match conn.ended() {
        true => Next::Close(conn),
        // A connection that is told goodbye need not wait for the next request.
        false if conn.draining() => Next::Linger(conn, Duration::from_secs(2)),
        false => Next::Park(conn, Keepalive::secs(60)),
    })
}

async fn until_told(handle: Handle) -> parkade::Result<()> {
    let mut told = signals([Signal::Terminate, Signal::Interrupt])?;
    if let Some(signal) = told.next().await {
        println!("{signal:?}: finishing what has begun");
        handle.shutdown(Duration::from_secs(10));
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:7000").parse()?;
    let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
    let handle = runtime.handle();
    let worker = handle.clone();
    drop(worker.spawn_on(0, move || until_told(handle)));
    runtime.serve(address, bursts(serve))?;
    println!("done");
    Ok(())
}
