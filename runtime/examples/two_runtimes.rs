//! Two runtimes in one process, one over epoll and one over io_uring, with nothing in common.
//!
//! They ask each other questions, say what they count, and end one after the other. Where the kernel has no io_uring the
//! second one says that it does without.
//!
//! `cargo run -p parkade --example two_runtimes`

use parkade::{Backend, Conn, Keepalive, Next, Runtime, TcpStream, Workers, bursts};
use std::net::{SocketAddr, TcpListener};

async fn double(mut conn: Conn) -> parkade::Result<Next> {
    while let Some(chunk) = conn.recv_ready().await? {
        let doubled: Vec<u8> = chunk.filled().iter().map(|byte| byte * 2).collect();
        conn.add_request();
        conn.send(&doubled).await?;
    }
    Ok(match conn.ended() {
        true => Next::Close(conn),
        false => Next::Park(conn, Keepalive::secs(60)),
    })
}

/// Asks from one runtime whoever serves there.
fn ask_on(runtime: &Runtime, server: SocketAddr) -> parkade::Result<u8> {
    parkade::block_on(runtime.handle().spawn_on(0, move || ask(server)))
}

async fn ask(server: SocketAddr) -> parkade::Result<u8> {
    let stream = TcpStream::connect(server).await?;
    let mut number = [1];
    for _ in 0..6 {
        stream.write_all(&number).await?;
        stream.read_exact(&mut number).await?;
    }
    Ok(number[0])
}

fn start(backend: Backend) -> parkade::Result<(Runtime, SocketAddr)> {
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .name(backend.to_string())
        .backend(backend)
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    runtime.listen(listener, bursts(double))?;
    Ok((runtime, address))
}

fn main() -> parkade::Result<()> {
    let (one, first) = start(Backend::Epoll)?;
    let (two, second) = start(Backend::IoUring)?;
    println!("64 = {}", ask_on(&one, second)?);
    println!("64 = {}", ask_on(&two, first)?);
    for runtime in [&one, &two] {
        let handle = runtime.handle();
        let (backend, why) = handle.backend();
        let requests: u64 = handle.metrics().workers.iter().map(|w| w.requests).sum();
        println!("{backend} ({why}): {requests} requests");
    }
    // The end of one is no concern of the other.
    drop(one);
    println!("64 = {}", ask_on(&two, second)?);
    Ok(())
}
