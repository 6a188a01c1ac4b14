//! Connections served through io_uring, over real sockets. Where the kernel does not allow it, epoll serves them, and all
//! of this holds as well.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Backend, Conn, Keepalive, Next, Runtime, Workers};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

fn serve(service: impl parkade::Service) -> (Runtime, SocketAddr) {
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .backend(Backend::IoUring)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    runtime.listen(listener, service).unwrap();
    (runtime, address)
}

fn connect(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let one = |_| {
        let stream = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    };
    (0..count).map(one).collect()
}

async fn talk(mut conn: Conn) -> parkade::Result<Next> {
    while let Some(chunk) = conn.recv_ready().await? {
        conn.send(chunk.filled()).await?;
    }
    Ok(if conn.ended() {
        Next::Close(conn)
    } else {
        Next::Park(conn, Keepalive::secs(60))
    })
}

/// Asks for its input only when others have been served.
async fn dawdle(conn: Conn) -> parkade::Result<Next> {
    parkade::time::sleep(Duration::from_millis(2)).await;
    talk(conn).await
}

/// Parks without a look at what woke it, every other time.
async fn shirk(conn: Conn) -> parkade::Result<Next> {
    thread_local!(static TURN: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    if TURN.replace(TURN.get() + 1).is_multiple_of(2) {
        return Ok(Next::Park(conn, Keepalive::secs(60)));
    }
    talk(conn).await
}

/// All speak before any is read; each gets its own bytes back, in order.
fn everybody(streams: &mut [TcpStream], bytes: usize) {
    let words = |n: usize, round: usize| -> Vec<u8> {
        (0..bytes)
            .map(|at| (at * 7 + n * 31 + round) as u8)
            .collect()
    };
    for round in 0..20 {
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&words(n, round)).unwrap();
        }
        for (n, stream) in streams.iter_mut().enumerate() {
            let mut answer = vec![0; bytes];
            stream.read_exact(&mut answer).unwrap();
            assert!(answer == words(n, round), "{n}, round {round}");
        }
    }
}

#[test]
fn everybody_gets_what_is_theirs() {
    let (_runtime, address) = serve(parkade::bursts(talk));
    let mut streams = connect(address, 100);
    for bytes in [1, 60, 1023, 1024, 1025, 5_000] {
        everybody(&mut streams, bytes);
    }
}

#[test]
fn what_is_not_asked_for_at_once_is_kept() {
    let (_runtime, address) = serve(parkade::bursts(dawdle));
    let mut streams = connect(address, 70);
    for bytes in [60, 1024, 3_000] {
        everybody(&mut streams, bytes);
    }
}

#[test]
fn whoever_parks_without_a_look_is_asked_again() {
    let (_runtime, address) = serve(parkade::bursts(shirk));
    everybody(&mut connect(address, 70), 60);
}

#[test]
fn ends_and_resets_are_those_of_their_connections() {
    let (runtime, address) = serve(parkade::bursts(talk));
    for round in 0..20 {
        let mut streams = connect(address, 60);
        everybody(&mut streams[..1], 5);
        for (n, stream) in streams.iter_mut().enumerate() {
            match (n + round) % 3 {
                0 => {
                    stream.write_all(b"last words").unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                }
                1 => stream.write_all(b"words").unwrap(),
                _ => {
                    stream.write_all(b"unheard").unwrap();
                    rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO))
                        .unwrap();
                }
            }
        }
        for (n, mut stream) in streams.into_iter().enumerate() {
            let mut answer = Vec::new();
            match (n + round) % 3 {
                0 => {
                    stream.read_to_end(&mut answer).unwrap();
                    assert_eq!(answer, b"last words");
                }
                1 => {
                    answer.resize(5, 0);
                    stream.read_exact(&mut answer).unwrap();
                    assert_eq!(answer, b"words");
                }
                _ => drop(stream),
            }
        }
    }
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while runtime.handle().metrics().connections() > 0 {
        assert!(
            std::time::Instant::now() < end,
            "{:?}",
            runtime.handle().metrics()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
