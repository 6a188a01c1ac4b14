//! One connection of a client: asks, checks each answer, and tells the ledger.

use super::ledger::{Failure, Ledger, Phase};
use crate::client;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A request and what must come back for it.
#[derive(Debug, Clone)]
pub(super) struct Ask<'a> {
    pub request: Vec<u8>,
    pub status: u16,
    pub body: Option<&'a [u8]>,
}

/// The conversation is over; the ledger knows why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over;

pub(super) struct Conversation<'a> {
    stream: TcpStream,
    port: u16,
    opened: Instant,
    /// Since when nothing is asked for.
    quiet: Instant,
    /// The server has said that it closes.
    announced: bool,
    ledger: &'a Ledger,
}

/// Longer than any event lasts.
const PATIENCE: Duration = Duration::from_secs(30);

impl<'a> Conversation<'a> {
    pub(super) fn open(address: SocketAddr, ledger: &'a Ledger) -> Result<Conversation<'a>, Over> {
        let opened = Instant::now();
        let connected = TcpStream::connect_timeout(&address, PATIENCE).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            let port = stream.local_addr()?.port();
            Ok((stream, port))
        });
        match connected {
            Ok((stream, port)) => Ok(Conversation {
                stream,
                port,
                opened,
                quiet: Instant::now(),
                announced: false,
                ledger,
            }),
            Err(e) => {
                ledger.failed(&Failure {
                    port: 0,
                    phase: Phase::Connecting,
                    opened,
                    began: opened,
                    at: Instant::now(),
                    what: e.to_string(),
                });
                Err(Over)
            }
        }
    }

    /// Sends all requests at once, then reads the answers in order.
    pub(super) fn ask(&mut self, asks: &[Ask<'_>]) -> Result<(), Over> {
        self.still_open()?;
        let began = Instant::now();
        let all: Vec<u8> = asks
            .iter()
            .flat_map(|a| a.request.iter().copied())
            .collect();
        self.send(&all, began)?;
        self.read(asks, began)
    }

    /// Sends `head` in pieces with pauses between them.
    pub(super) fn ask_slowly(
        &mut self,
        ask: &Ask<'_>,
        cuts: &[usize],
        pause: Duration,
    ) -> Result<(), Over> {
        self.still_open()?;
        let began = Instant::now();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([ask.request.len()]) {
            self.send(&ask.request[from..cut], began)?;
            from = cut;
            std::thread::sleep(pause);
        }
        self.read(std::slice::from_ref(ask), began)
    }

    /// Asks, says that nothing more will come, and takes the answer and the end.
    pub(super) fn ask_last(mut self, ask: &Ask<'_>) -> Result<(), Over> {
        self.still_open()?;
        let began = Instant::now();
        self.send(&ask.request, began)?;
        self.half(began)?;
        self.read(std::slice::from_ref(ask), began)?;
        self.end()
    }

    /// Sends part of a request and goes away.
    pub(super) fn leave(mut self, part: &[u8], pause: Duration) -> Result<(), Over> {
        let began = Instant::now();
        self.send(part, began)?;
        std::thread::sleep(pause);
        Ok(())
    }

    /// Asks for something large and takes it sip by sip.
    pub(super) fn sip(&mut self, ask: &Ask<'_>, pause: Duration) -> Result<(), Over> {
        self.still_open()?;
        let began = Instant::now();
        self.send(&ask.request, began)?;
        std::thread::sleep(pause);
        self.read(std::slice::from_ref(ask), began)
    }

    /// After the last answer the server closes, and nothing more comes.
    pub(super) fn end(mut self) -> Result<(), Over> {
        let began = Instant::now();
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(0) => Ok(()),
            Ok(n) => {
                let shown = String::from_utf8_lossy(&rest[..n.min(60)]).into_owned();
                self.ledger.wrong(format_args!(
                    "port {}: {n} bytes too many: {shown:?}",
                    self.port
                ));
                Err(Over)
            }
            // All that was asked for has come.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                self.fail(Phase::Unanswered, began, "reset in place of the end")
            }
            Err(e) => self.fail(Phase::Unanswered, began, &format!("the end: {e}")),
        }
    }

    pub(super) fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Between requests nothing comes, not even an end.
    fn still_open(&mut self) -> Result<(), Over> {
        let mut byte = [0];
        let quiet = self.quiet;
        let _ = self.stream.set_nonblocking(true);
        let peeked = self.stream.peek(&mut byte);
        let _ = self.stream.set_nonblocking(false);
        match peeked {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Ok(0) => self.fail(Phase::Idle, quiet, "closed while parked"),
            Ok(_) => {
                self.ledger.wrong(format_args!(
                    "port {}: bytes that nobody asked for",
                    self.port
                ));
                Err(Over)
            }
            Err(e) => self.fail(Phase::Idle, quiet, &format!("while parked: {e}")),
        }
    }

    fn half(&mut self, began: Instant) -> Result<(), Over> {
        match self.stream.shutdown(Shutdown::Write) {
            Ok(()) => Ok(()),
            Err(e) => self.fail(Phase::Unanswered, began, &format!("half-closing: {e}")),
        }
    }

    fn send(&mut self, bytes: &[u8], began: Instant) -> Result<(), Over> {
        match self.stream.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(e) => self.fail(Phase::Unanswered, began, &format!("sending: {e}")),
        }
    }

    fn read(&mut self, asks: &[Ask<'_>], began: Instant) -> Result<(), Over> {
        for (n, ask) in asks.iter().enumerate() {
            let mut counted = Counted {
                stream: &mut self.stream,
                bytes: 0,
            };
            let answer = client::read(&mut counted, false);
            let bytes = counted.bytes;
            match answer {
                Ok(answer) => self.check(ask, &answer)?,
                Err(e) => {
                    let phase = if n == 0 && bytes == 0 {
                        Phase::Unanswered
                    } else {
                        Phase::Midway
                    };
                    let what = format!(
                        "answer {} of {}, after {bytes} bytes: {e}",
                        n + 1,
                        asks.len()
                    );
                    return self.fail(phase, began, &what);
                }
            }
        }
        self.ledger.answered(asks.len());
        self.quiet = Instant::now();
        Ok(())
    }

    fn check(&mut self, ask: &Ask<'_>, answer: &client::Response) -> Result<(), Over> {
        self.announced = answer.header("connection") == Some("close");
        let right = ask.body.is_none_or(|body| body == answer.body);
        if answer.status == ask.status && right {
            return Ok(());
        }
        self.ledger.wrong(format_args!(
            "port {}: {:?} was answered with {} and {} bytes: {:?}",
            self.port,
            String::from_utf8_lossy(&ask.request[..ask.request.len().min(60)]),
            answer.status,
            answer.body.len(),
            String::from_utf8_lossy(&answer.body[..answer.body.len().min(60)])
        ));
        Err(Over)
    }

    fn fail(&self, phase: Phase, began: Instant, what: &str) -> Result<(), Over> {
        self.ledger.failed(&Failure {
            port: self.port,
            phase,
            opened: self.opened,
            began,
            at: Instant::now(),
            what: if self.announced {
                format!("{what}, as announced")
            } else {
                what.to_owned()
            },
        });
        Err(Over)
    }
}

struct Counted<'s> {
    stream: &'s mut TcpStream,
    bytes: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        self.bytes += n;
        Ok(n)
    }
}
