//! The command line: one table of options for all commands.
//!
//! `help` is the text, `defaults` fills in what was not said.

mod defaults;
mod help;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::affinity;
use crate::launch::Server;
use crate::peers::Site;
pub(crate) use help::HELP;

/// Everything a command may be told, with its default.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) command: String,
    /// What is measured when it is not two servers.
    pub(crate) server: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) children: usize,
    /// A command that runs the server that is started, like valgrind.
    pub(crate) under: String,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    /// Bytes of the body of an answer; 0: 13 of them.
    pub(crate) body: usize,
    /// Seconds for which a server that is started here keeps an idle connection.
    pub(crate) keepalive: u64,
    pub(crate) requests: u64,
    pub(crate) rounds: usize,
    pub(crate) rate: u64,
    pub(crate) parked: usize,
    pub(crate) low: usize,
    pub(crate) processes: usize,
    /// Last byte of the first source address of a client process.
    pub(crate) source: u8,
    /// Seconds.
    pub(crate) hold: u64,
    pub(crate) vary: bool,
    pub(crate) pin_server: Option<usize>,
    pub(crate) pin_client: usize,
    pub(crate) json: Option<PathBuf>,
    /// Results to be compared, or the folder that has them.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) listen: SocketAddr,
    pub(crate) workers: usize,
    /// Where the servers on other runtimes are, if not where their package puts them.
    pub(crate) rivals: Option<PathBuf>,
    pub(crate) echo: bool,
    pub(crate) io_uring: bool,
    pub(crate) workload: String,
    /// Who takes part in `backends` or `servers`, if not all that are there.
    pub(crate) contestants: Option<String>,
    /// Where the results of these go, and a page of them.
    pub(crate) out: Option<PathBuf>,
    /// Less of everything.
    pub(crate) quick: bool,
    /// What happens to the server in `restart`.
    pub(crate) case: String,
    /// What a handler does in `blocking`.
    pub(crate) how: String,
    /// For how long it does.
    pub(crate) block_ms: u64,
    /// Processor time of each request of `skew`, in microseconds.
    pub(crate) spin_us: u64,
    /// More lines for the configuration of a parkade-file that is started here.
    pub(crate) directives: String,
    pub(crate) a: String,
    pub(crate) b: Option<String>,
    pub(crate) limits: Limits,
}

/// What a run is judged by. Nothing is judged that was not asked for.
#[derive(Clone, Default)]
pub(crate) struct Limits {
    pub(crate) ratio: Option<f64>,
    pub(crate) user: Option<f64>,
    pub(crate) calls: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) worst: Option<f64>,
    pub(crate) gain: Option<f64>,
    pub(crate) bytes: Option<f64>,
    pub(crate) wakeups: Option<f64>,
    pub(crate) idle_cpu: Option<f64>,
    pub(crate) memory: Option<f64>,
    pub(crate) given_back: Option<f64>,
}

