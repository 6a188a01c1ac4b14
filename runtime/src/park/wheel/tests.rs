//! The wheel against a naive model, and its bounds.

use super::*;
use proptest::prelude::*;
use std::cell::Cell;

struct Table(Vec<[Cell<u32>; 3]>);
impl Table {
    fn new(n: usize) -> Self {
        Self(
            (0..n)
                .map(|_| [Cell::new(NIL), Cell::new(NIL), Cell::new(UNLINKED)])
                .collect(),
        )
    }
}
impl Links for Table {
    fn next(&self, i: u32) -> u32 {
        self.0[i as usize][0].get()
    }
    fn set_next(&self, i: u32, to: u32) {
        self.0[i as usize][0].set(to);
    }
    fn prev(&self, i: u32) -> u32 {
        self.0[i as usize][1].get()
    }
    fn set_prev(&self, i: u32, to: u32) {
        self.0[i as usize][1].set(to);
    }
    fn due(&self, i: u32) -> u32 {
        self.0[i as usize][2].get()
    }
    fn set_due(&self, i: u32, to: u32) {
        self.0[i as usize][2].set(to);
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A deadline so far ahead of now; it may be earlier than the one before.
    Set(usize, u32),
    Remove(usize),
    /// An idle worker: it sleeps until the next bucket is due, again and again.
    Advance(u32),
    /// A worker that was stuck, and looks at most at so many entries when it comes back.
    Oversleep(u32, usize),
    /// Time passes and nobody ticks: deadlines are set before the worker comes to it.
    Stuck(u32),
}

const N: usize = 12;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let span = prop_oneof![1u32..200, 1u32..10_000, 1u32..3_000_000];
    let pause = prop_oneof![1u32..100, 1u32..5_000, 1u32..1_000_000];
    let step = prop_oneof![
        4 => (0..N, span).prop_map(|(i, t)| Step::Set(i, t)),
        1 => (0..N).prop_map(Step::Remove),
        3 => pause.clone().prop_map(Step::Advance),
        2 => (pause.clone(), 1..2 * N).prop_map(|(t, n)| Step::Oversleep(t, n)),
        1 => pause.prop_map(Step::Stuck),
    ];
    proptest::collection::vec(step, 1..120)
}

/// The wheel beside a plain list of (deadline, the span it was set with).
struct Pair {
    table: Table,
    wheel: Wheel,
    model: Vec<Option<(u32, u32)>>,
    now: u32,
}

impl Pair {
    fn set(&mut self, i: usize, span: u32) {
        let deadline = self.now.wrapping_add(span);
        self.model[i] = Some((deadline, span));
        if Wheel::needs_relink(self.table.due(i as u32), deadline, self.now) {
            self.wheel.remove(&self.table, i as u32);
            self.wheel.insert(&self.table, i as u32, deadline, self.now);
        }
    }

    /// One call; gives what was looked at, with the due times at that moment.
    fn expire(&mut self, looks: usize) -> Vec<(u32, u32)> {
        let now = self.now;
        let due: Vec<u32> = (0..N as u32).map(|i| self.table.due(i)).collect();
        let mut seen = Vec::new();
        self.wheel.expire(&self.table, now, looks, |i| {
            seen.push((i, due[i as usize]));
            match self.model[i as usize] {
                Some((d, _)) if before(now, d) => Verdict::Keep(d),
                _ => {
                    self.model[i as usize] = None;
                    Verdict::Drop
                }
            }
        });
        seen
    }

    fn nothing_is_overlooked(&self) {
        for (d, span) in self.model.iter().flatten() {
            let late = self.now.wrapping_sub(*d) as i32;
            assert!(
                late < (*span as i32 / 16).max(64),
                "overlooked: {late} ms late of {span}"
            );
        }
    }

