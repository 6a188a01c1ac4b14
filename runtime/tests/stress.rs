//! Everything at once for a few seconds: parks, soft idles, timeouts, closes, resets and wakes from other threads, on
//! several workers. At the end nothing is lost: every answer came, every slot is free, the counters agree.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Conn, Idle, Keepalive, Next, Runtime, Workers, spawn_blocking};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_secs(3);
const CLIENTS: u64 = 8;
/// Connections that each client holds at a time.
const HELD: usize = 40;

/// What the first byte of a request asks for; the rest is echoed.
async fn serve(mut conn: Conn) -> parkade::Result<Next> {
    loop {
        while let Some(chunk) = conn.recv_ready().await? {
            match chunk.filled()[0] % 4 {
                0 => {}
                1 => parkade::time::sleep(Duration::from_micros(300)).await,
                2 => spawn_blocking(std::thread::yield_now).await,
                _ => parkade::spawn(async {}).await,
            }
            conn.send(chunk.filled()).await?;
        }
        if conn.ended() {
            return Ok(Next::Close(conn));
        }
        if !conn.requests().is_multiple_of(3) {
            conn.add_request();
            return Ok(Next::Park(conn, Keepalive::millis(500)));
        }
        conn.add_request();
        match conn.idle(Duration::from_millis(20)).await {
            Idle::Input => {}
            _ => return Ok(Next::Park(conn, Keepalive::millis(500))),
        }
    }
}

/// Speaks on connections at random; gives the number of those it made.
fn client(address: SocketAddr, seed: u64, answers: &AtomicU64) -> u64 {
    let mut random = seed | 1;
    let mut draw = move |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let mut made = 0;
    let mut held: Vec<Option<TcpStream>> = (0..HELD).map(|_| None).collect();
    let end = Instant::now() + TIME;
    while Instant::now() < end {
        let at = draw(HELD as u64) as usize;
        let stream = held[at].get_or_insert_with(|| {
            made += 1;
            let stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            let limit = Some(Duration::from_secs(20));
            stream.set_read_timeout(limit).unwrap();
            stream
        });
        let request = [draw(256) as u8, at as u8, seed as u8];
        let half = draw(30) == 0;
        let mut answer = [0; 3];
        let asked = stream.write_all(&request);
        if half {
            let _ = stream.shutdown(Shutdown::Write);
        }
        match asked.and_then(|()| stream.read_exact(&mut answer)) {
            Ok(()) => {
                assert_eq!(answer, request, "another connection's answer");
                answers.fetch_add(1, Ordering::Relaxed);
            }
            // Its time was over, as it may be of one that was not drawn for long. A hang is not allowed.
            Err(e) => {
                let kind = e.kind();
                assert!(
                    kind != std::io::ErrorKind::WouldBlock,
                    "no answer and no end"
                );
                held[at] = None;
                continue;
            }
        }
        match draw(40) {
            _ if half => held[at] = None,
            0 => held[at] = None,
            // Closed with an answer unread: a reset.
            1 => {
                let _ = stream.write_all(&request);
                held[at] = None;
            }
            _ => {}
        }
    }
    made
}

#[test]
fn everything_at_once_loses_nothing() {
    let runtime = Runtime::builder()
        .workers(Workers::Count(4))
        .reserves(2)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    runtime.listen(listener, parkade::bursts(serve)).unwrap();
    let answers = AtomicU64::new(0);
    let made: u64 = std::thread::scope(|scope| {
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|seed| {
                let answers = &answers;
                scope.spawn(move || client(address, seed * 0x9E37_79B9, answers))
            })
            .collect();
        clients.into_iter().map(|c| c.join().unwrap()).sum()
    });
    let end = Instant::now() + Duration::from_secs(20);
    while runtime.handle().metrics().connections() != 0 {
        assert!(Instant::now() < end, "{:?}", runtime.handle().metrics());
        std::thread::yield_now();
    }
    let metrics = runtime.handle().metrics();
    let sum = |f: fn(&parkade::WorkerMetrics) -> u64| metrics.workers.iter().map(f).sum::<u64>();
    assert_eq!(sum(|w| w.accepted), made);
    assert_eq!(sum(|w| w.closed), made);
    assert_eq!((sum(|w| w.panics), sum(|w| w.evicted)), (0, 0));
    assert!(answers.load(Ordering::Relaxed) > 0);
}
