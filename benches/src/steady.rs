//! A fixed number of requests in lock step: one on each connection, then all the answers, and again.
//!
//! Nothing is timed. A server that is watched from outside (instructions, system calls) sees the same load each time.

use std::io;

use crate::fleet::Fleet;
use crate::launch::Server;
use crate::options::Options;
use crate::report::Report;
use crate::target::Target;

/// The `steady` command.
pub(crate) fn run(options: &Options) -> io::Result<Report> {
    // Whose process it is does not matter here.
    let server = match options.server.as_deref() {
        Some(url) if url.contains("://") => Server::running(url, 0),
        _ => options.measured()?,
    };
    let target = Target::probe(&server.url, false)?;
    let plain = target.request.clone();
    let mut fleet = Fleet::new(target)?;
    fleet.open(options.connections, 1, true)?;
    let rounds = options.requests.div_ceil(options.connections as u64);
    let head = plain.strip_suffix(b"\r\n").unwrap_or(&plain);
    for round in 0..rounds {
        for n in 0..fleet.len() {
            if options.vary {
                // As long each time, so that only its being new costs anything.
                let number = round * options.connections as u64 + n as u64;
                let field = format!("User-Agent: steady/{number:010}\r\n\r\n");
                fleet.ask_with(n, &[head, field.as_bytes()].concat())?;
            } else {
                fleet.ask_with(n, &plain)?;
            }
        }
        fleet.drain()?;
    }
    let mut report = Report::default();
    report.put("workload", "steady");
    report.put("url", server.url.as_str());
    report.put("connections", fleet.len());
    report.put("requests", rounds * options.connections as u64);
    Ok(report)
}
