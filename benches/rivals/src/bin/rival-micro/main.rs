//! What small things cost on several runtimes: `rival-micro [--rounds N] [--short]`.
//!
//! `contestants` are the runtimes, `measures` what each of them does, `rounds` lets them take turns and `table` prints
//! what came of it.

#[path = "../../../../benches/micro/operations/baton.rs"]
mod baton;
mod contestants;
mod measures;
mod rounds;
// The bench's own, so that both mean the same by a median.
#[path = "../../../../src/stats.rs"]
mod stats;
mod table;

use lexopt::prelude::*;

/// What it is told.
struct Options {
    rounds: usize,
    /// What the work is divided by.
    divisor: u64,
}

fn main() {
    let options = parse(lexopt::Parser::from_env()).unwrap_or_else(|e| {
        eprintln!("{e}; usage: rival-micro [--rounds N] [--short]");
        std::process::exit(2)
    });
    println!("{} rounds; nanoseconds, median [95 %]", options.rounds);
    for measure in &measures::ALL {
        let found = rounds::run(measure, &options);
        print!("{}", table::text(measure, &found));
    }
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options {
        rounds: 15,
        divisor: 1,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            // To see that it runs; its figures mean nothing.
            Long("short") => options.divisor = 100,
            other => return Err(other.unexpected()),
        }
    }
    if !(1..=1000).contains(&options.rounds) {
        return Err("--rounds goes from 1 to 1000".into());
    }
    Ok(options)
}
