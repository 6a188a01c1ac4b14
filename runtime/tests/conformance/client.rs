//! A client, and what it has yet to hear.

use super::service::{LARGE, Verb};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// For what must come.
const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    stream: TcpStream,
    /// Answers that are due, in order.
    due: VecDeque<Vec<u8>>,
    /// After those the server closes.
    ends: bool,
    /// Nothing more is said.
    mute: bool,
    /// The end of a line whose beginning was sent.
    half: Option<Vec<u8>>,
    /// An answer that never comes holds up all others.
    pub(crate) stuck: bool,
    said: u32,
}

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            due: VecDeque::new(),
            ends: false,
            mute: false,
            half: None,
            stuck: false,
            said: 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Ok(()) => {}
            // Only one that is closed anyhow.
            Err(e) => assert!(self.ends, "{e}"),
        }
    }

    pub(crate) fn ask(&mut self, verb: Verb, times: usize) {
        let mut all = Vec::new();
        for _ in 0..times {
            // What comes behind a close may meet a reset.
            if self.mute || self.ends {
                break;
            }
            self.said += 1;
            let line = [&[verb.letter()], self.said.to_string().as_bytes(), b"\n"].concat();
            all.extend(self.half.take().unwrap_or_default());
            all.extend_from_slice(&line);
            match verb {
                _ if self.stuck => {}
                Verb::Never => self.stuck = true,
                Verb::Large => {
                    self.due.push_back(line);
                    self.due
                        .push_back([&vec![b'.'; LARGE], &b"\n"[..]].concat());
                }
                _ => self.due.push_back(line),
            }
            self.ends |= !self.stuck && matches!(verb, Verb::Close | Verb::Linger | Verb::Brief);
        }
        self.write(&all);
    }

    /// The beginning of a line; its end is sent with the next request.
    pub(crate) fn ask_half(&mut self) {
        if self.mute || self.ends || self.half.is_some() {
            return;
        }
        self.said += 1;
        let line = format!("e{}-in two parts\n", self.said).into_bytes();
        self.write(&line[..3]);
        self.half = Some(line[3..].to_vec());
        if !self.stuck {
            self.due.push_back(line);
        }
    }

    /// Says the end of a line that was begun.
    fn complete(&mut self) {
        if let Some(rest) = self.half.take() {
            self.write(&rest);
        }
    }

    pub(crate) fn finish(&mut self) {
        self.complete();
        if !self.ends || !self.mute {
            let _ = self.stream.shutdown(Shutdown::Write);
            (self.ends, self.mute) = (true, true);
        }
    }

    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    /// Hears all that is due, and the end if there is one. Whether it can go on.
    pub(crate) fn hear(&mut self) -> bool {
        self.complete();
        while let Some(line) = self.due.pop_front() {
            let mut heard = vec![0; line.len()];
            if let Err(e) = self.stream.read_exact(&mut heard) {
                let line = String::from_utf8_lossy(&line[..line.len().min(30)]).into_owned();
                panic!("{e} instead of {line:?}");
            }
            assert!(
                heard == line,
                "{:?}",
                String::from_utf8_lossy(&heard[..heard.len().min(60)])
            );
        }
        if self.stuck {
            return false;
        }
        if self.ends {
            match self.stream.read(&mut [0; 8]) {
                Ok(n) => assert_eq!(n, 0, "more than was asked for"),
                Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
            }
        }
        !self.ends
    }
}
