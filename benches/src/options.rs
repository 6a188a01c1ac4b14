//! The command line: one table of options for all commands.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::affinity;
use crate::launch::Server;

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
    /// What happens to the server in `restart`.
    pub(crate) case: String,
    /// What a handler does in `blocking`.
    pub(crate) how: String,
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

/// Rounds below which the interval of a median says too little to judge by.
const ENOUGH: usize = 15;

/// Printed by `--help`.
pub(crate) const HELP: &str = "\
parkade-bench COMMAND [OPTIONS]

  throughput  warm keep-alive, closed loop: --connections 64 --depth 1 --requests N --rounds 3
  churn       a connection per request: --connections 64 --requests N
  wake        random parked connections speak, open loop: --parked 15000 --rate 20000 --requests N
  beside      warm connections beside parked ones: --connections 64 --parked 15000 --requests N --rounds 15
              --limit RATIO (with / without); none of the parked may be lost
  idle        what parked connections cost, as a slope from --low 2000 to --parked 18000; --processes N clients
              --limit-bytes B (user memory of each)  --limit-wakeups N (in 10 s)  --limit-given-back SHARE (at least)
  million     --parked 1000000 of several processes on both sides: --children 64 of the server, memory beyond the first
              --low 2000, then --hold SECONDS of silence, one question to each, --requests 600000 at --rate 20000
              --limit-bytes B (user memory of each)  --limit-mb MB (of all, beyond the empty server)
              --limit-idle-cpu MS (of all children, each second)
  compare     two servers, interleaved: --a SERVER --b SERVER (default: reference) --rounds 15
              --workload throughput|pipelined|wrk|wake|churn|beside (beside: --b is a second --a, without the parked;
                                 wrk: warm keep-alive from that client)
              --limit RATIO      CPU per request, a / b: median of the rounds' ratios
              --limit-user US    user time per request of a, of it what the ticks say
              --limit-p50 US     how much longer the median answer of a may take than that of b
              --limit-calls N    system calls per request of a, counted from outside in a slice that is not timed
  compare A.json B.json   two results of one command (--json): what has changed, and what for the worse by more than
              --limit RATIO (1.05)
  report DIR  one page, DIR/report.html, of all results (--json) in DIR: bars of CPU per request and of memory, curves of
              latency, the machines and the commands
  restart     what clients notice of it: --children 4 --connections 100 --rate 2000 --case CASE
              graceful|hard|recycle|term|spare  --rounds 100 of them in a row under load, --parked 1000 beside it: USR1,
                                 HUP, MaxRequestsPerChild, TERM to single children, scale-down; nothing may fail and
                                 nobody be closed
              parked             --parked 50000 at once survive USR1: time and memory
              kill               --rounds 20 times kill -9 of a child under load: whom it hits, and for how long
              soak               --rounds 3600, one a second: memory and descriptors must not grow
              crash              --rounds 20 times SEGV of the only child with --parked 4000: until another one serves
  blocking    a handler that is busy for 200 ms, and what the others notice: --parked 2000 --rate 4000 --rounds 10
              --requests 16000 (in each)
              --case one|all (of the home workers)  --how spin|block  --limit-p99 MS (the median of the rounds' p99)
              --limit-worst MS (of the worst round); a round counts if the p99 before it is under 0.5 ms, and seven must
  skew        all busy connections live with one of two workers: --connections 16 --spin-us 50 --requests 20000
              --rounds 15  --limit-gain RATIO (requests/s with stealing / without, at least)  --limit RATIO (CPU)
  reference   the yardstick, a bare epoll loop, or --io-uring: a bare ring: --listen ADDR --workers N --echo
  steady      a fixed number of requests in lock step, not timed, for a server that is watched from outside:
              --connections 16 --requests N --vary (no head is like the one before)

A limit is reached when it is not below the lower end of the 95 % interval of what was found; after a missed one the
exit code is 3. A verdict of compare or beside needs 15 rounds.

All loads take  --server SERVER       what to measure
                --pid PID             with a URL: the server's process (children are counted with it)
                --children N          processes of a parkade-file that is started here
                --rivals DIR          where the binaries of rival-* are (default: benches/rivals/target/release)
                --workers N           threads of a rival-*, as of reference: 1
                --directive LINE      one more line of its configuration; may be given again
                --under COMMAND       runs the server that is started, like valgrind
                --pin-server CORE     pins all its threads first; compare pins to core 0
                --pin-client CORE     default: the last core
                --json FILE           writes the results there too
SERVER is one of reference, reference-uring (the same through io_uring), reference-echo, parkade-echo, parkade-hello (built beside this program), parkade-file (a
13-byte file of the server), nginx (a `return`), nginx-file, h2o, apache2 (all three the 13-byte file), started with one
worker; rival-NAME, the same answer as reference on another runtime: mio, polling, polling-oneshot, monoio, monoio-uring,
compio, smol, hyper, hyper-flush (pipelined answers in one write), axum (built apart, see benches/rivals; skipped if it is
not); URL@PID, or in a load of its own URL, of one that runs; or a command with {addr} or {port} in it. URL is
http://host:port/path, or echo://host:port for a server that sends the request back.
";

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
            workload: "throughput".into(),
            case: String::new(),
            how: "spin".into(),
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
                Long("case") => o.case = parser.value()?.string()?,
                Long("spin-us") => o.spin_us = parser.value()?.parse()?,
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

    /// The load: that of `compare`, or the command itself.
    pub(crate) fn load(&self) -> &str {
        if self.command == "compare" {
            &self.workload
        } else {
            &self.command
        }
    }

    /// Fills in what depends on the command, and refuses what would never end or cannot work.
    fn settle(&mut self) -> Result<(), lexopt::Error> {
        let compares = self.command == "compare";
        if self.load() == "pipelined" && self.depth == 1 {
            self.depth = 16;
        }
        let restarts = self.command == "restart";
        let blocks = self.command == "blocking";
        if self.case.is_empty() {
            self.case = if blocks { "one" } else { "graceful" }.into();
        }
        if blocks {
            self.directives.push_str(crate::blocking::DIRECTIVES);
        }
        let million = self.command == "million";
        if million {
            self.directives.push_str(crate::million::DIRECTIVES);
        }
        let skews = self.command == "skew";
        if skews {
            self.directives.push_str(crate::skew::DIRECTIVES);
        }
        if self.connections == 0 {
            self.connections = match self.command.as_str() {
                "steady" | "skew" => 16,
                "restart" => 100,
                _ => 64,
            };
        }
        if self.children == 0 {
            self.children = match self.case.as_str() {
                "crash" => 1,
                _ if restarts => 4,
                _ if million => 64,
                _ => 1,
            };
        }
        if self.rate == 0 {
            self.rate = match self.command.as_str() {
                "restart" if self.case == "soak" => 200,
                "restart" => 2_000,
                "blocking" => 4_000,
                _ => 20_000,
            };
        }
        if restarts {
            crate::restart::settle(self);
        }
        if self.requests == 0 {
            self.requests = match self.load() {
                // Few enough that what a whole run leaves behind in TIME_WAIT slows nobody down.
                "churn" if compares => 3_000,
                "churn" => 20_000,
                "wake" => 40_000,
                "million" => 600_000,
                "blocking" => 16_000,
                "skew" => 20_000,
                "pipelined" => 1_000_000,
                "beside" => 100_000,
                "steady" => 3_200,
                _ if compares => 100_000,
                _ if self.depth > 1 => 4_000_000,
                _ => 400_000,
            };
        }
        let rounds = compares || self.command == "beside" || skews;
        if self.rounds == 0 {
            self.rounds = match self.case.as_str() {
                "kill" | "crash" if restarts => 20,
                "soak" if restarts => 3_600,
                _ if restarts => 100,
                _ if blocks => 10,
                _ if rounds => ENOUGH,
                _ => 3,
            };
        }
        if self.parked == 0 {
            self.parked = match (self.command.as_str(), self.case.as_str()) {
                ("idle", _) => 18_000,
                ("million", _) => 1_000_000,
                ("blocking", _) => 2_000,
                ("restart", "parked") => 50_000,
                ("restart", "crash") => 4_000,
                ("restart", _) => 1_000,
                _ => 15_000,
            };
        }
        let l = &self.limits;
        let between = [l.ratio, l.user, l.p50].iter().any(Option::is_some);
        if between && rounds && self.rounds < ENOUGH {
            return Err(format!("a verdict needs at least {ENOUGH} rounds").into());
        }
        let bounded = (1..=100_000).contains(&self.connections)
            && (1..=256).contains(&self.depth)
            && self.requests <= 1_000_000_000
            && self.rounds <= 100_000
            && (1..=1_000_000).contains(&self.rate)
            && (1..=256).contains(&self.children)
            && self.spin_us <= 1_000_000
            && self.hold <= 86_400
            && self.processes <= 125
            && self.parked <= 2_000_000;
        if bounded {
            Ok(())
        } else {
            Err("an option is out of its bounds".into())
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
