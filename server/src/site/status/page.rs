//! The page for people: what there is at a glance, then the children.

use super::figures::{Figures, Process, in_words, moment, number};
use super::rows;
use crate::cli::built;
use crate::scoreboard::State;
use std::fmt::Write;

/// Plain, and readable without it.
const STYLE: &str = "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}\
table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:.2em .6em;text-align:right}\
th{background:#f2f2f2}td.t,th.t{text-align:left}.b{display:flex;height:1.6em;background:#eee}\
.b span{min-width:2px}.k{display:inline-block;width:.9em;height:.9em;margin:0 .3em 0 1em}\
.parked{background:#8fbc8f}.active{background:#4682b4}.waiting{background:#b22222}.writing{background:#e3a857}\
.lingering{background:#999}pre{white-space:pre-wrap;overflow-wrap:anywhere}";

/// `tables`: not asked to do without.
pub(super) fn write(figures: &Figures, hosts: &[String], tables: bool, out: &mut String) {
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\"><head><title>Server Status</title>\n<style>");
    out.push_str(STYLE);
    out.push_str("</style></head>\n<body>\n<h1>Server Status for ");
    escape(figures.host.as_bytes(), out);
    out.push_str("</h1>\n");
    facts(figures, out);
    picture(figures, out);
    if tables {
        children(figures, out);
    } else {
        for child in &figures.children {
            let sum = &child.sum;
            let _ = writeln!(
                out,
                "<p>Child {} (pid {}): {}, {} connections: {} parked, {} writing, {} lingering; {} busy, {} idle</p>",
                child.at,
                child.pid,
                what(child, figures.generation),
                sum.connections,
                sum.parked,
                sum.writing,
                sum.lingering,
                child.busy + child.graceful,
                child.idle,
            );
        }
    }
    letters(figures, out);
    if figures.extended {
        rows::write(figures, hosts, tables, out);
    } else {
        out.push_str("<p>Totals and requests are shown with <code>ExtendedStatus On</code>.</p>\n");
    }
    out.push_str("</body></html>\n");
}

fn facts(figures: &Figures, out: &mut String) {
    out.push_str("<dl>\n");
    let mut fact = |name: &str, value: &str| {
        let _ = writeln!(out, "<dt>{name}: {value}</dt>");
    };
    fact("Server Version", crate::cli::VERSION);
    fact("Server MPM", "event");
    fact("Server Built", &built());
    fact("Reactor Backend", &figures.backend);
    fact("Current Time", &moment(figures.now));
    fact("Restart Time", &moment(figures.restarted));
    fact("Generation", &figures.generation.to_string());
    fact("Server uptime", &in_words(figures.uptime));
    let loads = figures.loads.map(|l| format!("{l:.2}")).join(" ");
    fact("Server load", &loads);
    if figures.extended {
        let (sum, cpu) = (&figures.sum, &figures.cpu);
        let took = sum.took / 1_000_000;
        let totals = format!(
            "{} - Total Traffic: {} kB - Total Duration: {took} ms",
            sum.requests,
            sum.bytes / 1024
        );
        fact("Total accesses", &totals);
        let mut usage = format!(
            "u{} s{} cu{} cs{}",
            number(cpu.user),
            number(cpu.system),
            number(cpu.gone_user),
            number(cpu.gone_system)
        );
        if let Some(load) = figures.cpu_load() {
            let _ = write!(usage, " - {}% CPU load", number(load));
        }
        fact("CPU Usage", &usage);
        let rates = [
            (figures.per_second(sum.requests as f64), "requests/sec"),
            (figures.per_second(sum.bytes as f64), "B/second"),
            (figures.per_request(sum.bytes as f64), "B/request"),
            (figures.per_request(sum.took as f64 / 1e6), "ms/request"),
        ];
        let rates: Vec<String> = rates
            .into_iter()
            .filter_map(|(n, unit)| Some(format!("{} {unit}", number(n?))))
            .collect();
        fact("Rates", &rates.join(" - "));
    }
    let slots = format!(
        "{}, of them gracefully finishing: {}; idle slots: {}",
        figures.busy() + figures.graceful(),
        figures.graceful(),
        figures.idle()
    );
    fact("Requests in progress", &slots);
    let retained = format!("{} kB", figures.sum.retained / 1024);
    fact("Free buffers kept", &retained);
    out.push_str("</dl>\n");
}

