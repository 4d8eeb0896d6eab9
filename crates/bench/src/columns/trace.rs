//! What the link itself saw, moment by moment, cut and summed: rates, queues, how soon a queue drains, how soon a rate
//! is reached.

use crate::link::emulator::{MOMENT_US, Tick};
use crate::summary::Samples;

/// A link's moments from a beginning on. Times are seconds since then.
#[derive(Debug)]
pub struct Trace {
    begun: u64,
    moments: Vec<Tick>,
}

impl Trace {
    /// Of these moments, which are in order.
    pub const fn new(begun: u64, moments: Vec<Tick>) -> Self {
        Self { begun, moments }
    }

    fn between(&self, from: f64, to: f64) -> impl Iterator<Item = &Tick> {
        let at = |s: f64| self.begun.saturating_add((s * 1e6).round() as u64);
        let (from, to) = (at(from), at(to));
        self.moments.iter().filter(move |t| t.at > from && t.at <= to)
    }

    /// IP bytes that reached the client.
    pub fn delivered(&self, from: f64, to: f64) -> u64 {
        self.between(from, to).map(|t| t.down.delivered).sum()
    }

    /// The same as Mbit/s.
    pub fn mbps(&self, from: f64, to: f64) -> f64 {
        self.delivered(from, to) as f64 * 8e-6 / (to - from).max(1e-9)
    }

    /// What the bottleneck lets through in the mean, Mbit/s.
    pub fn capacity(&self, from: f64, to: f64) -> f64 {
        let rates: Vec<f64> = self.between(from, to).map(|t| t.rate as f64 * 1e-6).collect();
        rates.iter().sum::<f64>() / (rates.len() as f64).max(1.0)
    }

    /// The queue in front of the client, milliseconds: the highest of each moment, and 0 in those it was empty.
    pub fn queue(&self, from: f64, to: f64) -> Samples {
        Samples(self.between(from, to).map(|t| t.down.queue_us as f64 / 1e3).collect())
    }

    /// From when on the queue stays below `limit` milliseconds, in milliseconds after `from`.
    pub fn settles(&self, from: f64, to: f64, limit: f64) -> f64 {
        let last = self.between(from, to).filter(|t| t.down.queue_us as f64 / 1e3 > limit).last();
        last.map_or(0.0, |t| (t.at.saturating_sub(self.begun) as f64 / 1e6 - from) * 1e3)
    }

    /// When a quarter of a second begins that carries `goal` Mbit/s, in milliseconds after `from`; `None` if never.
    pub fn rises(&self, from: f64, to: f64, goal: f64) -> Option<f64> {
        let steps = ((to - from - WINDOW) / STEP).max(0.0) as usize;
        let found = (0..=steps).map(|i| i as f64 * STEP).find(|s| self.mbps(from + s, from + s + WINDOW) >= goal);
        found.map(|s| s * 1e3)
    }

    /// One burst within these seconds: its bytes, and when the first of it entered the link and the last left it.
    pub fn burst(&self, from: f64, to: f64) -> Option<(u64, f64, f64)> {
        let second = |t: &Tick| t.at.saturating_sub(self.begun) as f64 / 1e6;
        let first = self.between(from, to).find(|t| t.down.offered >= BUSY).map(second)? - MOMENT_US as f64 / 1e6;
        let last = self.between(first, to).filter(|t| t.down.delivered >= BUSY).last().map(second)?;
        Some((self.delivered(first, last), first, last))
    }
}

/// The study's window of a rate.
const WINDOW: f64 = 0.25;
const STEP: f64 = 0.01;
/// Bytes in a moment that are more than reports, probes and acknowledgements: a packet.
const BUSY: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::emulator::Way;

    /// 2 s of 8 Mbit/s, of which from 0.5 s to 1 s only a tenth gets through, over a queue that grows and drains.
    fn trace() -> Trace {
        let moment = |i: u64| {
            let slow = (100..200).contains(&i);
            let queue_us = if slow { (i - 99) * 1_000 } else { 0 };
            let bytes = if slow { 500 } else { 5_000 };
            let down = Way { offered: 5_000, delivered: bytes, queue_us, ..Way::default() };
            let rate = if slow { 800_000 } else { 8_000_000 };
            Tick { at: 1_000 + (i + 1) * MOMENT_US, rate, down, up: Way::default() }
        };
        Trace::new(1_000, (0..400).map(moment).collect())
    }

    #[test]
    fn rates_and_queues_are_of_their_time() {
        let t = trace();
        assert!((t.mbps(0.0, 0.5) - 8.0).abs() < 1e-9 && (t.mbps(0.5, 1.0) - 0.8).abs() < 1e-9);
        assert!((t.capacity(0.0, 1.0) - 4.4).abs() < 1e-9);
        assert_eq!(t.queue(0.5, 1.0).percentile(100.0), Some(100.0));
        assert_eq!(t.queue(1.0, 2.0).percentile(100.0), Some(0.0));
    }

    #[test]
    fn a_queue_settles_after_its_last_moment_above_the_limit() {
        assert!((trace().settles(0.5, 2.0, 50.0) - 500.0).abs() < 1e-6);
        assert!(trace().settles(1.1, 2.0, 50.0).abs() < 1e-9);
    }

    #[test]
    fn a_rate_is_reached_where_a_whole_window_carries_it() {
        let up = trace().rises(0.8, 2.0, 7.2).unwrap();
        // The window may begin a tenth of itself before the rise.
        assert!((160.0..=200.0).contains(&up), "{up}");
        assert_eq!(trace().rises(0.0, 2.0, 9.0), None);
    }

    #[test]
    fn a_burst_has_its_first_and_its_last_byte() {
        let (bytes, first, last) = trace().burst(1.0, 1.5).unwrap();
        assert_eq!((bytes, (first * 1e3).round() as i64, (last * 1e3).round() as i64), (500_000, 1_000, 1_500));
    }
}
