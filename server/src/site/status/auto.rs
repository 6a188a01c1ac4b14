//! `?auto`: `Key: value` lines. Names, order and units are an interface: programs read them.

use super::figures::{Figures, in_words, moment, number};
use crate::cli::built;
use std::fmt::Display;

pub(super) fn write(figures: &Figures, out: &mut String) {
    let mut line = |key: &str, value: &dyn Display| {
        out.push_str(key);
        out.push_str(": ");
        out.push_str(&value.to_string());
        out.push('\n');
    };
    line("ServerVersion", &crate::cli::VERSION);
    line("ServerMPM", &"event");
    line("Server Built", &built());
    line("CurrentTime", &moment(figures.now));
    line("RestartTime", &moment(figures.restarted));
    line(
        "ParentServerConfigGeneration",
        &(u64::from(figures.generation) + 1),
    );
    line("ParentServerMPMGeneration", &figures.generation);
    line("ServerUptimeSeconds", &figures.uptime);
    line("ServerUptime", &in_words(figures.uptime));
    for (key, load) in ["Load1", "Load5", "Load15"].iter().zip(figures.loads) {
        line(key, &format!("{load:.2}"));
    }
    if figures.extended {
        totals(figures, &mut line);
    }
    let sum = &figures.sum;
    line("BusyWorkers", &figures.busy());
    line("GracefulWorkers", &figures.graceful());
    line("IdleWorkers", &figures.idle());
    line("Processes", &figures.children.len());
    line("Stopping", &figures.stopping());
    line("ConnsTotal", &sum.connections);
    line("ConnsAsyncWaitIO", &sum.waiting);
    line("ConnsAsyncWriting", &sum.writing);
    line("ConnsAsyncKeepAlive", &sum.parked);
    line("ConnsAsyncClosing", &sum.lingering);
    line("Scoreboard", &figures.letters);
    // Ours; behind Apache's, as what its modules add.
    line("BuffersRetainedBytes", &sum.retained);
    line("ReactorBackend", &figures.backend);
    out.insert_str(0, &format!("{}\n", figures.host));
}

/// What ExtendedStatus adds.
fn totals(figures: &Figures, line: &mut dyn FnMut(&str, &dyn Display)) {
    let (sum, cpu) = (&figures.sum, &figures.cpu);
    line("Total Accesses", &sum.requests);
    line("Total kBytes", &(sum.bytes / 1024));
    line("Total Duration", &(sum.took / 1_000_000));
    line("CPUUser", &number(cpu.user));
    line("CPUSystem", &number(cpu.system));
    line("CPUChildrenUser", &number(cpu.gone_user));
    line("CPUChildrenSystem", &number(cpu.gone_system));
    if let Some(load) = figures.cpu_load() {
        line("CPULoad", &number(load));
    }
    line("Uptime", &figures.uptime);
    let took = sum.took as f64 / 1e6;
    for (key, value) in [
        ("ReqPerSec", figures.per_second(sum.requests as f64)),
        ("BytesPerSec", figures.per_second(sum.bytes as f64)),
        ("BytesPerReq", figures.per_request(sum.bytes as f64)),
        ("DurationPerReq", figures.per_request(took)),
    ] {
        if let Some(value) = value {
            line(key, &number(value));
        }
    }
}
