//! The runtime over real sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Conn, Handle, Keepalive, Next, Output, Runtime, Then, Workers};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

async fn echo(mut conn: Conn) -> parkade::Result<Next> {
    while let Some(chunk) = conn.recv_ready().await? {
        conn.send(chunk.filled()).await?;
    }
    Ok(if conn.ended() {
        Next::Close(conn)
    } else {
        Next::Park(conn, Keepalive::secs(60))
    })
}

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
        .set_read_timeout(Some(Duration::from_secs(10)))
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

/// Waits until the runtime has `n` connections.
fn connections(handle: &Handle, n: u64) {
    let end = Instant::now() + Duration::from_secs(10);
    while handle.metrics().connections() != n {
        assert!(Instant::now() < end, "{:?}", handle.metrics());
        std::thread::yield_now();
    }
}

#[test]
fn many_connections_park_and_answer_again() {
    let (runtime, address) = serve(2, parkade::bursts(echo));
    let mut streams: Vec<_> = (0..200).map(|_| connect(address)).collect();
    for round in 0..5u8 {
        for stream in &mut streams {
            ask(stream, &[round; 100]);
        }
    }
    assert_eq!(runtime.handle().metrics().connections(), 200);
    drop(streams);
    connections(&runtime.handle(), 0);
}

#[test]
fn data_and_fin_in_one_segment_are_answered_and_closed() {
    let (runtime, address) = serve(1, parkade::bursts(echo));
    for _ in 0..200 {
        let mut stream = connect(address);
        stream.write_all(b"last words").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"last words");
    }
    connections(&runtime.handle(), 0);
}

#[test]
fn more_than_a_buffer_is_read_to_the_end() {
    let (_runtime, address) = serve(1, parkade::bursts(echo));
    let mut stream = connect(address);
    for size in [16 * 1024, 16 * 1024 + 1, 200_000] {
        let what: Vec<u8> = (0..size).map(|i| i as u8).collect();
        let mut writer = stream.try_clone().unwrap();
        let sent = what.clone();
        let thread = std::thread::spawn(move || writer.write_all(&sent).unwrap());
        let mut answer = vec![0; size];
        stream.read_exact(&mut answer).unwrap();
        thread.join().unwrap();
        assert!(answer == what);
    }
}

#[test]
fn a_parked_connection_is_closed_in_time() {
    async fn brief(mut conn: Conn) -> parkade::Result<Next> {
        while let Some(chunk) = conn.recv_ready().await? {
            conn.send(chunk.filled()).await?;
        }
        Ok(Next::Park(conn, Keepalive::millis(300)))
    }
    let (_runtime, address) = serve(1, parkade::bursts(brief));
    let mut stream = connect(address);
    for _ in 0..3 {
        ask(&mut stream, b"x");
    }
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(290) && took < Duration::from_millis(700),
        "{took:?}"
    );
}

#[test]
fn an_output_outlives_its_burst_and_the_next_request_is_seen() {
    const SIZE: usize = 8 << 20;
    async fn big(mut conn: Conn) -> parkade::Result<Next> {
        let mut any = false;
        while conn.recv_ready().await?.is_some() {
            any = true;
        }
        if conn.ended() || !any {
            return Ok(Next::Close(conn));
        }
        let output = Output {
            bytes: vec![7; SIZE].into(),
            file: None,
            timeout: Duration::from_secs(10),
        };
        Ok(Next::Write(conn, output, Then::Park(Keepalive::secs(60))))
    }
    let (_runtime, address) = serve(1, parkade::bursts(big));
    let mut slow = connect(address);
    slow.write_all(b"a").unwrap();
    let mut other = connect(address);
    for _ in 0..2 {
        other.write_all(b"b").unwrap();
        let mut answer = vec![0; SIZE];
        other.read_exact(&mut answer).unwrap();
    }
    // The next request arrives while the first answer is still on its way.
    slow.write_all(b"c").unwrap();
    let mut answer = vec![0; 2 * SIZE];
    slow.read_exact(&mut answer).unwrap();
    assert!(answer.iter().all(|b| *b == 7));
}

