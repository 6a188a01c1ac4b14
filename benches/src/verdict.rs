//! Limits, and whether they were kept.

use serde_json::{Map, Value};

use crate::stats::Median;

/// One limit and what was found.
pub(crate) struct Verdict {
    pub(crate) what: &'static str,
    pub(crate) limit: f64,
    pub(crate) found: Median,
    pub(crate) reached: bool,
}

impl Verdict {
    /// Reached when `limit` is not below the lower end of the interval of what was found.
    pub(crate) fn at_most(what: &'static str, limit: f64, found: Median) -> Verdict {
        Verdict {
            what,
            limit,
            found,
            reached: limit >= found.low,
        }
    }

    /// Reached when one exact figure is not below `limit`.
    pub(crate) fn at_least(what: &'static str, limit: f64, found: f64) -> Verdict {
        Verdict {
            what,
            limit,
            found: exactly(found),
            reached: found >= limit,
        }
    }

    /// For the table: `missed: 1.081 [1.052, 1.117], limit 1.04`.
    pub(crate) fn text(&self) -> String {
        let word = if self.reached { "reached" } else { "missed" };
        let Median { value, low, high } = self.found;
        let interval = if low < high {
            format!(" [{low:.3}, {high:.3}]")
        } else {
            String::new()
        };
        format!("{word}: {value:.3}{interval}, limit {}", self.limit)
    }

    pub(crate) fn json(&self) -> Value {
        let mut map = Map::new();
        map.insert("of".into(), self.what.into());
        map.insert("limit".into(), self.limit.into());
        map.insert("value".into(), self.found.value.into());
        map.insert("low".into(), self.found.low.into());
        map.insert("high".into(), self.found.high.into());
        map.insert("reached".into(), self.reached.into());
        Value::Object(map)
    }
}

/// A figure without an interval: a count.
pub(crate) fn exactly(value: f64) -> Median {
    Median {
        value,
        low: value,
        high: value,
    }
}

#[cfg(test)]
mod tests {
    use super::{Median, Verdict, exactly};

    #[test]
    fn a_limit_is_missed_only_when_the_whole_interval_lies_above() {
        let ratio = Median {
            value: 1.08,
            low: 1.05,
            high: 1.12,
        };
        assert!(Verdict::at_most("ratio", 1.06, ratio).reached);
        let missed = Verdict::at_most("ratio", 1.04, ratio);
        assert!(!missed.reached);
        assert_eq!(missed.text(), "missed: 1.080 [1.050, 1.120], limit 1.04");
        assert_eq!(missed.json()["reached"], false);
    }

    #[test]
    fn a_count_is_held_against_its_limit_exactly() {
        assert!(Verdict::at_most("calls", 3.0, exactly(3.0)).reached);
        assert!(!Verdict::at_most("calls", 3.0, exactly(3.01)).reached);
        assert!(!Verdict::at_least("given back", 0.9, 0.89).reached);
    }
}
