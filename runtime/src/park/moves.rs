//! Every interleaving of a request, the peer's close, a deadline and a move to a receiver that may crash.
//!
//! The world is two processes that share one socket, cut into steps between which anybody else may act: the kernel's
//! queue of edges, the workers, the wheel's tick, the mover and the receiver. The state words are the real ones. All
//! reachable worlds are visited, depth first. Each rule of moving is also broken once, to see that it is missed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests only")]

use super::state::{
    ACTIVE, MOVING, PARKED, RDHUP, READY, Readiness, Rest, Snapshot, StateWord, WREADY,
};
use std::collections::HashSet;

const GENERATION: u32 = 7;
/// What the slot is used for next.
const NEXT: u32 = 8;

/// A rule that is broken on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Broken {
    Nothing,
    /// The mover takes the slot without looking.
    NoCompare,
    /// The registration is not ended.
    NoDelete,
    /// The slot is used again under the same generation.
    SameGeneration,
    /// The sender goes on serving after the receiver has acknowledged.
    NoRetire,
    /// The receiver reads before it acknowledges.
    EarlyRead,
    /// What comes back is laid to rest without being registered anew.
    NoAdd,
    /// What comes back is not linked again.
    NoRelink,
}

/// A process's side of the connection.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Side {
    word: u64,
    open: bool,
    registered: bool,
    /// Edges in the kernel's queue.
    edge: u64,
    /// Edges that a worker has taken out and not looked at yet.
    harvested: Option<u64>,
    worker: Worker,
    linked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Worker {
    Free,
    /// Has claimed the slot and is about to read.
    Reads,
    /// Has read everything, and will lay it to rest.
    Rests,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Mover {
    Idle,
    Took,
    Deleted,
    Sent,
    /// The receiver is gone: landed, added, laid to rest.
    Lands,
    Adds,
    Rests,
    Relinks,
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Receiver {
    Waits,
    Adopted,
    Acknowledged,
    Added,
    Serves,
    Crashed,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    broken: Broken,
    a: Side,
    b: Side,
    /// Requests in the socket.
    input: u8,
    fin: bool,
    to_send: u8,
    answered: u8,
    /// Requests that the receiver has read too early, and will answer.
    taken: u8,
    mover: Mover,
    receiver: Receiver,
    /// The deadline has passed.
    late: bool,
    timed_out: bool,
    /// The slot of the first process has a new connection.
    reused: bool,
}

/// Who acts next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Speak,
    Finish,
    Harvest(bool),
    Look(bool),
    Work(bool),
    Clock,
    Tick,
    Move,
    Receive,
    Crash,
    Reuse,
}

const STEPS: [Step; 14] = [
    Step::Speak,
    Step::Finish,
    Step::Harvest(true),
    Step::Harvest(false),
    Step::Look(true),
    Step::Look(false),
    Step::Work(true),
    Step::Work(false),
    Step::Clock,
    Step::Tick,
    Step::Move,
    Step::Receive,
    Step::Crash,
    Step::Reuse,
];

impl Side {
    fn new(flags: u64, open: bool) -> Self {
        Self {
            word: Snapshot::new(GENERATION, 0, flags).0,
            open,
            registered: open,
            edge: 0,
            harvested: None,
            worker: Worker::Free,
            linked: open,
        }
    }

    /// One transition of the real word.
    fn with<T>(&mut self, f: impl FnOnce(&StateWord) -> T) -> T {
        let word = StateWord::new(Snapshot(self.word));
        let out = f(&word);
        self.word = word.peek().0;
        out
    }

    fn retire(&mut self) {
        self.with(StateWord::retire);
        self.open = false;
        self.linked = false;
    }

    fn rest(&mut self) -> bool {
        self.with(|w| w.rest(PARKED, READY | RDHUP)) == Rest::Resting
    }
}

impl World {
    fn new(broken: Broken) -> Self {
        Self {
            broken,
            a: Side::new(PARKED, true),
            b: Side::new(MOVING, false),
            input: 0,
            fin: false,
            to_send: 2,
            answered: 0,
            taken: 0,
            mover: Mover::Idle,
            receiver: Receiver::Waits,
            late: false,
            timed_out: false,
            reused: false,
        }
    }

    fn side(&mut self, first: bool) -> &mut Side {
        if first { &mut self.a } else { &mut self.b }
    }

    /// What the socket would be reported for.
    fn holds(&self) -> u64 {
        let ready = if self.input > 0 || self.fin { READY } else { 0 };
        ready | if self.fin { RDHUP } else { 0 }
    }

    fn announce(&mut self, edges: u64) {
        for side in [&mut self.a, &mut self.b] {
            if side.registered {
                side.edge |= edges;
            }
        }
    }

    /// A descriptor is closed: the last one takes its registrations along.
    fn close(&mut self, first: bool) {
        self.side(first).retire();
        if !self.a.open && !self.b.open && self.mover != Mover::Sent {
            for side in [&mut self.a, &mut self.b] {
                side.registered = false;
                side.edge = 0;
            }
        }
    }

    fn mover_holds(&self) -> bool {
        !matches!(self.mover, Mover::Idle | Mover::Relinks | Mover::Over)
    }

    /// The next world, if the step can be taken; an error if a rule is broken by it.
    fn step(&self, step: Step) -> Result<Option<Self>, &'static str> {
        let mut w = self.clone();
        let can = match step {
            Step::Speak => {
                let can = w.to_send > 0 && !w.fin;
                if can {
                    w.to_send -= 1;
                    w.input += 1;
                    w.announce(READY);
                }
                can
            }
            Step::Finish => {
                let can = !w.fin && w.to_send == 0;
                w.fin = true;
                w.announce(READY | RDHUP);
                can
            }
            Step::Harvest(first) => {
                let side = w.side(first);
                let can = side.edge != 0 && side.harvested.is_none();
                if can {
                    side.harvested = Some(std::mem::take(&mut side.edge));
                }
                can
            }
            Step::Look(first) => w.look(first)?,
            Step::Work(first) => w.work(first)?,
            Step::Clock => !std::mem::replace(&mut w.late, true),
            Step::Tick => w.tick()?,
            Step::Move => w.go()?,
            Step::Receive => w.receive()?,
            Step::Crash => {
                let can = matches!(w.receiver, Receiver::Waits | Receiver::Adopted);
                w.receiver = Receiver::Crashed;
                w.b.open = false;
                w.b.registered = false;
                can
            }
            Step::Reuse => {
                let can = w.a.word == 0 && !w.reused;
                if can {
                    w.reused = true;
                    let same = w.broken == Broken::SameGeneration;
                    let generation = if same { GENERATION } else { NEXT };
                    w.a.with(|word| word.publish(generation, 0, PARKED));
                }
                can
            }
        };
        Ok(can.then_some(w))
    }

    /// A worker looks at edges it has harvested.
    fn look(&mut self, first: bool) -> Result<bool, &'static str> {
        let reused = self.reused && first;
        let side = self.side(first);
        let Some(edges) = side.harvested.take() else {
            return Ok(false);
        };
        match side.with(|w| w.readiness(GENERATION, 0, edges)) {
            Readiness::Claimed(_) if reused => {
                return Err("a late event claims another connection");
            }
            Readiness::Claimed(_) if side.worker != Worker::Free => return Err("claimed twice"),
            Readiness::Claimed(_) => side.worker = Worker::Reads,
            Readiness::Wake(_) => return Err("nobody waits"),
            Readiness::Recorded | Readiness::Stale => {}
        }
        Ok(true)
    }

    /// A worker serves the connection it has claimed.
    fn work(&mut self, first: bool) -> Result<bool, &'static str> {
        match self.side(first).worker {
            Worker::Free => Ok(false),
            Worker::Reads => {
                if first && self.mover_holds() {
                    return Err("read under the mover's hands");
                }
                if self.a.worker != Worker::Free && self.b.worker != Worker::Free {
                    return Err("both processes serve it");
                }
                self.answered += std::mem::take(&mut self.input);
                if self.fin {
                    self.side(first).worker = Worker::Free;
                    self.close(first);
                } else {
                    self.side(first).worker = Worker::Rests;
                }
                Ok(true)
            }
            Worker::Rests => {
                let relinks = self.side(first);
                if relinks.rest() {
                    relinks.worker = Worker::Free;
                    relinks.linked = true;
                } else {
                    relinks.worker = Worker::Reads;
                }
                Ok(true)
            }
        }
    }

    /// The wheel of the first process looks at the slot.
    fn tick(&mut self) -> Result<bool, &'static str> {
        if !self.late || !self.a.linked || self.reused {
            return Ok(false);
        }
        self.a.linked = false;
        let seen = Snapshot(self.a.word);
        if seen.has(ACTIVE | MOVING) {
            return Ok(true);
        }
        if self.a.with(|w| w.expire(GENERATION, 0)).is_some() {
            if self.mover_holds() {
                return Err("a deadline closes under the mover's hands");
            }
            self.timed_out = true;
            self.close(true);
        }
        Ok(true)
    }

    /// The mover goes on.
    fn go(&mut self) -> Result<bool, &'static str> {
        self.mover = match self.mover {
            Mover::Idle if self.reused => return Ok(false),
            Mover::Idle if self.broken == Broken::NoCompare => {
                self.a.word = Snapshot::new(GENERATION, 0, MOVING).0;
                Mover::Took
            }
            Mover::Idle => match self.a.with(|w| w.depart(GENERATION)) {
                Some(_) => Mover::Took,
                None => return Ok(false),
            },
            Mover::Took => {
                if self.broken != Broken::NoDelete {
                    self.a.registered = false;
                    self.a.edge = 0;
                }
                Mover::Deleted
            }
            Mover::Deleted => Mover::Sent,
            Mover::Sent => match self.receiver {
                Receiver::Crashed => Mover::Lands,
                Receiver::Acknowledged | Receiver::Added | Receiver::Serves => {
                    if self.broken == Broken::NoRetire {
                        self.a.word = Snapshot::new(GENERATION, 0, PARKED).0;
                    } else {
                        self.mover = Mover::Over;
                        self.close(true);
                    }
                    Mover::Over
                }
                Receiver::Waits | Receiver::Adopted => return Ok(false),
            },
            Mover::Lands => {
                self.a.with(StateWord::land);
                Mover::Adds
            }
            Mover::Adds => {
                if self.broken != Broken::NoAdd {
                    self.a.registered = true;
                    self.a.edge = self.holds();
                }
                Mover::Rests
            }
            Mover::Rests => {
                if self.a.rest() {
                    Mover::Relinks
                } else {
                    self.a.with(|w| w.mark(0, READY | WREADY | RDHUP));
                    Mover::Adds
                }
            }
            Mover::Relinks => {
                let mine = Snapshot(self.a.word).generation() == GENERATION && !self.reused;
                if mine && self.broken != Broken::NoRelink {
                    self.a.linked = true;
                }
                Mover::Over
            }
            Mover::Over => return Ok(false),
        };
        Ok(true)
    }

    /// The receiver goes on.
    fn receive(&mut self) -> Result<bool, &'static str> {
        let early = self.broken == Broken::EarlyRead;
        self.receiver = match self.receiver {
            Receiver::Waits if self.mover == Mover::Sent => {
                self.b.open = true;
                if early {
                    self.taken = std::mem::take(&mut self.input);
                }
                Receiver::Adopted
            }
            Receiver::Adopted => {
                self.answered += std::mem::take(&mut self.taken);
                Receiver::Acknowledged
            }
            Receiver::Acknowledged => {
                self.b.with(StateWord::land);
                self.b.registered = true;
                self.b.edge = self.holds();
                Receiver::Added
            }
            Receiver::Added => {
                if self.b.rest() {
                    self.b.linked = true;
                    Receiver::Serves
                } else {
                    self.b.with(|w| w.mark(0, READY | WREADY | RDHUP));
                    self.b.edge = self.holds();
                    Receiver::Added
                }
            }
            Receiver::Waits | Receiver::Serves | Receiver::Crashed => return Ok(false),
        };
        Ok(true)
    }

    /// Nobody has anything to do any more.
    fn check_end(&self) -> Result<(), &'static str> {
        if self.timed_out {
            return Ok(());
        }
        if self.answered != 2 {
            return Err("a request is lost");
        }
        if self.a.open || self.b.open {
            return Err("the peer's end is not seen");
        }
        Ok(())
    }

    /// What holds at any time.
    fn check(&self) -> Result<(), &'static str> {
        if self.a.registered && !self.a.open {
            return Err("a registration outlives its descriptor");
        }
        let seen = Snapshot(self.a.word);
        let rests = seen.at_rest() && !self.reused && self.mover == Mover::Over;
        if rests && !self.a.linked && self.a.worker == Worker::Free {
            return Err("a connection at rest has lost its deadline");
        }
        Ok(())
    }
}

