//! Figures for people.

use std::fmt::Write;

use crate::measures::Measure;
use crate::rounds::Found;
use crate::stats::{Median, median};

/// A row for each contestant, and its ratio to the first one, round by round.
pub(crate) fn text(measure: &Measure, found: &[Found]) -> String {
    let mut text = format!("\n{}\n", measure.name);
    let Some(first) = found.first() else {
        return text;
    };
    for Found { name, each } in found {
        let ratios: Vec<f64> = each.iter().zip(&first.each).map(|(a, b)| a / b).collect();
        let (Some(ns), Some(ratio)) = (median(each), median(&ratios)) else {
            continue;
        };
        let times = if std::ptr::eq(each, &first.each) {
            String::new()
        } else {
            format!("  {} x", cell(ratio, 2))
        };
        let _ = writeln!(text, "  {name:<22}{:>28}{times}", cell(ns, 0));
    }
    text
}

fn cell(of: Median, digits: usize) -> String {
    let Median { value, low, high } = of;
    format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::ALL;

    #[test]
    fn everyone_but_the_first_has_a_ratio() {
        let name = |name, each: &[f64]| Found {
            name,
            each: each.to_vec(),
        };
        let found = [
            name("a", &[10.0, 20.0, 30.0]),
            name("b", &[20.0, 40.0, 60.0]),
        ];
        let text = text(&ALL[0], &found);
        let lines: Vec<_> = text.lines().skip(2).map(str::trim).collect();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[0]), "a 20 [10, 30]");
        assert_eq!(words(lines[1]), "b 40 [20, 60] 2.00 [2.00, 2.00] x");
    }
}
