//! Clients at a steady rate: some ask on connections they keep, one opens a connection for each request.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parkade_tests::client;

use super::{PATIENCE, WHO};
use crate::options::Options;

/// New connections are so many times fewer than requests on kept ones.
const NEW: u64 = 5;
/// After a connection could not be made.
const PAUSE: Duration = Duration::from_millis(1);

/// A request that was answered.
pub(super) struct Answer {
    /// When it was due.
    pub(super) at: Instant,
    pub(super) took: Duration,
    /// The child that had the connection at first; 0 for a new one.
    pub(super) child: u32,
}

/// One that was not, or not as it should.
pub(super) struct Failure {
    pub(super) begun: Instant,
    pub(super) at: Instant,
    /// As for an answer.
    pub(super) child: u32,
    /// On a connection for this request alone.
    pub(super) new: bool,
    pub(super) why: String,
}

#[derive(Default)]
pub(super) struct Outcome {
    pub(super) kept: Vec<Answer>,
    pub(super) new: Vec<Answer>,
    pub(super) failures: Vec<Failure>,
    /// Kept connections that ended with an answer that said so; another was opened.
    pub(super) told: usize,
}

/// How a server is spoken to.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// It says which process answers, and may not end a connection.
    Ours,
    /// It may say that a connection ends with this answer.
    Any,
}

/// Clients that ask until they are told to stop.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<io::Result<Outcome>>>,
}

impl Load {
    /// `options` say how many kept connections, and how many requests a second on them; `keepers` threads share them.
    /// New ones come beside.
    pub(super) fn start(
        address: SocketAddr,
        options: &Options,
        keepers: usize,
    ) -> io::Result<Load> {
        let (connections, rate) = (options.connections, options.rate);
        let manner = match options.command.as_str() {
            "reload" => Manner::Any,
            _ => Manner::Ours,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for n in 0..keepers {
            let count = connections * (n + 1) / keepers - connections * n / keepers;
            let streams = (0..count).map(|_| Kept::open(address, manner));
            let streams = streams.collect::<io::Result<Vec<_>>>()?;
            let pace = Pace::new(rate / keepers as u64);
            let stop = stop.clone();
            clients.push(std::thread::spawn(move || {
                keep(address, streams, pace, manner, &stop)
            }));
        }
        let pace = Pace::new(rate / NEW);
        let told = stop.clone();
        clients.push(std::thread::spawn(move || {
            Ok(visit(address, pace, manner, &told))
        }));
        Ok(Load { stop, clients })
    }

    pub(super) fn stop(self) -> io::Result<Outcome> {
        self.stop.store(true, Relaxed);
        let mut all = Outcome::default();
        for client in self.clients {
            let part = client
                .join()
                .map_err(|_| io::Error::other("a client has panicked"))??;
            all.kept.extend(part.kept);
            all.new.extend(part.new);
            all.failures.extend(part.failures);
            all.told += part.told;
        }
        Ok(all)
    }
}

/// When the next request is due.
struct Pace {
    next: Instant,
    each: Duration,
}

impl Pace {
    fn new(rate: u64) -> Pace {
        Pace {
            next: Instant::now(),
            each: Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX),
        }
    }

    /// Sleeps until then. A request that is late because the one before took long counts from when it was due; that the
    /// sleep is inexact is nobody's fault.
    fn wait(&mut self) -> Instant {
        let due = self.next;
        self.next += self.each;
        let now = Instant::now();
        if now >= due {
            return due;
        }
        std::thread::sleep(due - now);
        Instant::now()
    }
}

struct Kept {
    stream: BufReader<TcpStream>,
    child: u32,
}

impl Kept {
    fn open(address: SocketAddr, manner: Manner) -> io::Result<Kept> {
        let mut stream = BufReader::new(client::connect(address)?);
        let child = match manner {
            Manner::Ours => who(&mut stream)?,
            Manner::Any => 0,
        };
        Ok(Kept { stream, child })
    }
}

