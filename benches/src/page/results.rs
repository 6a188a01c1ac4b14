//! The files that `--json` writes, and what a figure may be called in them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use crate::regress;
use crate::stats::Median;

/// One server under one workload.
pub(super) struct Entry {
    /// Without its ending.
    pub(super) file: String,
    pub(super) workload: String,
    pub(super) server: String,
    /// Among those of its workload.
    pub(super) order: u64,
    /// All that are numbers, and their intervals where these are known.
    pub(super) figures: BTreeMap<String, Median>,
    /// Limits, and whether they were kept, in words.
    pub(super) verdicts: Vec<String>,
    pub(super) command: Option<String>,
    pub(super) at: Option<String>,
    pub(super) machine: BTreeMap<String, String>,
}

/// A figure, whatever the command that found it calls it.
#[derive(Clone, Copy)]
pub(super) enum Figure {
    Cpu,
    User,
    System,
    UserBytes,
    KernelBytes,
    Latency(&'static str),
}

impl Figure {
    fn names(self) -> Vec<String> {
        let fixed: &[&str] = match self {
            Figure::Cpu => &[
                "median of the rounds",
                "server CPU us/request (schedstat)",
                "CPU us/request, median",
                "CPU us/request with, median",
            ],
            Figure::User => &["of it user (by ticks)", "user us (by ticks)"],
            Figure::System => &["of it system (by ticks)", "system us (by ticks)"],
            Figure::UserBytes => &["user bytes/connection (slope)", "bytes/connection"],
            Figure::KernelBytes => &["kernel bytes/connection, both ends"],
            Figure::Latency(quantile) => return vec![format!("latency {quantile} us")],
        };
        fixed.iter().map(|name| (*name).to_owned()).collect()
    }
}

impl Entry {
    /// `None` where the workload does not have it.
    pub(super) fn figure(&self, figure: Figure) -> Option<Median> {
        let names = figure.names();
        names
            .iter()
            .find_map(|name| self.figures.get(name))
            .copied()
    }
}

/// All results in a folder, in the order of their names. A file that is none is named on standard error and left out.
pub(super) fn read(folder: &Path) -> io::Result<Vec<Entry>> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", folder.display()));
    let mut paths = Vec::new();
    for file in fs::read_dir(folder).map_err(named)? {
        let path = file.map_err(named)?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut entries = Vec::new();
    for path in paths {
        let file = path.file_stem().unwrap_or_default().to_string_lossy();
        match regress::read(&path) {
            Ok(map) if map.contains_key("workload") => entries.extend(taken(&file, &map)),
            Ok(_) => eprintln!("left out: {}: no result of a workload", path.display()),
            Err(e) => eprintln!("left out: {e}"),
        }
    }
    Ok(entries)
}

/// The servers of a file: one, or the two of `compare`.
fn taken(file: &str, map: &Map<String, Value>) -> Vec<Entry> {
    let sides: &[&str] = if map.contains_key("a server") {
        &["a ", "b "]
    } else {
        &[""]
    };
    sides.iter().map(|side| entry(file, side, map)).collect()
}

fn entry(file: &str, side: &str, map: &Map<String, Value>) -> Entry {
    let text = |name: &str| map.get(name).and_then(Value::as_str).map(str::to_owned);
    let figures = figures(side, map);
    let server = match side {
        "" => text("server").or_else(|| text("url")),
        side => text(&format!("{side}server")),
    };
    let verdicts = match (side, map.get("verdicts").and_then(Value::as_array)) {
        // They are about both; once is enough.
        ("b ", _) | (_, None) => Vec::new(),
        (_, Some(all)) => all.iter().filter_map(verdict).collect(),
    };
    let machine = map.get("machine").and_then(Value::as_object);
    let machine = machine.into_iter().flatten().filter_map(|(name, value)| {
        let value = value.as_str()?;
        Some((name.clone(), value.to_owned()))
    });
    Entry {
        file: file.to_owned(),
        workload: text("workload").unwrap_or_default(),
        server: server.unwrap_or_else(|| file.to_owned()),
        order: map.get("order").and_then(Value::as_u64).unwrap_or(u64::MAX),
        figures,
        verdicts,
        command: text("command"),
        at: text("at"),
        machine: machine.collect(),
    }
}

/// Numbers, with the interval that stands beside a number as `NAME, low` and `NAME, high`.
fn figures(side: &str, map: &Map<String, Value>) -> BTreeMap<String, Median> {
    let mut figures = BTreeMap::new();
    let number = |name: &str| map.get(name).and_then(Value::as_f64);
    for (name, value) in map {
        let Some(value) = value.as_f64() else {
            continue;
        };
        if name == "order" || name.ends_with(", low") || name.ends_with(", high") {
            continue;
        }
        let plain = match name.strip_prefix(side) {
            Some(plain) => plain,
            // What is said of both stands with the first.
            None if side == "a " && !name.starts_with("b ") => name,
            None => continue,
        };
        let end = |which| number(&format!("{name}, {which}")).unwrap_or(value);
        let (low, high) = (end("low"), end("high"));
        figures.insert(plain.trim().to_owned(), Median { value, low, high });
    }
    figures
}

fn verdict(value: &Value) -> Option<String> {
    let of = value.get("of")?.as_str()?;
    let reached = value.get("reached")?.as_bool()?;
    let number = |name| value.get(name).and_then(Value::as_f64);
    let (found, limit) = (number("value")?, number("limit")?);
    let word = if reached { "reached" } else { "missed" };
    Some(format!("{word}: {of}: {found:.3}, limit {limit}"))
}
