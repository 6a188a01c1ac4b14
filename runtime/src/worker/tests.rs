//! Workers stepped by hand over a scripted pollset: what may go wrong at the park boundary, and a kernel shows only by
//! chance.
//!
//! | what may go wrong | test |
//! |---|---|
//! | an event after the close, a slot used again | `a_late_event_of_a_closed_connection_…`; loom `close_and_reuse…` |
//! | a wake lost at the park | loom `park_against_readiness`, `park_against_timeout_and_readiness` |
//! | a wake lost at the sleep | loom `no_wake_is_slept_through`, `no_wake_of_a_burst_is_lost` |
//! | a wake swallowed by a neighbour | `rescue_tests`; loom `a_harvested_wake_is_still_the_owners` |
//! | a busy core that hides its sockets | `rescue_tests`, real sockets: `tests/rescue.rs`; loom |
//! | a FIN that comes with data | `data_and_fin_under_one_edge_…`; loom `park_against_fin` |
//! | a timeout against readiness | `readiness_goes_before_a_timeout_of_the_same_turn`, `an_edge_goes_before_…`; loom |
//! | a deadline linked by a neighbour, overslept | `a_deadline_that_a_neighbour_links_…`; loom `no_foreign_deadline_is_slept_through` |
//! | a sleep longer than the clock can tell | `a_worker_never_sleeps_so_long_…` |
//! | a full event array | `more_events_than_a_batch_are_all_served` |
//! | spurious and duplicate events | `duplicates_and_spurious_events_…` |
//! | a kernel call per operation | the same, and `a_tasks_stream_is_registered_once_…` |
//! | descriptors used again, under load | real sockets: `tests/parking.rs`, `tests/tcp.rs` |
//! | tasks of its own that starve while a worker helps; a burst that ends elsewhere | real sockets: `tests/stealing.rs` |
//! | events that two may take | loom `a_batch_is_shared_without_loss`; `entries_are_taken_from_the_end_and_once` |
//! | a herd; tiny requests that go to and fro | one neighbour is told at a time; measured: the bench's `skew` |
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests only")]

use super::{Entered, Worker};
use crate::net::claim::Claim;
use crate::net::conn::Conn;
use crate::net::next::Next;
use crate::park::harvest::Entry;
use crate::park::state::{RDHUP as FIN, READY};
use crate::reactor::mock::Mock;
use crate::reactor::{Event, IN, LISTENER, RDHUP};
use crate::runtime::Shared;
use crate::time::Keepalive;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

async fn echo(mut conn: Conn) -> crate::Result<Next> {
    while let Some(chunk) = conn.recv_ready().await? {
        conn.send(chunk.filled()).await?;
    }
    Ok(if conn.ended() {
        Next::Close(conn)
    } else {
        Next::Park(conn, Keepalive::secs(60))
    })
}

pub(super) struct Bench {
    pub(super) shared: Arc<Shared>,
    pub(super) mocks: Vec<Mock>,
    pub(super) workers: Vec<Rc<Worker>>,
    _entered: Entered,
}

/// So many workers; the thread is the last one.
fn bench(n: usize) -> Bench {
    bench_with_reserves(n, 0)
}

/// The reserves, which have become workers, come behind the home workers.
pub(super) fn bench_with_reserves(n: usize, reserves: usize) -> Bench {
    let mocks: Vec<Mock> = (0..n + reserves).map(|_| Mock::default()).collect();
    let pollsets = mocks.iter().map(|m| Box::new(m.clone()) as _).collect();
    let shared = Shared::for_tests(pollsets, reserves, crate::bursts(echo));
    let workers: Vec<_> = (shared.homes.iter())
        .chain(shared.reserves.homes())
        .map(|h| Worker::new(shared.clone(), h.clone()))
        .collect();
    let entered = Worker::enter(&workers[n + reserves - 1]);
    Bench {
        shared,
        mocks,
        workers,
        _entered: entered,
    }
}

