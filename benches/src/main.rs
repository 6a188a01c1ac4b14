//! `parkade-bench`: a load driver and the measurements made with it.
//!
//! `main` picks a command; each command is a module. `fleet` holds warm connections, `holder` parked ones in processes
//! of their own, `target` says what to ask, `procfs` reads what it cost the server, `verdict` holds it against limits,
//! `report` prints it and writes it as JSON with `facts` about the machine, `page` makes a page of such files. `reference` is the bare epoll loop everything is compared with, `launch` starts servers, `peers`
//! knows those with a name and `rivals` those on other runtimes, `contest` measures many
//! servers beside each other, `restart` does things to the server while clients ask.

mod affinity;
mod beside;
mod blocking;
mod calls;
mod churn;
mod compare;
mod contest;
mod facts;
mod fleet;
mod holder;
mod idle;
mod launch;
mod million;
mod options;
mod page;
mod peers;
mod procfs;
mod reference;
mod regress;
mod report;
mod restart;
mod rivals;
mod sample;
mod side;
mod skew;
mod stats;
mod steady;
mod target;
mod throughput;
mod timeouts;
mod verdict;
mod wake;
mod wrk;

use std::io;
use std::process::ExitCode;

use options::Options;

/// The exit code after a limit that was not kept.
const MISSED: u8 = 3;

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
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(MISSED),
        Err(e) if rivals::is_missing(&e) => {
            eprintln!("skipped: {e}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("parkade-bench {}: {e}", options.command);
            ExitCode::FAILURE
        }
    }
}

/// Whether every limit was kept.
fn run(options: &Options) -> io::Result<bool> {
    let mut report = match options.command.as_str() {
        "reference" => {
            let mode = if options.echo {
                reference::Mode::Echo
            } else {
                reference::Mode::Http
            };
            let through = if options.io_uring {
                reference::Through::Ring
            } else {
                reference::Through::Epoll
            };
            reference::run(options.listen, options.workers, mode, through, options.body)?;
            return Ok(true);
        }
        "throughput" => throughput::run(options)?,
        "wake" => wake::run(options)?,
        "churn" => churn::run(options)?,
        "compare" => match &options.files[..] {
            [] => compare::run(options)?,
            [old, new] => regress::run(old, new, options)?,
            _ => {
                return Err(io::Error::other(
                    "compare takes two files of results, or none",
                ));
            }
        },
        "backends" | "servers" => return contest::run(options),
        "report" => match &options.files[..] {
            [folder] => {
                page::run(folder)?;
                return Ok(true);
            }
            _ => return Err(io::Error::other("report takes one folder of results")),
        },
        "idle" => idle::run(options)?,
        "million" => million::run(options)?,
        "beside" => beside::run(options)?,
        "blocking" => blocking::run(options)?,
        "timeouts" => timeouts::run(options)?,
        "reload" => restart::reload::run(options)?,
        "steady" => steady::run(options)?,
        "skew" => skew::run(options)?,
        "restart" => restart::run(options)?,
        "hold" => {
            holder::hold(options)?;
            return Ok(true);
        }
        other => {
            return Err(io::Error::other(format!(
                "no such command `{other}`; see --help"
            )));
        }
    };
    report.finish(options.json.as_deref())?;
    Ok(report.reached())
}