impl Options {
    /// Parses the process arguments. `None` when help was asked for.
    pub(crate) fn parse() -> Result<Option<Options>, lexopt::Error> {
        let mut o = Options {
            command: String::new(),
            server: None,
            pid: None,
            children: 0,
            under: String::new(),
            connections: 0,
            depth: 1,
            body: 0,
            keepalive: 0,
            requests: 0,
            rounds: 0,
            rate: 0,
            parked: 0,
            low: 2_000,
            processes: 0,
            source: 1,
            hold: 0,
            vary: false,
            pin_server: None,
            pin_client: affinity::cores() - 1,
            json: None,
            files: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: 1,
            rivals: None,
            echo: false,
            io_uring: false,
            workload: String::new(),
            contestants: None,
            out: None,
            quick: false,
            case: String::new(),
            how: "spin".into(),
            block_ms: 200,
            spin_us: 50,
            directives: String::new(),
            a: String::new(),
            b: None,
            limits: Limits::default(),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Value(command) if o.command.is_empty() => o.command = command.string()?,
                Value(file) if matches!(o.command.as_str(), "compare" | "report") => {
                    o.files.push(file.into())
                }
                Long("server" | "url") => o.server = Some(parser.value()?.string()?),
                Long("pid") => o.pid = Some(parser.value()?.parse()?),
                Long("children") => o.children = parser.value()?.parse()?,
                Long("under") => o.under = parser.value()?.string()?,
                Long("connections") => o.connections = parser.value()?.parse()?,
                Long("depth") => o.depth = parser.value()?.parse()?,
                Long("body") => o.body = parser.value()?.parse()?,
                Long("keepalive") => o.keepalive = parser.value()?.parse()?,
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
                Long("rivals") => o.rivals = Some(parser.value()?.into()),
                Long("workers") => o.workers = parser.value()?.parse()?,
                Long("echo") => o.echo = true,
                Long("io-uring") => o.io_uring = true,
                Long("workload") => o.workload = parser.value()?.string()?,
                Long("servers") => o.contestants = Some(parser.value()?.string()?),
                Long("out") => o.out = Some(parser.value()?.into()),
                Long("quick") => o.quick = true,
                Long("case") => o.case = parser.value()?.string()?,
                Long("spin-us") => o.spin_us = parser.value()?.parse()?,
                Long("block-ms") => o.block_ms = parser.value()?.parse()?,
                Long("how") => o.how = parser.value()?.string()?,
                Long("directive") => {
                    o.directives.push_str(&parser.value()?.string()?);
                    o.directives.push('\n');
                }
                Long("a") => o.a = parser.value()?.string()?,
                Long("b") => o.b = Some(parser.value()?.string()?),
                Long("hold") => o.hold = parser.value()?.parse()?,
                Long("vary") => o.vary = true,
                Long("limit") => o.limits.ratio = Some(parser.value()?.parse()?),
                Long("limit-user") => o.limits.user = Some(parser.value()?.parse()?),
                Long("limit-calls") => o.limits.calls = Some(parser.value()?.parse()?),
                Long("limit-p50") => o.limits.p50 = Some(parser.value()?.parse()?),
                Long("limit-p99") => o.limits.p99 = Some(parser.value()?.parse()?),
                Long("limit-gain") => o.limits.gain = Some(parser.value()?.parse()?),
                Long("limit-worst") => o.limits.worst = Some(parser.value()?.parse()?),
                Long("limit-bytes") => o.limits.bytes = Some(parser.value()?.parse()?),
                Long("limit-wakeups") => o.limits.wakeups = Some(parser.value()?.parse()?),
                Long("limit-idle-cpu") => o.limits.idle_cpu = Some(parser.value()?.parse()?),
                Long("limit-mb") => o.limits.memory = Some(parser.value()?.parse()?),
                Long("limit-given-back") => o.limits.given_back = Some(parser.value()?.parse()?),
                other => return Err(other.unexpected()),
            }
        }
        o.settle()?;
        Ok(Some(o))
    }

    /// What a server that is started here is to be like.
    pub(crate) fn site(&self) -> Site<'_> {
        Site {
            children: self.children,
            keepalive: self.keepalive,
            body: self.body,
            more: &self.directives,
        }
    }

    /// The one server a load is for, started if need be, and pinned together with this process.
    pub(crate) fn measured(&self) -> io::Result<Server> {
        let server = match (self.server.as_deref(), self.pid) {
            (Some(url), Some(pid)) if url.contains("://") => Server::running(url, pid),
            (Some(_), Some(_)) => return Err(io::Error::other("--pid goes with --server URL")),
            (Some(what), None) => Server::start(what, self)?,
            (None, _) => {
                return Err(io::Error::other(format!(
                    "{} needs --server; see --help",
                    self.command
                )));
            }
        };
        // After the server was started, or it would inherit it.
        affinity::pin_self(self.pin_client)?;
        if let Some(core) = self.pin_server {
            affinity::pin_tree(server.pid, core)?;
        }
        Ok(server)
    }
}
