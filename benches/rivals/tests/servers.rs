//! Every rival answers as the yardstick does: alone, pipelined, kept alive, in pieces, on several threads, and last.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parkade_rivals::answer::ANSWER;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &str, threads: &str) -> Server {
        let mut child = Command::new(program)
            .args(["--address", "127.0.0.1:0", "--threads", threads])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .split_whitespace()
            .nth(2)
            .unwrap_or_default()
            .to_owned();
        Server { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads so many answers and holds them against the yardstick's, but for the case of names where `serve` of axum has a
/// taste of its own.
fn expect(stream: &mut TcpStream, answers: usize, what: &str, exact: bool) {
    let mut got = vec![0; ANSWER.len() * answers];
    stream
        .read_exact(&mut got)
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    let wanted = ANSWER.repeat(answers);
    let same = if exact {
        got == wanted
    } else {
        got.eq_ignore_ascii_case(&wanted)
    };
    assert!(same, "{what}: {}", String::from_utf8_lossy(&got));
}

fn check(program: &str, exact: bool) {
    for threads in ["1", "2"] {
        let server = Server::start(program, threads);
        let mut kept: Vec<_> = (0..8).map(|_| server.connect()).collect();
        for round in 0..3 {
            for stream in &mut kept {
                stream.write_all(GET).unwrap();
            }
            for stream in &mut kept {
                expect(stream, 1, &format!("request {round}"), exact);
            }
        }
        let stream = &mut kept[0];
        for round in 0..3 {
            stream.write_all(&GET.repeat(16)).unwrap();
            expect(stream, 16, &format!("pipeline {round}"), exact);
        }
        // More than a batch, and more than one buffer.
        stream.write_all(&GET.repeat(1000)).unwrap();
        expect(stream, 1000, "a long pipeline", exact);

        let (first, second) = GET.split_at(20);
        stream.write_all(&[GET, first].concat()).unwrap();
        // Known of it, and said in its source.
        let waits = program.ends_with("rival-hyper-flush");
        expect(stream, usize::from(!waits), "what came whole", exact);
        stream.write_all(second).unwrap();
        expect(stream, 1 + usize::from(waits), "a head in pieces", exact);

        let mut last = server.connect();
        last.write_all(&[GET, LAST].concat()).unwrap();
        expect(&mut last, 1, "the one before the last", exact);
        let mut rest = String::new();
        last.read_to_string(&mut rest).unwrap();
        assert!(
            rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("Hello, World!"),
            "{rest}"
        );
    }
}

/// A peer that ends its side together with its request: a rival that forgets such connections runs out of them. Hyper,
/// unless told otherwise, takes the end for a farewell and need not answer.
fn leaves(program: &str) {
    let server = Server::start(program, "1");
    for _ in 0..20 {
        let mut stream = server.connect();
        stream.write_all(GET).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        let text = String::from_utf8_lossy(&rest);
        let hyper = program.contains("rival-hyper") || program.ends_with("rival-axum");
        let may_be_silent = hyper && rest.is_empty();
        assert!(rest.eq_ignore_ascii_case(ANSWER) || may_be_silent, "{text}");
    }
}

macro_rules! rivals {
    ($($name:ident $binary:literal $exact:literal)*) => {
        $(#[test]
        fn $name() {
            let program = env!(concat!("CARGO_BIN_EXE_", $binary));
            check(program, $exact);
            leaves(program);
        })*
    };
}

rivals! {
    mio "rival-mio" true
    polling "rival-polling" true
    polling_oneshot "rival-polling-oneshot" true
    monoio "rival-monoio" true
    monoio_uring "rival-monoio-uring" true
    compio "rival-compio" true
    smol "rival-smol" true
    hyper "rival-hyper" true
    hyper_flush "rival-hyper-flush" true
    axum "rival-axum" false
}
