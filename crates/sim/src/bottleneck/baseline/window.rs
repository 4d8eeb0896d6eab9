//! NewReno (RFC 9002 section 7) and CUBIC (RFC 9438), paced as QUIC stacks pace them: 1.25 windows a round trip.

use super::{Law, MSS, Round};

/// A loss-based window.
pub struct WindowLaw {
    cubic: bool,
    window: f64,
    threshold: f64,
    /// Packets sent before this do not count: a loss halves once a round trip.
    recovery: f64,
    /// CUBIC's window before the last decrease, when that was, when it will be reached again, and NewReno's window.
    most: f64,
    epoch: f64,
    k: f64,
    friendly: f64,
    /// The window was the limit since the last feedback.
    filled: bool,
}

impl WindowLaw {
    fn new(cubic: bool) -> Self {
        Self {
            cubic,
            window: 10.0 * MSS,
            threshold: f64::INFINITY,
            recovery: -1.0,
            most: 0.0,
            epoch: 0.0,
            k: 0.0,
            friendly: 0.0,
            filled: false,
        }
    }

    /// NewReno.
    pub fn newreno() -> Self {
        Self::new(false)
    }

    /// CUBIC.
    pub fn cubic() -> Self {
        Self::new(true)
    }

    fn decrease(&mut self, now: f64) {
        self.recovery = now;
        if self.cubic {
            let fell_short = self.window < self.most;
            self.most = if fell_short { 0.5 * (1.0 + BETA) * self.window } else { self.window };
            self.window = (BETA * self.window).max(2.0 * MSS);
            self.k = libm::cbrt(((self.most - self.window) / MSS / CUBIC).max(0.0));
            (self.epoch, self.friendly) = (now, self.window);
        } else {
            self.window = (0.5 * self.window).max(2.0 * MSS);
        }
        self.threshold = self.window;
    }
}

impl Law for WindowLaw {
    fn on_sent(&mut self, _now: f64, _bytes: f64, in_flight: f64) {
        self.filled |= in_flight + 2.0 * MSS > self.window;
    }

    fn on_round(&mut self, round: &Round<'_>) {
        if round.losses.iter().any(|l| l.0 > self.recovery) {
            self.decrease(round.now);
        }
        for ack in round.acks.iter().filter(|a| a.sent > self.recovery) {
            // RFC 9002 section 7.8: a window that is not used does not grow.
            if ack.idle && !self.filled {
                continue;
            }
            if self.window < self.threshold {
                self.window += ack.bytes;
            } else if self.cubic {
                let t = round.now - self.epoch + round.smoothed - self.k;
                self.friendly += FRIENDLY * MSS * ack.bytes / self.window;
                let goal = (CUBIC * t * t * t * MSS + self.most).max(self.friendly);
                self.window += ((goal - self.window).max(0.0) * ack.bytes / self.window).min(0.5 * ack.bytes);
            } else {
                self.window += MSS * ack.bytes / self.window;
            }
        }
        self.filled &= round.in_flight > 0.5 * self.window;
    }

    fn window(&self) -> f64 {
        self.window
    }

    fn pace(&self, smoothed: f64) -> (f64, f64) {
        let rate = 1.25 * self.window / smoothed;
        (rate, (0.002 * rate).clamp(10.0 * MSS, 256.0 * MSS))
    }

    fn share(&self, smoothed: f64) -> f64 {
        0.9 * self.window / smoothed
    }
}

/// RFC 9438: what is left of the window, packets per second cubed, and NewReno's growth at this decrease.
const BETA: f64 = 0.7;
const CUBIC: f64 = 0.4;
const FRIENDLY: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

#[cfg(test)]
mod tests {
    use super::super::Ack;
    use super::*;

    fn round(law: &mut WindowLaw, now: f64, packets: usize, lost: bool) {
        let ack = Ack {
            bytes: MSS,
            sent: now - 0.05,
            arrived: now,
            delivered: (0.0, 0.0),
            first_sent: 0.0,
            idle: false,
            probe: false,
        };
        let losses = [(now - 0.05, MSS)];
        law.on_round(&Round {
            now,
            acks: &vec![ack; packets],
            losses: if lost { &losses } else { &[] },
            in_flight: law.window,
            smoothed: 0.05,
            latest: 0.05,
            delivered: 0.0,
        });
    }

    #[test]
    fn windows_double_at_first_and_fall_as_specified() {
        for (mut law, part) in [(WindowLaw::newreno(), 0.5), (WindowLaw::cubic(), 0.7)] {
            round(&mut law, 1.0, 10, false);
            assert_eq!(law.window(), 20.0 * MSS);
            round(&mut law, 1.05, 0, true);
            assert_eq!(law.window(), part * 20.0 * MSS);
            // Packets of the same round trip do not lower it again.
            round(&mut law, 1.06, 0, true);
            assert_eq!(law.window(), part * 20.0 * MSS);
            let low = law.window();
            round(&mut law, 1.2, 10, false);
            assert!(law.window() > low && law.window() < low + 6.0 * MSS, "{}", law.window() / MSS);
        }
    }
}
