//! The number of children follows the number of idle threads, and an idle server does not look.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test binary a failure is the message; clippy.toml covers only test functions"
)]

use parkade_tests::server::Server;
use parkade_tests::{client, procfs, ready};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

fn start(more: &str) -> Server {
    let configuration = format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         LogLevel debug\nDocumentRoot {{root}}/site\nKeepAliveTimeout 300\nMaxKeepAliveRequests 0\n\
         <Directory {{root}}/site>\n  Require all granted\n</Directory>\n\
         <Location /push>\n  SetHandler parkade-diagnostics\n  Require local\n</Location>\n{more}\n"
    );
    Server::start(&configuration, &[("site/a.txt", b"x")]).unwrap()
}

fn children(server: &Server, n: usize) {
    let found = ready::until("so many children", PATIENCE, || {
        server.children().unwrap().len() == n
    });
    let now = server.children().unwrap().len();
    assert!(
        found.is_ok(),
        "{now}, not {n}: {}",
        server.text("error.log")
    );
}

/// Requests that hold a slot for so long; one after the other, as a full child leaves new ones to its siblings.
fn hold(server: &Server, n: usize, ms: u32) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = client::connect(server.address()).unwrap();
        stream
            .write_all(format!("GET /push?wait={ms} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .unwrap();
        std::thread::sleep(Duration::from_millis(200));
        stream
    };
    (0..n).map(one).collect()
}

const LIMITS: &str = "StartServers 1\nThreadsPerChild 2\nServerLimit 8\nMaxClients 16\nMinSpareThreads 4\nMaxSpareThreads 8";

#[test]
fn spare_growth() {
    let server = start(LIMITS);
    children(&server, 2);
    let mut held = hold(&server, 12, 60_000);
    children(&server, 8);
    held.extend(hold(&server, 20, 60_000));
    ready::until("a word in the log", PATIENCE, || {
        server
            .text("error.log")
            .contains("has reached MaxRequestWorkers")
    })
    .unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    let log = server.text("error.log");
    assert_eq!(
        log.matches("has reached MaxRequestWorkers").count(),
        1,
        "{log}"
    );
}

const ASK: &[u8] = b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn spare_shrink() {
    let server = start(LIMITS);
    let held = hold(&server, 12, 10_000);
    ready::until("more children", PATIENCE, || {
        server.children().unwrap().len() > 4
    })
    .unwrap();
    let mut kept: Vec<TcpStream> = (0..40)
        .map(|_| {
            // One that has never asked would be closed after the 20 seconds of RequestReadTimeout.
            let mut stream = client::connect(server.address()).unwrap();
            stream.write_all(ASK).unwrap();
            assert_eq!(client::read(&mut stream, false).unwrap().status, 200);
            stream
        })
        .collect();
    for mut stream in held {
        assert_eq!(
            client::read(&mut stream, false).unwrap().status,
            200,
            "none was cut"
        );
    }
    children(&server, 4);
    for stream in &mut kept {
        stream.write_all(ASK).unwrap();
        assert_eq!(
            client::read(stream, false).unwrap().status,
            200,
            "none was closed"
        );
        stream.set_nonblocking(true).unwrap();
        assert!(stream.read(&mut [0]).is_err());
    }
    let log = server.text("error.log");
    assert!(!log.contains("exit signal"), "{log}");
}

#[test]
fn an_idle_supervisor_sleeps_and_wakes_when_threads_run_short() {
    let server = start(LIMITS);
    children(&server, 2);
    // The last window is over when nothing more is to be done in it.
    let mut before = 0;
    ready::until("silence", PATIENCE, || {
        let now = procfs::voluntary_switches(server.pid()).unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        before = procfs::voluntary_switches(server.pid()).unwrap();
        before == now
    })
    .unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(procfs::voluntary_switches(server.pid()).unwrap(), before);
    let _held = hold(&server, 1, 60_000);
    children(&server, 3);
}
