//! Two results of the same command, written with `--json`: what has changed, and whether for the worse.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use crate::options::Options;
use crate::report::Report;
use crate::stats::Median;
use crate::verdict::Verdict;

/// Before a figure counts as worse it has to be more so than this machine's mood.
const NOISE: f64 = 1.05;

/// Whether more of a figure is worse; `None`: it is no measure of quality, like a number of rounds.
fn more_is_worse(name: &str) -> Option<bool> {
    let name = name.to_ascii_lowercase();
    // The ends of an interval are no figures of their own.
    if name.ends_with(", low") || name.ends_with(", high") {
        return None;
    }
    let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if any(&[
        "requests/s",
        "connections/s",
        "opened/s",
        "given back",
        "gain",
    ]) {
        Some(false)
    } else if any(&[
        "cpu",
        "user us",
        "system us",
        " us",
        " ms",
        "bytes/",
        "calls",
        "wake-ups",
        "lost",
        "failed",
        "ratio",
    ]) {
        Some(true)
    } else {
        None
    }
}

/// A result of this program.
pub(crate) fn read(path: &Path) -> io::Result<Map<String, Value>> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let text = fs::read_to_string(path).map_err(named)?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(named(io::Error::other("not a result of this program"))),
        Err(e) => Err(named(e.into())),
    }
}

/// `compare A.json B.json`: B against A.
pub(crate) fn run(old: &Path, new: &Path, options: &Options) -> io::Result<Report> {
    let (before, after) = (read(old)?, read(new)?);
    let workload = |map: &Map<String, Value>| map.get("workload").cloned();
    if workload(&before) != workload(&after) {
        return Err(io::Error::other("these are results of different workloads"));
    }
    let limit = options.limits.ratio.unwrap_or(NOISE);
    let mut report = Report::default();
    report.put("before", old.display().to_string());
    report.put("after", new.display().to_string());
    let mut worst: Option<(f64, &str)> = None;
    let mut compared = 0;
    for (name, was) in &before {
        let (Some(was), Some(is)) = (was.as_f64(), after.get(name).and_then(Value::as_f64)) else {
            continue;
        };
        let Some(more_is_worse) = more_is_worse(name) else {
            continue;
        };
        compared += 1;
        if was == is {
            continue;
        }
        // What was nothing and is something is worse without measure.
        let ratio = if was == 0.0 { f64::INFINITY } else { is / was };
        let worse = if more_is_worse { ratio } else { 1.0 / ratio };
        let mark = if worse > limit { "  worse" } else { "" };
        report.put(name, format!("{was} -> {is}  ({ratio:.3}){mark}"));
        if worst.is_none_or(|(most, _)| worse > most) {
            worst = Some((worse, name));
        }
    }
    if compared == 0 {
        return Err(io::Error::other("the two have no figure in common"));
    }
    let (value, name) = worst.unwrap_or((1.0, "nothing has changed"));
    report.put("what has changed most for the worse", name);
    let found = Median {
        value,
        low: value,
        high: value,
    };
    report.judge(Some(Verdict::at_most(
        "worst of after / before",
        limit,
        found,
    )));
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_a_direction_or_none() {
        assert_eq!(
            more_is_worse("server CPU us/request (schedstat)"),
            Some(true)
        );
        assert_eq!(more_is_worse("latency p99 us"), Some(true));
        assert_eq!(more_is_worse("requests/s"), Some(false));
        assert_eq!(
            more_is_worse("share given back after all left"),
            Some(false)
        );
        assert_eq!(more_is_worse("a CPU us/request, median, high"), None);
        assert_eq!(more_is_worse("rounds"), None);
        assert_eq!(more_is_worse("parked"), None);
    }
}
