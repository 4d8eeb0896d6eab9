//! The bottleneck and the way around it, as numbers.

use super::SECOND;

/// Loss in bursts (Gilbert): good and bad times take turns packet by packet.
#[derive(Clone, Copy, Debug)]
pub struct Gilbert {
    /// Chance per million that a good time ends with a packet.
    pub worsens_ppm: u32,
    /// Chance per million that a bad time ends with a packet.
    pub betters_ppm: u32,
    /// Packets lost per million in bad times.
    pub loss_ppm: u32,
}

/// A path. See the fields.
#[derive(Clone, Debug)]
pub struct Path {
    /// (from this second, Mbit/s), in order; the first from 0.
    pub rates: Vec<(f64, f64)>,
    /// Round trip without queue, seconds.
    pub rtt: f64,
    /// Bytes the queue holds.
    pub buffer: u64,
    /// Packets lost per million, each way.
    pub loss_ppm: u32,
    /// Loss in bursts, on the way there only.
    pub bursts: Option<Gilbert>,
    /// Mean extra delay of feedback, seconds; feedback is not reordered.
    pub reverse_jitter: f64,
    /// From this second on the round trip is this, seconds.
    pub detour: Option<(f64, f64)>,
    /// A token bucket in front of the bottleneck drops what exceeds it: Mbit/s and bytes at once.
    pub policer: Option<(f64, u64)>,
    /// The queue is managed by CoDel (RFC 8289: 5 ms, 100 ms).
    pub codel: bool,
    /// CoDel marks instead of dropping (ECN, RFC 3168).
    pub ecn: bool,
    /// A radio that aggregates: it gets a turn every so many seconds, evenly between half and one and a half of it, and
    /// then delivers all that has left the bottleneck, at 300 Mbit/s.
    pub turns: f64,
}

impl Path {
    /// A path of one rate with 100 ms of buffer.
    pub fn steady(mbps: f64, rtt: f64) -> Self {
        let buffer = (mbps * 1e6 / 8.0 * 0.1) as u64;
        Self {
            rates: vec![(0.0, mbps)],
            rtt,
            buffer,
            loss_ppm: 0,
            bursts: None,
            reverse_jitter: 0.0,
            detour: None,
            policer: None,
            codel: false,
            ecn: false,
            turns: 0.0,
        }
    }

    /// Half the round trip without queue at `t` nanoseconds, in seconds.
    pub(super) fn way(&self, t: u64) -> f64 {
        let rtt = self.detour.filter(|d| t as f64 >= d.0 * SECOND).map_or(self.rtt, |d| d.1);
        rtt / 2.0
    }

    /// Mbit/s at `t` nanoseconds.
    pub(super) fn rate(&self, t: u64) -> f64 {
        let s = t as f64 / SECOND;
        let i = self.rates.partition_point(|r| r.0 <= s);
        self.rates.get(i.saturating_sub(1)).map_or(1.0, |r| r.1)
    }

    /// The mean rate between two seconds, Mbit/s.
    pub fn mean(&self, from: f64, to: f64) -> f64 {
        let ends = self.rates.iter().skip(1).map(|r| r.0).chain([f64::INFINITY]);
        let bits = self.rates.iter().zip(ends).map(|(r, end)| r.1 * (end.min(to) - r.0.max(from)).max(0.0));
        bits.sum::<f64>() / (to - from)
    }

    /// When `bytes` that begin to leave at `start` have left, following the trace.
    pub(super) fn leave(&self, start: u64, bytes: u64) -> u64 {
        let mut t = start as f64;
        let mut bits = bytes as f64 * 8.0;
        loop {
            // A change within a nanosecond has happened: rounding must not let the rate before it last until the next one.
            let i = self.rates.partition_point(|r| r.0 * SECOND <= t + 1.0);
            let rate = self.rates.get(i.saturating_sub(1)).map_or(1.0, |r| r.1) * 1e6 / SECOND;
            let end = self.rates.get(i).map_or(f64::INFINITY, |r| r.0 * SECOND);
            if rate > 0.0 && bits / rate <= end - t + 1.0 {
                return (t + bits / rate).ceil() as u64;
            }
            if end.is_infinite() {
                // Nothing ever passes again.
                return u64::MAX / 2;
            }
            bits -= rate * (end - t);
            t = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_follows_the_trace_to_the_nanosecond() {
        // Instants that no float has exactly, and stops between.
        let rates = (0..200).flat_map(|i| [(f64::from(i) * 0.3, 8.0), (f64::from(i) * 0.3 + 0.1, 0.0)]).collect();
        let path = Path { rates, ..Path::steady(8.0, 0.04) };
        let mut t = 0;
        for packet in 1..2_000u64 {
            t = path.leave(t, 1_000);
            // A millisecond each, 100 of them in every 300 ms.
            let whole = (packet - 1) / 100 * 300 + (packet - 1) % 100 + 1;
            assert!(t.abs_diff(whole * 1_000_000) < 1_000, "{packet}: {t}");
        }
    }
}
