//! The page around the drawings.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Group;
use super::bars::{self, Bar};
use super::curves::{self, Curve};
use super::results::{Entry, Figure};
use crate::report::short;
use crate::stats::Median;

/// Readable without it; nothing is fetched for it.
const STYLE: &str = "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:64em;padding:0 1em;color:#222;background:#fff}\
h2{margin-top:2.5em;border-bottom:1px solid #ccc}figure{margin:1em 0;overflow-x:auto}figcaption{font-weight:bold}\
div.wide{overflow-x:auto}table{border-collapse:collapse;margin:1em 0;font-size:13px}\
td,th{border:1px solid #ccc;padding:.2em .6em;text-align:right}th{background:#f2f2f2}th.t{text-align:left;font-weight:normal}\
small{color:#666;display:block}pre{background:#f6f6f6;padding:.6em;white-space:pre-wrap;overflow-wrap:anywhere}\
.missed{color:#a00}";
/// Nothing may be loaded and nothing may run, whatever got into a result.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// The points of a curve.
const PERCENTILES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

/// All of it.
pub(super) fn page(groups: &[Group]) -> io::Result<String> {
    let mut sections = Vec::new();
    for group in groups {
        sections.push(section(group)?);
    }
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width";
                title { "parkade-bench" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "parkade-bench" }
                (machines(groups))
                ul {
                    @for group in groups {
                        li { a href={ "#" (anchor(&group.workload)) } { (group.workload) } }
                    }
                }
                @for section in &sections { (section) }
                (commands(groups))
            }
        }
    };
    Ok(page.into_string())
}

fn entries(groups: &[Group]) -> impl Iterator<Item = &Entry> {
    groups.iter().flat_map(|group| &group.entries)
}

/// Each machine once; results of several ones should not be compared, so that is said.
fn machines(groups: &[Group]) -> Markup {
    let all: BTreeSet<&BTreeMap<String, String>> = entries(groups).map(|e| &e.machine).collect();
    let days: BTreeSet<&str> = entries(groups).filter_map(|e| e.at.as_deref()).collect();
    html! {
        h2 { "Machine" }
        @if all.len() > 1 {
            p.missed { "These results are of different machines or kernels: only ratios inside one of them mean something." }
        }
        @for machine in &all {
            @if machine.is_empty() {
                p { "Not recorded." }
            } @else {
                table {
                    @for (name, value) in *machine {
                        tr { th.t { (name) } td { (value) } }
                    }
                }
            }
        }
        @if let (Some(first), Some(last)) = (days.first(), days.last()) {
            p { "Found between " (first) " and " (last) "." }
        }
    }
}

fn section(group: &Group) -> io::Result<Markup> {
    let all = &group.entries;
    let cost = stacked(
        all,
        Figure::Cpu,
        [Figure::User, Figure::System],
        "us of processor time for each request",
    )?;
    let memory = memory(all)?;
    let latency = latency(all)?;
    let drawings = [
        ("CPU per request", cost),
        ("Memory of a parked connection", memory),
        ("Latency", latency),
    ];
    Ok(html! {
        h2 id=(anchor(&group.workload)) { (group.workload) }
        @for (caption, drawing) in &drawings {
            @if let Some(svg) = drawing {
                figure aria-label=(caption) { figcaption { (caption) } (PreEscaped(svg)) }
            }
        }
        @for verdict in all.iter().flat_map(|entry| &entry.verdicts) {
            p.missed[verdict.starts_with("missed")] { (verdict) }
        }
        (table(all))
    })
}

/// Bars of a total and its two parts.
fn stacked(
    all: &[Entry],
    total: Figure,
    parts: [Figure; 2],
    unit: &str,
) -> io::Result<Option<String>> {
    let bar = |entry: &'_ Entry| {
        let total = entry.figure(total)?;
        let part = |figure| entry.figure(figure).map(|m| m.value.max(0.0));
        let parts = match (part(parts[0]), part(parts[1])) {
            (Some(user), Some(system)) if user + system > 0.0 => {
                // The parts are means of all rounds and the total is a median: their proportion is what they say.
                let scale = total.value / (user + system);
                vec![user * scale, system * scale]
            }
            _ => vec![total.value],
        };
        Some((parts, total))
    };
    drawn(all, bar, &["user", "system"], unit)
}

fn memory(all: &[Entry]) -> io::Result<Option<String>> {
    let bar = |entry: &Entry| {
        let user = entry.figure(Figure::UserBytes)?;
        let kernel = entry.figure(Figure::KernelBytes);
        let of = |m: &Median| [m.value, m.low, m.high];
        let [value, low, high] = match &kernel {
            None => of(&user),
            Some(kernel) => [0, 1, 2].map(|n| of(&user)[n] + of(kernel)[n]),
        };
        let kernel = kernel.map_or(0.0, |m| m.value);
        Some((
            vec![user.value.max(0.0), kernel.max(0.0)],
            Median { value, low, high },
        ))
    };
    drawn(all, bar, &["user", "kernel, both ends"], "bytes")
}

fn drawn(
    all: &[Entry],
    bar: impl Fn(&Entry) -> Option<(Vec<f64>, Median)>,
    parts: &[&str],
    unit: &str,
) -> io::Result<Option<String>> {
    let bars: Vec<Bar<'_>> = all
        .iter()
        .filter_map(|entry| {
            let (parts, total) = bar(entry)?;
            let name = entry.server.as_str();
            Some(Bar { name, parts, total })
        })
        .collect();
    if bars.is_empty() {
        return Ok(None);
    }
    bars::draw(&bars, parts, unit).map(Some)
}

fn latency(all: &[Entry]) -> io::Result<Option<String>> {
    let curves = all.iter().map(|entry| Curve {
        name: &entry.server,
        points: PERCENTILES
            .iter()
            .map(|p| entry.figure(Figure::Latency(p)))
            .collect(),
    });
    let known = |curve: &Curve<'_>| curve.points.iter().flatten().count() > 1;
    let curves: Vec<Curve<'_>> = curves.filter(known).collect();
    if curves.is_empty() {
        return Ok(None);
    }
    curves::draw(&curves, &PERCENTILES).map(Some)
}

/// Every figure of every server.
fn table(all: &[Entry]) -> Markup {
    let names: BTreeSet<&String> = all.iter().flat_map(|entry| entry.figures.keys()).collect();
    html! {
        div.wide {
            table {
                tr { th.t { } @for entry in all { th { (entry.server) } } }
                @for name in names {
                    tr {
                        th.t { (name) }
                        @for entry in all {
                            td { @if let Some(figure) = entry.figures.get(name) { (cell(*figure)) } }
                        }
                    }
                }
            }
        }
    }
}

fn cell(figure: Median) -> Markup {
    let Median { value, low, high } = figure;
    html! {
        (short(value))
        @if low < high { small { (short(low)) " – " (short(high)) } }
    }
}

fn commands(groups: &[Group]) -> Markup {
    let all: BTreeSet<&str> = entries(groups)
        .filter_map(|e| e.command.as_deref())
        .collect();
    html! {
        h2 { "Commands" }
        p { "A figure is the median of its rounds; below it, and as a line across a bar, stands its 95 % interval (with fewer \
             than six rounds: all they found)." }
        @if all.is_empty() { p { "Not recorded." } }
        @for command in all { pre { (command) } }
    }
}

/// What a heading is found by.
fn anchor(workload: &str) -> String {
    workload
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::anchor;

    #[test]
    fn an_anchor_has_nothing_that_would_end_its_attribute() {
        assert_eq!(anchor("a \"b\" 16"), "a--b--16");
    }
}
