//! Models for loom: every interleaving of the state word's users, within the preemption bound. Those of the harvest word and
//! of shared batches stand beside them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests only")]

use super::harvest::{Entry, HarvestWord};
use super::state::{
    ACTIVE, CLOSING, MOVING, PARKED, RDHUP, READY, Readiness, Rest, Snapshot, StateWord, UNPARK,
    WAITING, WREADY, WRITING,
};
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
use loom::sync::{Arc, Mutex};
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
        // The edge of the other one is still announced: the claimer reads, or is told to look again.
        assert!(
            [mine, theirs].contains(&Readiness::Recorded),
            "{mine:?} {theirs:?}"
        );
        assert!(state.peek().has(READY));
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

/// An event in the batch of a stuck owner: its neighbour claims it, serves it and parks the connection again, while the
/// owner gets to its own copy. Each copy is a claim, a mark for whoever has the connection, or a look for nothing; the
/// edge is seen, and nobody is left holding the slot.
#[test]
fn models_a_hostage_is_served_by_owner_or_rescuer() {
    loom::model(|| {
        let state = word(PARKED);
        let served = Arc::new(AtomicUsize::new(0));
        let serve = |state: &StateWord, served: &AtomicUsize, me| {
            if matches!(
                state.readiness(GENERATION, me, READY),
                Readiness::Claimed(_)
            ) {
                served.fetch_add(1, Ordering::Relaxed);
                while matches!(state.rest(PARKED, READY | RDHUP), Rest::Again(_)) {
                    served.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let rescuer = {
            let (state, served) = (state.clone(), served.clone());
            thread::spawn(move || {
                if state.peek().at_rest() {
                    serve(&state, &served, OTHER);
                }
            })
        };
        serve(&state, &served, OWNER);
        rescuer.join().unwrap();
        let served = served.load(Ordering::Relaxed);
        assert!((1..=2).contains(&served), "{served}");
        let left = state.peek();
        assert!(left.has(PARKED) && !left.has(ACTIVE | READY), "{left:?}");
    });
}

/// An owner that closes its claimed slot, which is then used again: a late event of the old generation neither brings
/// the word back nor touches the new connection.
#[test]
fn models_close_and_reuse_against_a_late_event() {
    loom::model(|| {
        let state = word(ACTIVE | WAITING);
        let late = {
            let state = state.clone();
            thread::spawn(move || state.readiness(GENERATION, OTHER, READY | RDHUP))
        };
        state.retire();
        state.publish(GENERATION + 1, OWNER, PARKED);
        let seen = late.join().unwrap();
        assert!(
            matches!(seen, Readiness::Stale | Readiness::Wake(OWNER)),
            "{seen:?}"
        );
        assert_eq!(state.peek(), Snapshot::new(GENERATION + 1, OWNER, PARKED));
    });
}

/// A FIN that is announced while the owner parks is not lost, and stays known: it never comes twice.
#[test]
fn models_park_against_fin() {
    loom::model(|| {
        let state = word(ACTIVE);
        let harvester = {
            let state = state.clone();
            thread::spawn(move || state.readiness(GENERATION, OTHER, RDHUP))
        };
        let rest = state.rest(PARKED, READY | RDHUP);
        match harvester.join().unwrap() {
            Readiness::Claimed(_) => assert_eq!(rest, Rest::Resting),
            Readiness::Recorded => assert!(matches!(rest, Rest::Again(_))),
            other => panic!("the end is lost: {other:?}"),
        }
        let left = state.peek();
        assert!(left.has(RDHUP) && left.has(ACTIVE) && !left.has(PARKED));
    });
}

/// An output that is laid to rest while its socket becomes writable is taken up again, and the next request, which came
/// meanwhile, is remembered for the park.
#[test]
fn models_write_against_output_and_input_edges() {
    loom::model(|| {
        let state = word(ACTIVE);
        let harvesters: Vec<_> = [WREADY, READY]
            .into_iter()
            .map(|edge| {
                let state = state.clone();
                thread::spawn(move || state.readiness(GENERATION, OTHER, edge))
            })
            .collect();
        let rest = state.rest(WRITING, WREADY);
        let seen: Vec<_> = harvesters.into_iter().map(|h| h.join().unwrap()).collect();
        let claims = seen
            .iter()
            .filter(|s| matches!(s, Readiness::Claimed(_)))
            .count();
        match rest {
            Rest::Resting => assert_eq!(claims, 1, "{seen:?}"),
            Rest::Again(_) => assert_eq!(claims, 0, "{seen:?}"),
        }
        let left = state.peek();
        assert!(left.has(ACTIVE) && left.has(READY), "{left:?}");
    });
}

/// A timed wait: deadline and edge wake the burst exactly once, and the edge is there when the burst looks.
#[test]
fn models_expiry_of_a_wait_against_readiness() {
    loom::model(|| {
        let state = word(ACTIVE);
        assert!(state.wait_for(READY | RDHUP, true).is_ok());
        let harvester = {
            let state = state.clone();
            thread::spawn(move || state.readiness(GENERATION, OTHER, READY))
        };
        let expired = state.expire_wait(GENERATION);
        let seen = harvester.join().unwrap();
        let wakes =
            usize::from(expired == Some(OWNER)) + usize::from(seen == Readiness::Wake(OWNER));
        assert_eq!(wakes, 1, "{expired:?} {seen:?}");
        let found = state.wait_for(READY | RDHUP, true).unwrap_err();
        assert!(found.has(READY), "the edge comes before the timeout");
        // The expiry stays for the next timed wait, and no park is refused or left waiting for it.
        assert_eq!(state.rest(PARKED, READY | RDHUP), Rest::Resting);
        assert_eq!(state.peek(), Snapshot::new(GENERATION, OWNER, PARKED));
    });
}

/// Park, timeout and readiness at once, and the timeout finds a renewed deadline: whoever has the slot in the end knows
/// of the edge.
#[test]
fn models_park_against_timeout_and_readiness() {
    loom::model(|| {
        let state = word(ACTIVE);
        let harvester = {
            let state = state.clone();
            thread::spawn(move || state.readiness(GENERATION, OTHER, READY))
        };
        let ticker = {
            let state = state.clone();
            thread::spawn(move || {
                let won = state.expire(GENERATION, OWNER).is_some();
                if won {
                    state.revive();
                }
                won
            })
        };
        let rest = state.rest(PARKED, READY | RDHUP);
        let (seen, revived) = (harvester.join().unwrap(), ticker.join().unwrap());
        let left = state.peek();
        assert!(
            left.has(ACTIVE) && !left.has(PARKED),
            "somebody has it: {left:?}"
        );
        let again = matches!(rest, Rest::Again(_));
        let claimed = matches!(seen, Readiness::Claimed(_));
        assert_eq!(
            usize::from(again) + usize::from(claimed) + usize::from(revived),
            1
        );
        assert!(
            again || claimed || left.has(READY),
            "the edge is lost: {seen:?}"
        );
    });
}

/// Park against a timeout that closes for good, with an event that comes late.
#[test]
fn models_park_against_timeout_and_close() {
    loom::model(|| {
        let state = word(ACTIVE);
        let ticker = {
            let state = state.clone();
            thread::spawn(move || {
                let won = state.expire(GENERATION, OWNER).is_some();
                if won {
                    state.retire();
                }
                won
            })
        };
        assert_eq!(state.rest(PARKED, READY | RDHUP), Rest::Resting);
        let seen = state.readiness(GENERATION, OTHER, READY);
        let closed = ticker.join().unwrap();
        let claimed = matches!(seen, Readiness::Claimed(_));
        assert!(claimed != closed, "{seen:?} {closed}");
        assert_eq!(state.peek() == Snapshot(0), closed);
    });
}

/// A neighbour links a connection that is due earlier than what the owner knows of, while the owner looks at its wheel
/// and goes to sleep. What the owner knows is stored under the wheel's lock, and the neighbour sends a message, not a
/// bare wake: the owner's wait ends in time, or it is woken.
#[test]
fn models_no_foreign_deadline_is_slept_through() {
    const EARLY: u32 = 1;
    const LATE: u32 = 9;
    loom::model(|| {
        let harvest = Arc::new(HarvestWord::new());
        let wheel = Arc::new(Mutex::new(LATE));
        // What an earlier look left: the wheel was due sooner than it is now.
        let sleeps_until = Arc::new(AtomicU32::new(EARLY));
        let inbox = Arc::new(AtomicBool::new(false));
        let descriptor = Arc::new(AtomicBool::new(false));
        let neighbour = {
            let (harvest, wheel, sleeps_until) =
                (harvest.clone(), wheel.clone(), sleeps_until.clone());
            let (inbox, descriptor) = (inbox.clone(), descriptor.clone());
            thread::spawn(move || {
                *wheel.lock().unwrap() = EARLY;
                if EARLY < sleeps_until.load(Ordering::Relaxed) {
                    inbox.store(true, Ordering::Relaxed);
                    if harvest.must_wake() {
                        descriptor.store(true, Ordering::Release);
                    }
                }
            })
        };
        // The owner's tick.
        let next_due = {
            let wheel = wheel.lock().unwrap();
            sleeps_until.store(*wheel, Ordering::Relaxed);
            *wheel
        };
        // Its next wait.
        assert_eq!(harvest.enter_poll(), Entry::Polling);
        let asleep = !inbox.load(Ordering::Relaxed);
        neighbour.join().unwrap();
        if asleep && next_due > EARLY {
            assert!(
                descriptor.load(Ordering::Acquire),
                "asleep until {next_due}, due at {EARLY}"
            );
        }
    });
}

/// A move, an event and a deadline at once: exactly one has the slot. What the mover gives away is used again under the
/// next generation, and no late event touches that.
#[test]
fn models_move_against_readiness_timeout_and_reuse() {
    loom::model(|| {
        let state = word(PARKED);
        let winners = Arc::new(AtomicUsize::new(0));
        let harvester = {
            let (state, winners) = (state.clone(), winners.clone());
            thread::spawn(move || {
                let seen = state.readiness(GENERATION, OTHER, READY);
                if matches!(seen, Readiness::Claimed(_)) {
                    winners.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let ticker = {
            let (state, winners) = (state.clone(), winners.clone());
            thread::spawn(move || {
                if state.expire(GENERATION, OTHER).is_some() {
                    winners.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let moved = state.depart(GENERATION).is_some();
        if moved {
            winners.fetch_add(1, Ordering::Relaxed);
            state.retire();
            state.publish(GENERATION + 1, OWNER, PARKED);
        }
        harvester.join().unwrap();
        ticker.join().unwrap();
        assert_eq!(winners.load(Ordering::Relaxed), 1);
        if moved {
            assert_eq!(state.peek(), Snapshot::new(GENERATION + 1, OWNER, PARKED));
        }
    });
}

/// A request that comes while a move fails: the event of the old registration may come at any time, that of the new one
/// after the registration. Whatever their order, the connection is claimed once and nobody is left waiting.
#[test]
fn models_failed_move_against_readiness() {
    loom::model(|| {
        let state = word(PARKED);
        let registered = Arc::new(AtomicBool::new(false));
        let harvester = {
            let (state, registered) = (state.clone(), registered.clone());
            thread::spawn(move || {
                let old = state.readiness(GENERATION, OTHER, READY);
                // The kernel reports once per registration.
                let reported = registered.swap(false, Ordering::AcqRel);
                let new = reported.then(|| state.readiness(GENERATION, OTHER, READY));
                [Some(old), new]
            })
        };
        let moved = state.depart(GENERATION).is_some();
        if moved {
            state.land();
            loop {
                registered.swap(true, Ordering::AcqRel);
                if state.rest(PARKED, READY | RDHUP) == Rest::Resting {
                    break;
                }
                state.mark(0, READY | WREADY | RDHUP);
            }
        }
        let mut seen = harvester.join().unwrap().to_vec();
        if registered.swap(false, Ordering::AcqRel) {
            seen.push(Some(state.readiness(GENERATION, OTHER, READY)));
        }
        let claims = seen.iter().flatten();
        let claims = claims.filter(|s| matches!(s, Readiness::Claimed(_)));
        assert_eq!(claims.count(), 1, "{moved} {seen:?}");
        let left = state.peek();
        assert!(left.has(ACTIVE) && !left.has(PARKED | MOVING), "{left:?}");
    });
}

/// The wheel comes by while a connection is away, and drops its link; whoever lays it back to rest sees that, or the
/// wheel sees it at rest.
#[test]
fn models_failed_move_keeps_the_deadline() {
    loom::model(|| {
        let state = word(PARKED);
        let linked = Arc::new(AtomicBool::new(true));
        let ticker = {
            let (state, linked) = (state.clone(), linked.clone());
            thread::spawn(move || {
                linked.store(false, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                if state.peek().has(ACTIVE | MOVING) {
                    return false;
                }
                state.expire(GENERATION, OWNER).is_some()
            })
        };
        if state.depart(GENERATION).is_some() {
            state.land();
            assert_eq!(state.rest(PARKED, READY | RDHUP), Rest::Resting);
            fence(Ordering::SeqCst);
            if !linked.load(Ordering::Relaxed) {
                linked.store(true, Ordering::Relaxed);
            }
        }
        let expired = ticker.join().unwrap();
        assert!(
            expired || linked.load(Ordering::Relaxed),
            "{:?}",
            state.peek()
        );
    });
}

/// An unpark, an event and a deadline race for a parked slot: exactly one has it. The unpark that does not is told to
/// whoever has, and survives the reads that use up an edge, up to the park; a connection that was closed and used again
/// is not touched.
#[test]
fn models_unpark_against_readiness_timeout_and_reuse() {
    loom::model(|| {
        let state = word(PARKED);
        let asker = {
            let state = state.clone();
            thread::spawn(move || state.unpark(GENERATION, OTHER))
        };
        let ticker = {
            let state = state.clone();
            thread::spawn(move || {
                let won = state.expire(GENERATION, OWNER).is_some();
                if won {
                    state.retire();
                    state.publish(GENERATION + 1, OWNER, PARKED);
                }
                won
            })
        };
        let event = state.readiness(GENERATION, OWNER, READY);
        let (asked, expired) = (asker.join().unwrap(), ticker.join().unwrap());
        let claims = [&asked, &event]
            .iter()
            .filter(|seen| matches!(seen, Readiness::Claimed(_)))
            .count();
        assert_eq!(
            claims + usize::from(expired),
            1,
            "{asked:?} {event:?} {expired}"
        );
        if expired {
            assert_eq!(state.peek(), Snapshot::new(GENERATION + 1, OWNER, PARKED));
            return;
        }
        // The burst reads everything, which uses an edge up.
        state.mark(0, READY);
        let rest = state.rest(PARKED, READY | RDHUP | UNPARK);
        match asked {
            Readiness::Recorded => assert!(matches!(rest, Rest::Again(_)), "the unpark is lost"),
            _ => assert_eq!(rest, Rest::Resting),
        }
    });
}

/// A burst finds nothing to say and parks while somebody has something for it: the unpark starts a burst, or the burst
/// is refused its park and looks again. What the asker has published is seen then.
#[test]
fn models_park_against_unpark() {
    loom::model(|| {
        let state = word(ACTIVE);
        let news = Arc::new(AtomicBool::new(false));
        let asker = {
            let (state, news) = (state.clone(), news.clone());
            thread::spawn(move || {
                news.store(true, Ordering::Relaxed);
                let asked = state.unpark(GENERATION, OTHER);
                matches!(asked, Readiness::Claimed(_))
            })
        };
        let seen = news.load(Ordering::Relaxed);
        state.mark(0, READY);
        let again = matches!(state.rest(PARKED, READY | RDHUP | UNPARK), Rest::Again(_));
        if again {
            assert!(news.load(Ordering::Relaxed), "looks again in vain");
        }
        let started = asker.join().unwrap();
        assert!(again != started, "{seen} {:?}", state.peek());
        assert!(!state.peek().has(UNPARK), "told once: {:?}", state.peek());
    });
}

/// A soft idle that begins while somebody asks never sleeps through it.
#[test]
fn models_idle_against_unpark() {
    loom::model(|| {
        let state = word(ACTIVE);
        let asker = {
            let state = state.clone();
            thread::spawn(move || state.unpark(GENERATION, OTHER))
        };
        let slept = state.wait_for(READY | RDHUP | UNPARK, true).is_ok();
        let asked = asker.join().unwrap();
        assert_eq!(slept, asked == Readiness::Wake(OWNER), "{asked:?}");
    });
}

/// Somebody asks while the connection is chosen to end, and its winner takes it up again, or while it is on its way to
/// another process and comes back: the next park is refused.
#[test]
fn models_unpark_against_a_close_or_a_move_that_is_taken_back() {
    for moved in [false, true] {
        loom::model(move || {
            let state = word(PARKED);
            let asker = {
                let state = state.clone();
                thread::spawn(move || state.unpark(GENERATION, OTHER))
            };
            let won = if moved {
                state.depart(GENERATION).is_some_and(|_| {
                    state.land();
                    true
                })
            } else {
                state.expire_parked(GENERATION, OWNER).is_some_and(|_| {
                    state.revive();
                    true
                })
            };
            let refused =
                won && matches!(state.rest(PARKED, READY | RDHUP | UNPARK), Rest::Again(_));
            let started = matches!(asker.join().unwrap(), Readiness::Claimed(_));
            assert!(refused != started, "{won} {:?}", state.peek());
            assert!(!state.peek().has(CLOSING | MOVING), "{:?}", state.peek());
        });
    }
}
