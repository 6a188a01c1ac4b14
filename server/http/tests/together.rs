//! Connections that are ready at once are answered first and sent to then: nobody gets another's answer, nobody is
//! forgotten, and a handler that takes its time is not waited for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade::{Runtime, Workers};
use parkade_http::{Limits, Request, Response, Server};
use rustix::net::sockopt;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// `/slow/MS` holds the worker for so long, `/large` fills more than three kilobytes, and every answer says what was asked.
async fn handler(request: Request) -> Response {
    let path = String::from_utf8_lossy(request.path()).into_owned();
    if let Some(ms) = path.strip_prefix("/slow/") {
        std::thread::sleep(Duration::from_millis(ms.parse().unwrap()));
    }
    let mut page = path.clone();
    if path.starts_with("/large") {
        page.push_str(&"-".repeat(3_500));
    }
    Response::html(page)
}

fn serve() -> (Runtime, SocketAddr) {
    let runtime = Runtime::builder()
        .workers(Workers::Count(1))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Inherited by its connections: a few answers fill it.
    sockopt::set_socket_send_buffer_size(&listener, 8 * 1024).unwrap();
    sockopt::set_socket_recv_buffer_size(&listener, 8 * 1024).unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        requests: 0,
        keep_alive: Duration::from_secs(60),
        ..Limits::default()
    };
    let server = Server::new(handler).limits(limits);
    runtime.listen(listener, server.service()).unwrap();
    (runtime, address)
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self(BufReader::new(stream))
    }

    fn ask(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
    }

    /// The body of the next answer.
    fn hear(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: "))
            .unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}

/// While the worker is held, all of them become ready.
#[test]
fn everyone_of_a_crowd_gets_the_own_answers() {
    let (_runtime, address) = serve();
    let mut holder = Client::new(address);
    let mut crowd: Vec<_> = (0..50).map(|_| Client::new(address)).collect();
    for round in 0..5 {
        holder.ask("/slow/40");
        for (n, client) in crowd.iter_mut().enumerate() {
            for part in 0..=n % 3 {
                client.ask(&format!("/{round}/{n}/{part}"));
            }
        }
        assert_eq!(holder.hear(), "/slow/40");
        for (n, client) in crowd.iter_mut().enumerate() {
            for part in 0..=n % 3 {
                assert_eq!(client.hear(), format!("/{round}/{n}/{part}"));
            }
        }
        // Handlers count as slow for a second: the next round is one in which answers are put off again.
        std::thread::sleep(Duration::from_millis(if round % 2 == 0 {
            1_100
        } else {
            0
        }));
    }
}

/// What the socket does not take goes on as plain data; nothing is lost or swapped.
#[test]
fn a_client_of_a_crowd_that_does_not_read_gets_everything_later() {
    const ASKED: usize = 60;
    let (_runtime, address) = serve();
    let mut lazy: Vec<_> = (0..3).map(|_| Client::new(address)).collect();
    for client in &lazy {
        sockopt::set_socket_recv_buffer_size(client.0.get_ref(), 16 * 1024).unwrap();
    }
    let mut lively: Vec<_> = (0..3).map(|_| Client::new(address)).collect();
    let mut holder = Client::new(address);
    for n in 0..ASKED {
        // Taken up alone; meanwhile the others become ready.
        holder.ask("/slow/5");
        std::thread::sleep(Duration::from_millis(2));
        for client in lazy.iter_mut().chain(&mut lively) {
            client.ask(&format!("/large/{n}"));
        }
        holder.hear();
        for client in &mut lively {
            assert!(client.hear().starts_with(&format!("/large/{n}-")));
        }
    }
    for client in &mut lazy {
        for n in 0..ASKED {
            assert!(client.hear().starts_with(&format!("/large/{n}-")));
        }
    }
}

#[test]
fn an_answer_does_not_wait_for_handlers_that_are_known_to_be_slow() {
    let (_runtime, address) = serve();
    let (mut holder, mut quick, mut slow) = (
        Client::new(address),
        Client::new(address),
        Client::new(address),
    );
    for attempt in 0.. {
        // Both are ready in one turn: it shows that something takes its time, and the second time that handlers do.
        for _ in 0..2 {
            holder.ask("/slow/100");
            std::thread::sleep(Duration::from_millis(20));
            quick.ask("/");
            slow.ask("/slow/20");
            for client in [&mut holder, &mut quick, &mut slow] {
                client.hear();
            }
        }
        // The same, and within the second: the answer is sent before the other handler runs.
        let began = Instant::now();
        holder.ask("/slow/100");
        std::thread::sleep(Duration::from_millis(20));
        quick.ask("/");
        slow.ask("/slow/400");
        holder.hear();
        quick.hear();
        let answered = Instant::now();
        slow.hear();
        if began.elapsed() < Duration::from_millis(900) {
            let before = answered.elapsed();
            assert!(before > Duration::from_millis(200), "{before:?}");
            return;
        }
        assert!(attempt < 10, "this machine is too slow to look");
    }
}