#[test]
fn a_panic_costs_its_own_connection_only() {
    async fn touchy(mut conn: Conn) -> parkade::Result<Next> {
        while let Some(chunk) = conn.recv_ready().await? {
            assert!(!chunk.filled().starts_with(b"boo"), "boo");
            conn.send(chunk.filled()).await?;
        }
        Ok(if conn.ended() {
            Next::Close(conn)
        } else {
            Next::Park(conn, Keepalive::secs(60))
        })
    }
    let (runtime, address) = serve(1, parkade::bursts(touchy));
    let mut good = connect(address);
    ask(&mut good, b"hi");
    for _ in 0..10 {
        let mut bad = connect(address);
        bad.write_all(b"boo").unwrap();
        assert!(matches!(bad.read(&mut [0; 8]), Ok(0) | Err(_)));
    }
    ask(&mut good, b"still there");
    assert_eq!(runtime.handle().metrics().workers[0].panics, 10);
}

#[test]
fn pending_bursts_are_woken_by_timers_other_threads_and_blocking_work() {
    async fn slow(mut conn: Conn) -> parkade::Result<Next> {
        while let Some(chunk) = conn.recv_ready().await? {
            parkade::time::sleep(Duration::from_millis(5)).await;
            let more = parkade::spawn(async { 1u8 }).await;
            let blocked = parkade::spawn_blocking(move || more + 1).await;
            assert_eq!(blocked, 2);
            conn.send(chunk.filled()).await?;
        }
        Ok(if conn.ended() {
            Next::Close(conn)
        } else {
            Next::Park(conn, Keepalive::secs(60))
        })
    }
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .reserves(1)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    runtime.listen(listener, parkade::bursts(slow)).unwrap();
    let mut streams: Vec<_> = (0..20).map(|_| connect(address)).collect();
    for stream in &mut streams {
        ask(stream, b"abc");
    }
    assert_eq!(runtime.block_on(async { 7 }), 7);
}

#[test]
fn shutdown_closes_idle_connections_and_lets_a_request_finish() {
    async fn slow(mut conn: Conn) -> parkade::Result<Next> {
        while let Some(chunk) = conn.recv_ready().await? {
            if chunk.filled() == b"slow" {
                parkade::time::sleep(Duration::from_millis(200)).await;
            }
            conn.send(chunk.filled()).await?;
        }
        Ok(if conn.ended() {
            Next::Close(conn)
        } else {
            Next::Park(conn, Keepalive::secs(60))
        })
    }
    let (runtime, address) = serve(1, parkade::bursts(slow));
    let mut idle = connect(address);
    ask(&mut idle, b"x");
    let mut busy = connect(address);
    busy.write_all(b"slow").unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while runtime.handle().metrics().workers[0].bursts < 2 {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    runtime.handle().shutdown(Duration::from_secs(5));
    assert_eq!(idle.read(&mut [0; 8]).unwrap(), 0);
    let mut answer = Vec::new();
    busy.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"slow");
    drop((idle, busy));
    runtime.wait();
}

#[test]
fn shutdown_answers_what_came_before_it() {
    async fn blocking(mut conn: Conn) -> parkade::Result<Next> {
        while let Some(chunk) = conn.recv_ready().await? {
            if chunk.filled() == b"block" {
                std::thread::sleep(Duration::from_millis(300));
            }
            conn.send(chunk.filled()).await?;
        }
        Ok(Next::Park(conn, Keepalive::secs(60)))
    }
    let (runtime, address) = serve(1, parkade::bursts(blocking));
    let mut parked = connect(address);
    ask(&mut parked, b"x");
    let mut blocks = connect(address);
    blocks.write_all(b"block").unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while runtime.handle().metrics().workers[0].bursts < 2 {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    // The worker is inside a handler: it hears of both only then.
    parked.write_all(b"a request").unwrap();
    runtime.handle().shutdown(Duration::from_secs(5));
    let mut answer = Vec::new();
    parked.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"a request");
    drop((parked, blocks));
    runtime.wait();
}

