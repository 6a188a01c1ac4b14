//! Models for loom of handing work over while reserves go to sleep and take over each other's duties.
#![allow(clippy::unwrap_used, reason = "for tests only")]

use super::{Duties, Duty};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex, Notify};
use loom::thread;

const WORK: usize = 2;

/// Two reserves that sleep where a wake before the sleep is kept, as a thread's token and a pollset's descriptor are.
struct World {
    duties: Mutex<Duties<u32>>,
    beds: [Notify; 2],
    done: AtomicUsize,
}

impl World {
    fn wake(&self, seat: Option<usize>) {
        if let Some(seat) = seat {
            self.beds[seat].notify();
        }
    }

    fn submit(&self, work: u32) -> bool {
        let wake = self.duties.lock().unwrap().submit(work);
        wake.map(|seat| self.wake(seat)).is_ok()
    }

    /// The life of a reserve. `runs`: its first wake has handlers for it to run, as a helper's may.
    fn live(&self, seat: usize, mut runs: bool) {
        loop {
            let (duty, wake) = self.duties.lock().unwrap().next(seat);
            self.wake(wake);
            match duty {
                Duty::Work(_) => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                }
                Duty::Watch | Duty::Rest => {
                    self.beds[seat].wait();
                    let runs = std::mem::take(&mut runs);
                    let wake = self.duties.lock().unwrap().awake(seat, runs);
                    self.wake(wake);
                }
                Duty::End => break,
            }
        }
    }
}

fn model(runs: bool) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let mut duties = Duties::default();
        duties.threads = 2;
        let world = Arc::new(World {
            duties: Mutex::new(duties),
            beds: [Notify::new(), Notify::new()],
            done: AtomicUsize::new(0),
        });
        let reserves = [0, 1].map(|seat| {
            let world = world.clone();
            thread::spawn(move || world.live(seat, runs))
        });
        for work in 0..WORK {
            assert!(world.submit(work as u32));
        }
        // What was handed over before the end is still done.
        world.duties.lock().unwrap().close();
        world.beds.iter().for_each(Notify::notify);
        for reserve in reserves {
            reserve.join().unwrap();
        }
        assert_eq!(world.done.load(Ordering::Relaxed), WORK);
        assert!(!world.submit(9), "nobody is left to do it");
    });
}

/// Loom ends with an error if a reserve sleeps for ever, or if work is left when all have ended.
#[test]
fn models_work_is_done_by_reserves_that_go_to_sleep() {
    model(false);
}

/// The same while whoever is woken has something else to run first: the work goes to the other one, if that sleeps.
#[test]
fn models_work_is_done_though_the_one_that_is_woken_has_to_run_something() {
    model(true);
}

/// Without an end that wakes everybody: work that is handed over wakes somebody who does it.
#[test]
fn models_a_wake_reaches_somebody_who_does_the_work() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let mut duties = Duties::default();
        duties.threads = 1;
        let world = Arc::new(World {
            duties: Mutex::new(duties),
            beds: [Notify::new(), Notify::new()],
            done: AtomicUsize::new(0),
        });
        let reserve = {
            let world = world.clone();
            thread::spawn(move || {
                while world.done.load(Ordering::Relaxed) < WORK {
                    let (duty, _) = world.duties.lock().unwrap().next(0);
                    match duty {
                        Duty::Work(_) => {
                            world.done.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => {
                            world.beds[0].wait();
                            world.duties.lock().unwrap().awake(0, false);
                        }
                    }
                }
            })
        };
        for work in 0..WORK {
            assert!(world.submit(work as u32));
        }
        reserve.join().unwrap();
    });
}
