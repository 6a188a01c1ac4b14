//! Waking, showing and ending parked connections from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{
    Conn, Departing, Idle, Keepalive, Next, Output, ParkedHandle, Runtime, Then, Unpark, Workers,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the tests say to connections, and their handles in the order in which they came.
#[derive(Default)]
struct Board {
    handles: Mutex<Vec<ParkedHandle>>,
    /// How often all were to speak; a connection says "!" for each that it has not followed.
    calls: AtomicU64,
}

/// Echoes, leaves its handle when it is new, and says "!" if it was woken for nothing to read.
async fn listen_and_tell(mut conn: Conn, board: Arc<Board>) -> parkade::Result<Next> {
    let mut heard = false;
    while let Some(chunk) = conn.recv_ready().await? {
        heard = true;
        if conn.requests() == 0 {
            board.handles.lock().unwrap().push(conn.parked_handle());
        }
        conn.add_request();
        conn.send(chunk.filled()).await?;
    }
    if conn.ended() {
        return Ok(Next::Close(conn));
    }
    if !heard {
        board.calls.fetch_add(1, Ordering::SeqCst);
        conn.send(b"!").await?;
    }
    Ok(Next::Park(conn, Keepalive::secs(60)))
}

fn serve(workers: usize) -> (Runtime, SocketAddr, Arc<Board>) {
    let board = Arc::new(Board::default());
    let builder = Runtime::builder().workers(Workers::Count(workers));
    let runtime = builder.build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let theirs = board.clone();
    let service = parkade::bursts(move |conn| listen_and_tell(conn, theirs.clone()));
    runtime.listen(listener, service).unwrap();
    (runtime, address, board)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, what: &[u8]) {
    stream.write_all(what).unwrap();
    expect(stream, what);
}

