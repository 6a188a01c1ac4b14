//! Sends every datagram back to whoever has sent it.
//!
//! `cargo run -p parkade --example udp_echo -- 127.0.0.1:7000`, then `socat - UDP:127.0.0.1:7000`

use parkade::{Runtime, UdpSocket, Workers};
use std::io::Write;
use std::net::SocketAddr;

async fn echo(address: SocketAddr) -> parkade::Result<()> {
    let socket = UdpSocket::bind(address)?;
    println!("listening at {}", socket.local_addr()?);
    let _ = std::io::stdout().flush();
    let mut datagram = vec![0; 65_536];
    loop {
        let (n, from) = socket.recv_from(&mut datagram).await?;
        // One that cannot be sent is lost, as datagrams are.
        if let Err(e) = socket.send_to(&datagram[..n], from).await {
            eprintln!("{from}: {e}");
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:7000").parse()?;
    let runtime = Runtime::builder().workers(Workers::Count(1)).build()?;
    parkade::block_on(runtime.handle().spawn_on(0, move || echo(address)))?;
    Ok(())
}
