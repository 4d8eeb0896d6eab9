//! In the manner of BBR (draft-ietf-ccwg-bbr): a model of the path's bandwidth (the greatest delivery rate of two probing
//! cycles) and its least round trip, a pace and a window from both, probing up every two to three seconds, draining every
//! five. Of the reaction to loss the bound on what is on the way is kept: a round trip that loses more than 2 % lowers it.

use super::{Law, MSS, Round};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Phase {
    Startup,
    Drain,
    Down,
    Cruise,
    Up,
    ProbeRtt,
}

/// See the module.
pub struct Bbr {
    phase: Phase,
    since: f64,
    /// The greatest delivery rate of the last probing cycle and of this one.
    rates: [f64; 2],
    least: f64,
    least_at: f64,
    /// Bytes delivered when the present round trip ends, and how much of it was lost and arrived.
    round_end: f64,
    lost: f64,
    came: f64,
    /// The rate that startup last grew to, and round trips since.
    full: (f64, u32),
    bound: f64,
    cruise: f64,
    cycles: u32,
    drained: Option<f64>,
}

impl Bbr {
    /// Before the first packet.
    pub fn new() -> Self {
        Self {
            phase: Phase::Startup,
            since: 0.0,
            rates: [0.0; 2],
            least: f64::INFINITY,
            least_at: 0.0,
            round_end: 0.0,
            lost: 0.0,
            came: 0.0,
            full: (0.0, 0),
            bound: f64::INFINITY,
            cruise: 2.0,
            cycles: 0,
            drained: None,
        }
    }

    fn rate(&self) -> f64 {
        let rate = self.rates[0].max(self.rates[1]);
        if rate > 0.0 { rate } else { 10.0 * MSS / 0.1 }
    }

    fn product(&self) -> f64 {
        if self.least.is_finite() { (self.rate() * self.least).max(4.0 * MSS) } else { 10.0 * MSS }
    }

    fn enter(&mut self, phase: Phase, now: f64) {
        (self.phase, self.since) = (phase, now);
    }

    fn on_round_trip(&mut self, round: &Round<'_>) {
        let lossy = self.lost > 0.02 * (self.lost + self.came) && self.lost > 3.0 * MSS;
        (self.lost, self.came) = (0.0, 0.0);
        if lossy && self.phase != Phase::ProbeRtt {
            self.bound = (0.7 * self.bound.min(2.0 * self.product())).max(self.product());
        } else if self.phase == Phase::Up {
            self.bound *= 1.25;
        }
        if matches!(self.phase, Phase::Startup | Phase::Up) && !round.acks.iter().all(|a| a.idle) {
            if self.rates[1] > 1.25 * self.full.0 {
                self.full = (self.rates[1], 0);
            } else {
                self.full.1 += 1;
            }
        }
        match self.phase {
            Phase::Startup if self.full.1 >= 3 || lossy => self.enter(Phase::Drain, round.now),
            Phase::Up if lossy => self.enter(Phase::Down, round.now),
            _ => {}
        }
    }
}

impl Default for Bbr {
    fn default() -> Self {
        Self::new()
    }
}

impl Law for Bbr {
    fn on_round(&mut self, round: &Round<'_>) {
        let now = round.now;
        if round.latest <= self.least {
            (self.least, self.least_at) = (round.latest, now);
        }
        for ack in round.acks {
            let elapsed = (now - ack.delivered.1).max(ack.sent - ack.first_sent);
            // A sample over less than a round trip is a burst's, not the path's.
            if elapsed < 0.9 * self.least {
                continue;
            }
            let rate = (round.delivered - ack.delivered.0) / elapsed;
            if !ack.idle || rate > self.rate() {
                self.rates[1] = self.rates[1].max(rate);
            }
        }
        self.lost += round.losses.iter().map(|l| l.1).sum::<f64>();
        self.came += round.acks.iter().map(|a| a.bytes).sum::<f64>();
        if round.acks.iter().any(|a| a.delivered.0 >= self.round_end) {
            self.round_end = round.delivered;
            self.on_round_trip(round);
        }
        match self.phase {
            Phase::Drain if round.in_flight <= self.product() => self.enter(Phase::Cruise, now),
            Phase::Down if round.in_flight <= self.product() && now - self.since > self.least => {
                self.cycles += 1;
                // Between two and three seconds, differently each time.
                self.cruise = 2.0 + f64::from(self.cycles * 7 % 10) / 10.0;
                self.enter(Phase::Cruise, now);
            }
            Phase::Cruise if now - self.since > self.cruise => {
                self.rates = [self.rates[1].max(0.0), 0.0];
                if self.rates[0] == 0.0 {
                    self.rates[0] = self.full.0;
                }
                self.full = (self.rates[0], 0);
                self.enter(Phase::Up, now);
            }
            Phase::Up if now - self.since > self.least && round.in_flight > 1.25 * self.product() => {
                self.enter(Phase::Down, now);
            }
            Phase::Up if now - self.since > 4.0 * self.least.min(1.0) + 0.1 => self.enter(Phase::Down, now),
            _ => {}
        }
        if !matches!(self.phase, Phase::ProbeRtt | Phase::Startup) && now - self.least_at > 5.0 {
            self.enter(Phase::ProbeRtt, now);
            self.drained = None;
        }
        if self.phase == Phase::ProbeRtt {
            if self.drained.is_none() && round.in_flight <= 0.5 * self.product() + MSS {
                (self.drained, self.least) = (Some(now), round.latest);
            }
            if self.drained.is_some_and(|at| now - at > 0.2) {
                self.least_at = now;
                self.enter(Phase::Cruise, now);
            }
        }
    }

    fn window(&self) -> f64 {
        let product = self.product();
        match self.phase {
            Phase::Startup => 2.0 * 1.385 * product + 10.0 * MSS,
            Phase::ProbeRtt => (0.5 * product).max(4.0 * MSS),
            Phase::Up => (2.25 * product + 10.0 * MSS).min(self.bound),
            Phase::Down | Phase::Cruise | Phase::Drain => (2.0 * product + 10.0 * MSS).min(0.85 * self.bound),
        }
        .max(4.0 * MSS)
    }

    fn pace(&self, _smoothed: f64) -> (f64, f64) {
        let gain = match self.phase {
            Phase::Startup => 2.77,
            Phase::Drain => 0.5,
            Phase::Down => 0.9,
            Phase::Up => 1.25,
            Phase::Cruise | Phase::ProbeRtt => 1.0,
        };
        let rate = 0.99 * gain * self.rate();
        (rate, (0.001 * rate).clamp(2.0 * MSS, 64.0 * MSS))
    }

    fn share(&self, _smoothed: f64) -> f64 {
        // The encoder is asked for more while the pace is, or nothing would be learnt.
        0.95 * self.rate() * if matches!(self.phase, Phase::Up | Phase::Startup) { 1.25 } else { 1.0 }
    }
}
