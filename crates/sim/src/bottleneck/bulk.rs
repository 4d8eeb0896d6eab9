//! A greedy flow with a CUBIC window (beta 0.7, C 0.4), one acknowledgement per packet: the rival.

use std::collections::BTreeMap;

/// See the module.
pub struct Bulk {
    end: u64,
    window: f64,
    threshold: f64,
    most: f64,
    epoch: u64,
    recovery: u64,
    next: u64,
    flying: BTreeMap<u64, u64>,
    smoothed: f64,
    heard: u64,
    /// (second, bytes) of what arrived.
    pub arrived: Vec<(f64, u64)>,
}

impl Bulk {
    pub(super) fn new(end: u64) -> Self {
        Self {
            end,
            window: 10.0,
            threshold: 1e9,
            most: 10.0,
            epoch: 0,
            recovery: 0,
            next: 0,
            flying: BTreeMap::new(),
            smoothed: 0.1,
            heard: 0,
            arrived: Vec::new(),
        }
    }

    fn decrease(&mut self, now: u64) {
        self.recovery = self.next;
        self.most = if self.window < self.most { 0.85 * self.window } else { self.window };
        self.window = (0.7 * self.window).max(2.0);
        self.threshold = self.window;
        self.epoch = now;
    }

    pub(super) fn on_ack(&mut self, now: u64, seq: u64) {
        self.heard = now;
        let Some(sent) = self.flying.remove(&seq) else { return };
        self.smoothed += 0.125 * ((now - sent) as f64 / 1e9 - self.smoothed);
        let lost: Vec<u64> = self.flying.range(..seq.saturating_sub(2)).map(|(s, _)| *s).collect();
        for s in lost {
            self.flying.remove(&s);
            if s >= self.recovery {
                self.decrease(now);
            }
        }
        if seq < self.recovery {
            return;
        }
        if self.window < self.threshold {
            self.window += 1.0;
        } else {
            let k = ((self.most - self.window.min(self.most)).max(0.0) / 0.4).cbrt();
            let k = if self.most > 0.0 { (self.most * 0.3 / 0.4).cbrt().max(k) } else { k };
            let t = (now - self.epoch) as f64 / 1e9 + self.smoothed - k;
            let goal = 0.4 * t * t * t + self.most;
            self.window += ((goal - self.window) / self.window).clamp(0.53 / self.window, 0.5);
        }
    }

    /// Packets to send now.
    pub(super) fn pump(&mut self, now: u64) -> Vec<u64> {
        if now >= self.end {
            return Vec::new();
        }
        if !self.flying.is_empty() && now.saturating_sub(self.heard) > 1_000_000_000 {
            self.flying.clear();
            self.decrease(now);
            self.heard = now;
        }
        let mut out = Vec::new();
        while (self.flying.len() as f64) < self.window && out.len() < 20 {
            self.flying.insert(self.next, now);
            out.push(self.next);
            self.next += 1;
        }
        out
    }
}
