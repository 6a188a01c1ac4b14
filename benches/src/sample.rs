//! What a stretch of load found, and the names that its figures have in results.

use std::io;

use hdrhistogram::Histogram;

use crate::fleet::histogram;
use crate::procfs::Used;

pub(crate) const CPU: &str = "server CPU us/request (schedstat)";
pub(crate) const USER: &str = "of it user (by ticks)";
pub(crate) const SYSTEM: &str = "of it system (by ticks)";
/// What is told of latencies: a name, and a part of one.
pub(crate) const PERCENTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("max", 1.0),
];

/// Figures by name, in the order that they are shown in.
pub(crate) type Figures = Vec<(String, f64)>;

/// Requests, and what they took of server and time.
pub(crate) struct Sample {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) used: Used,
    pub(crate) latency: Histogram<u64>,
}

impl Sample {
    /// Of nothing yet.
    pub(crate) fn new() -> io::Result<Sample> {
        Ok(Sample {
            requests: 0,
            seconds: 0.0,
            used: Used::default(),
            latency: histogram()?,
        })
    }

    pub(crate) fn add(&mut self, more: &Sample) -> io::Result<()> {
        self.requests += more.requests;
        self.seconds += more.seconds;
        self.used += more.used;
        self.latency.add(&more.latency).map_err(io::Error::other)
    }

    /// Server CPU per request in microseconds.
    pub(crate) fn cost(&self) -> f64 {
        self.used.cpu.per_request(self.requests).0
    }

    /// Of it the part in user space, by ticks.
    pub(crate) fn user(&self) -> f64 {
        self.used.cpu.per_request(self.requests).1
    }

    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds.max(1e-9)
    }

    /// Microseconds.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }

    /// All of it, for each request.
    pub(crate) fn figures(&self) -> Figures {
        let (total, user, system) = self.used.cpu.per_request(self.requests);
        let each = |n: u64| n as f64 / self.requests.max(1) as f64;
        let mut figures = vec![
            (CPU.to_owned(), total),
            (USER.to_owned(), user),
            (SYSTEM.to_owned(), system),
            ("waits/request".to_owned(), each(self.used.woken)),
            ("forced switches/request".to_owned(), each(self.used.forced)),
            ("requests/s".to_owned(), self.rate()),
        ];
        if !self.latency.is_empty() {
            figures.extend(latencies(&self.latency));
        }
        figures
    }
}

/// Percentiles in microseconds.
pub(crate) fn latencies(times: &Histogram<u64>) -> impl Iterator<Item = (String, f64)> {
    PERCENTILES.iter().map(|(name, quantile)| {
        let us = times.value_at_quantile(*quantile) as f64 / 1e3;
        (format!("latency {name} us"), us)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_samples_are_one_of_both() {
        let mut all = Sample::new().unwrap();
        let mut one = Sample::new().unwrap();
        (one.requests, one.seconds) = (2, 0.5);
        one.used.cpu.run_ns = 8_000;
        one.used.woken = 1;
        one.latency.record(3_000).unwrap();
        for _ in 0..2 {
            all.add(&one).unwrap();
        }
        let figures = all.figures();
        let figure = |name| figures.iter().find(|(n, _)| n == name).unwrap().1;
        assert_eq!(figure(CPU), 4.0);
        assert_eq!(figure("requests/s"), 4.0);
        assert_eq!(figure("waits/request"), 0.5);
        assert!((figure("latency p99 us") - 3.0).abs() < 0.01);
    }
}
