//! Listeners and streams of tasks, over real sockets: they share slots, state word and pollset with parked connections.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::time::{sleep, timeout};
use parkade::{Idle, Runtime, TcpListener, TcpStream, Workers, spawn};
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn runtime() -> Runtime {
    Runtime::builder()
        .workers(Workers::Count(1))
        .build()
        .unwrap()
}

/// Runs a future on a worker; afterwards no socket of it may be left.
fn run<F>(make: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let runtime = runtime();
    parkade::block_on(runtime.handle().spawn_on(0, make));
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let worker = &runtime.handle().metrics().workers[0];
        if worker.connections == 0 {
            assert_eq!(worker.opened, worker.closed);
            return;
        }
        assert!(Instant::now() < end, "{worker:?}");
        std::thread::yield_now();
    }
}

/// Two ends of one connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(any_port()).unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (there, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, here.local_addr().unwrap());
    assert_eq!(there.peer_addr().unwrap(), peer);
    assert_eq!(here.peer_addr().unwrap(), there.local_addr().unwrap());
    (here, there)
}

#[test]
fn many_clients_are_served_by_one_task_each() {
    run(|| async {
        let listener = TcpListener::bind(any_port()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(async move {
            let mut tasks = Vec::new();
            for _ in 0..100 {
                let (stream, _) = listener.accept().await.unwrap();
                tasks.push(spawn(async move {
                    let mut buf = [0; 64];
                    loop {
                        match stream.read(&mut buf).await.unwrap() {
                            0 => return,
                            n => stream.write_all(&buf[..n]).await.unwrap(),
                        }
                    }
                }));
            }
            for task in tasks {
                task.await;
            }
        });
        let mut clients = Vec::new();
        for _ in 0..100 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        for round in 0..10u8 {
            for client in &clients {
                client.write_all(&[round; 33]).await.unwrap();
            }
            for client in &clients {
                let mut answer = [0; 33];
                client.read_exact(&mut answer).await.unwrap();
                assert_eq!(answer, [round; 33]);
            }
        }
        drop(clients);
        server.await;
    });
}

/// Both directions full at once: each stream has a task that reads and one that writes.
#[test]
fn one_task_may_read_while_another_writes() {
    const SIZE: usize = 8 << 20;
    fn byte(i: usize) -> u8 {
        (i / 3) as u8
    }
    run(|| async {
        let (here, there) = pair().await;
        let mut tasks = Vec::new();
        for stream in [Rc::new(here), Rc::new(there)] {
            let writer = stream.clone();
            tasks.push(spawn(async move {
                let content: Vec<u8> = (0..SIZE).map(byte).collect();
                writer.write_all(&content).await.unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            }));
            tasks.push(spawn(async move {
                let mut buf = vec![0; 10_000];
                let mut at = 0;
                loop {
                    match stream.read(&mut buf).await.unwrap() {
                        0 => break,
                        n => {
                            assert!(buf[..n].iter().enumerate().all(|(i, b)| *b == byte(at + i)));
                            at += n;
                        }
                    }
                }
                assert_eq!(at, SIZE);
            }));
        }
        for task in tasks {
            task.await;
        }
    });
}

#[test]
fn a_refused_connection_says_where() {
    run(|| async {
        let free = TcpListener::bind(any_port()).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let e = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(
            (e.operation(), e.kind()),
            ("connect", ErrorKind::ConnectionRefused)
        );
        assert!(e.to_string().contains(&address.to_string()), "{e}");
    });
}

#[test]
fn a_bound_address_says_so() {
    run(|| async {
        let first = TcpListener::bind(any_port()).unwrap();
        let e = TcpListener::bind(first.local_addr().unwrap()).unwrap_err();
        assert_eq!((e.operation(), e.kind()), ("bind", ErrorKind::AddrInUse));
    });
}

#[test]
fn outside_a_worker_there_is_no_socket() {
    let e = TcpListener::bind(any_port()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unsupported);
}

/// A backlog that is full leaves the next attempt unanswered.
#[test]
fn a_connect_that_hangs_can_be_given_up() {
    run(|| async {
        let full = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::STREAM,
            None,
        )
        .unwrap();
        rustix::net::bind(&full, &any_port()).unwrap();
        rustix::net::listen(&full, 0).unwrap();
        let address = SocketAddr::try_from(rustix::net::getsockname(&full).unwrap()).unwrap();
        let mut connected = Vec::new();
        for _ in 0..8 {
            match timeout(SHORT, TcpStream::connect(address)).await {
                Ok(stream) => connected.push(stream.unwrap()),
                Err(_elapsed) => return,
            }
        }
        panic!("nothing hung");
    });
}

