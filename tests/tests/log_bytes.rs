//! Nothing a client sends can end a line of a log, or steer the terminal it is read on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::server::Server;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

const CONFIGURATION: &str = "ServerRoot {root}
ServerName main.example
Listen {listen}
{user}
PidFile {root}/pid
ErrorLog {root}/error.log
LogLevel debug
StartServers 1
ThreadsPerChild 2
DocumentRoot {root}
LogFormat \"%h %r|%m|%U|%q|%f|%V|%H|%{User-Agent}i|%{Referer}i|%{Cookie}i|%{c}C|%{Host}i|%{Range}i|%s\" all
CustomLog {root}/access.log all
<Location /denied>
Require all denied
</Location>
";

/// Requests with every byte that a client can get past the parser, and with many that it cannot.
fn requests() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for path in [
        "/a%0a%0d%1b%5b31m%7f%07",
        "/denied/%0aforged%1b%5b31m%7f%c2%85%c2%9b",
        "/denied/%e2%80%ae%22%5cn",
        "/?%0a\\n`{|}^[]",
        "/%00",
        "/a\u{1b}b",
        "/\u{80}\u{ff}",
    ] {
        all.push(format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        ));
    }
    let values: String = (0x80..=0xffu8).map(char::from).collect();
    let values = format!("\"\\ \t{values}");
    for name in ["User-Agent", "Referer", "Cookie: c=x; c", "Range"] {
        all.push(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{name}: {values}\r\n\r\n"
        ));
    }
    for byte in (0..0x20).chain([0x7f, 0x80, 0x9b, 0xff]).map(char::from) {
        all.push(format!(
            "GET /{byte} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        ));
        all.push(format!(
            "G{byte}T / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        ));
        all.push(format!(
            "GET / HTTP/1.1\r\nHost: a{byte}\r\nConnection: close\r\n\r\n"
        ));
        all.push(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: {byte}x\r\n\r\n"
        ));
    }
    let bytes = |text: String| text.chars().map(|c| c as u8).collect();
    all.into_iter().map(bytes).collect()
}

#[test]
fn no_raw_control_byte_of_a_client_reaches_a_log() {
    let server = Server::start(CONFIGURATION, &[("index.html", b"x")]).unwrap();
    let mut requests = requests();
    requests.push(b"GET /the-last-one HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec());
    let mut answered = 0;
    for request in &requests {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answered += usize::from(answer.starts_with(b"HTTP/1.1 "));
    }
    let log = |name: &str| fs::read(server.root().join(name)).unwrap_or_default();
    let end = Instant::now() + Duration::from_secs(20);
    while !log("access.log")
        .windows(14)
        .any(|w| w == b"/the-last-one ")
    {
        assert!(
            Instant::now() < end,
            "{}",
            String::from_utf8_lossy(&log("access.log"))
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let access = log("access.log");
    assert!(
        access
            .iter()
            .all(|b| *b == b'\n' || (b' '..=b'~').contains(b))
    );
    let text = String::from_utf8_lossy(&access);
    assert!(
        text.lines().count() >= answered,
        "{answered} answers: {text}"
    );
    assert!(text.lines().all(|l| l.starts_with("127.0.0.1 ")), "{text}");

    let error = log("error.log");
    let text = String::from_utf8(error).unwrap();
    assert!(
        text.contains("denied by server configuration: /denied/\\nforged"),
        "{text}"
    );
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    assert!(text.lines().all(|l| l.starts_with('[')), "{text}");
}