#[test]
fn a_read_with_a_deadline_times_out_and_a_keepalive_does_not_end_a_handler() {
    async fn patient(mut conn: Conn) -> parkade::Result<Next> {
        let mut buffer = conn.buffer();
        conn.try_recv(&mut buffer)?;
        buffer.clear();
        if conn.requests() == 0 {
            conn.add_request();
            conn.send(b"first").await?;
            return Ok(Next::Park(conn, Keepalive::millis(150)));
        }
        // Longer than the keep-alive of the park before: no deadline applies to this wait.
        parkade::time::sleep(Duration::from_millis(400)).await;
        let until = parkade::Deadline::after(conn.now(), Duration::from_millis(600));
        conn.set_io_deadline(Some(until));
        let e = conn.recv(&mut buffer).await.unwrap_err();
        conn.send(e.kind().to_string().as_bytes()).await?;
        Ok(Next::Close(conn))
    }
    let (_runtime, address) = serve(1, parkade::bursts(patient));
    let mut stream = connect(address);
    stream.write_all(b"1").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    stream.write_all(b"2").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "timed out");
}

/// A connection could be placed on a worker that had not heard of its listener yet, and was reset.
#[test]
fn the_very_first_connections_are_served() {
    for _ in 0..60 {
        let (_runtime, address) = serve(4, parkade::bursts(echo));
        let mut streams: Vec<_> = (0..8).map(|_| connect(address)).collect();
        for stream in &mut streams {
            ask(stream, b"first");
        }
    }
}

/// Both ways of copying give every byte, in small and in large files, from an offset, and end where the range ends.
#[test]
fn a_part_of_a_file_arrives_whole_however_it_is_copied() {
    use parkade::{Copying, FileRange};
    let mut file = tempfile::tempfile().unwrap();
    let content: Vec<u8> = (0..3_000_000u32).map(|i| (i / 5) as u8).collect();
    file.write_all(&content).unwrap();
    let file = std::sync::Arc::new(file);
    for copying in [Copying::InKernel, Copying::ThroughBuffer] {
        let range = FileRange::new(file.clone(), 7, 2_900_001).copying(copying);
        let send = move |mut conn: Conn| {
            let range = range.clone();
            async move {
                while conn.recv_ready().await?.is_some() {}
                let output = Output {
                    bytes: "head".into(),
                    file: Some(range),
                    timeout: Duration::from_secs(10),
                };
                Ok(Next::Write(conn, output, Then::Close))
            }
        };
        let (_runtime, address) = serve(1, parkade::bursts(send));
        let mut stream = connect(address);
        stream.write_all(b"go").unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(got[..4] == *b"head" && got[4..] == content[7..2_900_008]);
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_in_a_close() {
    use parkade::{Copying, FileRange};
    for copying in [Copying::InKernel, Copying::ThroughBuffer] {
        let file = std::sync::Arc::new(tempfile::tempfile().unwrap());
        file.set_len(1_000).unwrap();
        let range = FileRange::new(file, 0, 5_000).copying(copying);
        let send = move |mut conn: Conn| {
            let range = range.clone();
            async move {
                while conn.recv_ready().await?.is_some() {}
                let output = Output {
                    bytes: Default::default(),
                    file: Some(range),
                    timeout: Duration::from_secs(10),
                };
                Ok(Next::Write(conn, output, Then::Park(Keepalive::secs(60))))
            }
        };
        let (_runtime, address) = serve(1, parkade::bursts(send));
        let mut stream = connect(address);
        stream.write_all(b"go").unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), 1_000, "what is there, then the end");
    }
}
