//! Parked connections that go from one runtime to another, over real sockets: what the client notices is nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Carry, Conn, Departing, Handle, Keepalive, Next, Runtime, Workers};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

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
            if line == "wait\n" {
                parkade::time::sleep(Duration::from_millis(200)).await;
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

/// Nothing more has come, and the connection is open.
fn silent(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let found = stream.read(&mut [0; 64]).map_err(|e| e.kind());
    stream.set_nonblocking(false).unwrap();
    found == Err(ErrorKind::WouldBlock)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
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

/// Which file a descriptor stands for.
fn file(fd: BorrowedFd<'_>) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap()
}

/// How many descriptors of this process stand for each file.
fn descriptors() -> HashMap<PathBuf, usize> {
    let mut all = HashMap::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        if let Ok(link) = std::fs::read_link(entry.unwrap().path()) {
            *all.entry(link).or_default() += 1;
        }
    }
    all
}

/// How many pollsets of this process know each socket (by its inode): proc_pid_fdinfo(5).
fn registrations() -> HashMap<u64, usize> {
    let mut all = HashMap::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").unwrap() {
        let info = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        for line in info.lines().filter(|l| l.starts_with("tfd:")) {
            let inode = line.split("ino:").nth(1).unwrap();
            let inode = inode.split_whitespace().next().unwrap();
            *all.entry(u64::from_str_radix(inode, 16).unwrap())
                .or_default() += 1;
        }
    }
    all
}

#[test]
fn a_request_that_comes_between_take_and_start_is_answered_once() {
    let (a, b, address) = pair(2, Keepalive::secs(60));
    let mut client = connect(address);
    assert_eq!(ask(&mut client, "one"), "a1 one");
    let news = hand_over(&a.handle());
    for departing in take(&a.handle(), &news, 1) {
        give(departing, &b.handle(), || {
            client.write_all(b"two\n").unwrap();
            // Were it still registered there, the first runtime would read it now.
            std::thread::sleep(Duration::from_millis(50));
            assert!(silent(&mut client));
        });
    }
    assert_eq!(line(&mut client), "b2 two");
    assert_eq!(ask(&mut client, "three"), "b3 three");
    assert!(silent(&mut client));
    assert_eq!(
        a.handle()
            .metrics()
            .workers
            .iter()
            .map(|w| w.requests)
            .sum::<u64>(),
        1
    );
}

#[test]
fn a_move_that_fails_leaves_everything_as_it_was() {
    let (a, b, address) = pair(1, Keepalive::secs(60));
    let mut client = connect(address);
    assert_eq!(ask(&mut client, "one"), "a1 one");
    let news = hand_over(&a.handle());
    // The receiver goes before it has acknowledged; the request came meanwhile, or comes later.
    for early in [true, false] {
        for departing in take(&a.handle(), &news, 1) {
            let socket = departing.socket().try_clone_to_owned().unwrap();
            let arriving = b
                .handle()
                .adopt(socket, departing.record().clone())
                .unwrap();
            if early {
                client.write_all(b"two\n").unwrap();
            }
            drop(arriving);
            drop(departing);
        }
        if early {
            assert_eq!(line(&mut client), "a2 two");
        }
    }
    assert_eq!(ask(&mut client, "three"), "a3 three");
    for departing in take(&a.handle(), &news, 1) {
        give(departing, &b.handle(), || {});
    }
    assert_eq!(ask(&mut client, "four"), "b4 four");
}