fn expect(stream: &mut TcpStream, what: &[u8]) {
    let mut answer = vec![0; what.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, what);
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

/// The only handle that a connection has left.
fn handle_of(board: &Board) -> ParkedHandle {
    until("no handle came", || {
        !board.handles.lock().unwrap().is_empty()
    });
    board.handles.lock().unwrap().remove(0)
}

/// Calls until the connection was parked.
fn start(handle: &ParkedHandle) {
    until("never at rest", || handle.unpark() == Unpark::Started);
}

#[test]
fn a_parked_connection_is_woken_from_any_thread() {
    for workers in [1, 3] {
        let (_runtime, address, board) = serve(workers);
        let mut stream = connect(address);
        ask(&mut stream, b"hello");
        let handle = handle_of(&board);
        for _ in 0..100 {
            assert_ne!(handle.unpark(), Unpark::Gone);
            expect(&mut stream, b"!");
        }
        // And serves as ever afterwards.
        let mut rest = vec![0; 4096];
        stream.set_nonblocking(true).unwrap();
        while stream.read(&mut rest).is_ok() {}
        stream.set_nonblocking(false).unwrap();
        ask(&mut stream, b"again");
    }
}

#[test]
fn a_handle_of_a_closed_connection_means_no_other() {
    let (runtime, address, board) = serve(1);
    let mut stream = connect(address);
    ask(&mut stream, b"first");
    let handle = handle_of(&board);
    drop(stream);
    until("it stays", || runtime.handle().connections() == 0);
    assert_eq!(handle.unpark(), Unpark::Gone);
    // The slot is used again.
    let mut next = connect(address);
    ask(&mut next, b"second");
    let other = handle_of(&board);
    assert_ne!(handle, other);
    assert_eq!(handle.unpark(), Unpark::Gone);
    assert_eq!(board.calls.load(Ordering::SeqCst), 0);
    start(&other);
    expect(&mut next, b"!");
    drop(runtime);
    assert_eq!(other.unpark(), Unpark::Gone);
}

#[test]
fn a_call_during_a_burst_is_another_burst() {
    async fn slow(mut conn: Conn, board: Arc<Board>) -> parkade::Result<Next> {
        let mut heard = 0;
        while let Some(chunk) = conn.recv_ready().await? {
            heard += chunk.filled().len();
        }
        if conn.ended() {
            return Ok(Next::Close(conn));
        }
        if heard > 0 {
            let handle = conn.parked_handle();
            // While it runs, and before its last read.
            assert_eq!(handle.unpark(), Unpark::Later);
            conn.send(b"busy").await?;
            assert!(conn.recv_ready().await?.is_none());
        } else {
            board.calls.fetch_add(1, Ordering::SeqCst);
            conn.send(b"!").await?;
        }
        Ok(Next::Park(conn, Keepalive::secs(60)))
    }
    let board = Arc::new(Board::default());
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let theirs = board.clone();
    let service = parkade::bursts(move |conn| slow(conn, theirs.clone()));
    runtime.listen(listener, service).unwrap();
    let mut stream = connect(address);
    for round in 1..=50 {
        stream.write_all(b"x").unwrap();
        expect(&mut stream, b"busy!");
        assert_eq!(board.calls.load(Ordering::SeqCst), round);
    }
}

#[test]
fn soft_idling_ends_with_a_call() {
    async fn idle(mut conn: Conn, board: Arc<Board>) -> parkade::Result<Next> {
        board.handles.lock().unwrap().push(conn.parked_handle());
        while conn.recv_ready().await?.is_some() {}
        while conn.idle(Duration::from_secs(60)).await == Idle::Input {
            if conn.recv_ready().await?.is_none() {
                conn.send(if conn.ended() { b"." } else { b"!" }).await?;
            }
            if conn.ended() {
                return Ok(Next::Close(conn));
            }
        }
        Ok(Next::Close(conn))
    }
    let board = Arc::new(Board::default());
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let theirs = board.clone();
    let service = parkade::bursts(move |conn| idle(conn, theirs.clone()));
    runtime.listen(listener, service).unwrap();
    let mut stream = connect(address);
    stream.write_all(b"x").unwrap();
    let handle = handle_of(&board);
    for _ in 0..50 {
        assert_eq!(handle.unpark(), Unpark::Later);
        expect(&mut stream, b"!");
    }
}

#[test]
fn a_call_while_an_answer_is_written_comes_behind_it() {
    const SIZE: usize = 8 << 20;
    async fn big(mut conn: Conn, board: Arc<Board>) -> parkade::Result<Next> {
        let mut heard = false;
        while conn.recv_ready().await?.is_some() {
            heard = true;
        }
        if conn.ended() {
            return Ok(Next::Close(conn));
        }
        if !heard {
            conn.send(b"!").await?;
            return Ok(Next::Park(conn, Keepalive::secs(60)));
        }
        board.handles.lock().unwrap().push(conn.parked_handle());
        let output = Output {
            bytes: vec![b'a'; SIZE].into(),
            file: None,
            timeout: Duration::from_secs(60),
        };
        Ok(Next::Write(conn, output, Then::Park(Keepalive::secs(60))))
    }
    let board = Arc::new(Board::default());
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let theirs = board.clone();
    let service = parkade::bursts(move |conn| big(conn, theirs.clone()));
    runtime.listen(listener, service).unwrap();
    let mut stream = connect(address);
    stream.write_all(b"x").unwrap();
    let handle = handle_of(&board);
    until("not writing", || {
        runtime.handle().metrics().workers[0].writing == 1
    });
    assert_eq!(handle.unpark(), Unpark::Later);
    let mut answer = vec![0; SIZE + 1];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer.ends_with(b"a!"));
}

