//! Results as a table for people and as JSON for programs.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use crate::facts;
use crate::procfs::Cpu;
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
        self.put("server CPU us/request (schedstat)", total);
        self.put("  of it user (by ticks)", user);
        self.put("  of it system (by ticks)", system);
    }

    /// Percentiles in microseconds.
    pub(crate) fn latency(&mut self, times: &Histogram<u64>) {
        for (name, quantile) in [
            ("p50", 0.5),
            ("p90", 0.9),
            ("p99", 0.99),
            ("p99.9", 0.999),
            ("max", 1.0),
        ] {
            self.put(
                &format!("latency {name} us"),
                times.value_at_quantile(quantile) as f64 / 1e3,
            );
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
        if let Some(path) = json {
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
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        }
        Ok(())
    }
}

/// A progress bar on standard error; nothing when that is no terminal.
pub(crate) fn progress(length: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{msg:24} [{bar:40}] {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}