#[test]
fn the_peers_end_during_a_move_is_seen_after_its_last_words() {
    let (a, b, address) = pair(1, Keepalive::secs(60));
    let mut client = connect(address);
    assert_eq!(ask(&mut client, "one"), "a1 one");
    let news = hand_over(&a.handle());
    for departing in take(&a.handle(), &news, 1) {
        give(departing, &b.handle(), || {
            client.write_all(b"two\n").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
    }
    assert_eq!(line(&mut client), "b2 two");
    assert_eq!(line(&mut client), "<end>");
    until("closed", || b.handle().connections() == 0);
}

#[test]
fn a_deadline_moves_along() {
    let keepalive = Duration::from_millis(1_500);
    let (a, b, address) = pair(1, Keepalive::new(keepalive));
    let mut moved = connect(address);
    let mut returned = connect(address);
    assert_eq!(ask(&mut moved, "one"), "a1 one");
    let begun = Instant::now();
    assert_eq!(ask(&mut returned, "one"), "a1 one");
    let news = hand_over(&a.handle());
    for departing in take(&a.handle(), &news, 2) {
        let peer = departing.socket().try_clone_to_owned().unwrap();
        let peer = TcpStream::from(peer).peer_addr().unwrap();
        if peer == moved.local_addr().unwrap() {
            std::thread::sleep(Duration::from_millis(300));
            give(departing, &b.handle(), || {});
        } else {
            // Away for longer than it has time: the wheel of the first runtime comes by meanwhile.
            std::thread::spawn(move || {
                std::thread::sleep(keepalive + Duration::from_millis(500));
                drop(departing);
            });
        }
    }
    assert_eq!(line(&mut moved), "<end>");
    let took = begun.elapsed();
    assert!(
        took >= keepalive - Duration::from_millis(20) && took < keepalive * 2,
        "{took:?}"
    );
    assert_eq!(line(&mut returned), "<end>");
    assert!(begun.elapsed() >= keepalive + Duration::from_millis(480));
    until("closed", || a.handle().connections() == 0);
}

#[test]
fn an_unfinished_input_moves_along_unless_it_is_too_long() {
    let (a, b, address) = pair(1, Keepalive::secs(60));
    let mut short = connect(address);
    let mut long = connect(address);
    assert_eq!(ask(&mut short, "one"), "a1 one");
    short.write_all(b"tw").unwrap();
    long.write_all(&[b'x'; 70_000]).unwrap();
    let bytes = |a: &Handle| a.metrics().workers[0].bursts;
    until("read", || bytes(&a.handle()) >= 3);
    let news = hand_over(&a.handle());
    let mut taken = Vec::new();
    until("short is taken", || {
        a.handle().take_parked(9, &mut taken);
        let carry = |d: &Departing| d.record().carry.as_ref().map(|c| c.bytes.len());
        // What has not been read to its end yet goes back.
        taken.retain(|d| carry(d) == Some(2));
        taken.len() == 1
    });
    for departing in taken {
        let carry = departing.record().carry.clone().unwrap();
        assert_eq!((carry.tag, carry.bytes.as_slice()), (7, &b"tw"[..]));
        assert!(carry.deadline.is_some());
        give(departing, &b.handle(), || {});
    }
    short.write_all(b"o\n").unwrap();
    assert_eq!(line(&mut short), "b2 two");
    drop(news);
    let mut none = Vec::new();
    until("the long one rests", || {
        none.clear();
        a.handle().take_parked(9, &mut none);
        none.is_empty()
    });
    long.write_all(b"\n").unwrap();
    assert!(line(&mut long).starts_with("a1 xxx"));
}

#[test]
fn a_connection_that_has_not_spoken_moves_too() {
    let (a, b, address) = pair(1, Keepalive::secs(60));
    let mut client = connect(address);
    let news = hand_over(&a.handle());
    for departing in take(&a.handle(), &news, 1) {
        assert!(departing.record().silent && departing.record().requests == 0);
        give(departing, &b.handle(), || {});
    }
    assert_eq!(ask(&mut client, "hello"), "b1 hello");
}

#[test]
fn nothing_is_adopted_for_nobody() {
    let (a, b, address) = pair(1, Keepalive::secs(60));
    let mut client = connect(address);
    assert_eq!(ask(&mut client, "one"), "a1 one");
    let news = hand_over(&a.handle());
    let mut taken = take(&a.handle(), &news, 1);
    let departing = taken.pop().unwrap();
    let socket = || departing.socket().try_clone_to_owned().unwrap();
    let mut record = departing.record().clone();
    record.listener = 9;
    let refused = b.handle().adopt(socket(), record).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let refused = a
        .handle()
        .adopt(socket(), departing.record().clone())
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotConnected);
    drop(departing);
    assert_eq!(ask(&mut client, "two"), "a2 two");
}

#[test]
fn what_comes_back_to_a_runtime_that_shuts_down_is_dismissed_or_answered() {
    let (a, b, address) = pair(1, Keepalive::secs(60));
    let (mut idle, mut speaks) = (connect(address), connect(address));
    let mut gone = connect(address);
    for client in [&mut idle, &mut speaks, &mut gone] {
        assert_eq!(ask(client, "one"), "a1 one");
    }
    let news = hand_over(&a.handle());
    let mut taken = take(&a.handle(), &news, 3);
    a.handle().shutdown(LIMIT);
    speaks.write_all(b"two\n").unwrap();
    let of = |taken: &mut Vec<Departing>, client: &TcpStream| {
        let ours = client.local_addr().unwrap();
        let is = |d: &Departing| {
            let socket = TcpStream::from(d.socket().try_clone_to_owned().unwrap());
            socket.peer_addr().unwrap() == ours
        };
        let at = taken.iter().position(is).unwrap();
        taken.swap_remove(at)
    };
    drop(of(&mut taken, &idle));
    assert_eq!(line(&mut idle), "<end>");
    drop(of(&mut taken, &speaks));
    assert_eq!(line(&mut speaks), "a2 two");
    // The runtime stays for what has not arrived yet, and no longer.
    let last = taken.pop().unwrap();
    drop((idle, speaks));
    until("one is left", || a.handle().connections() == 1);
    give(last, &b.handle(), || {});
    a.wait();
    assert_eq!(ask(&mut gone, "two"), "b2 two");
}

#[test]
fn a_departing_connection_outlives_its_runtime() {
    let (a, b, address) = pair(1, Keepalive::secs(60));
    let (mut first, mut second) = (connect(address), connect(address));
    assert_eq!(ask(&mut first, "one"), "a1 one");
    let news = hand_over(&a.handle());
    let first_taken = take(&a.handle(), &news, 2);
    drop(a);
    assert!(silent(&mut first) && silent(&mut second));
    let mut left = first_taken.into_iter();
    let moved = left.next().unwrap();
    let socket = moved.socket().try_clone_to_owned().unwrap();
    let peer = TcpStream::from(socket).peer_addr().unwrap();
    let one = peer == first.local_addr().unwrap();
    give(moved, &b.handle(), || {});
    let (stays, goes) = if one {
        (&mut first, &mut second)
    } else {
        (&mut second, &mut first)
    };
    assert!(ask(stays, "two").starts_with('b'));
    // Nobody is left to serve it.
    drop(left);
    assert_eq!(line(goes), "<end>");
}

#[test]
fn requests_in_progress_are_cut_after_the_grace_and_parked_connections_are_not() {
    let (a, b, address) = pair(2, Keepalive::secs(60));
    let (mut busy, mut idle) = (connect(address), connect(address));
    assert_eq!(ask(&mut idle, "one"), "a1 one");
    busy.write_all(b"stall\n").unwrap();
    until("the request is in progress", || {
        let workers = a.handle().metrics().workers;
        workers.iter().map(|w| w.requests).sum::<u64>() == 2
    });
    let (send, news) = channel();
    a.handle().hand_over(Duration::from_millis(200), move || {
        let _ = send.send(());
    });
    // Keep-alive goes on.
    assert_eq!(ask(&mut idle, "two"), "a2 two");
    assert_eq!(line(&mut busy), "<end>");
    assert_eq!(ask(&mut idle, "three"), "a3 three");
    for departing in take(&a.handle(), &news, 1) {
        give(departing, &b.handle(), || {});
    }
    assert_eq!(ask(&mut idle, "four"), "b4 four");
    until("cut", || a.handle().connections() == 0);
}

/// An unfinished head is not cut by a shutdown: it has the grace like a request that has begun.
#[test]
fn a_shutdown_waits_for_an_unfinished_input() {
    let (a, _b, address) = pair(1, Keepalive::secs(60));
    let (mut half, mut idle) = (connect(address), connect(address));
    assert_eq!(ask(&mut half, "one"), "a1 one");
    assert_eq!(ask(&mut idle, "one"), "a1 one");
    half.write_all(b"tw").unwrap();
    until("read", || a.handle().metrics().workers[0].bursts >= 3);
    a.handle().shutdown(LIMIT);
    assert_eq!(line(&mut idle), "<end>");
    half.write_all(b"o\n").unwrap();
    assert_eq!(line(&mut half), "a2 two");
    assert_eq!(line(&mut half), "<end>");
    drop(half);
    a.wait();
}

/// Two runtimes accept from one listener, as an old and a new process do, and the old one stops in the moment in which a
/// connection comes: it does not wait until somebody is woken for the next one.
#[test]
fn an_end_of_accepting_strands_no_connection_in_a_shared_backlog() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let keepalive = Keepalive::secs(60);
    let shared = || listener.try_clone().unwrap();
    for round in 0..200 {
        let (old, new) = (runtime(1), runtime(1));
        // The kernel wakes who came first. Both are asleep soon, most likely.
        for (runtime, name) in [(&old, "old"), (&new, "new")] {
            runtime.listen(shared(), named(name, keepalive)).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        let (ready, go) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                ready.store(true, Ordering::Release);
                while !go.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                ask(&mut connect(address), "x")
            });
            while !ready.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            go.store(true, Ordering::Release);
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(round / 2 % 100) {
                std::hint::spin_loop();
            }
            match round % 2 {
                0 => old.handle().hand_over(LIMIT, || {}),
                _ => old.handle().shutdown(LIMIT),
            }
            let answer = client.join().unwrap();
            assert!(answer.ends_with("1 x"), "{answer}");
        });
    }
}

