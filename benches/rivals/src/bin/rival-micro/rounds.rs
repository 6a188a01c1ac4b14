//! Everyone in turn, round by round, so that what disturbs the machine disturbs all.

use crate::Options;
use crate::contestants::{ALL, Contestant};
use crate::measures::Measure;

/// What one contestant needed in each round, in nanoseconds for one time.
pub(crate) struct Found {
    pub(crate) name: &'static str,
    pub(crate) each: Vec<f64>,
}

/// All rounds of one measure, and one before them that does not count.
pub(crate) fn run(measure: &Measure, options: &Options) -> Vec<Found> {
    let times = (measure.times / options.divisor).max(2);
    let mut found: Vec<Found> = ALL
        .iter()
        .map(|contestant| Found {
            name: contestant.name,
            each: Vec::new(),
        })
        .collect();
    for round in 0..=options.rounds {
        for n in 0..ALL.len() {
            // Nobody is always the one after the slowest.
            let n = (n + round) % ALL.len();
            let each = time(&ALL[n], measure, times);
            if round > 0 {
                found[n].each.push(each);
            }
        }
    }
    found
}

/// On a thread of its own: contestants pin theirs.
fn time(contestant: &Contestant, measure: &Measure, times: u64) -> f64 {
    let run = (measure.of)(contestant);
    let took = std::thread::spawn(move || run(times)).join();
    took.expect("a contestant ends well").as_nanos() as f64 / times as f64
}
