//! A warm keep-alive request for a small file allocates nothing on its worker: a whole child, run as a thread.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use crate::control::{self, Order};
use crate::log::access::AccessLogs;
use crate::scoreboard::{Board, Size};
use crate::{child, cli, settings};
use parkade_tests::allocations::{CountingAllocator, of_threads};
use parkade_tests::{client, ready};
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Long enough for the date to change twice, and for the kept file to be held against the file system three times.
const LONG: Duration = Duration::from_millis(2_500);
/// At this age, with room to spare, a file counts as settled (`site::stamp`).
const SETTLED: Duration = Duration::from_millis(200);
/// Before it is this old, a kept file is not looked up as a whole again, which allocates.
const LIFE: Duration = Duration::from_secs(9);

/// Runs a child with some warm connections to it, and says what its workers allocated between two moments.
fn measured(path: &str, more: &str) -> u64 {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().display();
    fs::create_dir(root.path().join("site")).unwrap();
    let file = root.path().join("site/a.txt");
    fs::write(&file, "Hello, World!").unwrap();
    // A file that has just been written is not kept: it might change again without anybody being able to tell.
    ready::until("a file that is kept", Duration::from_secs(10), || {
        let age = fs::metadata(&file)
            .and_then(|m| m.modified())
            .unwrap()
            .elapsed();
        age.is_ok_and(|age| age > SETTLED)
    })
    .unwrap();
    let text = format!(
        "ServerRoot {at}\nListen 127.0.0.1:1\nUser nobody\nPidFile {at}/pid\nErrorLog {at}/error.log\nThreadsPerChild 1\n\
         MaxKeepAliveRequests 0\nDocumentRoot {at}/site\n<Directory {at}/site>\nRequire all granted\n</Directory>\n{more}\n"
    );
    fs::write(root.path().join("conf"), text).unwrap();
    let file = root.path().join("conf").into_os_string();
    let options = cli::parse(["-f".into(), file]).unwrap();
    let (mut settings, _) = settings::load(&options).unwrap();
    // The test's process keeps its rights.
    settings.identity = None;
    let logs = AccessLogs::open(&settings.config).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (control, told) = control::channel().unwrap();
    let size = Size {
        children: 1,
        workers: child::places(1),
        slots: settings.config.limits.slots_per_child as usize,
        extended: settings.config.extended_status(),
    };
    let board = Arc::new(Board::new(size, 0, None).unwrap());
    let record = board
        .claim(settings.config.limits.slots_per_child, 0)
        .unwrap();
    let place = child::Place { board, record };
    std::thread::scope(|scope| {
        let (settings, logs, told) = (&settings, &logs, &told);
        let child = scope
            .spawn(move || child::serve(settings, vec![listener], logs, place, None, Some(told)));
        let streams: Vec<_> = (0..8).map(|_| client::connect(address).unwrap()).collect();
        let counted = std::panic::catch_unwind(|| watch(streams, path));
        Order::Stop.send(&control).unwrap();
        child.join().unwrap().unwrap();
        counted.unwrap()
    })
}

fn watch(mut streams: Vec<TcpStream>, path: &str) -> u64 {
    for _ in 0..20 {
        // Far from its end of life, whatever this machine does meanwhile; a stall means another look.
        let born = Instant::now();
        for n in 0..20 {
            ask(&mut streams, path, n);
        }
        let before = of_threads("worker").unwrap();
        let (began, mut n) = (Instant::now(), 0);
        while began.elapsed() < LONG || n < 100 {
            ask(&mut streams, path, n);
            n += 1;
        }
        let after = of_threads("worker").unwrap();
        if after == before || born.elapsed() < LIFE {
            return after.count - before.count;
        }
    }
    panic!("this machine is too slow to look");
}

/// One request on each connection, each unlike the one before.
fn ask(streams: &mut [TcpStream], path: &str, n: usize) {
    for (k, stream) in streams.iter_mut().enumerate() {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {n}-{k}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
    }
    for stream in streams {
        assert_eq!(client::read(stream, false).unwrap().body, b"Hello, World!");
    }
}

#[test]
fn a_warm_request_for_a_small_file_allocates_nothing() {
    assert_eq!(measured("/a.txt", "ExtendedStatus Off"), 0);
    assert_eq!(measured("/a.txt", "ExtendedStatus On"), 0);
    // The same file under a name that is not kept: what is allocated is seen.
    assert!(measured("/%61.txt", "") > 0);
}