/// Visits every world; the first rule that is broken, and how.
fn explore(broken: Broken) -> Result<usize, (&'static str, Vec<Step>)> {
    let mut seen = HashSet::new();
    let mut open = vec![(World::new(broken), Vec::new())];
    while let Some((world, path)) = open.pop() {
        let mut stuck = true;
        for step in STEPS {
            let then = |mut path: Vec<Step>| {
                path.push(step);
                path
            };
            match world.step(step) {
                Err(why) => return Err((why, then(path))),
                Ok(None) => {}
                Ok(Some(next)) => {
                    // A deadline that saves a lost request saves nothing.
                    stuck &= matches!(step, Step::Clock | Step::Tick);
                    if let Err(why) = next.check() {
                        return Err((why, then(path)));
                    }
                    if seen.insert(next.clone()) {
                        open.push((next, then(path.clone())));
                    }
                }
            }
        }
        if stuck && let Err(why) = world.check_end() {
            return Err((why, path));
        }
    }
    Ok(seen.len())
}

#[test]
fn no_order_of_events_loses_or_doubles_a_request() {
    match explore(Broken::Nothing) {
        Ok(worlds) => assert!(worlds > 1_000, "{worlds} worlds are not all"),
        Err((why, path)) => panic!("{why}: {path:?}"),
    }
}

#[test]
fn every_broken_rule_is_missed() {
    for broken in [
        Broken::NoCompare,
        Broken::NoDelete,
        Broken::SameGeneration,
        Broken::NoRetire,
        Broken::EarlyRead,
        Broken::NoAdd,
        Broken::NoRelink,
    ] {
        let found = explore(broken);
        assert!(found.is_err(), "{broken:?} goes unnoticed: {found:?}");
    }
}