impl Bench {
    /// A connection that lives with worker 0 (placement draws if there are more), and its token.
    pub(super) fn connect(&self) -> (UnixStream, u64) {
        let before = self.mocks[0].tokens();
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        ours.set_nonblocking(true).unwrap();
        self.workers[0].place(OwnedFd::from(theirs), IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let token = self.mocks[0]
            .tokens()
            .into_iter()
            .find(|t| !before.contains(t))
            .unwrap();
        (ours, token)
    }

    pub(super) fn turn(&self) {
        self.workers[0].turn(Some(Duration::ZERO));
    }

    pub(super) fn tell(&self, token: u64, edges: u8) {
        self.mocks[0].push([Event { token, edges }]);
    }
}

pub(super) fn answer(stream: &mut UnixStream) -> Result<String, ErrorKind> {
    let mut text = [0; 64];
    stream
        .read(&mut text)
        .map(|n| String::from_utf8_lossy(&text[..n]).into_owned())
        .map_err(|e| e.kind())
}

#[test]
fn data_and_fin_under_one_edge_are_answered_and_closed() {
    let bench = bench(1);
    let (mut client, token) = bench.connect();
    client.write_all(b"bye").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    bench.tell(token, IN | RDHUP);
    bench.turn();
    bench.turn();
    assert_eq!(answer(&mut client).as_deref(), Ok("bye"));
    assert_eq!(answer(&mut client).as_deref(), Ok(""), "closed at once");
    assert_eq!(bench.shared.homes[0].counters.closed.get(), 1);
}

#[test]
fn duplicates_and_spurious_events_cost_a_look_and_nothing_else() {
    let bench = bench(1);
    let (mut client, token) = bench.connect();
    client.write_all(b"once").unwrap();
    for _ in 0..3 {
        bench.tell(token, IN);
    }
    bench.turn();
    assert_eq!(answer(&mut client).as_deref(), Ok("once"));
    assert_eq!(answer(&mut client), Err(ErrorKind::WouldBlock));
    let controls = bench.mocks[0].controls();
    bench.tell(token, IN);
    bench.turn();
    client.write_all(b"again").unwrap();
    bench.tell(token, IN);
    bench.turn();
    assert_eq!(answer(&mut client).as_deref(), Ok("again"));
    assert_eq!(
        bench.mocks[0].controls(),
        controls,
        "parking tells the kernel nothing"
    );
}

#[test]
fn a_late_event_of_a_closed_connection_does_not_touch_the_next_one_in_its_slot() {
    let bench = bench(1);
    let (client, old) = bench.connect();
    drop(client);
    bench.tell(old, IN | RDHUP);
    bench.turn();
    bench.turn();
    let (mut next, token) = bench.connect();
    assert_eq!(old as u32, token as u32, "the slot is used again");
    next.write_all(b"mine").unwrap();
    bench.tell(old, IN);
    bench.turn();
    assert_eq!(
        answer(&mut next),
        Err(ErrorKind::WouldBlock),
        "a stale token starts nothing"
    );
    bench.tell(token, IN);
    bench.turn();
    assert_eq!(answer(&mut next).as_deref(), Ok("mine"));
}

#[test]
fn more_events_than_a_batch_are_all_served() {
    let bench = bench(1);
    let mut all: Vec<_> = (0..150).map(|_| bench.connect()).collect();
    for (client, token) in &mut all {
        client.write_all(b"x").unwrap();
        bench.tell(*token, IN);
    }
    for _ in 0..3 {
        bench.turn();
    }
    for (client, _) in &mut all {
        assert_eq!(answer(client).as_deref(), Ok("x"));
    }
}

#[test]
fn a_tasks_stream_is_registered_once_and_not_per_operation() {
    let bench = bench(1);
    let (ours, theirs) = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| {
            let ours = std::net::TcpStream::connect(l.local_addr()?)?;
            Ok((ours, l.accept()?.0))
        })
        .unwrap();
    let mut ours = ours;
    let served = Rc::new(std::cell::Cell::new(0));
    let count = served.clone();
    drop(crate::spawn(async move {
        let stream = crate::TcpStream::from_std(theirs).unwrap();
        let mut buf = [0; 8];
        while let Ok(n @ 1..) = stream.read(&mut buf).await {
            stream.write_all(&buf[..n]).await.unwrap();
            count.set(count.get() + 1);
        }
    }));
    bench.turn();
    let token = bench.mocks[0].tokens()[0];
    assert_eq!(bench.mocks[0].controls(), 1, "one ADD");
    for round in 1..=10 {
        ours.write_all(b"x").unwrap();
        ours.set_nonblocking(false).unwrap();
        // Not harvested yet: the task sleeps until the event comes.
        assert_eq!(served.get(), round - 1);
        bench.tell(token, IN);
        while served.get() < round {
            bench.turn();
        }
        ours.read_exact(&mut [0; 1]).unwrap();
    }
    assert_eq!(bench.mocks[0].controls(), 1, "and nothing since");
    drop(ours);
    bench.tell(token, IN | RDHUP);
    bench.turn();
    assert_eq!(bench.shared.homes[0].counters.closed.get(), 1);
}

