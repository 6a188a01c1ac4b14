//! The coarse wheel: every deadline of a worker's connections, at the price of one store per park.
//!
//! Times are wrapping milliseconds (`u32`, compared by wrapping difference, so deadlines lie less than 2^30 ms
//! ahead). The wheel holds no objects, only bucket heads; the links live in the slots. Level `k` has 64 buckets of
//! `64 ms * 4^k`, and a remaining time goes into the finest level that can hold it, so a bucket is processed less
//! than `max(64 ms, remaining / 16)` after the deadlines in it.
//!
//! Deadlines are *lazy*: renewing one is a store to the slot, nothing moves. When its bucket is due, an entry is
//! looked at once and either expires or moves to the bucket of its current deadline. Only a deadline that would be
//! seen too late, or so early that the look would be a wasted wake-up, is linked anew ([`Wheel::needs_relink`]).

/// No slot.
pub(crate) const NIL: u32 = u32::MAX;
/// The due time of what is in no bucket; real due times are even multiples of 64 and never collide with it.
pub(crate) const UNLINKED: u32 = 1;

const LEVELS: usize = 10;
const BUCKETS: u32 = 64;
const BASE_SHIFT: u32 = 6;
const HEAD: u32 = 0x8000_0000;
/// The farthest a deadline may lie ahead.
pub(crate) const HORIZON: u32 = 1 << 29;

/// Where the links are kept.
pub(crate) trait Links {
    fn next(&self, i: u32) -> u32;
    fn set_next(&self, i: u32, to: u32);
    fn prev(&self, i: u32) -> u32;
    fn set_prev(&self, i: u32, to: u32);
    fn due(&self, i: u32) -> u32;
    fn set_due(&self, i: u32, to: u32);
}

/// What to do with an entry whose bucket is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Its deadline lies ahead: back into the wheel.
    Keep(u32),
    /// Expired, or not timed at the moment: stays unlinked.
    Drop,
}

/// Bucket heads and their occupancy.
pub(crate) struct Wheel {
    heads: [[u32; BUCKETS as usize]; LEVELS],
    occupied: [u64; LEVELS],
    /// Every bucket due at or before this has been processed.
    done: u32,
}

/// `a` lies before `b`.
pub(crate) fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

fn shift(level: usize) -> u32 {
    BASE_SHIFT + 2 * level as u32
}

/// The level and the processing time of a deadline: the end of its bucket's window, always after `now`.
fn place(deadline: u32, now: u32) -> (usize, u32) {
    let ahead = deadline.wrapping_sub(now);
    let (deadline, ahead) = if ahead as i32 <= 0 {
        (now.wrapping_add(1), 1)
    } else if ahead > HORIZON {
        (now.wrapping_add(HORIZON), HORIZON)
    } else {
        (deadline, ahead)
    };
    // 63 buckets, not 64: the window's end may lie one width behind the deadline.
    let mut level = 0;
    while level + 1 < LEVELS && ahead >= 62 << shift(level) {
        level += 1;
    }
    let width = 1u32 << shift(level);
    (level, deadline.wrapping_add(width - 1) & !(width - 1))
}

fn bucket_of(level: usize, due: u32) -> u32 {
    (due >> shift(level)) & (BUCKETS - 1)
}

impl Wheel {
    pub(crate) fn new(now: u32) -> Self {
        Self {
            heads: [[NIL; BUCKETS as usize]; LEVELS],
            occupied: [0; LEVELS],
            done: now,
        }
    }

    /// Whether an entry looked at at `due` must be linked anew for `deadline`: it is in no bucket, it would be seen
    /// later than allowed, or it would be looked at before half of its time is over, for nothing.
    pub(crate) fn needs_relink(due: u32, deadline: u32, now: u32) -> bool {
        if due == UNLINKED {
            return true;
        }
        let ahead = deadline.wrapping_sub(now) as i32;
        if ahead <= 0 {
            return before(now.wrapping_add(64), due);
        }
        let late = due.wrapping_sub(deadline) as i32;
        late > 0 && late >= (ahead / 16).max(64) || (due.wrapping_sub(now) as i32) < ahead / 2
    }

