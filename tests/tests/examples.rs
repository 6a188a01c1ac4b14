//! The runtime's examples do what their first lines say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::example::{self, Example};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn connect(example: &Example) -> TcpStream {
    let stream = TcpStream::connect(example.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, what: &str, answer: &str) {
    stream.write_all(what.as_bytes()).unwrap();
    expect(stream, answer);
}

fn expect(stream: &mut impl Read, answer: &str) {
    let mut said = vec![0; answer.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), answer);
}

#[test]
fn own_protocol_speaks_in_whole_and_cut_commands() {
    let example = Example::start("parkade", "own_protocol").unwrap();
    let mut stream = connect(&example);
    ask(&mut stream, "PING\r\n", "+PONG\r\n");
    ask(&mut stream, "get nothing\r\n", "$-1\r\n");
    let set = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\nb\r\nc\r\n";
    // Byte by byte: the connection parks in between, with what it has.
    let (last, first) = set.as_bytes().split_last().unwrap();
    for byte in first {
        stream.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    stream.write_all(&[*last]).unwrap();
    expect(&mut stream, "+OK\r\n");
    let all = "GET a\r\n*1\r\n$4\r\nping\r\nDEL a\r\nDEL a\r\nWHAT\r\n";
    let answers = "$4\r\nb\r\nc\r\n+PONG\r\n:1\r\n:0\r\n-ERR unknown command\r\n";
    ask(&mut stream, all, answers);
    ask(&mut stream, "*x\r\n", "-ERR protocol\r\n");
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn chat_tells_everybody_but_the_speaker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat");
    let mut chat = example::run("parkade", "chat", &[path.to_str().unwrap()]).unwrap();
    assert_eq!(chat.line(), format!("listening at {}\n", path.display()));
    let join = || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut one = join();
    one.write_all(b"alone\n").unwrap();
    let mut two = join();
    expect(&mut one, "2: is here\n");
    let mut three = join();
    expect(&mut one, "3: is here\n");
    expect(&mut two, "3: is here\n");
    two.write_all(b"hel").unwrap();
    two.write_all(b"lo\n").unwrap();
    expect(&mut one, "2: hello\n");
    expect(&mut three, "2: hello\n");
    drop(two);
    expect(&mut one, "2: has left\n");
    expect(&mut three, "2: has left\n");
}

#[test]
fn udp_echo_answers() {
    let mut echo = example::run("parkade", "udp_echo", &["127.0.0.1:0"]).unwrap();
    let line = echo.line();
    let address = line.trim().strip_prefix("listening at ").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    for what in [&b"one"[..], b"", &[7; 9000]] {
        socket.send_to(what, address).unwrap();
        let mut answer = [0; 10_000];
        let n = socket.recv(&mut answer).unwrap();
        assert_eq!(&answer[..n], what);
    }
}

#[test]
fn long_poll_wakes_all_who_wait() {
    let example = Example::start("parkade", "long_poll").unwrap();
    let mut speaker = connect(&example);
    ask(&mut speaker, "what\n", "wait, or say something\n");
    let mut waiting: Vec<_> = (0..50).map(|_| connect(&example)).collect();
    for round in 0..5 {
        for stream in &mut waiting {
            stream.write_all(b"wait\n").unwrap();
        }
        // Each has said something behind its wait and was answered: the wait is known.
        for stream in &mut waiting {
            ask(stream, "?\n", "wait, or say something\n");
        }
        speaker
            .write_all(format!("say number {round}\n").as_bytes())
            .unwrap();
        for stream in &mut waiting {
            expect(stream, &format!("event number {round}\n"));
        }
    }
}

#[test]
fn two_runtimes_have_nothing_in_common() {
    let mut example = example::run("parkade", "two_runtimes", &[]).unwrap();
    let said = example.rest();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 5, "{said}");
    assert!(lines[0] == "64 = 64" && lines[1] == "64 = 64" && lines[4] == "64 = 64");
    assert!(
        lines[2].starts_with("epoll (as configured): 6 requests"),
        "{said}"
    );
    assert!(lines[3].ends_with("): 6 requests"), "{said}");
}

#[test]
fn blocking_work_holds_nobody_up() {
    let example = Example::start("parkade", "blocking_work").unwrap();
    let (mut slow, mut quick) = (connect(&example), connect(&example));
    ask(&mut quick, "100\n", "25\n");
    ask(&mut quick, "many\n", "a number up to 20000000, please\n");
    slow.write_all(b"20000000\n").unwrap();
    let began = Instant::now();
    let mut rounds = 0;
    slow.set_nonblocking(true).unwrap();
    while slow.peek(&mut [0]).is_err() {
        ask(&mut quick, "\n", "still here\n");
        rounds += 1;
        assert!(began.elapsed() < PATIENCE * 3);
    }
    slow.set_nonblocking(false).unwrap();
    expect(&mut slow, "1270607\n");
    assert!(rounds > 10, "{rounds}");
}

#[test]
fn graceful_shutdown_answers_what_has_begun() {
    let mut example = Example::start("parkade", "graceful_shutdown").unwrap();
    let (mut busy, mut idle) = (connect(&example), connect(&example));
    ask(&mut idle, "x", "x");
    busy.write_all(b"question").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let told = std::process::Command::new("kill")
        .arg(example.pid().to_string())
        .status();
    assert!(told.unwrap().success());
    assert_eq!(idle.read(&mut [0; 8]).unwrap(), 0, "told goodbye");
    expect(&mut busy, "question");
    assert_eq!(busy.read(&mut [0; 8]).unwrap(), 0);
    drop((busy, idle));
    assert!(example.wait(PATIENCE).unwrap().success());
}

#[test]
fn examples_refuse_what_is_no_address() {
    for name in ["own_protocol", "udp_echo", "long_poll"] {
        let mut example = example::run("parkade", name, &["nowhere"]).unwrap();
        assert_eq!(example.rest(), "");
        assert!(!example.wait(PATIENCE).unwrap().success(), "{name}");
    }
}
