//! A rescuer stepped by hand beside a worker that does not move: which events it takes, and what it leaves to the owner.
#![allow(clippy::unwrap_used, reason = "for tests only")]

use crate::executor::inbox::Message;
use crate::park::harvest::Entry;
use crate::park::state::{ACTIVE, READY, WAITING};
use crate::reactor::{Event, IN, RDHUP, WAKE};
use crate::worker::tests::{Bench, answer, bench_with_reserves};
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::time::Duration;

const WOKEN: Event = Event {
    token: WAKE,
    edges: IN,
};

/// Home 0, which is stuck from the beginning, and a reserve.
fn bench() -> (Bench, u64) {
    let bench = bench_with_reserves(1, 1);
    bench.turn();
    let turn = bench.shared.homes[0].harvest.look().turn();
    (bench, turn)
}

#[test]
fn a_rescuer_serves_what_waits_and_what_the_owner_has_taken_out_once() {
    let (bench, turn) = bench();
    let home = &bench.shared.homes[0];
    let (mut queued, token) = bench.connect();
    let (mut hostage, other) = bench.connect();
    queued.write_all(b"in the kernel").unwrap();
    hostage.write_all(b"in the batch").unwrap();
    bench.tell(token, IN);
    let (token, edges) = (other, IN);
    home.batch.publish(&[Event { token, edges }, WOKEN]);
    bench.workers[1].help(0, turn);
    assert_eq!(answer(&mut queued).as_deref(), Ok("in the kernel"));
    assert_eq!(answer(&mut hostage).as_deref(), Ok("in the batch"));
    assert_eq!(home.counters.rescued.get(), 2);
    assert_eq!(bench.workers[1].home.counters.bursts.get(), 2);
    // The owner's late copy costs a look.
    bench.tell(other, IN);
    bench.turn();
    assert_eq!(answer(&mut hostage), Err(ErrorKind::WouldBlock), "once");
    // And everything is the owner's again.
    hostage.write_all(b"at home").unwrap();
    bench.tell(other, IN);
    bench.turn();
    assert_eq!(answer(&mut hostage).as_deref(), Ok("at home"));
    assert_eq!(home.counters.bursts.get(), 2);
}

#[test]
fn a_connection_that_the_owner_has_started_is_only_announced() {
    let (bench, turn) = bench();
    let home = &bench.shared.homes[0];
    let (_client, token) = bench.connect();
    let slot = home.slots.claimed(token as u32);
    slot.state
        .publish((token >> 32) as u32, 0, ACTIVE | WAITING);
    slot.waiter.store(5, std::sync::atomic::Ordering::Relaxed);
    home.batch.publish(&[Event { token, edges: IN }]);
    let before = slot.state.peek();
    bench.workers[1].help(0, turn);
    assert_eq!(slot.state.peek(), before, "the owner has not forgotten it");
    assert!(home.inbox.pop().is_none());
    bench.tell(token, IN);
    bench.workers[1].rescue(home, turn);
    let left = slot.state.peek();
    assert!(left.has(ACTIVE) && left.has(READY) && left.owner() == 0);
    assert!(matches!(home.inbox.pop(), Some(Message::Waiter(4))));
    assert_eq!(bench.workers[1].home.counters.bursts.get(), 0);
}

#[test]
fn an_owner_that_has_moved_on_is_left_alone() {
    let (bench, turn) = bench();
    let home = &bench.shared.homes[0];
    let (mut client, token) = bench.connect();
    client.write_all(b"mine").unwrap();
    bench.tell(token, IN);
    assert_eq!(home.harvest.enter_poll(), Entry::Polling);
    bench.workers[1].help(0, turn);
    home.harvest.leave_poll();
    bench.workers[1].help(0, turn);
    assert!(bench.workers[1].helping.borrow().is_empty());
    assert_eq!(answer(&mut client), Err(ErrorKind::WouldBlock));
    assert!(bench.mocks[0].waiting(), "nothing is taken out");
    // In its new turn it may be helped.
    bench.workers[1].help(0, turn + 1);
    assert_eq!(answer(&mut client).as_deref(), Ok("mine"));
}

#[test]
fn a_wake_that_a_rescuer_finds_stays_the_owners() {
    let (bench, turn) = bench();
    let home = &bench.shared.homes[0];
    bench.mocks[0].push([WOKEN]);
    bench.workers[1].help(0, turn);
    assert!(!bench.mocks[0].waiting(), "taken out");
    // A second look changes nothing about it.
    bench.workers[1].rescue(home, turn);
    bench.workers[0].turn(None);
    assert_eq!(bench.mocks[0].asked(), Some(Duration::ZERO), "no sleep");
    bench.workers[0].turn(None);
    assert_ne!(bench.mocks[0].asked(), Some(Duration::ZERO), "once");
}

#[test]
fn data_and_fin_of_a_stuck_workers_connection_are_answered_and_closed() {
    let (bench, turn) = bench();
    let (mut client, token) = bench.connect();
    client.write_all(b"bye").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    bench.tell(token, IN | RDHUP);
    bench.workers[1].help(0, turn);
    bench.workers[1].turn(Some(Duration::ZERO));
    assert_eq!(answer(&mut client).as_deref(), Ok("bye"));
    assert_eq!(answer(&mut client).as_deref(), Ok(""), "closed");
    assert_eq!(bench.shared.homes[0].counters.closed.get(), 1);
}

#[test]
fn an_edge_that_the_owner_finds_wakes_a_rescuers_burst() {
    let (bench, _) = bench();
    let home = &bench.shared.homes[0];
    let (_client, token) = bench.connect();
    let slot = home.slots.claimed(token as u32);
    slot.state
        .publish((token >> 32) as u32, 1, ACTIVE | WAITING);
    slot.waiter.store(1, std::sync::atomic::Ordering::Relaxed);
    let reserve = bench.shared.owner(1).unwrap();
    assert_eq!(reserve.harvest.enter_poll(), Entry::Polling);
    bench.tell(token, IN);
    bench.turn();
    assert!(matches!(reserve.inbox.pop(), Some(Message::Waiter(0))));
    assert!(bench.mocks[1].waiting(), "it sleeps, so it is woken");
}
