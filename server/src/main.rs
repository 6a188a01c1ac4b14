//! The Parkade HTTP server.
//!
//! `cli` reads the command line, `settings` the configuration and the accounts in it; `supervisor` opens listeners,
//! forks and watches children and never touches a request; `control` is how it speaks with a `child`, which drops privileges and runs the workers; `site`
//! answers requests; `scoreboard` is what all processes know of each other; `log` writes the error log and the access logs; `crash` is
//! what a process in ruins still does.

#[cfg(test)]
mod allocations;
mod child;
mod cli;
mod control;
mod crash;
mod log;
mod scoreboard;
mod settings;
mod site;
mod supervisor;

use cli::Command;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match cli::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprint!("parkade: {message}\n{}", cli::USAGE);
            return ExitCode::FAILURE;
        }
    };
    match options.command {
        Command::Usage => {
            eprint!("{}", cli::USAGE);
            ExitCode::FAILURE
        }
        Command::Version => {
            println!("Server version: {}", cli::VERSION);
            ExitCode::SUCCESS
        }
        Command::BuildSettings => {
            print!("{}", cli::build_settings());
            ExitCode::SUCCESS
        }
        Command::Test | Command::Run | Command::Signal(_) => run(&options),
    }
}

fn run(options: &cli::Options) -> ExitCode {
    let settings = match settings::load(options) {
        Ok((settings, notes)) => {
            for note in notes {
                eprintln!("{note}");
            }
            settings
        }
        Err(errors) => {
            for error in errors {
                eprintln!("{error}");
            }
            return ExitCode::FAILURE;
        }
    };
    let done = match options.command {
        Command::Test => {
            eprintln!("Syntax OK");
            Ok(())
        }
        Command::Signal(signal) => match supervisor::pidfile::signal(&settings, signal) {
            Ok(true) => Ok(()),
            Ok(false) => {
                println!("parkade not running, trying to start");
                let mut options = options.clone();
                options.detach = options.may_detach();
                supervisor::run(&options, settings)
            }
            Err(e) => Err(e),
        },
        _ => supervisor::run(options, settings),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("parkade: {e}");
            ExitCode::FAILURE
        }
    }
}
