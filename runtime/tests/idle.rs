//! Soft idling: a burst that waits for its next request inside its future, over real sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Conn, Idle, Keepalive, Next, Runtime, Workers};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

fn serve(workers: usize, service: impl parkade::Service) -> (Runtime, SocketAddr) {
    let runtime = Runtime::builder()
        .workers(Workers::Count(workers))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    runtime.listen(listener, service).unwrap();
    (runtime, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, what: &[u8]) {
    stream.write_all(what).unwrap();
    let mut answer = vec![0; what.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, what);
}

fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Waits until `holds` of the runtime's only worker.
fn until(runtime: &Runtime, holds: impl Fn(&parkade::WorkerMetrics) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds(&runtime.handle().metrics().workers[0]) {
        assert!(Instant::now() < end, "{:?}", runtime.handle().metrics());
        std::thread::yield_now();
    }
}

/// Echoes for as long as there is input, idling at most `most` in between, and says at the end why it ended.
async fn talk(mut conn: Conn, most: Duration) -> parkade::Result<Next> {
    loop {
        while let Some(chunk) = conn.recv_ready().await? {
            conn.send(chunk.filled()).await?;
        }
        if conn.ended() {
            conn.send(b"end").await?;
            return Ok(Next::Close(conn));
        }
        match conn.idle(most).await {
            Idle::Input => {}
            why => {
                conn.send(format!("{why:?}").as_bytes()).await?;
                return Ok(Next::Close(conn));
            }
        }
    }
}

#[test]
fn one_burst_serves_request_after_request() {
    let (runtime, address) = serve(1, parkade::bursts(|conn| talk(conn, LONG)));
    let mut streams: Vec<_> = (0..20).map(|_| connect(address)).collect();
    for round in 0..20u8 {
        for stream in &mut streams {
            ask(stream, &[round; 40]);
        }
    }
    assert_eq!(runtime.handle().metrics().workers[0].bursts, 20);
}

#[test]
fn the_peers_end_ends_it() {
    let (runtime, address) = serve(1, parkade::bursts(|conn| talk(conn, LONG)));
    for with in [&b""[..], b"last words"] {
        let mut stream = connect(address);
        ask(&mut stream, b"hello");
        stream.write_all(with).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut stream).as_bytes(), [with, b"end"].concat());
    }
    until(&runtime, |w| w.connections == 0);
}

#[test]
fn a_reset_ends_it() {
    let (runtime, address) = serve(1, parkade::bursts(|conn| talk(conn, LONG)));
    let stream = connect(address);
    let mut stream = stream;
    stream.write_all(b"unread").unwrap();
    stream.peek(&mut [0; 1]).unwrap();
    // Closed with an unread answer: the kernel sends RST.
    drop(stream);
    until(&runtime, |w| w.accepted == 1 && w.connections == 0);
}

#[test]
fn it_ends_when_the_time_is_over_and_not_before() {
    let (_runtime, address) = serve(
        1,
        parkade::bursts(|conn| talk(conn, Duration::from_millis(300))),
    );
    let mut stream = connect(address);
    for _ in 0..3 {
        ask(&mut stream, b"x");
        std::thread::sleep(Duration::from_millis(20));
    }
    let start = Instant::now();
    ask(&mut stream, b"x");
    assert_eq!(rest(&mut stream), "TimedOut");
    assert!(start.elapsed() >= Duration::from_millis(290));
}

#[test]
fn no_time_at_all_is_a_look() {
    let (_runtime, address) = serve(1, parkade::bursts(|conn| talk(conn, Duration::ZERO)));
    let mut stream = connect(address);
    stream.write_all(b"x").unwrap();
    assert_eq!(rest(&mut stream), "xTimedOut");
}

#[test]
fn a_shutdown_ends_it_at_once() {
    let (runtime, address) = serve(2, parkade::bursts(|conn| talk(conn, LONG)));
    let mut streams: Vec<_> = (0..20).map(|_| connect(address)).collect();
    for stream in &mut streams {
        ask(stream, b"x");
    }
    runtime.handle().shutdown(LONG);
    for stream in &mut streams {
        assert_eq!(rest(stream), "Draining");
    }
    runtime.wait();
}

/// The deadline of an idle that was given up, or is over, is not that of the read that follows; and the edge that came
/// while nobody waited is not forgotten when the connection parks.
#[test]
fn giving_it_up_loses_nothing() {
    async fn fickle(mut conn: Conn) -> parkade::Result<Next> {
        let mut buffer = conn.buffer();
        conn.recv(&mut buffer).await?;
        buffer.clear();
        let given_up = conn.try_recv(&mut buffer).unwrap_err();
        assert_eq!(given_up.kind(), ErrorKind::WouldBlock);
        let wait = Duration::from_millis(100);
        let idle = conn.idle(Duration::from_millis(200));
        let outcome = parkade::time::timeout(wait, idle).await;
        assert!(outcome.is_err(), "{outcome:?}");
        conn.send(b"1").await?;
        // Longer than what was left of the idle: a read without a deadline does not time out.
        conn.recv(&mut buffer).await?;
        assert_eq!(buffer.filled(), b"b");
        conn.send(b"2").await?;
        Ok(Next::Park(conn, Keepalive::secs(60)))
    }
    let (_runtime, address) = serve(1, parkade::bursts(fickle));
    let mut stream = connect(address);
    for _ in 0..2 {
        stream.write_all(b"a").unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"1");
        std::thread::sleep(Duration::from_millis(400));
        stream.write_all(b"b").unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"2");
    }
}

#[test]
fn the_io_deadline_counts_again_afterwards() {
    async fn patient(mut conn: Conn) -> parkade::Result<Next> {
        let mut buffer = conn.buffer();
        conn.try_recv(&mut buffer)?;
        let until = parkade::Deadline::after(conn.now(), Duration::from_millis(500));
        conn.set_io_deadline(Some(until));
        buffer.clear();
        let _ = conn.try_recv(&mut buffer);
        // Beyond the I/O deadline, which does not count here.
        assert_eq!(conn.idle(Duration::from_millis(900)).await, Idle::TimedOut);
        let e = conn.recv(&mut buffer).await.unwrap_err();
        conn.send(e.kind().to_string().as_bytes()).await?;
        conn.set_io_deadline(None);
        conn.recv(&mut buffer).await?;
        Ok(Next::Close(conn))
    }
    let (_runtime, address) = serve(1, parkade::bursts(patient));
    let mut stream = connect(address);
    stream.write_all(b"1").unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"timed out");
    stream.write_all(b"2").unwrap();
    assert_eq!(rest(&mut stream), "");
}
