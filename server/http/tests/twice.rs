//! An event that comes twice: a connection was served by a neighbour while its own worker, which had the event too, was held
//! up by a handler.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Conn, Runtime, Workers};
use parkade_http::{Head, Hosts, Limits, Request, Response, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(600);
/// Whether the events come in one batch depends on the machine.
const ROUNDS: usize = 6;

/// Slow handlers so far.
static BEGUN: AtomicUsize = AtomicUsize::new(0);

/// `/slow/MS` holds the worker for so long.
async fn handler(request: Request) -> Response {
    let path = String::from_utf8_lossy(request.path()).into_owned();
    if let Some(ms) = path.strip_prefix("/slow/") {
        BEGUN.fetch_add(1, Relaxed);
        std::thread::sleep(Duration::from_millis(ms.parse().unwrap()));
    }
    Response::text("answer")
}

/// Whoever asks for `/quick` has little time for more.
struct ByPath(Limits);

impl Hosts for ByPath {
    fn choose(&self, head: &Head, _conn: &Conn) -> u32 {
        u32::from(head.target() == b"/quick")
    }

    fn limits(&self, host: u32) -> Option<&Limits> {
        (host == 1).then_some(&self.0)
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(2 * LONG)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
}

fn answered(stream: &mut TcpStream) {
    let mut answer = [0; 1024];
    let n = stream.read(&mut answer).unwrap();
    assert!(answer[..n].starts_with(b"HTTP/1.1 200"), "{n}");
}

#[test]
fn it_renews_no_time_and_least_of_all_by_anothers_limits() {
    let limits = |keep_alive| Limits {
        requests: 0,
        keep_alive,
        ..Limits::default()
    };
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .reserves(2)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(handler)
        .limits(limits(LONG))
        .hosts(ByPath(limits(SHORT)));
    runtime.listen(listener, server.service()).unwrap();

    for _ in 0..ROUNDS {
        let mut first = connect(address);
        let mut second = connect(address);
        let mut quick: Vec<_> = (0..8).map(|_| connect(address)).collect();
        for stream in [&mut first, &mut second].into_iter().chain(&mut quick) {
            ask(stream, "/");
            answered(stream);
        }
        // While the first is served, too shortly for help, the others come together; their worker has all their events then,
        // and is held up by the second.
        let begun = BEGUN.load(Relaxed);
        let asked = Instant::now();
        ask(&mut first, "/slow/2");
        while BEGUN.load(Relaxed) == begun {
            assert!(asked.elapsed() < LONG, "the handler does not begin");
            std::hint::spin_loop();
        }
        ask(&mut second, "/slow/200");
        for stream in &mut quick {
            ask(stream, "/quick");
        }
        for stream in &mut quick {
            answered(stream);
        }
        let began = Instant::now();
        for stream in &mut quick {
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        }
        let took = began.elapsed();
        assert!(took < LONG / 2, "{took:?}");
    }
    assert!(
        runtime.handle().metrics().rescued() > 0,
        "nobody had to help"
    );
}
