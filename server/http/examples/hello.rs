//! A fixed response from a handler, with everything a real server does around it.
//!
//! `cargo run --release -p parkade-http --example hello -- 127.0.0.1:8080`

use parkade::{Affinity, Runtime, Workers};
use parkade_http::{Limits, Request, Response, Server};

async fn hello(request: Request) -> Response {
    match request.path() {
        b"/" => Response::text("Hello, World!"),
        _ => Response::not_found(),
    }
}

fn main() -> parkade::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".into());
    let address = address
        .parse()
        .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidInput, e))?;
    let limits = Limits {
        requests: 0,
        keep_alive: std::time::Duration::from_secs(300),
        ..Limits::default()
    };
    Runtime::builder()
        .workers(Workers::Count(1))
        .affinity(Affinity::PerCore)
        .build()?
        .serve(address, Server::new(hello).limits(limits).service())
}