#[test]
fn giving_up_an_accept_or_a_read_loses_nothing() {
    run(|| async {
        let listener = TcpListener::bind(any_port()).unwrap();
        assert!(timeout(SHORT, listener.accept()).await.is_err());
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
        let mut buf = [0; 8];
        for round in 0..3u8 {
            assert!(timeout(SHORT, server.read(&mut buf)).await.is_err());
            client.write_all(&[round]).await.unwrap();
            // The edge may come while nobody waits.
            sleep(SHORT).await;
            let n = timeout(LONG, server.read(&mut buf)).await.unwrap().unwrap();
            assert_eq!(buf[..n], [round]);
        }
    });
}

#[test]
fn a_small_buffer_reads_everything() {
    run(|| async {
        let (here, there) = pair().await;
        here.write_all(b"abcdefg").await.unwrap();
        here.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        let mut buf = [0; 2];
        loop {
            match timeout(LONG, there.read(&mut buf)).await.unwrap().unwrap() {
                0 => break,
                n => all.extend_from_slice(&buf[..n]),
            }
        }
        assert_eq!(all, b"abcdefg");
        assert_eq!(
            there.read(&mut []).await.unwrap(),
            0,
            "an empty buffer waits for nothing"
        );
        // Half-closed: the other direction still works.
        there.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        here.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
    });
}

#[test]
fn a_reset_is_an_error() {
    run(|| async {
        let (here, there) = pair().await;
        here.write_all(b"unread").await.unwrap();
        let mut one = [0; 1];
        there.read_exact(&mut one).await.unwrap();
        drop(there);
        let e = here.read(&mut one).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ConnectionReset);
        let e = here.read_exact(&mut one).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_stream_idles_without_a_buffer_while_another_task_writes() {
    run(|| async {
        let (here, there) = pair().await;
        let there = Rc::new(there);
        let mut buf = [0; 4];
        assert_eq!(there.idle(SHORT).await, Idle::Input, "nothing was read yet");
        assert_eq!(
            there.try_read(&mut buf).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        let writer = {
            let there = there.clone();
            spawn(async move { there.write_all(&vec![7; 4 << 20]).await.unwrap() })
        };
        // The writer waits for its reader; idling neither disturbs it nor takes its time-out for the writer's.
        for _ in 0..3 {
            assert_eq!(there.idle(SHORT).await, Idle::TimedOut);
        }
        let mut all = vec![0; 4 << 20];
        here.read_exact(&mut all).await.unwrap();
        writer.await;
        here.write_all(b"next").await.unwrap();
        assert_eq!(there.idle(LONG).await, Idle::Input);
        there.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"next");
        assert_eq!(
            there.try_read(&mut buf).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        drop(here);
        assert_eq!(there.idle(LONG).await, Idle::Input, "the end is input");
        assert_eq!(there.read(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn sockets_of_the_standard_library_can_be_taken_over() {
    run(|| async {
        let listener = std::net::TcpListener::bind(any_port()).unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let client = TcpStream::from_std(client).unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.set_nodelay(true).unwrap();
        client.write_all(b"x").await.unwrap();
        let mut one = [0; 1];
        server.read_exact(&mut one).await.unwrap();
    });
}

#[test]
fn a_shutdown_ends_accepting_and_idling_and_waits_for_what_is_in_progress() {
    let runtime = runtime();
    let (tx, rx) = std::sync::mpsc::channel();
    let done = runtime.handle().spawn_on(0, move || async move {
        let listener = TcpListener::bind(any_port()).unwrap();
        tx.send(listener.local_addr().unwrap()).unwrap();
        let (busy, _) = listener.accept().await.unwrap();
        let (idle, _) = listener.accept().await.unwrap();
        let accepting = spawn(async move { listener.accept().await.unwrap_err().kind() });
        let streaming = spawn(async move {
            use futures_core::Stream;
            let listener = TcpListener::bind(any_port()).unwrap();
            let mut incoming = listener.incoming();
            let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut incoming).poll_next(cx));
            assert!(next.await.is_none());
        });
        let idling = spawn(async move {
            let mut buf = [0; 1];
            idle.read_exact(&mut buf).await.unwrap();
            let _ = idle.try_read(&mut buf);
            tx.send(idle.local_addr().unwrap()).unwrap();
            idle.idle(LONG).await
        });
        let busy = spawn(async move {
            let mut answer = [0; 4];
            busy.read_exact(&mut answer).await.unwrap();
            busy.write_all(&answer).await.unwrap();
        });
        assert_eq!(idling.await, Idle::Draining);
        assert_eq!(accepting.await, ErrorKind::NotConnected);
        streaming.await;
        busy.await;
    });
    let address = rx.recv().unwrap();
    let mut busy = std::net::TcpStream::connect(address).unwrap();
    let mut idle = std::net::TcpStream::connect(address).unwrap();
    idle.write_all(b"x").unwrap();
    rx.recv().unwrap();
    runtime.handle().shutdown(LONG);
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0, "the idle one is let go");
    let start = Instant::now();
    busy.write_all(b"last").unwrap();
    let mut answer = Vec::new();
    busy.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"last", "the busy one is served");
    parkade::block_on(done);
    runtime.wait();
    assert!(start.elapsed() < LONG / 2, "and no grace is sat out");
}
