//! Clients: each lives through one session after the other, of a kind that its seed chooses.

use super::conversation::{Ask, Conversation, Over};
use super::ledger::Ledger;
use super::options::Fault;
use super::site::{self, FILES};
use fastrand::Rng;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// What all clients share.
#[derive(Debug)]
pub(super) struct World {
    pub address: SocketAddr,
    pub ledger: Ledger,
    pub files: Vec<Vec<u8>>,
    pub over: AtomicBool,
    pub plant: Option<Fault>,
}

impl World {
    pub(super) fn new(address: SocketAddr, plant: Option<Fault>) -> World {
        World {
            address,
            ledger: Ledger::new(),
            files: (0..=FILES).map(|n| site::file(n).1).collect(),
            over: AtomicBool::new(false),
            plant,
        }
    }
}

/// One client, until the run is over.
pub(super) fn live(world: &World, mut rng: Rng) {
    while !world.over.load(Relaxed) {
        if session(world, &mut rng).is_err() {
            // The server may be away; do not hammer.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// One kind of session.
type Session = fn(&World, &mut Rng) -> Result<(), Over>;

fn session(world: &World, rng: &mut Rng) -> Result<(), Over> {
    let kinds: [(&'static str, Session); 9] = [
        ("kept", kept),
        ("kept", kept),
        ("kept", kept),
        ("new", new),
        ("slow", slow),
        ("half-closed", half_closed),
        ("pipelined", pipelined),
        ("stalled reader", stalled_reader),
        ("stalled writer", stalled_writer),
    ];
    let (name, act) = kinds[rng.usize(..kinds.len())];
    world.ledger.session(name);
    act(world, rng)
}

fn kept(world: &World, rng: &mut Rng) -> Result<(), Over> {
    let mut conversation = Conversation::open(world.address, &world.ledger)?;
    for _ in 0..rng.usize(2..30) {
        let ask = if rng.u8(..8) == 0 {
            upload(rng)
        } else {
            any(world, rng, false)
        };
        conversation.ask(&[ask])?;
        if world.plant == Some(Fault::Close) && rng.u8(..100) == 0 {
            conversation.close();
        }
        if world.over.load(Relaxed) {
            break;
        }
        pause(rng, 300);
    }
    conversation.ask(&[any(world, rng, true)])?;
    conversation.end()
}

fn new(world: &World, rng: &mut Rng) -> Result<(), Over> {
    let mut conversation = Conversation::open(world.address, &world.ledger)?;
    pause(rng, 20);
    conversation.ask(&[any(world, rng, true)])?;
    conversation.end()
}

fn slow(world: &World, rng: &mut Rng) -> Result<(), Over> {
    let mut conversation = Conversation::open(world.address, &world.ledger)?;
    for last in [false, true] {
        let ask = any(world, rng, last);
        let mut cuts: Vec<usize> = (0..3).map(|_| rng.usize(1..ask.request.len())).collect();
        cuts.sort_unstable();
        conversation.ask_slowly(&ask, &cuts, Duration::from_millis(rng.u64(1..80)))?;
        pause(rng, 50);
    }
    conversation.end()
}

fn half_closed(world: &World, rng: &mut Rng) -> Result<(), Over> {
    let mut conversation = Conversation::open(world.address, &world.ledger)?;
    if rng.bool() {
        conversation.ask(&[any(world, rng, false)])?;
        pause(rng, 100);
    }
    conversation.ask_last(&any(world, rng, false))
}

fn pipelined(world: &World, rng: &mut Rng) -> Result<(), Over> {
    let mut conversation = Conversation::open(world.address, &world.ledger)?;
    for _ in 0..rng.usize(1..5) {
        let asks: Vec<_> = (0..rng.usize(2..17))
            .map(|_| any(world, rng, false))
            .collect();
        conversation.ask(&asks)?;
        pause(rng, 100);
    }
    conversation.ask(&[any(world, rng, true)])?;
    conversation.end()
}

fn stalled_reader(world: &World, rng: &mut Rng) -> Result<(), Over> {
    let mut conversation = Conversation::open(world.address, &world.ledger)?;
    let ask = get(world, FILES, false);
    conversation.sip(&ask, Duration::from_millis(rng.u64(..600)))?;
    conversation.ask(&[any(world, rng, true)])?;
    conversation.end()
}

fn stalled_writer(world: &World, rng: &mut Rng) -> Result<(), Over> {
    let conversation = Conversation::open(world.address, &world.ledger)?;
    let request = any(world, rng, false).request;
    let part = &request[..rng.usize(..request.len())];
    conversation.leave(part, Duration::from_millis(rng.u64(..400)))
}

fn any<'w>(world: &'w World, rng: &mut Rng, last: bool) -> Ask<'w> {
    match rng.u8(..10) {
        0 => Ask {
            request: head(&format!("GET /push?wait={}", rng.u32(1..120)), last),
            status: 200,
            body: Some(b"ok\n"),
        },
        1 => Ask {
            request: head("GET /none.txt", last),
            status: 404,
            body: None,
        },
        _ => get(world, rng.usize(..FILES), last),
    }
}

fn get(world: &World, n: usize, last: bool) -> Ask<'_> {
    let wrong = usize::from(world.plant == Some(Fault::Answer) && n == 17);
    Ask {
        request: head(&format!("GET /{}", site::file_name(n)), last),
        status: 200,
        body: Some(&world.files[n - wrong]),
    }
}

/// A body is read, then refused: a file takes none.
fn upload(rng: &mut Rng) -> Ask<'static> {
    let body = "b".repeat(rng.usize(1..20_000));
    let length = body.len();
    Ask {
        request: format!(
            "POST /f1.txt HTTP/1.1\r\nHost: chaos\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes(),
        status: 405,
        body: None,
    }
}

fn head(what: &str, last: bool) -> Vec<u8> {
    let end = if last { "Connection: close\r\n" } else { "" };
    format!("{what} HTTP/1.1\r\nHost: chaos\r\n{end}\r\n").into_bytes()
}

fn pause(rng: &mut Rng, most: u64) {
    if rng.bool() {
        std::thread::sleep(Duration::from_millis(rng.u64(..most)));
    }
}
