//! Clients that are slow, half-closed, deaf or gone.

use super::wire::*;
use parkade_http::{Limits, Pace};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(300);

fn pace(initial: Duration) -> Pace {
    Pace {
        initial,
        max: None,
        min_rate: 0,
    }
}

/// Short deadlines for heads and bodies, or for everything else.
fn limits(begun: bool) -> Limits {
    let long = Duration::from_secs(60);
    let (begun, idle) = if begun { (SHORT, long) } else { (long, SHORT) };
    Limits {
        head_pace: pace(begun),
        body_pace: pace(begun),
        keep_alive: idle,
        write: idle,
        linger: SHORT,
        ..Limits::default()
    }
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut came = Vec::new();
    stream.read_to_end(&mut came).expect("an end in time");
    came
}

fn statuses(came: &[u8]) -> Vec<u16> {
    answers(b"", came).iter().map(|a| a.status).collect()
}

#[test]
fn slow_heads_and_bodies_are_told_408() {
    let wire = Wire::new(limits(true));
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\n";
    for begin in [
        "G".into(),
        "GET / HTTP/1.1\r\nHost: a\r\n".into(),
        "GET / HTTP/1.1\r\nHost: a\r\n\r".into(),
        "\r\nG".into(),
        format!("{post}Content-Length: 5\r\n\r\n"),
        format!("{post}Content-Length: 5\r\n\r\nhe"),
        format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        format!("{post}Transfer-Encoding: chunked\r\n\r\n0\r\nX: "),
    ] {
        let start = Instant::now();
        let mut stream = wire.connect();
        stream.write_all(begin.as_bytes()).unwrap();
        assert_eq!(statuses(&rest(&mut stream)), [408], "{begin:?}");
        assert!(
            start.elapsed() >= SHORT - Duration::from_millis(10),
            "{begin:?}"
        );
    }
    // The deadline is for the whole: bytes that trickle do not move it.
    let mut stream = wire.connect();
    let start = Instant::now();
    let mut trickle = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while trickle.write_all(b"G").is_ok() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut came = [0; 12];
    stream.read_exact(&mut came).unwrap();
    assert_eq!(&came, b"HTTP/1.1 408");
    // An answered request comes first.
    let mut stream = wire.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /")
        .unwrap();
    assert_eq!(statuses(&rest(&mut stream)), [200, 408]);
}

/// The time that a handler thinks before it asks for the body is not the client's.
#[test]
fn the_time_for_a_body_begins_when_it_is_wanted() {
    let wire = Wire::new(limits(true));
    let mut stream = wire.connect();
    let head =
        "POST /late HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    // Well within the second that begins now; long enough for one that had begun with the head.
    std::thread::sleep(Duration::from_millis(300));
    stream.write_all(b"ok").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(statuses(&rest(&mut stream)), [200]);
}

/// Who has said nothing, or nothing but empty lines, is told nothing.
#[test]
fn idle_connections_are_closed_in_silence() {
    let wire = Wire::new(limits(false));
    for begin in ["", "\r", "\r\n", "\r\n\r\n\r"] {
        let mut stream = wire.connect();
        stream.write_all(begin.as_bytes()).unwrap();
        assert_eq!(rest(&mut stream), b"", "{begin:?}");
    }
    for behind in ["", "\r\n"] {
        let mut stream = wire.connect();
        let request =
            format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok{behind}");
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(statuses(&rest(&mut stream)), [200]);
    }
}

#[test]
fn a_half_closed_client_gets_what_it_asked_for() {
    let wire = Wire::new(Limits::default());
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[200][..]),
        ("GET /big HTTP/1.1\r\nHost: a\r\n\r\n", &[200]),
        ("GET /stream HTTP/1.0\r\n\r\n", &[200]),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
            &[200],
        ),
        // What is not finished cannot be answered; a body that is cut is malformed.
        ("GET / HTTP/1.1\r\nHost: a\r\n", &[]),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe",
            &[400],
        ),
        (
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            &[400],
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            &[400],
        ),
    ] {
        for later in [false, true] {
            let mut stream = wire.connect();
            stream.write_all(request.as_bytes()).unwrap();
            if later {
                std::thread::sleep(Duration::from_millis(5));
            }
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(statuses(&rest(&mut stream)), expected, "{request:?}");
        }
    }
}

/// Closes with a reset instead of an end.
fn reset(stream: TcpStream) {
    let linger = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
    linger.expect("SO_LINGER");
    drop(stream);
}

#[test]
fn resets_at_any_point_hurt_nobody_else() {
    let wire = Wire::new(Limits::default());
    for begin in [
        "",
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "nonsense\r\n",
    ] {
        for wait in [0, 5] {
            let mut stream = wire.connect();
            stream.write_all(begin.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(wait));
            reset(stream);
        }
        wire.judge(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK);
    }
}

/// The refusal arrives whole although the client goes on sending: the server reads on for a while.
#[test]
fn a_refused_upload_still_gets_its_413() {
    let wire = Wire::new(Limits {
        body: 1000,
        ..Limits::default()
    });
    for head in ["Content-Length: 10000000", "Transfer-Encoding: chunked"] {
        let mut stream = wire.connect();
        stream
            .write_all(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n").as_bytes())
            .unwrap();
        let data = "x".repeat(16_000);
        let piece = if head.starts_with('C') {
            data
        } else {
            format!("3e80\r\n{data}\r\n")
        };
        for _ in 0..600 {
            stream
                .write_all(piece.as_bytes())
                .expect("the upload is not reset");
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(statuses(&rest(&mut stream)), [413], "{head}");
    }
}

/// Twenty thousand requests, and not one answer is read before all are sent.
#[test]
fn a_pipelining_client_that_reads_late_gets_every_answer() {
    let wire = Wire::new(Limits {
        requests: 0,
        ..Limits::default()
    });
    let mut stream = wire.connect();
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        writer
            .write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20_000))
            .unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    assert_eq!(statuses(&rest(&mut stream)).len(), 20_000);
    sender.join().unwrap();
}

/// A client that asks and never reads is given up after the write timeout, whatever it asked for.
#[test]
fn a_deaf_client_is_cut_off() {
    let wire = Wire::new(Limits {
        requests: 0,
        ..limits(false)
    });
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000),
        "GET /big HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n".to_owned()
            + &"x".repeat(100),
    ] {
        let mut stream = wire.connect();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let start = Instant::now();
        let error = loop {
            if let Err(e) = stream.write_all(request.as_bytes()) {
                break e;
            }
            assert!(start.elapsed() < PATIENCE, "never cut off");
        };
        assert!(
            matches!(
                error.kind(),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            ),
            "{error}"
        );
    }
    wire.judge(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK);
}

#[test]
fn a_large_answer_needs_no_attention_and_the_connection_lives_on() {
    let wire = Wire::new(Limits::default());
    let mut stream = wire.connect();
    for _ in 0..2 {
        let requests = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(requests).unwrap();
        wire.judge(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK);
        let (mut came, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        while !came.ends_with(b"GET a / -") {
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "closed after {}", came.len());
            came.extend_from_slice(&buffer[..n]);
        }
        let got = answers(requests, &came);
        assert_eq!((got.len(), got[0].body.len()), (2, 8 << 20));
    }
}