/// As many connections as the limit of open files allows, 2,000 at most: the client's descriptor and those of both sides.
fn many() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum.map(|most| most.min(20_000)).or(Some(20_000));
    setrlimit(Resource::Nofile, limit).unwrap();
    let files = getrlimit(Resource::Nofile).current.unwrap_or(20_000);
    2_000.min(files as usize / 5)
}

#[test]
fn under_load_no_request_is_lost_or_doubled_and_no_descriptor_stays() {
    let many = many();
    let (a, b, address) = pair(2, Keepalive::secs(60));
    let threads = 4;
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut files = Vec::new();
    let mut clients = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..threads)
            .map(|_| {
                let (stop, asked) = (&stop, &asked);
                scope.spawn(move || {
                    let mut streams: Vec<_> =
                        (0..many / threads).map(|_| connect(address)).collect();
                    let mut round = 0;
                    // The last round begins when everything has moved.
                    loop {
                        let last = stop.load(Ordering::Acquire);
                        round += 1;
                        let mut at_b = 0;
                        for stream in &mut streams {
                            let answer = ask(stream, "x");
                            // The count moves along: what is lost or doubled shows.
                            let (side, rest) = answer.split_at(1);
                            assert_eq!(rest, format!("{round} x"), "{answer}");
                            at_b += usize::from(side == "b");
                        }
                        if round == 1 {
                            asked.fetch_add(1, Ordering::Release);
                        }
                        if last {
                            return (streams, at_b);
                        }
                    }
                })
            })
            .collect();
        until("all have asked", || {
            asked.load(Ordering::Acquire) == threads
        });
        let news = hand_over(&a.handle());
        let end = Instant::now() + LIMIT * 3;
        let mut batch = 0;
        while a.handle().connections() > 0 {
            assert!(
                Instant::now() < end,
                "{} are left",
                a.handle().connections()
            );
            let mut taken = Vec::new();
            a.handle().take_parked(253, &mut taken);
            if taken.is_empty() {
                let _ = news.recv_timeout(Duration::from_millis(100));
                continue;
            }
            batch += 1;
            // Some receivers crash.
            if batch % 5 == 0 {
                continue;
            }
            files.extend(taken.iter().map(|d| file(d.socket())));
            let arriving: Vec<_> = taken
                .iter()
                .map(|d| {
                    let socket = d.socket().try_clone_to_owned().unwrap();
                    b.handle().adopt(socket, d.record().clone()).unwrap()
                })
                .collect();
            for departing in taken {
                departing.arrived();
            }
            for arriving in arriving {
                arriving.start().unwrap();
            }
        }
        stop.store(true, Ordering::Release);
        clients
            .into_iter()
            .map(|c| c.join().unwrap())
            .collect::<Vec<_>>()
    });
    let at_b: usize = clients.iter().map(|(_, at_b)| at_b).sum();
    assert_eq!(
        at_b,
        many / threads * threads,
        "all are served by the second one now"
    );
    assert_eq!(b.handle().connections(), at_b);
    let (open, registered) = (descriptors(), registrations());
    assert_eq!(files.len(), at_b);
    for file in files {
        assert_eq!(open.get(&file), Some(&1), "only the receiver has {file:?}");
        let name = file.to_string_lossy();
        let inode = name.trim_matches(|c: char| !c.is_ascii_digit());
        let inode: u64 = inode.parse().unwrap();
        assert_eq!(registered.get(&inode), Some(&1), "and its pollset {file:?}");
    }
    a.handle().shutdown(LIMIT);
    a.wait();
    for (streams, _) in &mut clients {
        assert!(streams.iter_mut().all(silent));
    }
}