/// Makes the deadline of a parked connection pass, and lets its bucket come due.
fn run_out(bench: &Bench, token: u64) {
    let (home, worker) = (&bench.shared.homes[0], &bench.workers[0]);
    let slot = home.slots.claimed(token as u32);
    let past = worker.now.get().wrapping_sub(1);
    slot.deadline
        .store(past, std::sync::atomic::Ordering::Relaxed);
    home.relink(token as u32, (token >> 32) as u32, worker);
    std::thread::sleep(Duration::from_millis(130));
}

#[test]
fn readiness_goes_before_a_timeout_of_the_same_turn() {
    let bench = bench(1);
    let (mut speaks, token) = bench.connect();
    let (mut silent, other) = bench.connect();
    run_out(&bench, token);
    run_out(&bench, other);
    speaks.write_all(b"just in time").unwrap();
    bench.tell(token, IN);
    bench.turn();
    assert_eq!(answer(&mut speaks).as_deref(), Ok("just in time"));
    assert_eq!(answer(&mut silent).as_deref(), Ok(""), "closed");
    let counters = &bench.shared.homes[0].counters;
    assert_eq!((counters.timeouts.get(), counters.closed.get()), (1, 1));
    // It is parked with its new deadline, and still served.
    bench.turn();
    speaks.write_all(b"more").unwrap();
    bench.tell(token, IN);
    bench.turn();
    assert_eq!(answer(&mut speaks).as_deref(), Ok("more"));
}

