//! The command line: one table of options for all commands.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::affinity;

/// Everything a command may be told, with its default.
pub(crate) struct Options {
    pub(crate) command: String,
    pub(crate) url: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) requests: u64,
    pub(crate) rounds: usize,
    pub(crate) rate: u64,
    pub(crate) parked: usize,
    pub(crate) low: usize,
    pub(crate) processes: usize,

    pub(crate) source: u8,
    pub(crate) pin_server: Option<usize>,
    pub(crate) pin_client: usize,
    pub(crate) json: Option<PathBuf>,
    pub(crate) listen: SocketAddr,
    pub(crate) workers: usize,
    pub(crate) echo: bool,
    pub(crate) workload: String,
    pub(crate) a: String,
    pub(crate) b: String,
    pub(crate) limit: Option<f64>,
}

/// Printed by `--help`.
pub(crate) const HELP: &str = "\
parkade-bench COMMAND [OPTIONS]

  reference   the yardstick, a bare epoll loop: --listen ADDR --workers N --echo
  throughput  warm keep-alive, closed loop: --connections 64 --depth 1 --requests N --rounds 3
  churn       a connection per request: --connections 64 --requests N
  wake        random parked connections speak, open loop: --parked 15000 --rate 20000 --requests N
  idle        cost of parked connections: --low 2000 --parked 18000 --processes N
  compare     two servers interleaved: --a SERVER --b SERVER --workload throughput|pipelined|wake|churn
              --rounds 15 --limit RATIO (verdict: the ratio a/b is at most this)

All loads take  --url URL --pid PID   the server and its process (children are counted with it)
                --pin-server CORE     pins all its threads first; compare pins to core 0
                --pin-client CORE     default: the last core
                --json FILE           writes the results there too
URL is http://host:port/path, or echo://host:port for a server that sends the request back.
SERVER is reference, reference-echo, parkade-echo, parkade-hello, URL@PID, or a command with {addr} or {port} in it.
";

impl Options {
    /// Parses the process arguments. `None` when help was asked for.
    pub(crate) fn parse() -> Result<Option<Options>, lexopt::Error> {
        let mut o = Options {
            command: String::new(),
            url: None,
            pid: None,
            connections: 64,
            depth: 1,
            requests: 0,
            rounds: 0,
            rate: 20_000,
            parked: 0,
            low: 2_000,
            processes: 0,

            source: 1,
            pin_server: None,
            pin_client: affinity::cores() - 1,
            json: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: 1,
            echo: false,
            workload: "throughput".into(),
            a: String::new(),
            b: "reference".into(),
            limit: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Value(command) if o.command.is_empty() => o.command = command.string()?,
                Long("url") => o.url = Some(parser.value()?.string()?),
                Long("pid") => o.pid = Some(parser.value()?.parse()?),
                Long("connections") => o.connections = parser.value()?.parse()?,
                Long("depth") => o.depth = parser.value()?.parse()?,
                Long("requests") => o.requests = parser.value()?.parse()?,
                Long("rounds") => o.rounds = parser.value()?.parse()?,
                Long("rate") => o.rate = parser.value()?.parse()?,
                Long("parked") => o.parked = parser.value()?.parse()?,
                Long("low") => o.low = parser.value()?.parse()?,
                Long("processes") => o.processes = parser.value()?.parse()?,
                Long("source") => o.source = parser.value()?.parse()?,
                Long("pin-server") => o.pin_server = Some(parser.value()?.parse()?),
                Long("pin-client") => o.pin_client = parser.value()?.parse()?,
                Long("json") => o.json = Some(parser.value()?.into()),
                Long("listen") => o.listen = parser.value()?.parse()?,
                Long("workers") => o.workers = parser.value()?.parse()?,
                Long("echo") => o.echo = true,
                Long("workload") => o.workload = parser.value()?.string()?,
                Long("a") => o.a = parser.value()?.string()?,
                Long("b") => o.b = parser.value()?.string()?,
                Long("limit") => o.limit = Some(parser.value()?.parse()?),
                other => return Err(other.unexpected()),
            }
        }
        o.settle()?;
        Ok(Some(o))
    }

    /// Fills in what depends on the command, and refuses what would never end or cannot work.
    fn settle(&mut self) -> Result<(), lexopt::Error> {
        let pipelined = self.command == "compare" && self.workload == "pipelined";
        if pipelined && self.depth == 1 {
            self.depth = 16;
        }
        if self.requests == 0 {
            self.requests = match (self.command.as_str(), self.workload.as_str()) {
                ("churn", _) | ("compare", "churn") => 20_000,
                ("wake", _) | ("compare", "wake") => 40_000,
                ("compare", _) if pipelined => 1_000_000,
                ("compare", _) => 100_000,
                _ if self.depth > 1 => 4_000_000,
                _ => 400_000,
            };
        }
        if self.rounds == 0 {
            self.rounds = if self.command == "compare" { 15 } else { 3 };
        }
        if self.parked == 0 {
            self.parked = if self.command == "idle" {
                18_000
            } else {
                15_000
            };
        }
        let bounded = (1..=100_000).contains(&self.connections)
            && (1..=256).contains(&self.depth)
            && self.requests <= 1_000_000_000
            && self.rounds <= 1_000
            && (1..=1_000_000).contains(&self.rate)
            && self.parked <= 2_000_000;
        if bounded {
            Ok(())
        } else {
            Err("an option is out of its bounds".into())
        }
    }

    /// Where the load goes and whose CPU is counted.
    pub(crate) fn url_and_pid(&self) -> io::Result<(&str, u32)> {
        match (&self.url, self.pid) {
            (Some(url), Some(pid)) => Ok((url, pid)),
            _ => Err(io::Error::other(format!(
                "{} needs --url and --pid; see --help",
                self.command
            ))),
        }
    }

    /// Pins this process, and the server if that was asked for.
    pub(crate) fn pin(&self, server: u32) -> io::Result<()> {
        affinity::pin_self(self.pin_client)?;
        self.pin_server
            .map_or(Ok(()), |core| affinity::pin_tree(server, core))
    }
}