    /// Every entry that is linked is found in exactly one list, whose ends and marks are right.
    fn is_sound(&self) {
        let mut found = Vec::new();
        for (list, ends) in self.wheel.lists.iter().enumerate() {
            let marked = list == OVERDUE || self.wheel.occupied[list / 64] & 1 << (list % 64) != 0;
            assert!(marked || ends.head == NIL, "list {list}");
            assert_eq!(ends.head == NIL, ends.tail == NIL, "list {list}");
            let (mut i, mut prev) = (ends.head, LIST | list as u32);
            while i != NIL && list_of(i).is_none() {
                assert_eq!(self.table.prev(i), prev);
                found.push(i);
                (prev, i) = (i, self.table.next(i));
            }
            if ends.head != NIL {
                assert_eq!((prev, i), (ends.tail, LIST | list as u32));
            }
        }
        found.sort_unstable();
        let linked: Vec<u32> = (0..N as u32)
            .filter(|i| self.table.due(*i) != UNLINKED)
            .collect();
        assert_eq!(found, linked);
        let mut soonest = [0; N];
        let n = self.wheel.soonest(&self.table, &mut soonest, |_| true);
        assert_eq!(n, linked.len());
        let dues = soonest[..n]
            .windows(2)
            .map(|w| (self.table.due(w[0]), self.table.due(w[1])));
        assert!(
            dues.clone().all(|(a, b)| !before(b, a)),
            "out of order: {:?}",
            dues.collect::<Vec<_>>()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Against a plain list of deadlines: nothing expires early, nothing is overlooked beyond its tolerance,
    /// whether deadlines grow or shrink, across the wrap of the clock; a bounded call looks at what is due first,
    /// and what it leaves is due until a later call gets to it.
    #[test]
    fn agrees_with_a_naive_list(start in prop_oneof![Just(0u32), Just(u32::MAX - 4_000), any::<u32>()], steps in steps()) {
        let mut pair = Pair { table: Table::new(N), wheel: Wheel::new(start), model: vec![None; N], now: start };
        for step in steps {
            match step {
                Step::Set(i, span) => pair.set(i, span),
                Step::Remove(i) => {
                    pair.model[i] = None;
                    pair.wheel.remove(&pair.table, i as u32);
                }
                Step::Stuck(by) => pair.now = pair.now.wrapping_add(by),
                Step::Oversleep(by, looks) => {
                    pair.now = pair.now.wrapping_add(by);
                    let due = (0..N as u32).filter(|i| {
                        let due = pair.table.due(*i);
                        due != UNLINKED && !before(pair.now, due)
                    }).count();
                    let mut seen = Vec::new();
                    while pair.wheel.next_due().is_some_and(|d| !before(pair.now, d)) {
                        let looked = pair.expire(looks);
                        prop_assert!(!looked.is_empty() && looked.len() <= looks, "{}", looked.len());
                        pair.is_sound();
                        seen.extend(looked);
                    }
                    prop_assert_eq!(seen.len(), due, "each is looked at once: {:?}", seen);
                    prop_assert!(seen.windows(2).all(|w| !before(w[1].1, w[0].1)), "out of order: {:?}", seen);
                    pair.nothing_is_overlooked();
                }
                Step::Advance(by) => {
                    let end = pair.now.wrapping_add(by);
                    loop {
                        let next = pair.wheel.next_due();
                        let stop = next.filter(|d| before(*d, end)).unwrap_or(end);
                        if before(pair.now, stop) {
                            pair.now = stop;
                        }
                        let mut seen = pair.expire(usize::MAX);
                        let looked = seen.len();
                        seen.sort_unstable();
                        seen.dedup();
                        prop_assert_eq!(looked, seen.len(), "an entry is looked at once");
                        pair.nothing_is_overlooked();
                        if pair.now == end { break; }
                    }
                }
            }
            pair.is_sound();
        }
    }
}

#[test]
fn a_crowd_expires_in_pieces_and_in_order() {
    let table = Table::new(1000);
    let mut wheel = Wheel::new(0);
    for i in 0..1000 {
        wheel.insert(&table, i, 1_000 + i, 0);
    }
    let mut seen = Vec::new();
    let mut calls = 0;
    while wheel.next_due().is_some_and(|d| !before(5_000, d)) {
        wheel.expire(&table, 5_000, LOOKS, |i| {
            seen.push(i);
            Verdict::Drop
        });
        calls += 1;
        assert!(seen.len() <= calls * LOOKS);
        // One that waits for its look is renewed, and leaves the queue for its new time.
        if calls == 1 {
            assert!(Wheel::needs_relink(table.due(999), 90_000, 5_000));
            wheel.remove(&table, 999);
            wheel.insert(&table, 999, 90_000, 5_000);
        }
    }
    assert_eq!(seen, (0..999).collect::<Vec<_>>());
    assert_eq!(calls, 8);
}

#[test]
fn the_soonest_are_those_of_all_buckets_in_order() {
    let table = Table::new(40);
    let mut wheel = Wheel::new(0);
    for i in 0..40 {
        wheel.insert(&table, i, 400_000 - i * 10_000, 0);
    }
    let mut found = [NIL; 8];
    assert_eq!(wheel.soonest(&table, &mut found, |i| i % 2 == 0), 8);
    assert_eq!(found, [38, 36, 34, 32, 30, 28, 26, 24]);
    assert_eq!(wheel.soonest(&table, &mut found, |i| i == 5), 1);
    assert_eq!(found[0], 5, "far from the first bucket");
}

/// Ticks as the worker does: the wheel is asked to work only when a bucket is due. Gives (looked at, expired).
fn tick(wheel: &mut Wheel, table: &Table, now: u32, deadlines: &[u32]) -> (u32, u32) {
    let (mut looks, mut expired) = (0, 0);
    if wheel.next_due().is_some_and(|due| !before(now, due)) {
        wheel.expire(table, now, usize::MAX, |i| {
            looks += 1;
            if before(now, deadlines[i as usize]) {
                return Verdict::Keep(deadlines[i as usize]);
            }
            expired += 1;
            Verdict::Drop
        });
    }
    (looks, expired)
}

#[test]
fn a_short_deadline_beside_a_long_one_is_not_looked_at_early() {
    let table = Table::new(2);
    let mut wheel = Wheel::new(0);
    wheel.insert(&table, 0, 300_000, 0);
    assert_eq!(tick(&mut wheel, &table, 200_000, &[300_000, 0]), (0, 0));
    wheel.insert(&table, 1, 203_000, 200_000);
    assert_eq!(wheel.next_due(), Some(table.due(1)));
    assert_eq!(
        tick(&mut wheel, &table, 200_000, &[300_000, 203_000]),
        (0, 0)
    );
}

#[test]
fn deadlines_work_after_any_time_of_rest() {
    for rest in [3_600_000u32, 1_728_000_000, 2_160_000_000, 4_000_000_000] {
        let table = Table::new(1);
        let mut wheel = Wheel::new(0);
        wheel.insert(&table, 0, rest.wrapping_add(5_000), rest);
        let due = wheel.next_due().unwrap();
        assert!(
            (5_000..5_313).contains(&due.wrapping_sub(rest)),
            "{due} after {rest}"
        );
        assert_eq!(
            tick(&mut wheel, &table, due, &[rest.wrapping_add(5_000)]),
            (1, 1)
        );
    }
}

#[test]
fn a_late_tick_looks_at_each_entry_once() {
    let table = Table::new(1);
    let mut wheel = Wheel::new(0);
    wheel.insert(&table, 0, 64, 0);
    assert_eq!(tick(&mut wheel, &table, 60_000, &[63_000]), (1, 0));
    assert_eq!(tick(&mut wheel, &table, table.due(0), &[63_000]), (1, 1));
}

#[test]
fn a_steady_keepalive_is_linked_once_per_half_period() {
    let table = Table::new(1);
    let mut wheel = Wheel::new(0);
    let mut linked = 0;
    for now in (0..10_000).step_by(10) {
        if Wheel::needs_relink(table.due(0), now + 5_000, now) {
            wheel.remove(&table, 0);
            wheel.insert(&table, 0, now + 5_000, now);
            linked += 1;
        }
    }
    assert!(linked <= 5, "{linked}");
}

#[test]
fn a_fresh_long_deadline_wakes_nobody_before_it() {
    let table = Table::new(1);
    let mut wheel = Wheel::new(0);
    wheel.insert(&table, 0, 20_000, 0);
    assert!(
        Wheel::needs_relink(table.due(0), 300_010, 10),
        "first parked with 300 s after 20 s for the first byte"
    );
    wheel.remove(&table, 0);
    wheel.insert(&table, 0, 300_010, 10);
    assert!(wheel.next_due().is_some_and(|d| d >= 300_010));
    let mut found = [NIL; 4];
    assert_eq!(wheel.soonest(&table, &mut found, |_| true), 1);
    assert_eq!(found[0], 0);
}
