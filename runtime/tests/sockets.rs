//! Sockets of tasks beside TCP, halves, pieces, options and descriptors of other crates.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::time::{interval, sleep, timeout};
use parkade::{
    Async, Conn, Keepalive, Next, Probes, Runtime, TcpListener, TcpStream, UdpSocket, UnixListener,
    UnixStream, Workers, spawn, yield_now,
};
use std::fs::File;
use std::future::Future;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write, pipe};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn runtime() -> Runtime {
    let builder = Runtime::builder().workers(Workers::Count(1));
    builder.build().unwrap()
}

/// Runs a future on a worker; afterwards no slot of it may be left.
fn run<F>(make: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let runtime = runtime();
    parkade::block_on(runtime.handle().spawn_on(0, make));
    let end = Instant::now() + Duration::from_secs(20);
    while runtime.handle().connections() > 0 {
        assert!(Instant::now() < end, "{:?}", runtime.handle().metrics());
        std::thread::yield_now();
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn unix_streams_talk_and_know_their_addresses() {
    run(|| async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("here");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        let client = UnixStream::connect(&path).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed());
        assert!(server.peer_addr().unwrap().is_unnamed());
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path));
        client.write_all(b"hello").await.unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut said = [0; 8];
        server.read_exact(&mut said[..5]).await.unwrap();
        assert_eq!(&said[..5], b"hello");
        assert_eq!(server.read(&mut said).await.unwrap(), 0);
    });
}

/// Such a name has no room for the NUL that others end with; it must not be an end of the worker.
#[test]
fn a_peer_whose_path_fills_its_address_is_accepted() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, socket};
    run(|| async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("here");
        let listener = UnixListener::bind(&path).unwrap();
        let client = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        let mut name = folder.path().join("x").into_os_string();
        while name.len() < 108 {
            name.push("x");
        }
        bind(&client, &SocketAddrUnix::new(&name).unwrap()).unwrap();
        connect(&client, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        // The standard library has no such address.
        assert!(peer.is_unnamed());
        assert!(stream.peer_addr().is_err());
    });
}

#[test]
fn a_full_unix_backlog_is_waited_for() {
    run(|| async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("here");
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 1).unwrap();
        let mut clients = Vec::new();
        let full = loop {
            match UnixStream::connect_timeout(&path, SHORT).await {
                Ok(client) => clients.push(client),
                Err(e) => break e,
            }
        };
        assert_eq!(full.kind(), ErrorKind::TimedOut);
        let late = spawn({
            let path = path.clone();
            async move { UnixStream::connect(&path).await.map(|_| ()) }
        });
        sleep(SHORT).await;
        assert!(!late.is_finished());
        for _ in &clients {
            listener.accept().await.unwrap();
        }
        late.await.unwrap();
    });
}

