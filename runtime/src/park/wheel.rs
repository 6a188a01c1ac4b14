//! The coarse wheel: every deadline of a worker's connections, at the price of one store per park.
//!
//! Times are wrapping milliseconds (`u32`, compared by wrapping difference, so deadlines lie less than 2^30 ms
//! ahead). The wheel holds no objects, only bucket heads; the links live in the slots. Level `k` has 64 buckets of
//! `64 ms * 4^k`, and a remaining time goes into the finest level that can hold it, so a bucket is processed less
//! than `max(64 ms, remaining / 16)` after the deadlines in it.
//!
//! Deadlines are *lazy*: renewing one is a store to the slot, nothing moves. When its bucket is due, an entry is
//! looked at once and either expires or moves to the bucket of its current deadline. Buckets that are due go, whole and
//! in order, to the *overdue* list, from which one call takes a bounded number of entries: what is left waits for the
//! next call, and is due until then. Lists are first in, first out: what was linked first is looked at first. Only a deadline that would be
//! seen too late, or so early that the look would be a wasted wake-up, is linked anew ([`Wheel::needs_relink`]).

/// No slot.
pub(crate) const NIL: u32 = u32::MAX;
/// Entries looked at in one call: closing one costs some microseconds, and connections are served in between.
pub(crate) const LOOKS: usize = 128;
/// The due time of what is in no bucket; real due times are even multiples of 64 and never collide with it.
pub(crate) const UNLINKED: u32 = 1;

const LEVELS: usize = 10;
const BUCKETS: u32 = 64;
const BASE_SHIFT: u32 = 6;
/// A link that is no slot but the list itself, by its number: the first entry's `prev`, the last one's `next`.
const LIST: u32 = 0x8000_0000;
/// The number of the overdue list; those before it are the buckets.
const OVERDUE: usize = LEVELS * BUCKETS as usize;
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

/// The ends of a list.
#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

const EMPTY: List = List {
    head: NIL,
    tail: NIL,
};

