//! Workers that start each other's bursts, over real sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Conn, Keepalive, Next, Runtime, Workers};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Processor time of a request.
const WORK: Duration = Duration::from_micros(500);
const HOT: usize = 12;

/// `w`: which worker this is, at once. Anything else takes its time and comes back.
async fn answer(mut conn: Conn) -> parkade::Result<Next> {
    while let Some(chunk) = conn.recv_ready().await? {
        if chunk.filled() == b"w" {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            conn.send(&name.as_bytes()[name.len() - 1..]).await?;
        } else {
            let end = Instant::now() + WORK;
            while Instant::now() < end {
                std::hint::spin_loop();
            }
            conn.send(chunk.filled()).await?;
        }
    }
    Ok(if conn.ended() {
        Next::Close(conn)
    } else {
        Next::Park(conn, Keepalive::secs(60))
    })
}

fn serve(stealing: bool) -> (Runtime, SocketAddr) {
    let runtime = Runtime::builder()
        .workers(Workers::Count(2))
        .stealing(stealing)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    runtime.listen(listener, parkade::bursts(answer)).unwrap();
    (runtime, address)
}

fn ask(stream: &mut TcpStream, what: u8) -> u8 {
    stream.write_all(&[what]).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    answer[0]
}

/// Connections of worker 0, and those of worker 1: both are given as many.
fn connect(address: SocketAddr) -> (Vec<TcpStream>, Vec<TcpStream>) {
    let (mut hot, mut others) = (Vec::new(), Vec::new());
    while hot.len() < HOT || others.is_empty() {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        match ask(&mut stream, b'w') {
            b'0' => hot.push(stream),
            _ => others.push(stream),
        }
    }
    (hot, others)
}

/// Everybody asks at once, again and again; each answer is the asker's own.
fn rush(hot: &mut [TcpStream]) {
    for round in 0..60_u8 {
        for (at, stream) in hot.iter_mut().enumerate() {
            stream.write_all(&[128 | (round + at as u8)]).unwrap();
        }
        for (at, stream) in hot.iter_mut().enumerate() {
            let mut answer = [0];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer[0], 128 | (round + at as u8));
        }
    }
}

fn stolen(runtime: &Runtime) -> u64 {
    let metrics = runtime.handle().metrics();
    metrics.workers.iter().map(|w| w.stolen).sum()
}

#[test]
fn a_worker_with_nothing_to_do_helps_one_that_is_behind() {
    let (runtime, address) = serve(true);
    let (mut hot, mut others) = connect(address);
    rush(&mut hot);
    assert!(stolen(&runtime) > 0, "{:?}", runtime.handle().metrics());
    // They live where they lived: a quiet connection is served at home, whoever had it last. (A machine that stops the
    // worker for a moment makes a backlog of anything.)
    let mut home = |stream| usize::from(ask(stream, b'w') == b'0');
    let at_home: usize = hot.iter_mut().map(&mut home).sum();
    assert!(at_home > HOT / 2, "{at_home}");
    assert_eq!(home(&mut others[0]), 0);
}

#[test]
fn whoever_helps_does_not_forget_its_own() {
    let (runtime, address) = serve(true);
    let (mut hot, mut others) = connect(address);
    let busy = std::thread::spawn(move || rush(&mut hot));
    let mut longest = Duration::ZERO;
    while !busy.is_finished() {
        let asked = Instant::now();
        ask(&mut others[0], b'w');
        longest = longest.max(asked.elapsed());
        std::thread::sleep(Duration::from_micros(200));
    }
    busy.join().unwrap();
    assert!(stolen(&runtime) > 0);
    // Four of the neighbour's requests take 2 ms; the rest is the machine's.
    assert!(longest < Duration::from_millis(500), "{longest:?}");
}

#[test]
fn what_is_turned_off_does_not_happen() {
    let (runtime, address) = serve(false);
    let (mut hot, _others) = connect(address);
    rush(&mut hot);
    assert_eq!(stolen(&runtime), 0);
}

#[test]
fn a_drain_ends_though_the_last_burst_of_a_worker_runs_elsewhere() {
    for _ in 0..20 {
        let (runtime, address) = serve(true);
        let (mut hot, others) = connect(address);
        drop(others);
        let bursts = || {
            let metrics = runtime.handle().metrics();
            metrics.workers.iter().map(|w| w.bursts).sum::<u64>()
        };
        let before = bursts();
        for stream in &mut hot {
            stream.write_all(b"x").unwrap();
        }
        let asked = Instant::now();
        while bursts() == before {
            assert!(asked.elapsed() < Duration::from_secs(20), "nothing begins");
            std::thread::yield_now();
        }
        let began = Instant::now();
        runtime.handle().shutdown(Duration::from_secs(10));
        for mut stream in hot {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, b"x");
        }
        runtime.wait();
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
    }
}
