//! What depends on the command, and the bounds of everything.

use super::Options;

/// Rounds below which the interval of a median says too little to judge by.
const ENOUGH: usize = 15;

/// Of 64 answers the yardstick keeps one copy, for its ring.
const MOST_BODY: usize = 256 * 1024;

impl Options {
    /// The load: that of `compare`, or the command itself.
    pub(crate) fn load(&self) -> &str {
        if self.command == "compare" {
            &self.workload
        } else {
            &self.command
        }
    }

    /// Fills in what depends on the command, and refuses what would never end or cannot work.
    pub(crate) fn settle(&mut self) -> Result<(), lexopt::Error> {
        if matches!(self.command.as_str(), "backends" | "servers") {
            // Each of their workloads has its own sizes, where none were said.
            return Ok(());
        }
        if self.workload.is_empty() {
            self.workload = "throughput".into();
        }
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
                "restart" | "reload" => 100,
                _ => 64,
            };
        }
        if self.children == 0 {
            self.children = match self.case.as_str() {
                "crash" => 1,
                _ if restarts => 4,
                _ if self.command == "reload" => 2,
                _ if million => 64,
                _ => 1,
            };
        }
        if self.rate == 0 {
            self.rate = match self.command.as_str() {
                "restart" if self.case == "soak" => 200,
                "restart" | "reload" => 2_000,
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
                "timeouts" => 1_000_000,
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
                _ if self.command == "reload" => 20,
                _ if self.command == "timeouts" => 1,
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
                ("restart" | "reload", _) => 1_000,
                _ => 15_000,
            };
        }
        if self.keepalive == 0 {
            self.keepalive = match self.command.as_str() {
                "timeouts" => 6,
                _ => 300,
            };
        }
        if self.hold == 0 && self.command == "idle" {
            self.hold = 10;
        }
        let l = &self.limits;
        let between = [l.ratio, l.user, l.p50].iter().any(Option::is_some);
        if between && rounds && self.rounds < ENOUGH {
            return Err(format!("a verdict needs at least {ENOUGH} rounds").into());
        }
        let bounded = (1..=100_000).contains(&self.connections)
            && (1..=256).contains(&self.depth)
            && self.body <= MOST_BODY
            && (1..=86_400).contains(&self.keepalive)
            && self.requests <= 1_000_000_000
            && self.rounds <= 100_000
            && (1..=1_000_000).contains(&self.rate)
            && (1..=256).contains(&self.children)
            && (1..=10_000).contains(&self.block_ms)
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
}
