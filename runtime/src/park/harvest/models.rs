//! Models for loom: every interleaving of the harvest word's users, within the preemption bound.
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests only")]

use super::{Entry, HarvestWord, Refused};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

const OTHER: u16 = 2;

/// Owner, remote waker and rescuer: an owner that sleeps with a message it has not seen has its descriptor written.
/// The owner is turned away while it is harvested, does local work and tries again; a first wait may end for another
/// reason, and the rescuer then take the wake out. Messages are safe without any care for that wake, as the owner looks
/// at its inbox between POLLING and sleep every time; the next model is about the wake itself.
#[test]
fn models_no_wake_is_slept_through() {
    loom::model(|| {
        let harvest = Arc::new(HarvestWord::new());
        let inbox = Arc::new(AtomicBool::new(false));
        let descriptor = Arc::new(AtomicBool::new(false));
        let waker = {
            let (harvest, inbox, descriptor) = (harvest.clone(), inbox.clone(), descriptor.clone());
            thread::spawn(move || {
                // As weak as the protocol allows: only the fences order the two looks.
                inbox.store(true, Ordering::Relaxed);
                if harvest.must_wake() {
                    descriptor.store(true, Ordering::Release);
                }
            })
        };
        let rescuer = {
            let (harvest, descriptor) = (harvest.clone(), descriptor.clone());
            thread::spawn(move || {
                if let Ok(mine) = harvest.try_harvest(OTHER, harvest.look().turn()) {
                    let swallowed = descriptor.swap(false, Ordering::AcqRel);
                    harvest.release(mine, swallowed);
                }
            })
        };
        let mut asleep = false;
        for attempt in 0..2 {
            let entry = harvest.enter_poll();
            if entry == Entry::Harvested {
                continue;
            }
            asleep = entry == Entry::Polling && !inbox.load(Ordering::Relaxed);
            if attempt == 0 || !asleep {
                // The first wait ends for another reason.
                harvest.leave_poll();
                asleep = false;
            }
        }
        waker.join().unwrap();
        rescuer.join().unwrap();
        if asleep {
            assert!(
                descriptor.load(Ordering::Acquire),
                "asleep with a message in the inbox"
            );
        }
    });
}

/// A wake without a message that two rescuers may take out of the pollset, one after the other: the owner's next wait
/// finds it there, or does not sleep.
#[test]
fn models_a_harvested_wake_is_still_the_owners() {
    loom::model(|| {
        let harvest = Arc::new(HarvestWord::new());
        let descriptor = Arc::new(AtomicBool::new(true));
        let turn = harvest.look().turn();
        let rescuers: Vec<_> = [OTHER, OTHER + 1]
            .into_iter()
            .map(|me| {
                let (harvest, descriptor) = (harvest.clone(), descriptor.clone());
                thread::spawn(move || {
                    if let Ok(mine) = harvest.try_harvest(me, turn) {
                        let swallowed = descriptor.swap(false, Ordering::AcqRel);
                        harvest.release(mine, swallowed);
                    }
                })
            })
            .collect();
        let woken = loop {
            match harvest.enter_poll() {
                Entry::Harvested => thread::yield_now(),
                Entry::Woken => break true,
                Entry::Polling => break descriptor.swap(false, Ordering::AcqRel),
            }
        };
        assert!(woken, "the owner sleeps through its wake");
        for rescuer in rescuers {
            rescuer.join().unwrap();
        }
    });
}

/// Only one thread at a time takes events out of a pollset, and no neighbour does in a turn in which it has not found
/// the owner stuck.
#[test]
fn models_a_pollset_has_one_harvester_and_only_in_the_stuck_turn() {
    loom::model(|| {
        let harvest = Arc::new(HarvestWord::new());
        let inside = Arc::new(AtomicBool::new(false));
        let turn = harvest.look().turn();
        // Set once the owner has left the turn for good.
        let moved = Arc::new(AtomicBool::new(false));
        let rescuers: Vec<_> = [OTHER, OTHER + 1]
            .into_iter()
            .map(|me| {
                let (harvest, inside, moved) = (harvest.clone(), inside.clone(), moved.clone());
                thread::spawn(move || {
                    let late = moved.load(Ordering::Acquire);
                    match harvest.try_harvest(me, turn) {
                        Ok(mine) => {
                            assert!(!late, "the owner is in another turn");
                            assert!(!inside.swap(true, Ordering::Relaxed), "two at once");
                            inside.store(false, Ordering::Relaxed);
                            harvest.release(mine, false);
                        }
                        Err(refused) => assert!(!late || refused == Refused::Moved),
                    }
                })
            })
            .collect();
        while harvest.enter_poll() == Entry::Harvested {
            thread::yield_now();
        }
        assert!(!inside.swap(true, Ordering::Relaxed), "two at once");
        inside.store(false, Ordering::Relaxed);
        harvest.leave_poll();
        moved.store(true, Ordering::Release);
        for rescuer in rescuers {
            rescuer.join().unwrap();
        }
    });
}

/// A monitor that goes to sleep while an owner leaves its wait: it is told of that turn or of the next, and once.
#[test]
fn models_no_turn_goes_past_a_sleeping_monitor() {
    loom::model(|| {
        let harvest = Arc::new(HarvestWord::new());
        assert_eq!(harvest.enter_poll(), Entry::Polling);
        let monitor = {
            let harvest = harvest.clone();
            thread::spawn(move || harvest.arm())
        };
        let mut woken = usize::from(harvest.leave_poll());
        assert_eq!(harvest.enter_poll(), Entry::Polling);
        woken += usize::from(harvest.leave_poll());
        let asleep = monitor.join().unwrap();
        assert_eq!(woken, usize::from(asleep), "asleep: {asleep}");
        assert!(harvest.look().busy());
    });
}
