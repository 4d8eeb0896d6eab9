//! Summaries of samples: nearest-rank percentiles, as every figure of the project is quoted, and the spread over rounds.

use serde_json::{Value, json};

/// Samples in milliseconds (or whatever the owner says), in the order they came.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// Adds microseconds as milliseconds.
    pub fn add_us(&mut self, us: u64) {
        self.0.push(us as f64 / 1e3);
    }

    /// The nearest-rank percentile, `None` without samples.
    pub fn percentile(&self, p: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (p / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied()
    }

    /// Count, p50, p95, p99 and max.
    pub fn json(&self) -> Value {
        let p = |p| self.percentile(p);
        json!({ "count": self.0.len(), "p50": p(50.0), "p95": p(95.0), "p99": p(99.0), "max": p(100.0) })
    }
}

/// A figure over several rounds: its median, and the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one (of an even number the mean of the two).
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// `None` without figures.
    pub fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { sorted[middle - 1].midpoint(sorted[middle]) };
        Some(Self { median, min, max })
    }

    /// `5.8 (5.6-6.1)`, or only the median when there is no spread to the precision asked for.
    pub fn show(&self, digits: usize) -> String {
        let [median, min, max] = [self.median, self.min, self.max].map(|v| format!("{v:.digits$}"));
        if min == max { median } else { format!("{median} ({min}-{max})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let s = Samples((1..=20).map(f64::from).collect());
        assert_eq!(s.percentile(50.0), Some(10.0));
        assert_eq!(s.percentile(95.0), Some(19.0));
        assert_eq!(s.percentile(100.0), Some(20.0));
        assert_eq!(Samples::default().percentile(50.0), None);
    }

    #[test]
    fn a_spread_shows_itself_only_when_there_is_one() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]).map(|s| s.show(0)), Some("2 (1-3)".into()));
        assert_eq!(Spread::of(&[2.04, 2.01]).map(|s| s.show(1)), Some("2.0".into()));
        assert_eq!(Spread::of(&[3.0, 1.0]).map(|s| s.show(0)), Some("2 (1-3)".into()), "not the better of two rounds");
        assert_eq!(Spread::of(&[]), None);
    }
}
