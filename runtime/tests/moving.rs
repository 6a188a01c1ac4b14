//! Parked connections that go from one runtime to another, over real sockets: what the client notices is nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Carry, Conn, Departing, Handle, Keepalive, Next, Runtime, Workers};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

/// Answers each line with the name of the runtime and the line; an unfinished one waits for its rest.
fn named(name: &'static str, keepalive: Keepalive) -> impl parkade::Service {
    parkade::bursts(move |mut conn: Conn| async move {
        let mut input = match conn.take_carry() {
            Some(carry) => {
                assert_eq!(carry.tag, 7, "the carry is whole");
                carry.bytes
            }
            None => Vec::new(),
        };
        while let Some(chunk) = conn.recv_ready().await? {
            input.extend_from_slice(chunk.filled());
        }
        while let Some(end) = input.iter().position(|b| *b == b'\n') {
            let rest = input.split_off(end + 1);
            conn.add_request();
            let line = String::from_utf8_lossy(&input).into_owned();
            if line == "stall\n" {
                std::future::pending::<()>().await;
            }
            let answer = format!("{name}{} {line}", conn.requests());
            conn.send(answer.as_bytes()).await?;
            input = rest;
        }
        if conn.ended() {
            return Ok(Next::Close(conn));
        }
        if !input.is_empty() {
            let deadline = Some(conn.now());
            conn.set_carry(Carry {
                bytes: input,
                deadline,
                tag: 7,
            });
        }
        Ok(Next::Park(conn, keepalive))
    })
}

fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().workers(Workers::Count(workers));
    builder.build().unwrap()
}

/// Two runtimes: the first one listens, the second one serves what comes from it.
fn pair(workers: usize, keepalive: Keepalive) -> (Runtime, Runtime, SocketAddr) {
    let (a, b) = (runtime(workers), runtime(workers));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    a.listen(listener, named("a", keepalive)).unwrap();
    b.handle().serve_adopted(named("b", keepalive)).unwrap();
    (a, b, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        match stream.read(&mut byte) {
            Ok(1) => line.push(byte[0]),
            Ok(_) => return format!("{}<end>", String::from_utf8_lossy(&line)),
            Err(e) => return format!("<{e}>"),
        }
    }
    line.pop();
    String::from_utf8(line).unwrap()
}

fn ask(stream: &mut TcpStream, what: &str) -> String {
    writeln!(stream, "{what}").unwrap();
    line(stream)
}

fn hand_over(handle: &Handle) -> Receiver<()> {
    let (send, news) = channel();
    handle.hand_over(LIMIT, move || {
        let _ = send.send(());
    });
    news
}

/// Takes `n` connections, whenever they come to rest.
fn take(handle: &Handle, news: &Receiver<()>, n: usize) -> Vec<Departing> {
    let mut taken = Vec::new();
    let end = Instant::now() + LIMIT;
    loop {
        handle.take_parked(n - taken.len(), &mut taken);
        if taken.len() == n {
            return taken;
        }
        let left = end.saturating_duration_since(Instant::now());
        let told = news.recv_timeout(left);
        assert!(
            told.is_ok(),
            "only {} of {n} have come to rest",
            taken.len()
        );
    }
}

/// The whole way of one connection. `between` runs when neither side would read it.
fn give(departing: Departing, to: &Handle, between: impl FnOnce()) {
    let socket = departing.socket().try_clone_to_owned().unwrap();
    let arriving = to.adopt(socket, departing.record().clone()).unwrap();
    departing.arrived();
    between();
    arriving.start().unwrap();
}

#[test]
fn a_moved_connection_is_answered_by_its_new_runtime() {
    let (a, b, address) = pair(1, Keepalive::secs(60));
    let mut client = connect(address);
    assert_eq!(ask(&mut client, "one"), "a1 one");
    let news = hand_over(&a.handle());
    let taken = take(&a.handle(), &news, 1);
    let record = taken[0].record();
    assert_eq!(
        (record.listener, record.requests, record.silent),
        (0, 1, false)
    );
    assert_eq!(record.peer, IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(record.carry, None);
    for departing in taken {
        give(departing, &b.handle(), || {});
    }
    assert_eq!(ask(&mut client, "two"), "b2 two");
    assert_eq!((a.handle().connections(), b.handle().connections()), (0, 1));
    assert_eq!(b.handle().metrics().connections(), 1);
    assert_eq!(a.handle().metrics().connections(), 0);
    a.handle().shutdown(LIMIT);
    a.wait();
    assert_eq!(ask(&mut client, "three"), "b3 three");
}
