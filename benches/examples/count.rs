//! One of the micro benchmarks' operations, so many times and nothing else: for a program that counts instructions.
//!
//! `count NAME TIMES`; without arguments, the names.

#[path = "../benches/micro/operations/mod.rs"]
mod operations;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = &words[..] else {
        for operation in operations::ALL {
            println!("{}", operation.name);
        }
        return ExitCode::SUCCESS;
    };
    let found = operations::ALL.iter().find(|o| o.name == name);
    match (found, times.parse()) {
        (Some(operation), Ok(times)) => {
            (operation.run)(times);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("count: no operation `{name}`, or `{times}` is no number");
            ExitCode::from(2)
        }
    }
}
