//! A model for loom: an owner and a neighbour share a batch.
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests only")]

use super::Batch;
use crate::park::state::{ACTIVE, PARKED, RDHUP, READY, Readiness, Rest, Snapshot, StateWord};
use crate::reactor::{Event, IN, token};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

const GENERATION: u32 = 7;
const OWNER: u16 = 1;
const OTHER: u16 = 2;

fn word(flags: u64) -> Arc<StateWord> {
    Arc::new(StateWord::new(Snapshot::new(GENERATION, OWNER, flags)))
}

/// An owner goes through its batch while a neighbour takes from its end: every event is served, and what is taken is
/// served once, unless the owner has got there first: then the neighbour's copy is a look for nothing.
#[test]
fn models_a_batch_is_shared_without_loss() {
    loom::model(|| {
        let batch = Arc::new(Batch::<2>::default());
        let words = Arc::new([word(PARKED), word(PARKED)]);
        let served = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let serve = |words: &[Arc<StateWord>; 2], served: &[AtomicUsize; 2], at: usize, me| {
            if matches!(
                words[at].readiness(GENERATION, me, READY),
                Readiness::Claimed(_)
            ) {
                served[at].fetch_add(1, Ordering::Relaxed);
                while matches!(words[at].rest(PARKED, READY | RDHUP), Rest::Again(_)) {
                    served[at].fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let events = [0, 1].map(|at| Event {
            token: token(GENERATION, at),
            edges: IN,
        });
        batch.publish(&events);
        let thief = {
            let (batch, words, served) = (batch.clone(), words.clone(), served.clone());
            thread::spawn(move || {
                while let Some(event) = batch.take_last() {
                    serve(&words, &served, event.token as u32 as usize, OTHER);
                }
            })
        };
        for at in 0..2 {
            if !batch.is_taken(at) {
                serve(&words, &served, at, OWNER);
            }
        }
        batch.withdraw();
        thief.join().unwrap();
        for (word, served) in words.iter().zip(served.iter()) {
            let served = served.load(Ordering::Relaxed);
            assert!((1..=2).contains(&served), "{served}");
            let left = word.peek();
            assert!(left.has(PARKED) && !left.has(ACTIVE | READY), "{left:?}");
        }
    });
}
