//! The least or the greatest value of a sliding window of time, in bounded memory.
//!
//! A monotonic queue (Lemire 2006, "Streaming maximum-minimum filter") whose entries are at least 1/64 of the window
//! apart, so a window holds at most 66 entries whatever is fed to it. The last value outlives its window until another
//! comes: after idle the old fit is kept rather than nothing.

use std::collections::VecDeque;

const STEPS: f64 = 64.0;
const MOST: usize = 66;

/// Which end of the values is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Least,
    Greatest,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Windowed {
    want: Want,
    /// Seconds.
    span: f64,
    /// (time in seconds, value), the wanted value in front.
    entries: VecDeque<(f64, f64)>,
}

impl Windowed {
    /// The least value of the last `span` seconds.
    pub(crate) fn least(span: f64) -> Self {
        Self { want: Want::Least, span, entries: VecDeque::new() }
    }

    /// The greatest value of the last `span` seconds.
    pub(crate) fn greatest(span: f64) -> Self {
        Self { want: Want::Greatest, span, entries: VecDeque::new() }
    }

    /// Changes the window's length; what is stored stays until it is too old.
    pub(crate) fn stretch(&mut self, span: f64) {
        self.span = span;
    }

    /// Takes a value in. Time going backwards counts as the newest time seen. Values that are not numbers are ignored.
    pub(crate) fn push(&mut self, at: f64, value: f64) {
        if !value.is_finite() || !at.is_finite() {
            return;
        }
        let at = self.entries.back().map_or(at, |&(last, _)| at.max(last));
        while let Some(&(_, last)) = self.entries.back() {
            let beaten = match self.want {
                Want::Least => value <= last,
                Want::Greatest => value >= last,
            };
            if !beaten {
                break;
            }
            self.entries.pop_back();
        }
        let step = (self.span / STEPS).max(1e-6);
        let near = self.entries.back().is_some_and(|&(last, _)| at - last < step);
        if !near {
            self.entries.push_back((at, value));
        }
        while self.entries.len() > 1
            && (self.entries.len() > MOST || self.entries.front().is_some_and(|&(t, _)| t < at - self.span))
        {
            self.entries.pop_front();
        }
    }

    /// The wanted value, if there ever was one.
    pub(crate) fn value(&self) -> Option<f64> {
        self.entries.front().map(|&(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    #[test]
    fn it_agrees_with_a_plain_search_within_its_grain() {
        let mut rng = Rng::new(7);
        let mut w = Windowed::least(1.0);
        let mut all: Vec<(f64, f64)> = Vec::new();
        let mut t = 0.0;
        for _ in 0..20_000 {
            t += rng.below(2_000) as f64 * 1e-6;
            let v = rng.below(1_000_000) as f64;
            w.push(t, v);
            all.push((t, v));
            let least = |from: f64| all.iter().rev().take_while(|x| x.0 >= from).map(|x| x.1).fold(f64::MAX, f64::min);
            let got = w.value().unwrap();
            assert!(got >= least(t - 1.02) && got <= least(t - 0.96), "{got}");
            assert!(w.entries.len() <= MOST);
            if all.len() > 3_000 {
                all.drain(..1_000);
            }
        }
    }

    #[test]
    fn a_lone_value_outlives_the_window_and_dies_at_the_next() {
        let mut w = Windowed::greatest(1.0);
        w.push(0.0, 9.0);
        assert_eq!(w.value(), Some(9.0));
        w.push(50.0, 1.0);
        assert_eq!(w.value(), Some(1.0));
        w.push(49.0, f64::NAN);
        assert_eq!(w.value(), Some(1.0));
    }
}