#[test]
fn abstract_names_are_connected_to() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener as Std};
    run(|| async {
        let name = format!("parkade-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let listener = UnixListener::from_std(Std::bind_addr(&address).unwrap()).unwrap();
        let client = UnixStream::connect_addr(&address).await.unwrap();
        let peer = client.peer_addr().unwrap();
        assert_eq!(peer.as_abstract_name(), Some(name.as_bytes()));
        listener.accept().await.unwrap();
        let nameless = client.local_addr().unwrap();
        let refused = UnixStream::connect_addr(&nameless).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn connecting_has_its_time() {
    run(|| async {
        // A backlog of one that nobody empties: further attempts go unanswered.
        let std = std::net::TcpListener::bind(any_port()).unwrap();
        rustix::net::listen(&std, 0).unwrap();
        let address = std.local_addr().unwrap();
        let mut kept = Vec::new();
        let late = loop {
            match TcpStream::connect_timeout(address, SHORT).await {
                Ok(stream) => kept.push(stream),
                Err(e) => break e,
            }
        };
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        assert!(late.to_string().contains(&address.to_string()), "{late}");
        drop(std);
        let gone = TcpStream::connect_timeout(address, LONG).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn bursts_are_served_over_unix_sockets() {
    async fn echo(mut conn: Conn) -> parkade::Result<Next> {
        while let Some(chunk) = conn.recv_ready().await? {
            conn.send(chunk.filled()).await?;
        }
        Ok(match conn.ended() {
            true => Next::Close(conn),
            false => Next::Park(conn, Keepalive::secs(60)),
        })
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("here");
    let runtime = runtime();
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(
        runtime
            .listen_unix(listener, parkade::bursts(echo))
            .unwrap(),
        0
    );
    let mut clients: Vec<_> = (0..50)
        .map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap())
        .collect();
    for round in 0..3u8 {
        for client in &mut clients {
            client.write_all(&[round; 300]).unwrap();
            let mut answer = [9; 300];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [round; 300]);
        }
    }
    let mut last = clients.pop().unwrap();
    last.write_all(b"last words").unwrap();
    last.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "last words");
}

#[test]
fn datagrams_come_one_by_one() {
    run(|| async {
        let (here, there) = (
            UdpSocket::bind(any_port()).unwrap(),
            UdpSocket::bind(any_port()).unwrap(),
        );
        let (ours, theirs) = (here.local_addr().unwrap(), there.local_addr().unwrap());
        let mut buf = [0; 16];
        let none = there.try_recv_from(&mut buf).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::WouldBlock);
        let receiver = Rc::new(there);
        let waits = spawn({
            let receiver = receiver.clone();
            async move {
                let mut buf = [0; 16];
                let (n, from) = receiver.recv_from(&mut buf).await.unwrap();
                (buf[..n].to_vec(), from)
            }
        });
        yield_now().await;
        assert_eq!(here.send_to(b"one", theirs).await.unwrap(), 3);
        assert_eq!(waits.await, (b"one".to_vec(), ours));
        here.connect(theirs).unwrap();
        assert_eq!(here.peer_addr().unwrap(), theirs);
        here.send(b"two").await.unwrap();
        here.send(b"three").await.unwrap();
        let (n, _) = receiver.peek_from(&mut buf).await.unwrap();
        assert_eq!(&buf[..n], b"two");
        // What does not fit is cut, and the next one is whole.
        assert_eq!(receiver.recv(&mut buf[..2]).await.unwrap(), 2);
        assert_eq!(receiver.recv(&mut buf).await.unwrap(), 5);
        let long = here.send(&[0; 70_000]).await.unwrap_err();
        assert_eq!(long.raw_os_error(), Some(90), "EMSGSIZE");
    });
}

#[test]
fn a_refused_datagram_is_told_once_and_the_socket_goes_on() {
    run(|| async {
        let here = UdpSocket::bind(any_port()).unwrap();
        let gone = UdpSocket::bind(any_port()).unwrap();
        let address = gone.local_addr().unwrap();
        drop(gone);
        here.connect(address).unwrap();
        here.send(b"anybody?").await.unwrap();
        let mut buf = [0; 16];
        let refused = timeout(LONG, here.recv(&mut buf)).await.unwrap();
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        // The failure was told; waiting costs nothing, and what comes is received.
        assert!(timeout(SHORT, here.recv(&mut buf)).await.is_err());
        let back = UdpSocket::bind(address).unwrap();
        back.send_to(b"here", here.local_addr().unwrap())
            .await
            .unwrap();
        assert_eq!(
            timeout(LONG, here.recv(&mut buf)).await.unwrap().unwrap(),
            4
        );
    });
}

#[test]
fn pieces_are_read_and_written_in_order() {
    run(|| async {
        let (here, there) = UnixStream::pair().unwrap();
        let big = vec![7u8; 1 << 20];
        let sender = spawn(async move {
            let mut pieces = [
                IoSlice::new(b"head "),
                IoSlice::new(b""),
                IoSlice::new(&big),
                IoSlice::new(b" tail"),
            ];
            here.write_all_vectored(&mut pieces).await.unwrap();
        });
        let (mut head, mut body) = ([0; 5], vec![0; 1000]);
        let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
        let n = there.read_vectored(&mut bufs).await.unwrap();
        assert!(n > 5);
        assert_eq!(&head, b"head ");
        assert!(body[..n - 5].iter().all(|b| *b == 7));
        let mut rest = vec![0; (1 << 20) - (n - 5) + 5];
        there.read_exact(&mut rest).await.unwrap();
        assert!(rest.ends_with(b"\x07 tail"));
        sender.await;
        let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
        assert_eq!(there.read_vectored(&mut bufs).await.unwrap(), 0);
    });
}

#[test]
fn halves_work_side_by_side_and_come_together_again() {
    run(|| async {
        let (mut here, there) = UnixStream::pair().unwrap();
        {
            let (reader, writer) = here.split();
            writer.write_all(b"x").await.unwrap();
            assert!(timeout(SHORT, reader.read(&mut [0; 4])).await.is_err());
        }
        let (reader, writer) = here.into_split();
        let (reads, writes) = there.into_split();
        let strangers = reader.reunite(writes).unwrap_err();
        assert!(strangers.to_string().contains("different"));
        let (reader, writes) = (strangers.0, strangers.1);
        let echo = spawn(async move {
            let mut buf = [0; 64];
            loop {
                match reads.read(&mut buf).await.unwrap() {
                    0 => return,
                    n => writes.write_all(&buf[..n]).await.unwrap(),
                }
            }
        });
        let mut said = [0; 6];
        writer.write_all(b"hello").await.unwrap();
        reader.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"xhello");
        let whole = reader.reunite(writer).unwrap();
        assert!(
            timeout(SHORT, whole.read(&mut said)).await.is_err(),
            "no FIN"
        );
        let (reader, writer) = whole.into_split();
        drop(writer);
        assert_eq!(reader.read(&mut said).await.unwrap(), 0);
        echo.await;
    });
}

#[test]
fn options_are_set_and_read_back() {
    run(|| async {
        let listener = TcpListener::bind(any_port()).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        assert!(!stream.nodelay().unwrap());
        stream.set_nodelay(true).unwrap();
        assert!(stream.nodelay().unwrap());
        let seconds = Duration::from_secs;
        assert!(!stream.probes().unwrap());
        let probes = Probes {
            after: seconds(60),
            every: seconds(10),
            count: 3,
        };
        stream.set_probes(Some(probes)).unwrap();
        assert!(stream.probes().unwrap());
        let none = Probes { count: 0, ..probes };
        assert!(stream.set_probes(Some(none)).is_err());
        stream.set_probes(None).unwrap();
        assert!(!stream.probes().unwrap());
        stream.set_recv_buffer_size(20_000).unwrap();
        assert!(stream.recv_buffer_size().unwrap() >= 20_000);
        stream.set_send_buffer_size(30_000).unwrap();
        assert!(stream.send_buffer_size().unwrap() >= 30_000);
        stream.set_ttl(9).unwrap();
        assert_eq!(stream.ttl().unwrap(), 9);
        assert!(stream.set_ttl(0).is_err());
        assert_eq!(stream.linger().unwrap(), None);
        let blocks = stream.set_linger(Some(SHORT)).unwrap_err();
        assert_eq!(blocks.kind(), ErrorKind::InvalidInput);
        assert!(stream.take_error().unwrap().is_none());
        let (server, _) = listener.accept().await.unwrap();
        stream.set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
        let reset = server.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn descriptors_of_others_are_waited_for_and_given_back() {
    let before = descriptors();
    run(|| async {
        let (reader, writer) = pipe().unwrap();
        let (reader, writer) = (Async::new(reader).unwrap(), Async::new(writer).unwrap());
        assert!(timeout(SHORT, reader.readable()).await.is_err());
        writer.writable().await.unwrap();
        let filling = spawn(async move {
            let mut written = 0;
            while written < 1 << 20 {
                written += writer
                    .write_with(|mut pipe| pipe.write(&[5; 10_000]))
                    .await
                    .unwrap();
            }
            written
        });
        let mut buf = vec![0; 4096];
        let mut all = 0;
        loop {
            match reader.read_with(|mut pipe| pipe.read(&mut buf)).await {
                Ok(0) => break,
                Ok(n) => all += n,
                Err(e) => panic!("{e}"),
            }
        }
        assert_eq!(all, filling.await);
        reader.readable().await.unwrap();
        // Given back and taken again, it is registered anew.
        let reader = Async::new(reader.into_inner()).unwrap();
        reader.readable().await.unwrap();
        let end = reader.read_with(|mut pipe| pipe.read(&mut buf)).await;
        assert_eq!(end.unwrap(), 0);
    });
    let end = Instant::now() + Duration::from_secs(20);
    while descriptors() > before + 40 {
        assert!(Instant::now() < end, "descriptors stay open");
        std::thread::yield_now();
    }
}

#[test]
fn a_writer_hears_that_its_reader_is_gone() {
    run(|| async {
        let (reader, writer) = pipe().unwrap();
        let writer = Async::new(writer).unwrap();
        while writer.get_ref().write(&[0; 4096]).is_ok() {}
        let waits = spawn(async move {
            writer
                .write_with(|mut pipe| pipe.write(&[0; 4096]))
                .await
                .unwrap_err()
        });
        yield_now().await;
        drop(reader);
        assert_eq!(waits.await.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn what_cannot_be_waited_for_is_refused() {
    let outside = Async::new(pipe().unwrap().0).unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::Unsupported);
    run(|| async {
        let file = File::open("/proc/self/exe").unwrap();
        let refused = Async::new(file).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
        assert!(refused.to_string().starts_with("register descriptor"));
    });
}

#[test]
fn an_interval_keeps_its_pace() {
    run(|| async {
        let mut every = interval(Duration::from_millis(20));
        let began = Instant::now();
        every.tick().await;
        sleep(Duration::from_millis(50)).await;
        // Two ticks were due meanwhile: one of them comes now, none is made up for.
        every.tick().await;
        every.tick().await;
        assert!(began.elapsed() >= Duration::from_millis(80), "{every:?}");
        assert!(timeout(Duration::ZERO, every.tick()).await.is_err());
    });
}
