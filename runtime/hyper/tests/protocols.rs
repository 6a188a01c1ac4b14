//! hyper's servers and clients, over sockets of tasks and of bursts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version, client, server};
use parkade::{Conn, Next, Runtime, TcpListener, TcpStream, Workers};
use parkade_hyper::{Executor, Stream, Timer};
use std::convert::Infallible;
use std::future::Future;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

const SHORT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20);

/// Bodies come back; without one the path does. `/slow` takes a moment.
async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/slow" {
        parkade::time::sleep(SHORT).await;
    }
    let body = match request.body().is_end_stream() {
        true => Full::from(path).map_err(|never| match never {}).boxed(),
        false => request.into_body().boxed(),
    };
    Ok(Response::new(body))
}

/// Runs a future that need not be `Send` on a worker.
fn run<F>(make: impl FnOnce() -> F + Send + 'static) -> F::Output
where
    F: Future + 'static,
    F::Output: Send + 'static,
{
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .build()
        .unwrap();
    let within = || async { parkade::time::timeout(PATIENCE, make()).await.unwrap() };
    parkade::block_on(runtime.handle().spawn_on(0, within))
}

fn request(path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(format!("http://localhost{path}"))
        .header("host", "localhost")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// Accepts in a task.
fn listen(two: bool) -> SocketAddr {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    parkade::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = Stream::new(stream);
            parkade::spawn(async move {
                if two {
                    let mut http = server::conn::http2::Builder::new(Executor::new());
                    http.timer(Timer::new()).keep_alive_interval(SHORT);
                    http.serve_connection(stream, service_fn(answer)).await
                } else {
                    let mut http = server::conn::http1::Builder::new();
                    http.timer(Timer::new()).header_read_timeout(PATIENCE);
                    http.serve_connection(stream, service_fn(answer)).await
                }
            });
        }
    });
    address
}

async fn body(answer: Response<Incoming>) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
}

#[test]
fn http1_client_and_server_keep_their_connection() {
    run(|| async {
        let stream = Stream::new(TcpStream::connect(listen(false)).await.unwrap());
        let (mut ask, connection) = client::conn::http1::handshake(stream).await.unwrap();
        parkade::spawn(connection);
        for round in 0..20 {
            let path = format!("/{round}");
            ask.ready().await.unwrap();
            let answer = ask.send_request(request(&path, "")).await.unwrap();
            assert_eq!(
                (answer.status(), answer.version()),
                (StatusCode::OK, Version::HTTP_11)
            );
            assert_eq!(body(answer).await, path);
        }
        let large = "x".repeat(4 << 20);
        ask.ready().await.unwrap();
        let answer = ask.send_request(request("/", &large)).await.unwrap();
        assert!(body(answer).await == large);
    });
}

#[test]
fn http2_has_many_requests_in_progress_at_once() {
    run(|| async {
        let stream = Stream::new(TcpStream::connect(listen(true)).await.unwrap());
        let mut http = client::conn::http2::Builder::new(Executor::new());
        http.timer(Timer::new())
            .keep_alive_interval(SHORT)
            .keep_alive_while_idle(true);
        let (ask, connection) = http.handshake(stream).await.unwrap();
        parkade::spawn(connection);
        let began = Instant::now();
        let all: Vec<_> = (0..50)
            .map(|n| {
                let mut ask = ask.clone();
                parkade::spawn(async move {
                    let said = format!("body {n}");
                    let answer = ask.send_request(request("/slow", &said)).await.unwrap();
                    assert_eq!(answer.version(), Version::HTTP_2);
                    assert_eq!(body(answer).await, said);
                })
            })
            .collect();
        for one in all {
            one.await;
        }
        // One after the other they would take fifty times as long.
        assert!(began.elapsed() < SHORT * 25, "{:?}", began.elapsed());
        let large = "x".repeat(4 << 20);
        let mut ask = ask;
        let answer = ask.send_request(request("/", &large)).await.unwrap();
        assert!(body(answer).await == large);
        // Pings go both ways meanwhile, and are answered.
        parkade::time::sleep(SHORT * 6).await;
        let answer = ask.send_request(request("/later", "")).await.unwrap();
        assert_eq!(body(answer).await, "/later");
    });
}

async fn burst(conn: Conn) -> parkade::Result<Next> {
    let mut http = server::conn::http1::Builder::new();
    http.timer(Timer::new())
        .header_read_timeout(SHORT * 4)
        .pipeline_flush(true);
    let _ = http
        .serve_connection(Stream::new(conn), service_fn(answer))
        .await;
    Ok(Next::Gone)
}

/// A server on connections of bursts, and a client that speaks by the letter.
fn bursts() -> (Runtime, std::net::TcpStream) {
    let runtime = Runtime::builder()
        .workers(Workers::Count(2))
        .build()
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    runtime.listen(listener, parkade::bursts(burst)).unwrap();
    (runtime, stream)
}

#[test]
fn bursts_serve_pipelines_and_heads_in_pieces() {
    let (_runtime, mut stream) = bursts();
    let mut all: String = (0..200)
        .map(|n| format!("GET /{n:03} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .collect();
    all.push_str("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    for piece in all.as_bytes().chunks(777) {
        stream.write_all(piece).unwrap();
    }
    let mut came = String::new();
    stream.read_to_string(&mut came).unwrap();
    let bodies: Vec<_> = came
        .split("HTTP/1.1 200 OK\r\n")
        .skip(1)
        .map(|answer| answer.rsplit_once("\r\n\r\n").unwrap().1)
        .collect();
    let expected: Vec<_> = (0..200)
        .map(|n| format!("/{n:03}"))
        .chain(["/last".into()])
        .collect();
    assert_eq!(bodies, expected);
}

/// The read timeout of heads is moved with every request and ends the connection once.
#[test]
fn a_timer_that_is_moved_fires_when_it_should() {
    let (_runtime, mut stream) = bursts();
    let began = Instant::now();
    for _ in 0..6 {
        stream
            .write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        let mut came = Vec::new();
        while !came.ends_with(b"\r\n\r\n/a") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            came.push(byte[0]);
        }
        std::thread::sleep(SHORT);
    }
    // Longer than the timeout, but never between two requests.
    assert!(began.elapsed() >= SHORT * 6);
    stream.write_all(b"GET /a HTTP/1.1\r\nHo").unwrap();
    let cut = Instant::now();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let took = cut.elapsed();
    assert!(took >= SHORT && took < PATIENCE / 2, "{took:?}");
}