/// The body, and whether the connection ends with it.
fn ask(
    stream: &mut BufReader<TcpStream>,
    path: &str,
    manner: Manner,
) -> io::Result<(Vec<u8>, bool)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    let response = client::read(stream, false)?;
    let field = response.header("connection").map(str::to_ascii_lowercase);
    match (response.status, field.as_deref()) {
        (200, None) => Ok((response.body, false)),
        (200, Some("keep-alive")) if manner == Manner::Any => Ok((response.body, false)),
        (200, Some("close")) if manner == Manner::Any => Ok((response.body, true)),
        (status, field) => Err(io::Error::other(format!("{status}, connection {field:?}"))),
    }
}

/// The process that answers on this connection.
fn who(stream: &mut BufReader<TcpStream>) -> io::Result<u32> {
    let (body, _) = ask(stream, WHO, Manner::Ours)?;
    let text = String::from_utf8_lossy(&body);
    let pid = text.trim().parse();
    pid.map_err(|e| io::Error::other(format!("`{text}` is no process id: {e}")))
}

/// What is answered to one request on a new connection.
pub(super) fn fetch(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = BufReader::new(client::connect(address)?);
    let (body, _) = ask(&mut stream, path, Manner::Ours)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn keep(
    address: SocketAddr,
    mut all: Vec<Kept>,
    mut pace: Pace,
    manner: Manner,
    stop: &AtomicBool,
) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut turn = 0;
    while !stop.load(Relaxed) && !all.is_empty() {
        let begun = pace.wait();
        let count = all.len();
        let kept = &mut all[turn % count];
        turn += 1;
        let child = kept.child;
        let answer = ask(&mut kept.stream, "/hello.txt", manner);
        let at = Instant::now();
        match answer {
            Ok((_, ends)) => {
                outcome.kept.push(Answer {
                    at: begun,
                    took: at - begun,
                    child,
                });
                if ends {
                    outcome.told += 1;
                    *kept = open_again(address, manner, &mut outcome)?;
                }
            }
            Err(e) => {
                let why = format!("kept: {e}");
                outcome.failures.push(Failure {
                    begun,
                    at,
                    child,
                    new: false,
                    why,
                });
                *kept = open_again(address, manner, &mut outcome)?;
                // Nobody waited for what was not asked meanwhile.
                pace.next = pace.next.max(Instant::now());
            }
        }
    }
    Ok(outcome)
}

/// Another connection in the place of one that failed.
fn open_again(address: SocketAddr, manner: Manner, outcome: &mut Outcome) -> io::Result<Kept> {
    let begun = Instant::now();
    loop {
        match Kept::open(address, manner) {
            Ok(kept) => return Ok(kept),
            Err(e) if begun.elapsed() > PATIENCE => return Err(e),
            Err(e) => outcome.failures.push(Failure {
                begun,
                at: Instant::now(),
                child: 0,
                new: true,
                why: format!("opened again: {e}"),
            }),
        }
        std::thread::sleep(PAUSE);
    }
}

fn visit(address: SocketAddr, mut pace: Pace, manner: Manner, stop: &AtomicBool) -> Outcome {
    let mut outcome = Outcome::default();
    while !stop.load(Relaxed) {
        let begun = pace.wait();
        let answer = client::connect(address).and_then(|stream| {
            let mut stream = BufReader::new(stream);
            ask(&mut stream, "/hello.txt", manner)
        });
        let at = Instant::now();
        match answer {
            Ok(_) => outcome.new.push(Answer {
                at: begun,
                took: at - begun,
                child: 0,
            }),
            Err(e) => {
                outcome.failures.push(Failure {
                    begun,
                    at,
                    child: 0,
                    new: true,
                    why: format!("new: {e}"),
                });
                std::thread::sleep(PAUSE);
            }
        }
    }
    outcome
}
