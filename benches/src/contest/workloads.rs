//! What is measured, how much of it in a full run, and how much in a quick one.

use std::io;

use super::entrants::{self, Enter};
use crate::options::Options;

/// One workload, with the options that it is measured with.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) options: Options,
    /// Slices of a round.
    pub(super) slices: u64,
    /// The servers on one core and the client on another.
    pub(super) pinned: bool,
    pub(super) enter: Enter,
    /// About how long a slice takes, and a start.
    pub(super) seconds: f64,
    pub(super) start: f64,
}

/// What a workload needs: sizes of a full run and of a quick one.
struct Entry {
    name: &'static str,
    what: &'static str,
    /// As the commands of their own are called.
    command: &'static str,
    pinned: bool,
    enter: Enter,
    slices: u64,
    fixed: fn(&mut Options),
    full: Size,
    quick: Size,
}

struct Size {
    rounds: usize,
    requests: u64,
    parked: usize,
    seconds: f64,
    start: f64,
}

/// Bytes of a large body.
const LARGE: usize = 64 * 1024;

const fn size(rounds: usize, requests: u64, parked: usize, seconds: f64, start: f64) -> Size {
    Size {
        rounds,
        requests,
        parked,
        seconds,
        start,
    }
}

const ALL: &[Entry] = &[
    Entry {
        name: "throughput",
        what: "64 warm connections, one request under way on each, 13 bytes",
        command: "throughput",
        pinned: true,
        enter: entrants::paced,
        slices: 10,
        fixed: |_| {},
        full: size(15, 100_000, 0, 0.1, 1.5),
        quick: size(3, 20_000, 0, 0.02, 1.0),
    },
    Entry {
        name: "pipelined",
        what: "64 warm connections, 16 requests under way on each, 13 bytes",
        command: "throughput",
        pinned: true,
        enter: entrants::paced,
        slices: 10,
        fixed: |o| o.depth = 16,
        full: size(15, 400_000, 0, 0.05, 1.5),
        quick: size(3, 100_000, 0, 0.02, 1.0),
    },
    Entry {
        name: "large",
        what: "64 warm connections, one request under way on each, 64 KiB",
        command: "throughput",
        pinned: true,
        enter: entrants::paced,
        slices: 10,
        fixed: |o| o.body = LARGE,
        full: size(15, 20_000, 0, 0.06, 2.5),
        quick: size(3, 5_000, 0, 0.02, 1.5),
    },
    Entry {
        name: "large-pipelined",
        what: "64 warm connections, 16 requests under way on each, 64 KiB",
        command: "throughput",
        pinned: true,
        enter: entrants::paced,
        slices: 10,
        fixed: |o| (o.body, o.depth) = (LARGE, 16),
        full: size(15, 20_480, 0, 0.06, 10.0),
        quick: size(3, 10_240, 0, 0.03, 10.0),
    },
    Entry {
        name: "idle",
        what: "connections that are silent: memory, and what the silence costs",
        command: "idle",
        pinned: false,
        enter: entrants::parked,
        slices: 1,
        fixed: |o| o.hold = if o.quick { 2 } else { 5 },
        full: size(5, 0, 15_000, 12.0, 0.0),
        quick: size(1, 0, 3_000, 5.0, 0.0),
    },
    Entry {
        name: "wake",
        what: "random ones of many parked connections ask, 20,000 a second",
        command: "wake",
        pinned: true,
        enter: entrants::paced,
        slices: 1,
        fixed: |_| {},
        full: size(15, 40_000, 15_000, 3.5, 0.2),
        quick: size(3, 4_000, 2_000, 0.4, 0.2),
    },
    Entry {
        name: "idle+active",
        what: "64 warm connections beside many parked ones",
        command: "beside",
        pinned: true,
        enter: entrants::paced,
        slices: 10,
        fixed: |_| {},
        full: size(15, 100_000, 15_000, 0.1, 4.0),
        quick: size(3, 20_000, 2_000, 0.02, 1.5),
    },
    Entry {
        name: "churn",
        what: "a connection for each request, 64 at a time",
        command: "churn",
        pinned: true,
        enter: entrants::paced,
        slices: 2,
        fixed: |_| {},
        full: size(15, 1_500, 0, 0.1, 0.2),
        quick: size(3, 500, 0, 0.06, 0.2),
    },
    Entry {
        name: "skew",
        what: "16 connections, all of one of two workers; each request takes 50 us of processor time",
        command: "skew",
        pinned: false,
        enter: entrants::skewed,
        slices: 1,
        fixed: |_| {},
        full: size(15, 20_000, 0, 0.8, 0.5),
        quick: size(3, 4_000, 0, 0.2, 0.5),
    },
    Entry {
        name: "blocking-20",
        what: "a handler that spins for 20 ms, again and again: how long 2,000 others wait that ask 4,000 times a second",
        command: "blocking",
        pinned: false,
        enter: entrants::blocked,
        slices: 1,
        fixed: |o| o.block_ms = 20,
        full: size(10, 16_000, 2_000, 6.0, 0.5),
        quick: size(1, 4_000, 500, 1.5, 0.5),
    },
    Entry {
        name: "blocking-200",
        what: "a handler that spins for 200 ms, again and again: how long 2,000 others wait that ask 4,000 times a second",
        command: "blocking",
        pinned: false,
        enter: entrants::blocked,
        slices: 1,
        fixed: |o| o.block_ms = 200,
        full: size(10, 16_000, 2_000, 6.0, 0.5),
        quick: size(1, 4_000, 500, 1.7, 0.5),
    },
    Entry {
        name: "timeouts",
        what: "parked connections ask in turn, each request renews a deadline; then the last deadlines are kept",
        command: "timeouts",
        pinned: true,
        enter: entrants::timed,
        slices: 1,
        fixed: |o| {
            if o.quick {
                o.keepalive = 2;
            }
        },
        full: size(5, 200_000, 15_000, 10.0, 0.2),
        quick: size(1, 50_000, 2_000, 3.0, 0.2),
    },
    Entry {
        name: "reload",
        what: "graceful restarts of two processes under 2,000 requests a second, on kept and new connections",
        command: "reload",
        pinned: false,
        enter: entrants::reloaded,
        slices: 1,
        fixed: |_| {},
        full: size(5, 0, 1_000, 4.0, 0.0),
        quick: size(1, 0, 200, 1.5, 0.0),
    },
];

