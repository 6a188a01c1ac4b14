//! One suite for every backend that this machine can run: random scripts of what clients, neighbours and signals do, over
//! real sockets, and a model of what each client may hear. A script that fails is cut down to what is needed for it;
//! `CONFORMANCE_SEED` repeats a run, `CONFORMANCE_CASES` makes it longer.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod conformance {
    pub(crate) mod client;
    pub(crate) mod service;
    pub(crate) mod signals;
    pub(crate) mod world;
}

use conformance::world::{Step, World, backends, settled_descriptors};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::sync::{Mutex, PoisonError};

/// From the environment, or what is usual.
fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

fn run(script: &[Step]) {
    // Descriptors are counted: one script at a time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for backend in backends() {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let before = settled_descriptors(None);
            let mut world = World::new(backend);
            for step in script {
                world.take(*step);
            }
            world.end();
            settled_descriptors(Some(before));
        }));
        if let Err(why) = ran {
            eprintln!("with {backend}:");
            std::panic::resume_unwind(why);
        }
    }
}

#[test]
fn whatever_happens_clients_hear_the_same_over_every_backend() {
    let seed = match number("CONFORMANCE_SEED", 0) {
        0 => RngSeed::Random,
        seed => RngSeed::Fixed(seed),
    };
    let config = ProptestConfig {
        cases: number("CONFORMANCE_CASES", 24) as u32,
        max_shrink_iters: 200,
        failure_persistence: None,
        rng_seed: seed,
        ..ProptestConfig::default()
    };
    proptest!(config, |(script in prop::collection::vec(Step::any(), 1..40))| run(&script));
}

/// More connections than a batch has, all ready at once, and what is in flight when the runtime goes.
#[test]
fn a_full_array_of_events_and_an_end_in_the_middle_of_it() {
    use conformance::service::Verb;
    run(&[
        Step::Crowd(150),
        Step::AskAll(Verb::Echo),
        Step::HearAll,
        Step::AskAll(Verb::Sleep),
        Step::Interrupt,
        Step::HearAll,
        Step::AskAll(Verb::Large),
        Step::HearAll,
        Step::AskAll(Verb::Never),
    ]);
}
