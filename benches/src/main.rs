//! `parkade-bench`: a load driver and the measurements made with it.
//!
//! `main` picks a command; each command is a module. `fleet` holds warm connections, `target` says
//! what to ask, `procfs` reads what it cost the server, `report` prints it. `reference` is the bare
//! epoll loop everything is compared with, `launch` starts servers for `compare`.

mod affinity;
mod churn;
mod compare;
mod fleet;
mod idle;
mod launch;
mod options;
mod procfs;
mod reference;
mod report;
mod stats;
mod target;
mod throughput;
mod wake;

use std::io;
use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) if !options.command.is_empty() => options,
        Ok(_) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            eprintln!("parkade-bench: {e}; see --help");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("parkade-bench {}: {e}", options.command);
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    let report = match options.command.as_str() {
        "reference" => {
            let mode = if options.echo {
                reference::Mode::Echo
            } else {
                reference::Mode::Http
            };
            return reference::run(options.listen, options.workers, mode);
        }
        "throughput" => throughput::run(options)?,
        "wake" => wake::run(options)?,
        "churn" => churn::run(options)?,
        "compare" => compare::run(options)?,
        "idle" => idle::run(options)?,
        "hold" => return idle::hold(options),
        other => {
            return Err(io::Error::other(format!(
                "no such command `{other}`; see --help"
            )));
        }
    };
    report.finish(options.json.as_deref())
}