/// How the connections are shared out, as a bar.
fn picture(figures: &Figures, out: &mut String) {
    let sum = &figures.sum;
    let parts = [
        ("parked", sum.parked),
        ("active", sum.busy),
        ("waiting", sum.waiting),
        ("writing", sum.writing),
        ("lingering", sum.lingering),
    ];
    let _ = writeln!(out, "<h2>Connections: {}</h2>", sum.connections);
    out.push_str("<div class=\"b\">");
    for (name, n) in parts.iter().filter(|(_, n)| *n > 0) {
        let _ = write!(
            out,
            "<span class=\"{name}\" style=\"flex:{n}\" title=\"{n} {name}\"></span>"
        );
    }
    out.push_str("</div>\n<p>");
    for (name, n) in parts {
        let _ = write!(out, "<span class=\"k {name}\"></span>{n} {name}");
    }
    out.push_str("</p>\n");
}

/// What a child is doing, in words.
fn what(child: &Process, generation: u32) -> &'static str {
    match child.state {
        State::Serving if child.accepting => "accepting",
        State::Serving => "serving, not accepting",
        State::Stopping if child.generation != generation => "draining (old gen)",
        State::Stopping => "draining",
        State::Starting => "starting",
        State::Free => "gone",
    }
}

fn children(figures: &Figures, out: &mut String) {
    out.push_str(
        "<table>\n<tr><th rowspan=\"2\">Child</th><th rowspan=\"2\">PID</th><th rowspan=\"2\" class=\"t\">State</th>\
         <th colspan=\"5\">Connections</th><th colspan=\"3\">Request slots</th></tr>\n\
         <tr><th>total</th><th>parked</th><th>waiting</th><th>writing</th><th>lingering</th>\
         <th>busy</th><th>graceful</th><th>idle</th></tr>\n",
    );
    let numbers = |sum: &crate::scoreboard::Sum, slots: [usize; 3]| {
        let conns = [
            sum.connections,
            sum.parked,
            sum.waiting,
            sum.writing,
            sum.lingering,
        ];
        let slots = slots.map(|n| n as u64);
        let all = conns.iter().chain(&slots);
        all.map(|n| format!("<td>{n}</td>")).collect::<String>()
    };
    for child in &figures.children {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td class=\"t\">{}</td>{}</tr>",
            child.at,
            child.pid,
            what(child, figures.generation),
            numbers(&child.sum, [child.busy, child.graceful, child.idle])
        );
    }
    let slots = [figures.busy(), figures.graceful(), figures.idle()];
    let _ = writeln!(
        out,
        "<tr><th>Sum</th><td>{}</td><td class=\"t\">{} stopping</td>{}</tr>\n</table>",
        figures.children.len(),
        figures.stopping(),
        numbers(&figures.sum, slots)
    );
}

fn letters(figures: &Figures, out: &mut String) {
    // Letters, dots and underscores: nothing to escape.
    let _ = writeln!(out, "<pre>{}</pre>", figures.letters);
    out.push_str(
        "<p>Scoreboard Key: \"<b><code>_</code></b>\" Waiting for a request, \"<b><code>S</code></b>\" Starting up, \
         \"<b><code>R</code></b>\" Reading a request's body, \"<b><code>W</code></b>\" Answering a request, \
         \"<b><code>G</code></b>\" Gracefully finishing, \"<b><code>.</code></b>\" No process, or closed with it. \
         One letter is one request slot; a parked connection has none.</p>\n",
    );
}

/// Text as HTML in plain ASCII, whatever bytes it is made of.
pub(super) fn escape(text: &[u8], out: &mut String) {
    for byte in text {
        match byte {
            b'&' => out.push_str("&amp;"),
            b'<' => out.push_str("&lt;"),
            b'>' => out.push_str("&gt;"),
            b'"' => out.push_str("&quot;"),
            b'\'' => out.push_str("&#39;"),
            b' '..=b'~' => out.push(char::from(*byte)),
            other => {
                let _ = write!(out, "\\x{other:02x}");
            }
        }
    }
}
