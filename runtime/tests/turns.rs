//! Two runtimes that accept from one listener by turns: nothing is accepted without the lock, what is parked does not
//! care, and a runtime that leaves takes what was announced to it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{AcceptLock, Conn, Keepalive, Next, Runtime, Workers};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
/// Who is kept waiting is watched for so long.
const WATCHED: Duration = Duration::from_millis(200);

/// Counts what is done with it.
#[derive(Default)]
struct Flag {
    taken: AtomicBool,
    got: AtomicU64,
    missed: AtomicU64,
}

impl AcceptLock for Flag {
    fn try_lock(&self) -> bool {
        let got = !self.taken.swap(true, SeqCst);
        let counter = if got { &self.got } else { &self.missed };
        counter.fetch_add(1, SeqCst);
        got
    }

    fn unlock(&self) {
        assert!(self.taken.swap(false, SeqCst), "it was not locked");
    }
}

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

fn runtime(lock: &Arc<Flag>) -> Runtime {
    let builder = Runtime::builder().workers(Workers::Count(2));
    builder.accept_lock(lock.clone()).build().unwrap()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"x").unwrap();
    stream
}

fn is_answered(stream: &mut TcpStream) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

fn waits(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(WATCHED)).unwrap();
    let e = stream.read(&mut [0]).unwrap_err();
    assert!(
        matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{e}"
    );
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

fn take(lock: &Flag) {
    until("the lock", || !lock.taken.swap(true, SeqCst));
}

struct Two {
    lock: Arc<Flag>,
    runtimes: [Runtime; 2],
    address: SocketAddr,
}

fn two() -> Two {
    let lock = Arc::new(Flag::default());
    let runtimes = [runtime(&lock), runtime(&lock)];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for runtime in &runtimes {
        let listener = listener.try_clone().unwrap();
        runtime.listen(listener, parkade::bursts(echo)).unwrap();
    }
    Two {
        lock,
        runtimes,
        address,
    }
}

#[test]
fn nothing_is_accepted_without_the_lock_and_parked_connections_do_not_care() {
    let two = two();
    let mut parked: Vec<_> = (0..8).map(|_| connect(two.address)).collect();
    parked.iter_mut().for_each(is_answered);
    take(&two.lock);
    let mut waiting: Vec<_> = (0..4).map(|_| connect(two.address)).collect();
    waits(&mut waiting[0]);
    for stream in &mut parked {
        stream.write_all(b"x").unwrap();
        is_answered(stream);
    }
    waits(&mut waiting[3]);
    assert!(two.lock.missed.load(SeqCst) > 0);
    two.lock.unlock();
    waiting.iter_mut().for_each(is_answered);
}

#[test]
fn the_lock_is_tried_only_while_something_waits() {
    let two = two();
    is_answered(&mut connect(two.address));
    let tried = || two.lock.missed.load(SeqCst) + two.lock.got.load(SeqCst);
    // A worker that found nothing, as another was quicker, may still have its say.
    let quiet = || {
        let before = tried();
        std::thread::sleep(WATCHED);
        tried() == before
    };
    until("quiet", quiet);
    take(&two.lock);
    assert!(quiet(), "nobody has come");
    let mut waiting = connect(two.address);
    until("an attempt", || !quiet());
    two.lock.unlock();
    is_answered(&mut waiting);
    until("quiet again", quiet);
}

#[test]
fn who_leaves_takes_what_was_announced_to_it() {
    for shut_down in [false, true] {
        let two = two();
        let [leaving, staying] = two.runtimes;
        // Nobody else is there to be told.
        drop(staying);
        is_answered(&mut connect(two.address));
        take(&two.lock);
        let mut waiting = connect(two.address);
        let before = two.lock.missed.load(SeqCst);
        until("an attempt", || two.lock.missed.load(SeqCst) > before);
        let handle = leaving.handle();
        if shut_down {
            handle.shutdown(PATIENCE);
        } else {
            handle.hand_over(PATIENCE, || {});
        }
        waits(&mut waiting);
        assert!(!handle.has_left_listeners());
        two.lock.unlock();
        is_answered(&mut waiting);
        until("its last look", || handle.has_left_listeners());
    }
}

#[test]
fn who_leaves_does_not_wait_for_the_lock_for_ever() {
    let two = two();
    let [leaving, staying] = two.runtimes;
    drop(staying);
    take(&two.lock);
    let mut waiting = connect(two.address);
    leaving.handle().shutdown(PATIENCE);
    is_answered(&mut waiting);
    leaving.wait();
}