/// A timed wait that finds an edge and its own expiry reports the edge: it is cleared, and would be missing at the park.
#[test]
fn an_edge_goes_before_the_expiry_of_a_wait() {
    use std::task::{Context, Poll, Waker};
    let bench = bench(1);
    let (_client, token) = bench.connect();
    let (home, worker) = (&bench.shared.homes[0], &bench.workers[0]);
    let (index, generation) = (token as u32, (token >> 32) as u32);
    let state = &home.slots.claimed(index).state;
    state.readiness(generation, 0, READY);
    run_out(&bench, token);
    worker.read_clocks();
    let claim = Claim {
        worker,
        home,
        index,
        generation,
    };
    let mut cx = Context::from_waker(Waker::noop());
    let mut poll = || {
        claim
            .poll_edge(&mut cx, READY | FIN, true)
            .map_err(|e| e.kind())
    };
    assert_eq!(poll(), Poll::Pending);
    assert_eq!(state.expire_wait(generation), Some(0));
    state.readiness(generation, 0, READY);
    assert_eq!(poll(), Poll::Ready(Ok(())));
    assert_eq!(poll(), Poll::Ready(Err(ErrorKind::TimedOut)));
    // The expiry of an earlier wait is not that of one whose deadline lies ahead.
    assert_eq!(poll(), Poll::Pending);
    assert_eq!(state.expire_wait(generation), Some(0));
    let ahead = worker.now.get().wrapping_add(60_000);
    home.slots
        .claimed(index)
        .deadline
        .store(ahead, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(poll(), Poll::Pending);
    home.close(index);
}

/// A parked connection of home 0 that worker 1 has just linked, with a deadline this far ahead.
fn linked_by_the_neighbour(bench: &Bench, ms: u32) -> UnixStream {
    let home = &bench.shared.homes[0];
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let (index, generation) = home
        .slots
        .allocate(OwnedFd::from(theirs), IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
        .unwrap();
    home.connections
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let slot = home.slots.claimed(index);
    let neighbour = &bench.workers[1];
    neighbour.read_clocks();
    slot.deadline.store(
        neighbour.now.get().wrapping_add(ms),
        std::sync::atomic::Ordering::Relaxed,
    );
    slot.state
        .publish(generation, 0, crate::park::state::PARKED);
    home.relink(index, generation, neighbour);
    ours
}

/// Turns worker 0 as long as its waits would end in time, until the connection is closed.
fn closes_in_time(bench: &Bench, client: &mut UnixStream) {
    for _ in 0..100 {
        bench.workers[0].turn(None);
        if answer(client).as_deref() == Ok("") {
            return;
        }
        let woken = bench.mocks[0].waiting() || !bench.shared.homes[0].inbox.is_empty();
        let asked = bench.mocks[0].asked();
        assert!(
            woken || asked.is_some_and(|t| t <= Duration::from_secs(2)),
            "it would sleep {asked:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("not closed");
}

#[test]
fn a_deadline_that_a_neighbour_links_before_the_owners_first_turn_is_kept() {
    let bench = bench(2);
    let mut client = linked_by_the_neighbour(&bench, 50);
    closes_in_time(&bench, &mut client);
}

#[test]
fn a_deadline_that_a_neighbour_links_is_kept_by_an_owner_about_to_sleep() {
    let bench = bench(2);
    // It knows of a later one only.
    let _other = linked_by_the_neighbour(&bench, 60_000);
    bench.workers[0].turn(None);
    bench.workers[0].turn(None);
    // Awake: nobody writes its descriptor, so its next wait has to find the message.
    let mut client = linked_by_the_neighbour(&bench, 50);
    assert!(!bench.mocks[0].waiting());
    closes_in_time(&bench, &mut client);
}

#[test]
fn a_deadline_that_a_neighbour_links_wakes_a_sleeping_owner() {
    let bench = bench(2);
    let home = bench.shared.homes[0].clone();
    bench.workers[0].turn(None);
    assert_eq!(
        home.harvest.enter_poll(),
        Entry::Polling,
        "the owner sleeps"
    );
    let mut client = linked_by_the_neighbour(&bench, 50);
    assert!(bench.mocks[0].waiting(), "it is woken");
    // A later one need not wake it again.
    home.harvest.leave_poll();
    bench.workers[0].turn(None);
    assert_eq!(home.harvest.enter_poll(), Entry::Polling);
    let _later = linked_by_the_neighbour(&bench, 60_000);
    assert!(!bench.mocks[0].waiting(), "not for what is due later");
    home.harvest.leave_poll();
    closes_in_time(&bench, &mut client);
}

/// Whoever speaks first gets a later deadline, and whoever leaves has none: nobody wakes for what they had before.
#[test]
fn a_worker_does_not_wake_for_a_deadline_that_is_gone() {
    let bench = bench(1);
    let (ours, token) = bench.connect();
    bench.workers[0].turn(None);
    let asked = bench.mocks[0].asked().unwrap();
    assert!(
        asked <= Duration::from_secs(64),
        "its first byte: {asked:?}"
    );
    drop(ours);
    bench.tell(token, IN | RDHUP);
    bench.turn();
    bench.workers[0].turn(None);
    let asked = bench.mocks[0].asked().unwrap();
    assert!(
        asked > Duration::from_secs(86_400),
        "nobody is there: {asked:?}"
    );
}

/// Half a turn of the clock is 24.8 days: what a neighbour links must look earlier than what the owner sleeps for, to the
/// last moment of the sleep, and whatever else the owner waits for.
#[test]
fn a_worker_never_sleeps_so_long_that_it_misjudges_a_deadline() {
    use crate::park::wheel::{HORIZON, before};
    let bench = bench(1);
    let home = &bench.shared.homes[0];
    let day = Duration::from_secs(86_400);
    for timer in [None, Some(60 * day)] {
        if let Some(far) = timer {
            drop(crate::spawn(crate::time::sleep(far)));
        }
        bench.workers[0].turn(None);
        bench.workers[0].turn(None);
        let asked = bench.mocks[0].asked();
        let slept = asked.unwrap_or(40 * day).as_millis() as u32;
        let woken = bench.workers[0].now.get().wrapping_add(slept);
        let until = home.sleeps_until.load(std::sync::atomic::Ordering::Relaxed);
        for ahead in [0, 1000, HORIZON + HORIZON / 16] {
            assert!(
                before(woken.wrapping_add(ahead), until),
                "asleep for {asked:?}: {ahead} ms more would not wake it"
            );
        }
    }
}

/// A worker with a listener, which its pollset has reported, and a client in the backlog.
fn woken_for_a_client(bench: &Bench) -> std::net::TcpStream {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    bench.workers[0].listen(0, &Arc::new(OwnedFd::from(listener)));
    let client = std::net::TcpStream::connect(address).unwrap();
    client.set_nonblocking(true).unwrap();
    bench.tell(LISTENER, IN);
    client
}

/// Answers the client's word in its next turns.
fn serves(bench: &Bench, client: &mut std::net::TcpStream) -> bool {
    client.write_all(b"word").unwrap();
    for token in bench.mocks[0].tokens() {
        bench.tell(token, IN);
    }
    bench.turn();
    bench.turn();
    matches!(client.read(&mut [0; 8]), Ok(4))
}

/// The kernel has told nobody else of the connection that this worker was woken for: an end that comes between the wake
/// and the accept left it in the backlog until another process was woken for the next one.
#[test]
fn a_worker_that_was_woken_for_a_connection_accepts_it_though_the_end_has_come() {
    for hand_over in [true, false] {
        let bench = bench(1);
        let mut client = woken_for_a_client(&bench);
        match hand_over {
            true => bench.shared.hand_over(Duration::from_secs(10)),
            false => bench.shared.drain(Duration::from_secs(10)),
        }
        bench.turn();
        let tokens = bench.mocks[0].tokens();
        assert!(
            matches!(tokens[..], [token] if token < LISTENER || token >> 32 != 0),
            "one connection and no listener: {tokens:x?}"
        );
        assert_eq!(
            client.read(&mut [0; 8]).map_err(|e| e.kind()),
            Err(ErrorKind::WouldBlock),
            "not cut"
        );
        assert!(serves(&bench, &mut client));
    }
}

#[test]
fn a_shutdown_without_grace_accepts_nothing_more() {
    let bench = bench(1);
    let _client = woken_for_a_client(&bench);
    bench.shared.drain(Duration::ZERO);
    bench.turn();
    assert_eq!(bench.mocks[0].tokens(), []);
}

/// A shutdown gives a connection that has not spoken yet two seconds for it, not a FIN at once.
#[test]
fn a_new_connection_may_speak_for_two_seconds_when_a_shutdown_begins() {
    let bench = bench(1);
    let (mut idle, token) = bench.connect();
    idle.write_all(b"x").unwrap();
    bench.tell(token, IN);
    bench.turn();
    assert_eq!(answer(&mut idle).as_deref(), Ok("x"));
    let (mut speaks, token) = bench.connect();
    let (mut silent, _) = bench.connect();
    bench.shared.drain(Duration::from_secs(60));
    bench.turn();
    assert_eq!(answer(&mut idle).as_deref(), Ok(""), "it had its answer");
    assert_eq!(answer(&mut silent), Err(ErrorKind::WouldBlock));
    speaks.write_all(b"at last").unwrap();
    bench.tell(token, IN);
    bench.turn();
    assert_eq!(answer(&mut speaks).as_deref(), Ok("at last"));
    bench.turn();
    assert!(
        bench.mocks[0]
            .asked()
            .is_some_and(|t| t <= Duration::from_millis(2_200)),
        "{:?}",
        bench.mocks[0].asked()
    );
    std::thread::sleep(Duration::from_millis(2_200));
    bench.turn();
    assert_eq!(answer(&mut silent).as_deref(), Ok(""));
}

/// A reserve that accepts when the end comes: until its connection has a place, nobody may think that all are known.
#[test]
fn leaving_is_not_over_while_a_reserve_accepts() {
    for hand_over in [true, false] {
        let bench = bench(2);
        let accepts = bench.shared.accept_instead().unwrap();
        match hand_over {
            true => bench.shared.hand_over(Duration::from_secs(10)),
            false => bench.shared.drain(Duration::from_secs(10)),
        }
        bench.shared.one_has_left();
        bench.shared.one_has_left();
        assert!(!bench.shared.all_have_left());
        assert!(bench.shared.accept_instead().is_none(), "no more");
        assert!(!bench.shared.all_have_left());
        drop(accepts);
        assert!(bench.shared.all_have_left());
    }
}