#[test]
fn news_come_when_a_connection_comes_to_rest_or_ends() {
    let (a, b, address) = pair(1, Keepalive::secs(60));
    let mut client = connect(address);
    client.write_all(b"wait\n").unwrap();
    until("the request is in progress", || {
        a.handle().metrics().workers[0].requests == 1
    });
    let news = hand_over(&a.handle());
    let mut none = Vec::new();
    a.handle().take_parked(1, &mut none);
    assert!(none.is_empty(), "it is not at rest");
    for departing in take(&a.handle(), &news, 1) {
        assert_eq!(line(&mut client), "a1 wait");
        give(departing, &b.handle(), || {});
    }
    assert_eq!(ask(&mut client, "two"), "b2 two");

    let told = hand_over(&b.handle());
    drop(take(&b.handle(), &told, 1));
    // It rests again; what is said about that has been said.
    while told.recv_timeout(Duration::from_millis(200)).is_ok() {}
    assert_eq!(b.handle().connections(), 1);
    drop(client);
    told.recv_timeout(LIMIT).unwrap();
    assert_eq!(b.handle().connections(), 0);
}

#[test]
fn a_runtime_that_shuts_down_ends_when_its_last_connection_has_arrived() {
    let (a, b, address) = pair(2, Keepalive::secs(60));
    let mut client = connect(address);
    assert_eq!(ask(&mut client, "one"), "a1 one");
    let news = hand_over(&a.handle());
    let taken = take(&a.handle(), &news, 1);
    a.handle().shutdown(LIMIT);
    // Its other worker ends, and this one sleeps.
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    for departing in taken {
        give(departing, &b.handle(), || {});
    }
    a.wait();
    assert!(begun.elapsed() < LIMIT / 2, "{:?}", begun.elapsed());
    assert_eq!(ask(&mut client, "two"), "b2 two");
}