/// Bucket ends and their occupancy.
pub(crate) struct Wheel {
    lists: [List; OVERDUE + 1],
    occupied: [u64; LEVELS],
    /// Every bucket due at or before this is empty: its entries are overdue or were looked at.
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
            lists: [EMPTY; OVERDUE + 1],
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
        self.advance(links, now);
        // An entry never goes into a bucket that was processed already.
        let base = if before(now, self.done) {
            self.done
        } else {
            now
        };
        let (level, due) = place(deadline, base);
        let bucket = bucket_of(level, due);
        links.set_due(i, due);
        self.append(links, number(level, bucket), i, i);
        self.occupied[level] |= 1 << bucket;
    }

    /// Appends the chain from `first` to `last` to a list.
    fn append(&mut self, links: &impl Links, list: usize, first: u32, last: u32) {
        let end = LIST | list as u32;
        let List { head, tail } = self.lists[list];
        if head == NIL {
            links.set_prev(first, end);
            self.lists[list] = List {
                head: first,
                tail: last,
            };
        } else {
            links.set_prev(first, tail);
            links.set_next(tail, first);
            self.lists[list].tail = last;
        }
        links.set_next(last, end);
    }

    /// Unlinks `i`; no effect on what is in no bucket. Whether a bucket is empty now: [`Self::next_due`] may be later.
    pub(crate) fn remove(&mut self, links: &impl Links, i: u32) -> bool {
        if links.due(i) == UNLINKED {
            return false;
        }
        let (prev, next) = (links.prev(i), links.next(i));
        let alone = list_of(prev).is_some() && list_of(next).is_some();
        match (list_of(prev), list_of(next)) {
            (Some(list), Some(_)) => {
                self.lists[list] = EMPTY;
                if list < OVERDUE {
                    self.occupied[list / BUCKETS as usize] &= !(1 << (list % BUCKETS as usize));
                }
            }
            (Some(list), None) => {
                self.lists[list].head = next;
                links.set_prev(next, prev);
            }
            (None, Some(list)) => {
                self.lists[list].tail = prev;
                links.set_next(prev, next);
            }
            (None, None) => {
                links.set_next(prev, next);
                links.set_prev(next, prev);
            }
        }
        links.set_due(i, UNLINKED);
        alone
    }

    /// The end of the first window of `level` that `occupied` marks.
    fn first(&self, level: usize, occupied: u64) -> Option<u32> {
        if occupied == 0 {
            return None;
        }
        // Buckets in use have ends in (done, done + 64 widths]: rotate so that the next one comes first.
        let width = 1u32 << shift(level);
        let start = self.done & !(width - 1);
        let from = bucket_of(level, start.wrapping_add(width));
        let ahead = occupied.rotate_right(from).trailing_zeros();
        Some(start.wrapping_add(width.wrapping_mul(ahead + 1)))
    }

    /// The level and the end of the first window that is marked; of equal ends the finest level's.
    fn earliest(&self, occupied: &[u64; LEVELS]) -> Option<(usize, u32)> {
        let mut earliest: Option<(usize, u32)> = None;
        for (level, marked) in occupied.iter().enumerate() {
            if let Some(end) = self.first(level, *marked)
                && earliest.is_none_or(|(_, e)| before(end, e))
            {
                earliest = Some((level, end));
            }
        }
        earliest
    }

    /// When the next bucket is due; a moment that has passed while entries are overdue.
    pub(crate) fn next_due(&self) -> Option<u32> {
        if self.lists[OVERDUE].head != NIL {
            return Some(self.done);
        }
        self.earliest(&self.occupied).map(|(_, end)| end)
    }

    /// Moves what is due to the overdue list and `done` to `now`. Buckets are told apart by `done` alone, so it must
    /// not fall behind: a new entry would be taken for one of an earlier turn of its level.
    fn advance(&mut self, links: &impl Links, now: u32) {
        while let Some((level, end)) = self.earliest(&self.occupied) {
            if before(now, end) {
                break;
            }
            let bucket = bucket_of(level, end);
            let due = std::mem::replace(&mut self.lists[number(level, bucket)], EMPTY);
            self.occupied[level] &= !(1 << bucket);
            self.append(links, OVERDUE, due.head, due.tail);
        }
        if before(self.done, now) || self.next_due().is_none() {
            self.done = now;
        }
    }

    /// Looks once at what is due, at most at `looks` entries; `judge` sees each with the wheel free of it.
    pub(crate) fn expire(
        &mut self,
        links: &impl Links,
        now: u32,
        looks: usize,
        mut judge: impl FnMut(u32) -> Verdict,
    ) {
        self.advance(links, now);
        for _ in 0..looks {
            let i = self.lists[OVERDUE].head;
            if i == NIL {
                break;
            }
            self.remove(links, i);
            // What is linked again goes to a bucket that is due later than now, so it is not met twice.
            if let Verdict::Keep(deadline) = judge(i) {
                self.insert(links, i, deadline, now);
            }
        }
    }

    /// Fills `found` with the entries that are due first and pass `wanted`, in order: the longest parked, more or less.
    /// Looks at [`Self::SEARCHED`] at most. Returns how many there are.
    pub(crate) fn soonest(
        &self,
        links: &impl Links,
        found: &mut [u32],
        mut wanted: impl FnMut(u32) -> bool,
    ) -> usize {
        let mut occupied = self.occupied;
        let mut list = OVERDUE;
        let (mut count, mut looks) = (0, 0);
        loop {
            let mut i = self.lists[list].head;
            while i != NIL && list_of(i).is_none() {
                if count == found.len() || looks == Self::SEARCHED {
                    return count;
                }
                looks += 1;
                if wanted(i) {
                    found[count] = i;
                    count += 1;
                }
                i = links.next(i);
            }
            let Some((level, end)) = self.earliest(&occupied) else {
                return count;
            };
            let bucket = bucket_of(level, end);
            occupied[level] &= !(1 << bucket);
            list = number(level, bucket);
        }
    }

    /// The most entries that [`Wheel::soonest`] looks at: it holds the lock of its worker's books.
    const SEARCHED: usize = 1024;
}

fn number(level: usize, bucket: u32) -> usize {
    level * BUCKETS as usize + bucket as usize
}

/// The list that a link stands for, if it is not a slot.
fn list_of(link: u32) -> Option<usize> {
    (link & LIST != 0).then_some((link & !LIST) as usize)
}

#[cfg(test)]
mod tests;
