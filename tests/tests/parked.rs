//! What parked connections cost the real server: memory, wake-ups, and their spread over its children.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use parkade_tests::example::Example;
use parkade_tests::server::Server;
use parkade_tests::syscalls::SyscallCounter;
use parkade_tests::{client, descriptors, procfs, ready};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing happens.
const QUIET: Duration = Duration::from_secs(3);

fn start(children: usize) -> Server {
    // Two more than the workers: a monitor, and whoever helps.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) + 2;
    let configuration = format!(
        "ServerRoot {{root}}\nListen {{listen}}\n{{user}}\nPidFile {{root}}/pid\nErrorLog {{root}}/error.log\n\
         StartServers {children}\nServerLimit {children}\nThreadsPerChild {threads}\nKeepAliveTimeout 300\n\
         DocumentRoot {{root}}/site\n<Directory {{root}}/site>\n  Require all granted\n</Directory>\n"
    );
    let server = Server::start(&configuration, &[("site/a.txt", b"Hello, World!")]).unwrap();
    ready::until("the children", PATIENCE, || {
        server.children().unwrap().len() == children
    })
    .unwrap();
    server
}

/// Opens connections until there are `to`; each has had one request. Some at a time, so that no backlog overflows.
fn grow(streams: &mut Vec<TcpStream>, to: usize, server: &Server) {
    while streams.len() < to {
        let first = streams.len();
        while streams.len() < to.min(first + 64) {
            let mut stream = client::connect(server.address()).unwrap();
            stream
                .write_all(b"GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .unwrap();
            streams.push(stream);
        }
        for stream in &streams[first..] {
            let response = client::read(&mut BufReader::new(stream), false).unwrap();
            assert_eq!(response.status, 200);
        }
    }
}

#[test]
fn a_parked_connection_costs_at_most_64_bytes_and_gives_them_back() {
    let (limit, _turn) = descriptors::many();
    // Room for 12,000 in the server too, which stops accepting within 2 % of its limit.
    let (low, high) = if limit >= 14_000 {
        (2_000, 12_000)
    } else if limit >= 4_000 {
        (500, 3_500)
    } else {
        return eprintln!("skipped: the limit of open files is {limit}, 4,000 are needed");
    };
    let server = start(1);
    let child = server.children().unwrap()[0];
    let anonymous = || procfs::anonymous(child).unwrap();
    let mut streams = Vec::new();
    grow(&mut streams, low, &server);
    let before = anonymous();
    grow(&mut streams, high, &server);
    let after = anonymous();
    let each = after.saturating_sub(before) as f64 / (high - low) as f64;
    assert!(each <= 64.0, "{each} bytes per parked connection");
    // Less than the state and the deadline cannot be: then something else was measured.
    assert!(each >= 8.0, "{each} bytes per parked connection");
    drop(streams);
    let given_back =
        || after.saturating_sub(anonymous()) as f64 >= 0.9 * after.saturating_sub(before) as f64;
    ready::until("memory given back", PATIENCE, given_back).unwrap();
}

/// The same for a protocol that somebody else has written over the runtime.
#[test]
fn an_idle_client_of_an_own_protocol_costs_at_most_64_bytes() {
    let (limit, _turn) = descriptors::many();
    if limit < 14_000 {
        return eprintln!("skipped: the limit of open files is {limit}, 14,000 are needed");
    }
    let example = Example::start("parkade", "own_protocol").unwrap();
    let mut streams = Vec::new();
    let mut grow = |to: usize| {
        while streams.len() < to {
            let mut stream = TcpStream::connect(example.address()).unwrap();
            stream.write_all(b"PING\r\n").unwrap();
            stream.read_exact(&mut [0; 7]).unwrap();
            streams.push(stream);
        }
        procfs::anonymous(example.pid()).unwrap()
    };
    let before = grow(2_000);
    let after = grow(12_000);
    let each = after.saturating_sub(before) as f64 / 10_000.0;
    assert!((8.0..=64.0).contains(&each), "{each} bytes per idle client");
}

#[test]
fn idle_cost() {
    let (limit, _turn) = descriptors::many();
    let Some(count) = usize::try_from(limit * 8 / 10).ok().map(|n| n.min(15_000)) else {
        return;
    };
    let server = start(1);
    let child = server.children().unwrap()[0];
    let mut streams = Vec::new();
    grow(&mut streams, count, &server);
    // A monitor may look once or twice more after the last request.
    let mut switches = procfs::voluntary_switches(child).unwrap();
    ready::until("the child at rest", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(100));
        let now = procfs::voluntary_switches(child).unwrap();
        std::mem::replace(&mut switches, now) == now
    })
    .unwrap();
    std::thread::sleep(QUIET);
    let later = procfs::voluntary_switches(child).unwrap();
    assert_eq!(
        later, switches,
        "{count} parked, nothing happens, nobody wakes"
    );
    // The same from outside: not one system call.
    match SyscallCounter::attach(child) {
        Err(e) => eprintln!("not traced: this machine does not let us: {e}"),
        Ok(counter) => {
            // Being attached to ends every wait once, and that looks like a turn to the monitor.
            std::thread::sleep(Duration::from_millis(500));
            counter.reset();
            std::thread::sleep(QUIET);
            let calls = counter.stop();
            assert!(calls.is_empty(), "{calls:?}");
        }
    }
    grow(&mut streams, count + 1, &server);
}

#[test]
fn connections_spread_over_the_children() {
    let (limit, _turn) = descriptors::many();
    if limit < 5_000 {
        return eprintln!("skipped: 5,000 open files are needed");
    }
    let server = start(4);
    let children = server.children().unwrap();
    // A child that is still starting would be spared its share.
    ready::until("four that serve", PATIENCE, || {
        let at_work = |pid: &&u32| procfs::threads(**pid).is_ok_and(|t| t.len() > 2);
        children.iter().filter(at_work).count() == 4
    })
    .unwrap();
    let streams: Vec<_> = (0..4_000)
        .map(|_| client::connect(server.address()).unwrap())
        .collect();
    let port = server.address().port();
    let of = |pid: &u32| procfs::connections(*pid, port).unwrap_or(0);
    let counts = || -> Vec<usize> { children.iter().map(of).collect() };
    let mut seen = counts();
    let all = ready::until("all accepted", PATIENCE, || {
        seen = counts();
        seen.iter().sum::<usize>() >= 4_000
    });
    assert!(all.is_ok(), "not all accepted: {seen:?}");
    assert!(seen.iter().all(|n| *n <= 1_300), "{seen:?}");
    drop(streams);
}