    /// Links `i`, which must be in no bucket.
    pub(crate) fn insert(&mut self, links: &impl Links, i: u32, deadline: u32, now: u32) {
        self.catch_up(now);
        // An entry never goes into a bucket that was processed already.
        let base = if before(now, self.done) {
            self.done
        } else {
            now
        };
        let (level, due) = place(deadline, base);
        let bucket = bucket_of(level, due);
        let head = &mut self.heads[level][bucket as usize];
        links.set_due(i, due);
        links.set_prev(i, HEAD | (level as u32) << 8 | bucket);
        links.set_next(i, *head);
        if *head != NIL {
            links.set_prev(*head, i);
        }
        *head = i;
        self.occupied[level] |= 1 << bucket;
    }

    /// Unlinks `i`; no effect on what is in no bucket.
    pub(crate) fn remove(&mut self, links: &impl Links, i: u32) {
        if links.due(i) == UNLINKED {
            return;
        }
        let (prev, next) = (links.prev(i), links.next(i));
        if prev & HEAD != 0 {
            let (level, bucket) = ((prev >> 8 & 0xFF) as usize, prev & 0xFF);
            self.heads[level][bucket as usize] = next;
            if next == NIL {
                self.occupied[level] &= !(1 << bucket);
            }
        } else {
            links.set_next(prev, next);
        }
        if next != NIL {
            links.set_prev(next, prev);
        }
        links.set_due(i, UNLINKED);
    }

    /// The end of the first occupied window of `level`.
    fn first(&self, level: usize) -> Option<u32> {
        if self.occupied[level] == 0 {
            return None;
        }
        // Buckets in use have ends in (done, done + 64 widths]: rotate so that the next one comes first.
        let width = 1u32 << shift(level);
        let start = self.done & !(width - 1);
        let from = bucket_of(level, start.wrapping_add(width));
        let ahead = self.occupied[level].rotate_right(from).trailing_zeros();
        Some(start.wrapping_add(width.wrapping_mul(ahead + 1)))
    }

    /// When the next bucket is due.
    pub(crate) fn next_due(&self) -> Option<u32> {
        let mut soonest: Option<u32> = None;
        for level in 0..LEVELS {
            if let Some(end) = self.first(level)
                && soonest.is_none_or(|s| before(end, s))
            {
                soonest = Some(end);
            }
        }
        soonest
    }

    /// Buckets are told apart by `done` alone, so it must not fall behind `now` while nothing is due: a new entry
    /// would be taken for one of an earlier turn of its level, or after 2^31 ms of rest for one that was processed.
    fn catch_up(&mut self, now: u32) {
        match self.next_due() {
            None => self.done = now,
            Some(end) if before(now, end) && before(self.done, now) => self.done = now,
            Some(_) => {}
        }
    }

    /// Looks once at every entry of every bucket that is due; `judge` sees each with the wheel free of it.
    pub(crate) fn expire(
        &mut self,
        links: &impl Links,
        now: u32,
        mut judge: impl FnMut(u32) -> Verdict,
    ) {
        // What stays goes back only when every due bucket is empty, else a late call would meet it again. Until then
        // `next` chains it and `prev` holds its deadline; `due` says that it is in no bucket.
        let mut kept = NIL;
        while let Some(end) = self.next_due().filter(|end| !before(now, *end)) {
            for level in 0..LEVELS {
                if self.first(level) != Some(end) {
                    continue;
                }
                let bucket = bucket_of(level, end);
                let mut i = std::mem::replace(&mut self.heads[level][bucket as usize], NIL);
                self.occupied[level] &= !(1 << bucket);
                while i != NIL {
                    let next = links.next(i);
                    links.set_due(i, UNLINKED);
                    if let Verdict::Keep(deadline) = judge(i) {
                        links.set_prev(i, deadline);
                        links.set_next(i, kept);
                        kept = i;
                    }
                    i = next;
                }
            }
            self.done = end;
        }
        self.catch_up(now);
        while kept != NIL {
            let (i, deadline) = (kept, links.prev(kept));
            kept = links.next(i);
            self.insert(links, i, deadline, now);
        }
    }

