//! The example `hyper_server`, from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Server {
        // target/PROFILE/deps/TEST: cargo has built the example for this test.
        let test = std::env::current_exe().unwrap();
        let program = test
            .ancestors()
            .nth(2)
            .unwrap()
            .join("examples/hyper_server");
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let child = Command::new(program)
            .arg(address.to_string())
            .spawn()
            .unwrap();
        let server = Server { child, address };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "nobody listens");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_speaks_http1() {
    let server = Server::start();
    let mut stream = server.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        .unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut came = String::new();
    stream.read_to_string(&mut came).unwrap();
    assert_eq!(came.matches("HTTP/1.1 200 OK").count(), 2, "{came}");
    assert!(came.contains("\r\n\r\nabcHTTP/1.1"), "{came}");
    assert!(came.ends_with("\r\n\r\nHello, World!"), "{came}");
}

/// The preface, even one that comes byte by byte, is answered with settings.
#[test]
fn it_speaks_http2_to_those_who_begin_so() {
    let server = Server::start();
    let mut stream = server.connect();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for byte in preface {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "a settings frame");
}
