//! `parkade-chaos`: lets everything go wrong around a server, by a seed, and checks what its clients see.
//!
//! Exit code 0: all was as it must be; 1: it was not; 2: the command line, or the server did not start.

use parkade_tests::chaos::{Options, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(e) => {
            eprintln!("parkade-chaos: {e}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("parkade-chaos: {e}");
            ExitCode::from(2)
        }
    }
}
