//! The Parkade HTTP server.
//!
//! `cli` reads the command line, `settings` the configuration and the accounts in it; `report` says what its dumps ask
//! for, `preflight` what a start would fail at; `supervisor` opens listeners, forks and watches children and never touches
//! a request; `control` is how it speaks with a `child`, which drops privileges and runs the workers; `accept_mutex` is
//! what children take turns by; `site` answers requests; `scoreboard` is what all processes know of each other; `log`
//! writes the error log and the access logs; `crash` is what a process in ruins still does; `sys` is
//! what systems do differently.

mod accept_mutex;
#[cfg(all(test, target_os = "linux"))]
mod allocations;
mod child;
mod cli;
mod control;
mod crash;
mod log;
mod owned;
mod preflight;
mod report;
mod scoreboard;
mod settings;
mod shared;
mod site;
mod supervisor;
mod sys;

use cli::Command;
use parkade_config::{Diagnostic, LogLevel, Severity};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match cli::parse(std::env::args_os().skip(1)) {
        // Whatever started the old server, this one goes on in its place.
        Ok(options) if supervisor::upgrade::is_inherited() => options.taking_over(),
        Ok(options) => options,
        Err(message) => {
            eprint!("parkade: {message}\n{}", cli::USAGE);
            return ExitCode::FAILURE;
        }
    };
    if let Some(path) = &options.errors
        && let Err(e) = redirect(path)
    {
        eprintln!(
            "parkade: could not open error log file {}: {e}",
            path.display()
        );
        return ExitCode::FAILURE;
    }
    match options.command {
        Command::Usage => {
            eprint!("{}", cli::USAGE);
            ExitCode::FAILURE
        }
        Command::Version => show(&cli::version()),
        Command::BuildSettings => show(&cli::build_settings()),
        Command::Modules => show(&report::compiled_in()),
        Command::Directives => show(&report::directives()),
        Command::Test | Command::Dump | Command::Run | Command::Signal(_) => run(&options),
    }
}

/// Writes to standard output; a reader that has gone is no reason to panic.
fn show(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// `-E`: what would go to standard error is appended to a file.
fn redirect(path: &Path) -> std::io::Result<()> {
    let mut how = std::fs::OpenOptions::new();
    let file = how.append(true).create(true).open(path)?;
    Ok(rustix::stdio::dup2_stderr(file)?)
}

/// What is found about the configuration, down to the level of `-e`; errors always.
fn tell(found: &[Diagnostic], level: Option<LogLevel>) {
    let least = match level {
        Some(level) if level < LogLevel::Warn => Severity::Error,
        Some(level) if level < LogLevel::Info => Severity::Warning,
        _ => Severity::Info,
    };
    for one in found.iter().filter(|d| d.severity >= least) {
        eprintln!("{}", one.render());
    }
}

fn run(options: &cli::Options) -> ExitCode {
    let settings = match settings::load(options) {
        Ok((settings, notes)) => {
            tell(&notes, options.level);
            settings
        }
        Err(found) => {
            tell(&found, options.level);
            return ExitCode::FAILURE;
        }
    };
    if matches!(options.command, Command::Test | Command::Run) {
        let found = preflight::check(&settings.config);
        if !found.is_empty() {
            tell(&found, options.level);
            return ExitCode::FAILURE;
        }
    }
    if matches!(options.command, Command::Test | Command::Dump) {
        let shown = show(&report::dumps(&settings, &options.defines));
        if options.command == Command::Test {
            eprintln!("Syntax OK");
        }
        return shown;
    }
    let done = match options.command {
        Command::Signal(ask) => match supervisor::pidfile::signal(&settings, ask) {
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