#[test]
fn calls_race_with_requests_and_closes_and_nothing_is_lost() {
    let (runtime, address, board) = serve(2);
    let mut streams: Vec<_> = (0..20).map(|_| connect(address)).collect();
    for stream in &mut streams {
        ask(stream, b"?");
    }
    until("handles", || board.handles.lock().unwrap().len() == 20);
    let handles = std::mem::take(&mut *board.handles.lock().unwrap());
    let end = Instant::now() + Duration::from_millis(500);
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let handles = handles.clone();
            std::thread::spawn(move || {
                while Instant::now() < end {
                    handles.iter().for_each(|handle| {
                        handle.unpark();
                    });
                    std::thread::sleep(Duration::from_micros(200));
                }
            })
        })
        .collect();
    // Requests are answered among all the calls, whose marks come in between.
    let mut byte = [0];
    while Instant::now() < end {
        for stream in &mut streams {
            stream.write_all(b"?").unwrap();
        }
        for stream in &mut streams {
            loop {
                stream.read_exact(&mut byte).unwrap();
                if byte == *b"?" {
                    break;
                }
            }
        }
    }
    callers.into_iter().for_each(|c| c.join().unwrap());
    drop(streams);
    until("connections stay", || runtime.handle().connections() == 0);
    assert!(handles.iter().all(|handle| handle.unpark() == Unpark::Gone));
}

#[test]
fn a_call_that_meets_a_move_is_kept_for_the_return() {
    let (runtime, address, board) = serve(1);
    let mut stream = connect(address);
    ask(&mut stream, b"hello");
    let handle = handle_of(&board);
    runtime.handle().hand_over(Duration::from_secs(60), || ());
    let mut departing: Vec<Departing> = Vec::new();
    until("never at rest", || {
        let mut taken = Vec::new();
        runtime.handle().take_parked(1, &mut taken);
        match taken.pop() {
            Some(one) => {
                // Kept beyond this closure by forgetting nothing: the call comes while it is away.
                assert_eq!(handle.unpark(), Unpark::Later);
                drop(one);
                true
            }
            None => false,
        }
    });
    expect(&mut stream, b"!");
    until("never at rest", || {
        let mut taken = Vec::new();
        runtime.handle().take_parked(1, &mut taken);
        taken.pop().is_some_and(|one| {
            one.arrived();
            true
        })
    });
    assert_eq!(handle.unpark(), Unpark::Gone);
    departing.clear();
}

#[test]
fn chosen_connections_are_closed_and_others_live() {
    for workers in [1, 2] {
        let (runtime, address, _board) = serve(workers);
        let handle = runtime.handle();
        let mut streams: Vec<_> = (0..600).map(|_| connect(address)).collect();
        for (n, stream) in streams.iter_mut().enumerate() {
            for _ in 0..1 + n % 2 {
                ask(stream, b"?");
            }
        }
        let parked = || {
            let mut seen = 0;
            handle.for_each_parked(|connection| {
                assert!(connection.peer_ip().is_loopback());
                assert_eq!(connection.listener(), 0);
                assert!(!connection.silent());
                seen += 1;
            });
            seen
        };
        until("not all at rest", || parked() == 600);
        assert_eq!(handle.close_parked(|_| false), 0);
        assert_eq!(handle.close_parked(|c| c.requests() == 2), 300);
        for (n, stream) in streams.iter_mut().enumerate() {
            match n % 2 {
                0 => ask(stream, b"alive"),
                _ => assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0),
            }
        }
        drop(streams);
        until("connections stay", || handle.connections() == 0);
        assert_eq!(handle.close_parked(|_| true), 0);
    }
}

#[test]
fn a_request_that_has_come_saves_its_connection() {
    let (runtime, address, _board) = serve(1);
    let handle = runtime.handle();
    let mut stream = connect(address);
    ask(&mut stream, b"hello");
    let mut rounds = 0;
    let end = Instant::now() + Duration::from_secs(5);
    while rounds < 200 && Instant::now() < end {
        stream.write_all(b"x").unwrap();
        if handle.close_parked(|_| true) == 0 {
            // It was busy with the request, or has been spared for it.
            expect(&mut stream, b"x");
            rounds += 1;
        } else {
            // It was at rest before the request came, or after its answer: what was answered is read, then the end.
            let mut rest = Vec::new();
            match stream.read_to_end(&mut rest) {
                Ok(_) => assert!(rest.is_empty() || rest == b"x"),
                Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
            }
            stream = connect(address);
        }
    }
    assert!(rounds > 0);
}
