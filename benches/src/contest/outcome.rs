//! Medians of the rounds, ratios to the first server in each of them, and how they are told.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value};

use super::workloads::Workload;
use crate::report::{Report, short};
use crate::sample::Figures;
use crate::stats::{Median, median};

/// One server's rounds.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) rounds: Vec<Figures>,
    pub(super) last: Vec<(String, Value)>,
}

/// All servers of a workload.
pub(super) struct Outcome<'a> {
    workload: &'a Workload,
    pub(super) lines: Vec<Line>,
}

impl Line {
    /// Round by round.
    fn values(&self, figure: &str) -> Vec<f64> {
        let of = |round: &Figures| round.iter().find(|(name, _)| name == figure).map(|f| f.1);
        self.rounds.iter().filter_map(of).collect()
    }

    /// The median of the rounds' ratios; `None` where there is nothing to divide by.
    fn ratio(&self, base: &Line, figure: &str) -> Option<Median> {
        let (own, theirs) = (self.values(figure), base.values(figure));
        if own.len() != theirs.len() || theirs.iter().any(|value| *value <= 0.0) {
            return None;
        }
        let ratios: Vec<f64> = own.iter().zip(&theirs).map(|(a, b)| a / b).collect();
        median(&ratios)
    }
}

impl<'a> Outcome<'a> {
    pub(super) fn new(workload: &'a Workload, lines: Vec<Line>) -> Outcome<'a> {
        Outcome { workload, lines }
    }

    /// Every figure that any server has, in order.
    fn figures(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        let rounds = self.lines.iter().filter_map(|line| line.rounds.first());
        for (name, _) in rounds.flatten() {
            if !all.contains(&name.as_str()) {
                all.push(name);
            }
        }
        all
    }

    /// A table: for each figure its medians, their intervals, and the ratios.
    pub(super) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let Some(base) = self.lines.first() else {
            return Ok(());
        };
        let (name, what, rounds) = (
            self.workload.name,
            self.workload.what,
            self.workload.options.rounds,
        );
        writeln!(out, "\n{name}: {what}; rounds: {rounds}")?;
        let width = |line: &Line| line.name.len().max(20) + 2;
        write!(out, "{:34}", "")?;
        for line in &self.lines {
            write!(out, "{:>1$}", line.name, width(line))?;
        }
        writeln!(out)?;
        let mut row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
            write!(out, "{name:34}")?;
            for (line, cell) in self.lines.iter().zip(cells) {
                write!(out, "{cell:>0$}", width(line))?;
            }
            writeln!(out)
        };
        let or_none = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
        for figure in self.figures() {
            let medians: Vec<_> = self
                .lines
                .iter()
                .map(|l| median(&l.values(figure)))
                .collect();
            let cells = medians.iter().map(|m| m.map(|m| short(m.value)));
            row(figure, &mut cells.map(or_none))?;
            if medians.iter().flatten().any(|m| m.low < m.high) {
                let spread = |m: Median| format!("{} - {}", short(m.low), short(m.high));
                let cells = medians.iter().map(|m| m.map(spread));
                row("  95 %", &mut cells.map(or_none))?;
            }
            let ratios: Vec<_> = self.lines.iter().map(|l| l.ratio(base, figure)).collect();
            if self.lines.len() > 1 && ratios.iter().flatten().count() > 1 {
                let text = |m: Median| format!("x {:.3} [{:.3}, {:.3}]", m.value, m.low, m.high);
                let cells = ratios.iter().map(|m| m.map(text));
                row(&format!("  / {}", base.name), &mut cells.map(or_none))?;
            }
        }
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in self.lines.iter().flat_map(|line| &line.last) {
            if seen.contains(&name.as_str()) {
                continue;
            }
            seen.push(name);
            let of = |line: &Line| {
                let found = line.last.iter().find(|(n, _)| n == name);
                found.and_then(|(_, value)| value.as_f64())
            };
            if self.lines.iter().any(|line| of(line).is_some()) {
                let cells = self.lines.iter().map(|l| of(l).map(short));
                row(name, &mut cells.map(or_none))?;
            }
        }
        Ok(())
    }

    /// A result for each server, as `report` and `compare` read them.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        for (order, line) in self.lines.iter().enumerate() {
            let mut report = self.described(order, line);
            for figure in self.figures() {
                let Some(m) = median(&line.values(figure)) else {
                    continue;
                };
                report.median(figure, m);
                let base = &self.lines[0];
                if let (Some(ratio), true) = (line.ratio(base, figure), order > 0) {
                    report.median(&format!("{figure} / {}", base.name), ratio);
                }
            }
            for (name, value) in &line.last {
                report.put(name, value.clone());
            }
            let each = self.figures().into_iter().map(|figure| {
                let values = line.values(figure);
                let values = values.iter().map(|v| Value::from((v * 1e4).round() / 1e4));
                (figure.to_owned(), values.collect())
            });
            report.put("each round", Value::Object(each.collect::<Map<_, _>>()));
            let file = format!("{}.{}.json", self.workload.name, plain(&line.name));
            report.write(&folder.join(file))?;
        }
        Ok(())
    }

    fn described(&self, order: usize, line: &Line) -> Report {
        let options = &self.workload.options;
        let mut report = Report::default();
        report.put("workload", self.workload.name);
        report.put("what", self.workload.what);
        report.put("server", line.name.as_str());
        report.put("order", order);
        report.put("rounds", options.rounds);
        report.put("requests per round", options.requests);
        report.put("connections", options.connections);
        report.put("depth", options.depth);
        report.put("parked", options.parked);
        report
    }
}

/// What may stand in the name of a file.
fn plain(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '+' | '-' | '_' | '.' => c,
            _ => '-',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, rounds: &[f64]) -> Line {
        let rounds = rounds.iter().map(|value| vec![("f".to_owned(), *value)]);
        Line {
            name: name.to_owned(),
            rounds: rounds.collect(),
            last: Vec::new(),
        }
    }

    #[test]
    fn a_ratio_is_the_median_of_those_in_each_round() {
        // The machine grows slower from round to round; the ratio does not.
        let (a, b) = (line("a", &[1.0, 2.0, 8.0]), line("b", &[2.0, 4.0, 16.0]));
        let ratio = b.ratio(&a, "f").unwrap();
        assert_eq!((ratio.low, ratio.value, ratio.high), (2.0, 2.0, 2.0));
        assert_eq!(b.ratio(&line("c", &[0.0, 1.0, 1.0]), "f"), None);
        assert_eq!(b.ratio(&a, "g"), None);
    }

    #[test]
    fn a_file_is_named_after_its_server_whatever_that_is() {
        assert_eq!(plain("parkade-file+io_uring"), "parkade-file+io_uring");
        assert_eq!(plain("http://h:1/../x"), "http---h-1-..-x");
    }
}
