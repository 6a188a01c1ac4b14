//! One server in one workload, slice by slice. What is measured is what the commands of their own measure.

use std::io;

use serde_json::Value;

use crate::affinity::{self, Pinned};
use crate::blocking;
use crate::churn;
use crate::idle;
use crate::launch::Server;
use crate::options::Options;
use crate::peers;
use crate::restart::reload;
use crate::sample::{Figures, Sample, latencies};
use crate::side::Side;
use crate::skew;
use crate::timeouts;

/// What a contest does with a server.
pub(super) trait Entrant {
    /// Measures one slice of a round.
    fn slice(&mut self, options: &Options) -> io::Result<()>;
    /// What the slices since the last round have found.
    fn round(&mut self, options: &Options) -> io::Result<Figures>;
    /// What is looked at once, when all rounds are over.
    fn last(&mut self, _: &Options) -> io::Result<Vec<(String, Value)>> {
        Ok(Vec::new())
    }
}

/// How a server enters a workload.
pub(super) type Enter = fn(&str, &Options) -> io::Result<Box<dyn Entrant>>;

/// Everything that `compare` measures too.
struct Paced {
    side: Side,
    round: Sample,
}

pub(super) fn paced(name: &str, options: &Options) -> io::Result<Box<dyn Entrant>> {
    let parked = match options.workload.as_str() {
        "beside" => options.parked,
        _ => 0,
    };
    if options.workload == "churn" {
        churn::calm(options.requests * options.rounds as u64);
    }
    Ok(Box::new(Paced {
        side: Side::start(name, parked, options)?,
        round: Sample::new()?,
    }))
}

impl Entrant for Paced {
    fn slice(&mut self, options: &Options) -> io::Result<()> {
        let sample = self.side.slice(options)?;
        self.round.add(&sample)
    }

    fn round(&mut self, options: &Options) -> io::Result<Figures> {
        let figures = std::mem::replace(&mut self.round, Sample::new()?).figures();
        // Some servers close a connection after 65,535 requests.
        self.side.warm(options)?;
        Ok(figures)
    }

    fn last(&mut self, options: &Options) -> io::Result<Vec<(String, Value)>> {
        let mut last = Vec::new();
        if let Some(counted) = self.side.counted(options) {
            match counted {
                Ok(calls) => {
                    last.push(("system calls/request".to_owned(), calls.each().into()));
                    last.push(("system calls, which".to_owned(), calls.text().into()));
                }
                Err(e) => {
                    let why = format!("not counted: {e}");
                    last.push(("system calls, which".to_owned(), why.into()));
                }
            }
        }
        if let Some(crowd) = &mut self.side.crowd {
            let lost = options.parked - crowd.alive()?;
            last.push(("parked connections lost".to_owned(), lost.into()));
        }
        Ok(last)
    }
}

/// A fresh server each time: memory that was once taken is seldom given back.
struct Parked {
    name: String,
    found: Figures,
}

pub(super) fn parked(name: &str, _: &Options) -> io::Result<Box<dyn Entrant>> {
    Ok(Box::new(Parked {
        name: name.to_owned(),
        found: Vec::new(),
    }))
}

impl Entrant for Parked {
    fn slice(&mut self, options: &Options) -> io::Result<()> {
        let server = Server::start(&self.name, options)?;
        let _pinned = Pinned::to(options.pin_client)?;
        affinity::pin_tree(server.pid, options.pin_server.unwrap_or(0))?;
        self.found = idle::measure(&server, options)?.figures(options);
        Ok(())
    }

    fn round(&mut self, _: &Options) -> io::Result<Figures> {
        Ok(std::mem::take(&mut self.found))
    }
}

/// Two workers, and all busy connections with one of them.
struct Skewed {
    side: skew::Side,
    round: Sample,
}

pub(super) fn skewed(name: &str, options: &Options) -> io::Result<Box<dyn Entrant>> {
    takes_time(name)?;
    let options = Options {
        server: Some(name.to_owned()),
        ..options.clone()
    };
    Ok(Box::new(Skewed {
        side: skew::Side::start(&options, true)?,
        round: Sample::new()?,
    }))
}

impl Entrant for Skewed {
    fn slice(&mut self, options: &Options) -> io::Result<()> {
        let sample = self.side.measure(options.requests)?;
        self.round.add(&sample)
    }

    fn round(&mut self, _: &Options) -> io::Result<Figures> {
        Ok(std::mem::replace(&mut self.round, Sample::new()?).figures())
    }
}

/// Handlers that are busy, and what those notice who have nothing to do with them.
struct Blocked {
    scene: blocking::Scene,
    round: Figures,
}

pub(super) fn blocked(name: &str, options: &Options) -> io::Result<Box<dyn Entrant>> {
    takes_time(name)?;
    let options = Options {
        server: Some(name.to_owned()),
        ..options.clone()
    };
    Ok(Box::new(Blocked {
        scene: blocking::Scene::start(&options)?,
        round: Vec::new(),
    }))
}

impl Entrant for Blocked {
    fn slice(&mut self, options: &Options) -> io::Result<()> {
        let found = self.scene.round(options)?;
        self.round = latencies(&found.during).collect();
        let before = found.before.value_at_quantile(0.99) as f64 / 1e3;
        self.round.push(("p99 us before".to_owned(), before));
        Ok(())
    }

    fn round(&mut self, _: &Options) -> io::Result<Figures> {
        Ok(std::mem::take(&mut self.round))
    }
}

/// Deadlines set, renewed and kept, by a server that goes on from round to round.
struct Timed {
    server: Server,
    round: Figures,
    missed: usize,
}

pub(super) fn timed(name: &str, options: &Options) -> io::Result<Box<dyn Entrant>> {
    let server = Server::start(name, options)?;
    affinity::pin_tree(server.pid, options.pin_server.unwrap_or(0))?;
    Ok(Box::new(Timed {
        server,
        round: Vec::new(),
        missed: 0,
    }))
}

impl Entrant for Timed {
    fn slice(&mut self, options: &Options) -> io::Result<()> {
        let found = timeouts::measure(&self.server, options)?;
        if let Some(expiry) = &found.expiry {
            self.missed += expiry.early + expiry.never;
        }
        self.round = found.figures();
        Ok(())
    }

    fn round(&mut self, _: &Options) -> io::Result<Figures> {
        Ok(std::mem::take(&mut self.round))
    }

    fn last(&mut self, _: &Options) -> io::Result<Vec<(String, Value)>> {
        let name = "closed early or never, all rounds".to_owned();
        Ok(vec![(name, self.missed.into())])
    }
}

/// A fresh server each time, restarted under load.
struct Reloaded {
    name: String,
    round: Figures,
}

pub(super) fn reloaded(name: &str, _: &Options) -> io::Result<Box<dyn Entrant>> {
    peers::graceful(name)?;
    Ok(Box::new(Reloaded {
        name: name.to_owned(),
        round: Vec::new(),
    }))
}

impl Entrant for Reloaded {
    fn slice(&mut self, options: &Options) -> io::Result<()> {
        let server = Server::start(&self.name, options)?;
        let restarts = if options.quick { 3 } else { 20 };
        self.round = reload::measure(&server, restarts, options)?.figures()?;
        Ok(())
    }

    fn round(&mut self, _: &Options) -> io::Result<Figures> {
        Ok(std::mem::take(&mut self.round))
    }
}

/// Only our own server has handlers that are busy for as long as they are told.
fn takes_time(name: &str) -> io::Result<()> {
    if name == "parkade-file" || name.starts_with("parkade-file+") {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "none of its handlers is busy for as long as one asks",
    ))
}