/// The workloads that were asked for, or all.
pub(super) fn chosen(base: &Options) -> io::Result<Vec<Workload>> {
    let names: Vec<&str> = match base.workload.as_str() {
        "" => ALL.iter().map(|entry| entry.name).collect(),
        list => list.split(',').map(str::trim).collect(),
    };
    names.into_iter().map(|name| sized(name, base)).collect()
}

fn sized(name: &str, base: &Options) -> io::Result<Workload> {
    let Some(entry) = ALL.iter().find(|entry| entry.name == name) else {
        let all: Vec<&str> = ALL.iter().map(|entry| entry.name).collect();
        let all = all.join(", ");
        return Err(io::Error::other(format!(
            "no such workload `{name}`; there are {all}"
        )));
    };
    let size = if base.quick {
        &entry.quick
    } else {
        &entry.full
    };
    let mut options = base.clone();
    // As if that command had been given, but for what was said of all.
    options.command = entry.command.to_owned();
    options.workload = entry.command.to_owned();
    (entry.fixed)(&mut options);
    let or = |said: usize, usual: usize| if said == 0 { usual } else { said };
    options.rounds = or(options.rounds, size.rounds);
    options.parked = or(options.parked, size.parked);
    if options.requests == 0 {
        options.requests = size.requests;
    }
    options.low = options.low.min(options.parked / 5);
    options.pin_server.get_or_insert(0);
    options.settle().map_err(io::Error::other)?;
    Ok(Workload {
        name: entry.name,
        what: entry.what,
        options,
        slices: entry.slices,
        pinned: entry.pinned,
        enter: entry.enter,
        seconds: size.seconds,
        start: size.start,
    })
}
