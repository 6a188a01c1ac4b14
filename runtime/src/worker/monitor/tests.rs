//! The monitor's looks, with words that the test moves and a clock that it sets.
#![allow(clippy::unwrap_used, reason = "for tests only")]

use super::{FAST, LATELY, PATIENCE, Plan, QUIET, Stuck, TICK, Watch};
use crate::executor::inbox::Message;
use crate::worker::Home;
use crate::worker::tests::{Bench, bench_with_reserves};
use std::sync::Arc;
use std::time::Duration;

/// Two home workers, 0 and 1, and two reserves, 2 and 3.
struct Looks {
    bench: Bench,
    watch: Watch,
    now: u64,
}

impl Looks {
    fn new() -> Self {
        Self {
            bench: bench_with_reserves(2, 2),
            watch: Watch::default(),
            now: 1_000_000_000,
        }
    }

    fn home(&self, id: usize) -> &Arc<Home> {
        self.bench.shared.owner(id as u16).unwrap()
    }

    /// It waits for events, after another turn if it was waiting.
    fn waits(&self, id: usize) {
        self.home(id).harvest.leave_poll();
        self.home(id).harvest.enter_poll();
    }

    /// A new turn of its begins.
    fn begins(&self, id: usize) {
        self.home(id).harvest.leave_poll();
    }

    /// After the time that the last look asked for.
    fn look(&mut self, me: u16) -> Plan {
        let shared = &self.bench.shared;
        let helpers = |id| shared.reserves.home(id).cloned();
        let plan = self.watch.look(&shared.homes, helpers, me, self.now);
        if let Plan::Sleep(Some(most)) = plan {
            self.now += most.as_nanos() as u64;
        } else if plan != Plan::Sleep(None) {
            self.now += FAST.as_nanos() as u64;
        }
        plan
    }
}

fn sleeps(tick: Duration) -> Plan {
    Plan::Sleep(Some(tick))
}

#[test]
fn a_turn_that_is_seen_twice_is_stuck_and_one_that_gets_on_is_not() {
    let mut looks = Looks::new();
    looks.waits(1);
    looks.begins(0);
    assert_eq!(looks.look(2), sleeps(FAST));
    looks.begins(0);
    assert_eq!(looks.look(2), sleeps(FAST), "another turn");
    let turn = looks.home(0).harvest.look().turn();
    assert_eq!(looks.look(2), Plan::Help(vec![Stuck { home: 0, turn }]));
    // It is helped now: the next monitor leaves it to the helper, however long it lasts.
    looks.waits(2);
    for _ in 0..10 {
        assert_eq!(looks.look(3), sleeps(FAST));
    }
    looks.now += LATELY.as_nanos() as u64;
    looks.watch.patience = PATIENCE;
    assert_eq!(looks.look(3), sleeps(TICK), "help was long ago");
}

#[test]
fn a_second_stuck_worker_is_left_to_the_helper_and_a_stuck_helper_to_the_monitor() {
    let mut looks = Looks::new();
    looks.waits(1);
    looks.begins(0);
    looks.look(2);
    assert!(matches!(looks.look(2), Plan::Help(_)));
    looks.waits(2);
    looks.begins(1);
    looks.look(3);
    assert_eq!(looks.look(3), sleeps(FAST));
    let sent = looks.home(2).inbox.pop();
    assert!(matches!(sent, Some(Message::Help { home: 1, .. })));
    assert!(looks.bench.mocks[2].waiting(), "it slept and is woken");
    // The helper runs a handler that takes its time.
    looks.begins(2);
    assert_eq!(looks.look(3), sleeps(FAST));
    let Plan::Help(all) = looks.look(3) else {
        panic!("nobody goes");
    };
    assert_eq!(all.iter().map(|s| s.home).collect::<Vec<_>>(), [0, 1]);
    assert!(looks.home(2).inbox.pop().is_none());
}

#[test]
fn the_monitor_sleeps_once_everybody_waits_and_the_next_turn_wakes_it() {
    let mut looks = Looks::new();
    looks.waits(0);
    looks.waits(1);
    looks.look(2);
    for _ in 1..QUIET {
        assert_eq!(looks.look(2), sleeps(TICK));
    }
    assert_eq!(looks.look(2), Plan::Sleep(None));
    assert!(looks.home(1).harvest.leave_poll(), "it has to be woken");
    looks.home(1).harvest.enter_poll();
    assert!(!looks.home(1).harvest.leave_poll(), "once");
    // What was seen before the sleep does not count.
    assert_eq!(looks.look(2), sleeps(FAST));
    let turn = looks.home(1).harvest.look().turn();
    assert_eq!(looks.look(2), Plan::Help(vec![Stuck { home: 1, turn }]));
}

#[test]
fn busy_workers_that_get_on_are_looked_at_at_leisure() {
    let mut looks = Looks::new();
    looks.waits(1);
    for _ in 0..PATIENCE {
        looks.begins(0);
        assert_eq!(looks.look(2), sleeps(FAST));
    }
    for _ in 0..5 {
        looks.begins(0);
        assert_eq!(looks.look(2), sleeps(TICK));
    }
    // A look that comes too early is none.
    looks.begins(0);
    looks.look(2);
    let early = looks.now - 1_000_000;
    let shared = &looks.bench.shared;
    let plan = looks.watch.look(&shared.homes, |_| None, 2, early);
    assert_eq!(plan, sleeps(Duration::from_millis(1)));
}
