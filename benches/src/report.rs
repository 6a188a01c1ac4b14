//! Results as a table for people and as JSON for programs.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::LazyLock;

use hdrhistogram::Histogram;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use crate::facts;
use crate::procfs::Cpu;
use crate::sample::{CPU, Figures, SYSTEM, USER, latencies};
use crate::stats::{Median, median};
use crate::verdict::Verdict;

/// Named results in the order they were found.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(String, Value)>,
    verdicts: Vec<Verdict>,
}

impl Report {
    /// Adds one result; numbers are kept to four decimals.
    pub(crate) fn put(&mut self, name: &str, value: impl Into<Value>) {
        let value = match value.into() {
            Value::Number(n) if n.is_f64() => {
                Value::from((n.as_f64().unwrap_or(0.0) * 1e4).round() / 1e4)
            }
            other => other,
        };
        self.rows.push((name.to_owned(), value));
    }

    /// Adds the median of each figure, with its interval where rounds differ.
    pub(crate) fn medians(&mut self, rounds: &[Figures]) {
        let Some(first) = rounds.first() else { return };
        for (name, _) in first {
            let of = |round: &Figures| round.iter().find(|(n, _)| n == name).map(|f| f.1);
            let values: Vec<f64> = rounds.iter().filter_map(of).collect();
            if let Some(median) = median(&values) {
                self.median(name, median);
            }
        }
    }

    /// Adds a median, with its interval where it has one.
    pub(crate) fn median(&mut self, name: &str, median: Median) {
        self.put(name, median.value);
        if median.low < median.high {
            self.put(&format!("{name}, low"), median.low);
            self.put(&format!("{name}, high"), median.high);
        }
    }

    /// Adds a verdict, if there is a limit; they stand at the end.
    pub(crate) fn judge(&mut self, verdict: Option<Verdict>) {
        self.verdicts.extend(verdict);
    }

    /// Whether every limit was kept.
    pub(crate) fn reached(&self) -> bool {
        self.verdicts.iter().all(|v| v.reached)
    }

    /// Server CPU for each of `n` requests.
    pub(crate) fn cpu(&mut self, cpu: Cpu, n: u64) {
        let (total, user, system) = cpu.per_request(n);
        self.put(CPU, total);
        self.put(&format!("  {USER}"), user);
        self.put(&format!("  {SYSTEM}"), system);
    }

    /// Percentiles in microseconds.
    pub(crate) fn latency(&mut self, times: &Histogram<u64>) {
        for (name, us) in latencies(times) {
            self.put(&name, us);
        }
    }

    /// Prints the table and writes the JSON file if one is wanted.
    pub(crate) fn finish(&mut self, json: Option<&Path>) -> io::Result<()> {
        for verdict in &self.verdicts {
            let name = format!("verdict: {}", verdict.what);
            self.rows.push((name, verdict.text().into()));
        }
        let width = self
            .rows
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        let mut out = io::stdout().lock();
        for (name, value) in &self.rows {
            match value {
                Value::String(text) => writeln!(out, "{name:width$}  {text}")?,
                other => writeln!(out, "{name:width$}  {other}")?,
            }
        }
        json.map_or(Ok(()), |path| self.write(path))
    }

    /// Writes the JSON file, with what is known of machine, command and time.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut map: Map<String, Value> = self
            .rows
            .iter()
            .map(|(n, v)| (n.trim().to_owned(), v.clone()))
            .collect();
        map.insert("command".into(), facts::command().into());
        map.insert("at".into(), facts::now().into());
        map.insert("machine".into(), facts::machine().into());
        if !self.verdicts.is_empty() {
            let all = self.verdicts.iter().map(Verdict::json).collect();
            map.insert("verdicts".into(), Value::Array(all));
        }
        let text = serde_json::to_string_pretty(&map)?;
        fs::write(path, text + "\n")
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
    }
}

/// All bars that are shown, below each other.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A progress bar on standard error, with the time that is left; nothing when that is no terminal.
pub(crate) fn progress(length: u64, what: &str) -> ProgressBar {
    let bar = BARS.add(ProgressBar::new(length));
    if let Ok(style) = ProgressStyle::with_template("{msg:34} [{bar:40}] {percent:3} % {eta} left")
    {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// A line on standard error, above the bars.
pub(crate) fn say(line: &str) {
    BARS.suspend(|| eprintln!("{line}"));
}

/// Three digits or all of a whole number, with the thousands apart.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        0.0 => 0,
        _ if size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{size:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if value < 0.0 && text.contains(|c: char| c.is_ascii_digit() && c != '0') {
        "-"
    } else {
        ""
    };
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn figures_are_short() {
        let pairs = [
            (0.0, "0"),
            (0.000_04, "0.000"),
            (5.036, "5.04"),
            (56.06, "56.1"),
            (1234.5, "1,234"),
            (1_000_000.0, "1,000,000"),
            (-12.25, "-12.2"),
        ];
        for (value, text) in pairs {
            assert_eq!(short(value), text);
        }
    }
}
