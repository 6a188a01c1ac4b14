//! Results as a table for people and as JSON for programs.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use crate::procfs::Cpu;

/// Named results in the order they were found.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(String, Value)>,
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
    pub(crate) fn finish(&self, json: Option<&Path>) -> io::Result<()> {
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
            let map: Map<String, Value> = self
                .rows
                .iter()
                .map(|(n, v)| (n.trim().to_owned(), v.clone()))
                .collect();
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