    /// The entries of the bucket that is due first: the longest parked, more or less.
    pub(crate) fn soonest(&self, links: &impl Links, most: usize) -> Vec<u32> {
        let mut found = Vec::new();
        let Some(end) = self.next_due() else {
            return found;
        };
        for level in 0..LEVELS {
            if self.first(level) == Some(end) {
                let mut i = self.heads[level][bucket_of(level, end) as usize];
                while i != NIL && found.len() < most {
                    found.push(i);
                    i = links.next(i);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
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
        Set(usize, u32),
        Remove(usize),
        Advance(u32),
        Oversleep(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let span = prop_oneof![1u32..200, 1u32..10_000, 1u32..3_000_000];
        let step = prop_oneof![
            4 => (0usize..12, span.clone()).prop_map(|(i, t)| Step::Set(i, t)),
            1 => (0usize..12).prop_map(Step::Remove),
            3 => prop_oneof![1u32..100, 1u32..5_000, 1u32..1_000_000].prop_map(Step::Advance),
            2 => prop_oneof![1u32..100, 1u32..5_000, 1u32..1_000_000].prop_map(Step::Oversleep),
        ];
        proptest::collection::vec(step, 1..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// Against a plain list of deadlines: nothing expires early, nothing is overlooked beyond its tolerance,
        /// whether deadlines grow or shrink, and across the wrap of the clock.
        #[test]
        fn agrees_with_a_naive_list(start in prop_oneof![Just(0u32), Just(u32::MAX - 4_000), any::<u32>()], steps in steps()) {
            let table = Table::new(12);
            let mut wheel = Wheel::new(start);
            let mut now = start;
            // deadline and the span it was last set or looked at with
            let mut model: Vec<Option<(u32, u32)>> = vec![None; 12];
            for step in steps {
                match step {
                    Step::Set(i, span) => {
                        let deadline = now.wrapping_add(span);
                        model[i] = Some((deadline, span));
                        if Wheel::needs_relink(table.due(i as u32), deadline, now) {
                            wheel.remove(&table, i as u32);
                            wheel.insert(&table, i as u32, deadline, now);
                        }
                    }
                    Step::Remove(i) => {
                        model[i] = None;
                        wheel.remove(&table, i as u32);
                    }
                    Step::Oversleep(by) => {
                        now = now.wrapping_add(by);
                        let mut looks = [0; 12];
                        if wheel.next_due().is_some_and(|due| !before(now, due)) {
                            wheel.expire(&table, now, |i| {
                                looks[i as usize] += 1;
                                match model[i as usize] {
                                    Some((d, _)) if before(now, d) => Verdict::Keep(d),
                                    _ => { model[i as usize] = None; Verdict::Drop }
                                }
                            });
                        }
                        prop_assert!(looks.iter().all(|n| *n <= 1), "looked at twice: {:?}", looks);
                        for (d, span) in model.iter().flatten() {
                            let late = now.wrapping_sub(*d) as i32;
                            prop_assert!(late < (*span as i32 / 16).max(64), "overlooked: {} ms late of {}", late, span);
                        }
                    }
                    Step::Advance(by) => {
                        // An idle worker sleeps exactly until the next bucket is due.
                        let end = now.wrapping_add(by);
                        loop {
                            let stop = wheel.next_due().filter(|d| before(*d, end)).unwrap_or(end);
                            prop_assert!(!before(stop, now));
                            now = stop;
                            let mut seen = Vec::new();
                            wheel.expire(&table, now, |i| {
                                seen.push(i);
                                match model[i as usize] {
                                    Some((d, _)) if before(now, d) => Verdict::Keep(d),
                                    Some(_) => { model[i as usize] = None; Verdict::Drop }
                                    None => Verdict::Drop,
                                }
                            });
                            let looked = seen.len();
                            seen.sort_unstable();
                            seen.dedup();
                            prop_assert_eq!(looked, seen.len(), "an entry is looked at once");
                            for (d, span) in model.iter().flatten() {
                                let late = now.wrapping_sub(*d) as i32;
                                prop_assert!(late < (*span as i32 / 16).max(64), "overlooked: {} ms late of {}", late, span);
                            }
                            if stop == end { break; }
                        }
                    }
                }
            }
        }
    }

    /// Ticks as the worker does: the wheel is asked to work only when a bucket is due. Gives (looked at, expired).
    fn tick(wheel: &mut Wheel, table: &Table, now: u32, deadlines: &[u32]) -> (u32, u32) {
        let (mut looks, mut expired) = (0, 0);
        if wheel.next_due().is_some_and(|due| !before(now, due)) {
            wheel.expire(table, now, |i| {
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
        assert_eq!(wheel.soonest(&table, 4), vec![0]);
    }
}
