//! Models for loom: every interleaving of the state word's and the harvest word's users, within the preemption bound.
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests only")]

use super::harvest::HarvestWord;
use super::state::{ACTIVE, PARKED, RDHUP, READY, Readiness, Rest, Snapshot, StateWord, WAITING};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

const GENERATION: u32 = 7;
const OWNER: u16 = 1;
const OTHER: u16 = 2;

fn word(flags: u64) -> Arc<StateWord> {
    Arc::new(StateWord::new(Snapshot::new(GENERATION, OWNER, flags)))
}

/// An edge that comes while the owner parks is never lost: either the owner is told to look again, or the harvester
/// claims the parked slot.
#[test]
fn models_park_against_readiness() {
    loom::model(|| {
        let state = word(ACTIVE);
        let harvester = {
            let state = state.clone();
            thread::spawn(move || state.readiness(GENERATION, OTHER, READY))
        };
        let rest = state.rest(PARKED, READY | RDHUP);
        let seen = harvester.join().unwrap();
        match seen {
            Readiness::Claimed(_) => assert_eq!(rest, Rest::Resting),
            Readiness::Recorded => {
                assert!(matches!(rest, Rest::Again(_)));
                let left = state.peek();
                assert!(
                    left.has(ACTIVE) && !left.has(PARKED | READY),
                    "still the owner's: {left:?}"
                );
            }
            other => panic!("the edge is lost: {other:?} {rest:?}"),
        }
    });
}

/// Two workers that harvest the same edge: one claims, the other only records.
#[test]
fn models_two_harvesters_one_claim() {
    loom::model(|| {
        let state = word(PARKED);
        let other = {
            let state = state.clone();
            thread::spawn(move || state.readiness(GENERATION, OTHER, READY))
        };
        let mine = state.readiness(GENERATION, OWNER, READY);
        let theirs = other.join().unwrap();
        let claims = [mine, theirs]
            .iter()
            .filter(|r| matches!(r, Readiness::Claimed(_)))
            .count();
        assert_eq!(claims, 1);
    });
}

/// Readiness, timeout and shutdown race for a parked slot: exactly one has it, and after it is retired a late event of
/// its generation claims nothing.
#[test]
fn models_timeout_against_readiness_and_close() {
    loom::model(|| {
        let state = word(PARKED);
        let winners = Arc::new(AtomicUsize::new(0));
        let late = {
            let (state, winners) = (state.clone(), winners.clone());
            thread::spawn(move || {
                if matches!(
                    state.readiness(GENERATION, OTHER, READY),
                    Readiness::Claimed(_)
                ) {
                    winners.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        if state.expire(GENERATION, OWNER).is_some() {
            winners.fetch_add(1, Ordering::Relaxed);
            state.retire();
        }
        late.join().unwrap();
        assert_eq!(winners.load(Ordering::Relaxed), 1);
        if state.peek() == Snapshot(0) {
            assert_eq!(state.readiness(GENERATION, OTHER, READY), Readiness::Stale);
        }
    });
}

/// A burst that is about to await input never sleeps through the edge.
#[test]
fn models_wait_against_readiness() {
    loom::model(|| {
        let state = word(ACTIVE);
        let harvester = {
            let state = state.clone();
            thread::spawn(move || state.readiness(GENERATION, OTHER, READY))
        };
        let slept = state.wait_for(READY | RDHUP, false).is_ok();
        let seen = harvester.join().unwrap();
        assert_eq!(slept, seen == Readiness::Wake(OWNER), "{seen:?}");
        assert!(
            !(slept && state.peek().has(WAITING)),
            "awake, but the flag is still up"
        );
    });
}

/// The datum of a park (a deadline, a cold part) is seen by whoever claims next.
#[test]
fn models_a_claim_sees_what_the_park_left() {
    loom::model(|| {
        let state = word(ACTIVE);
        let datum = Arc::new(AtomicUsize::new(0));
        let harvester = {
            let (state, datum) = (state.clone(), datum.clone());
            thread::spawn(move || {
                if let Readiness::Claimed(_) = state.readiness(GENERATION, OTHER, READY) {
                    assert_eq!(datum.load(Ordering::Relaxed), 1);
                }
            })
        };
        datum.store(1, Ordering::Relaxed);
        let _ = state.rest(PARKED, READY | RDHUP);
        harvester.join().unwrap();
    });
}

/// Owner and remote waker, with a rescuer beside them: a message that was pushed is either seen by the owner before it
/// sleeps, or the wake descriptor is written. A wake that the rescuer swallows is not reached here (it is written only
/// while the owner polls, and then nobody harvests): the worker tests cover it.
#[test]
fn models_no_wake_is_slept_through() {
    loom::model(|| {
        let harvest = Arc::new(HarvestWord::new());
        let inbox = Arc::new(AtomicBool::new(false));
        let descriptor = Arc::new(AtomicBool::new(false));
        let waker = {
            let (harvest, inbox, descriptor) = (harvest.clone(), inbox.clone(), descriptor.clone());
            thread::spawn(move || {
                inbox.store(true, Ordering::Release);
                if harvest.must_wake() {
                    descriptor.store(true, Ordering::Release);
                }
            })
        };
        let rescuer = {
            let (harvest, descriptor) = (harvest.clone(), descriptor.clone());
            thread::spawn(move || {
                if harvest.try_harvest(OTHER) {
                    let swallowed = descriptor.swap(false, Ordering::AcqRel);
                    harvest.release();
                    if swallowed {
                        descriptor.store(true, Ordering::Release);
                    }
                }
            })
        };
        // One attempt to sleep; finding the set harvested, the owner does local work and comes back later.
        let asleep = harvest.enter_poll() && !inbox.load(Ordering::Acquire);
        waker.join().unwrap();
        rescuer.join().unwrap();
        if asleep {
            assert!(
                descriptor.load(Ordering::Acquire),
                "asleep with a message in the inbox"
            );
        }
        harvest.leave_poll();
    });
}
