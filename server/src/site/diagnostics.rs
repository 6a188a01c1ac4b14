//! `SetHandler parkade-diagnostics`: something for tests and benches to push against. The configuration refuses it
//! unless its section is restricted by address.

use crate::accept_mutex::Lock;
use crate::scoreboard::{Board, Sum};
use bytes::Bytes;
use parkade_http::{Body, Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Bounds on what can be asked.
const MOST_MS: u64 = 60_000;
const MOST_BYTES: u64 = 1 << 30;
const MOST_KIB: u64 = 1 << 20;

/// Does what the query says: `spin=MS`, `spin_us=US`, `block=MS`, `wait=MS`, `bytes=N`, `alloc=KiB`, `panic`, `crash=SIGNAL`,
/// `overflow` (of the stack; `overflow=reserve` on a thread for blocking work), `pid`, `thread` (its name), `board`,
/// `hold=MS` (the accept mutex, from before the answer on).
pub(super) async fn answer(request: &mut Request, board: &Board, turns: Option<&Lock>) -> Response {
    let query = request
        .query()
        .map(|q| String::from_utf8_lossy(q).into_owned())
        .unwrap_or_default();
    let mut body = Bytes::from_static(b"ok\n");
    for item in query.split('&').filter(|i| !i.is_empty()) {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        let number = value.parse::<u64>();
        match (name, number) {
            ("spin", Ok(ms)) => {
                let end = Instant::now() + Duration::from_millis(ms.min(MOST_MS));
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            }
            ("spin_us", Ok(us)) => {
                let end = Instant::now() + Duration::from_micros(us.min(MOST_MS * 1000));
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            }
            ("block", Ok(ms)) => std::thread::sleep(Duration::from_millis(ms.min(MOST_MS))),
            ("wait", Ok(ms)) => parkade::time::sleep(Duration::from_millis(ms.min(MOST_MS))).await,
            ("bytes", Ok(n)) => body = vec![b'x'; n.min(MOST_BYTES) as usize].into(),
            ("piece", Ok(_)) => {}
            ("alloc", Ok(kib)) => drop(std::hint::black_box(vec![
                1u8;
                (kib.min(MOST_KIB) * 1024)
                    as usize
            ])),
            #[allow(clippy::panic, reason = "that is what was asked for")]
            ("panic", _) => panic!("asked to by a diagnostic request"),
            ("crash", _) => crash(value),
            ("overflow", _) if value == "reserve" => {
                parkade::spawn_blocking(|| overflow(0)).await;
            }
            ("overflow", _) => drop(overflow(0)),
            ("pid", _) => body = format!("{}\n", std::process::id()).into(),
            ("thread", _) => {
                let thread = std::thread::current();
                body = format!("{}\n", thread.name().unwrap_or_default()).into();
            }
            ("hold", Ok(ms)) => match turns {
                Some(lock) => {
                    let time = Duration::from_millis(ms.min(MOST_MS));
                    if hold(lock.clone(), time).await.is_err() {
                        return Response::error(503);
                    }
                }
                None => return Response::error(404),
            },
            ("board", _) => body = show(board).into(),
            _ => return Response::error(400),
        }
    }
    Response::new(200)
        .with_type("text/plain; charset=utf-8")
        .with_body(Body::Bytes(body))
}

/// Whether nothing is asked for but what is known at once.
pub(super) fn only_shows(query: Option<&[u8]>) -> bool {
    let mut items = query.unwrap_or_default().split(|b| *b == b'&');
    items.all(|item| item == b"board" || item == b"pid")
}

/// The scoreboard: a line of sums, and a line for each child. This request is one of the busy ones.
fn show(board: &Board) -> String {
    let line = |sum: Sum| {
        format!(
            "connections={} parked={} writing={} lingering={} busy={} waiting={} requests={} bytes={} accepting={}\n",
            sum.connections,
            sum.parked,
            sum.writing,
            sum.lingering,
            sum.busy,
            sum.waiting,
            sum.requests,
            sum.bytes,
            sum.accepting,
        )
    };
    let mut text = format!("all {}", line(Sum::of_all(board)));
    for (at, child) in board.children() {
        text += &format!(
            "child pid={} generation={} state={} slots={} {}",
            child.pid.load(Relaxed),
            child.generation.load(Relaxed),
            child.state().name(),
            child.slots.load(Relaxed),
            line(Sum::of(board, at))
        );
    }
    text
}

/// Holds the accept mutex for so long, on a thread of its own; returns when that has got it.
async fn hold(lock: Lock, time: Duration) -> std::io::Result<()> {
    let held = Arc::new(AtomicBool::new(false));
    let tell = held.clone();
    let thread = std::thread::Builder::new().name("hold".into());
    thread.spawn(move || {
        while !lock.try_lock() {
            std::thread::sleep(Duration::from_millis(1));
        }
        tell.store(true, Relaxed);
        std::thread::sleep(time);
        lock.unlock();
    })?;
    while !held.load(Relaxed) {
        parkade::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Calls itself until the stack ends.
fn overflow(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 64]);
    // Something is left to do, so that it is a call; and nothing knows that there is no end.
    match std::hint::black_box(depth) {
        u64::MAX => 0,
        _ => overflow(depth + 1) + block[1],
    }
}

/// Raises a fatal signal in this process.
fn crash(name: &str) {
    use nix::sys::signal::{Signal, raise};
    let which = match name {
        "SEGV" | "11" => Signal::SIGSEGV,
        "BUS" => Signal::SIGBUS,
        "ILL" => Signal::SIGILL,
        "FPE" => Signal::SIGFPE,
        "KILL" | "9" => Signal::SIGKILL,
        _ => Signal::SIGABRT,
    };
    let _ = raise(which);
}
