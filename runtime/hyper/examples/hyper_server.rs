//! hyper's HTTP/1 and HTTP/2 on the parkade runtime: a connection that begins with HTTP/2's preface gets that.
//!
//! `cargo run --release --example hyper_server -- 127.0.0.1:8080`
//!
//! `curl localhost:8080/` says hello, `curl --http2-prior-knowledge localhost:8080/` over HTTP/2; `-d` something comes back.

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use parkade::{Conn, Deadline, Next, Runtime};
use parkade_hyper::{Executor, Stream, Timer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let body = match *request.method() {
        // Sent back while it comes.
        Method::POST | Method::PUT => request.into_body().boxed(),
        _ => Full::from("Hello, World!")
            .map_err(|never| match never {})
            .boxed(),
    };
    Ok(Response::new(body))
}

async fn serve(mut conn: Conn) -> parkade::Result<Next> {
    // Four bytes tell which protocol it is: no method of HTTP/1 is called PRI.
    let mut begun = conn.buffer();
    conn.set_io_deadline(Some(Deadline::after(conn.now(), PATIENCE)));
    while begun.len() < 4 && conn.recv(&mut begun).await? > 0 {}
    conn.set_io_deadline(None);
    let two = begun.filled().starts_with(b"PRI ");
    let stream = Stream::with_ahead(conn, begun);
    if two {
        let mut http = http2::Builder::new(Executor::new());
        http.timer(Timer::new()).keep_alive_interval(PATIENCE);
        // hyper closes it.
        if let Err(e) = http.serve_connection(stream, service_fn(answer)).await {
            eprintln!("a connection ended: {e}");
        }
        return Ok(Next::Gone);
    }
    let mut http = http1::Builder::new();
    http.timer(Timer::new()).header_read_timeout(PATIENCE);
    // To get the socket back hyper wants futures that can be moved.
    let service = service_fn(|request| Box::pin(answer(request)));
    let mut connection = http.serve_connection(stream, service);
    let ended = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let (conn, _) = connection.into_parts().io.into_inner();
    Ok(match ended {
        // The last answer is not lost, even if the client is still sending.
        Ok(()) => Next::Linger(conn, Duration::from_secs(2)),
        Err(e) => {
            eprintln!("a connection ended: {e}");
            Next::Close(conn)
        }
    })
}

fn main() -> parkade::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".into());
    let address = address
        .parse()
        .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidInput, e))?;
    Runtime::builder()
        .build()?
        .serve(address, parkade::bursts(serve))
}
