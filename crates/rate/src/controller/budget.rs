//! What the controller answers: budgets, frame sizes, figures, and when to be woken.
//!
//! All of it is read-only. The queue is estimated at the instant of asking, so that a budget falls as soon as feedback
//! is late, without any call in between (`research` sections 5.2, 5.5 and 5.8).

use super::{Controller, QUEUE_AIM};
use crate::facts::{Followed, RttFacts};
use crate::repair::Lost;
use crate::{PACKET, bytes_per_second, rate_of};
use telepane_model::time::Clock;
use telepane_model::{BitRate, Budget, BudgetWhy, Bytes, Span, Stamp};

/// Seconds by which the window exceeds a round trip.
const WINDOW_SLACK: f64 = 0.010;
/// Feedback is this much later than the packet by design (eight packets or 5 ms), in seconds.
const FEEDBACK_SLACK: f64 = 0.006;
/// How long a budget holds at most.
const BUDGET_LIFE: Span = Span::millis(100);

impl<S: Clock, R: Clock> Controller<S, R> {
    /// What may be sent, and how.
    pub fn budget(&self, now: Stamp<S>) -> Budget<S> {
        if let Some(followed) = self.followed {
            return follow(now, followed);
        }
        let t = self.seconds(now);
        let queue = self.queue(t);
        let floor = bytes_per_second(self.policy.floor);
        let ceiling = self.policy.limit.map_or(f64::MAX, bytes_per_second);
        let silent = self.is_silent(t);
        let capacity = self.capacity.rate();
        let (pace, window) = if silent {
            (capacity / 8.0, 4.0 * PACKET)
        } else {
            let reach = self.delay.rtt_least() + WINDOW_SLACK + self.delay.jitter();
            let window = self.compete.window().unwrap_or(capacity * reach + 4.0 * PACKET);
            let reserved = if self.policy.reserved { floor * (self.delay.smoothed + WINDOW_SLACK) } else { 0.0 };
            let gain = self.pace_gain(queue);
            let gain = if self.policer.ceiling(t).is_some() { gain.min(1.0) } else { gain };
            (gain * capacity * self.capacity.brake(t), window.max(reserved))
        };
        let pace = pace.max(floor).min(ceiling);
        let life = self.silent_from().filter(|_| !silent).map(|at| self.stamp(at)).unwrap_or(now + BUDGET_LIFE);
        let most = self.policy.in_flight_max.0 as f64;
        Budget {
            at: now,
            until: life.min(now + BUDGET_LIFE).max(now + Span::millis(1)),
            pace: rate_of(pace),
            share: rate_of(self.allowed_share(t)),
            burst: Bytes((2.0 * PACKET).max(0.002 * pace) as u64),
            in_flight_cap: Bytes(window.min(most) as u64),
            queue: Span::from_secs_f64(queue),
            why: self.why(t),
        }
    }

    /// What one frame of a film may weigh, in bytes, at `fps` frames a second: the share, less what drains the queue
    /// beyond 8 ms within 100 ms, never under a tenth of the share.
    pub fn frame_budget(&self, now: Stamp<S>, fps: u32) -> Bytes {
        if let Some(followed) = self.followed {
            return Bytes(follow(now, followed).share.as_bps() / 8 / u64::from(fps.max(1)));
        }
        let t = self.seconds(now);
        let share = self.allowed_share(t);
        let rate = if self.compete.is_on() {
            share
        } else {
            let capacity = self.capacity.rate();
            let queue = self.queue(t).max(self.own_queue(t));
            (share - (queue - 0.008).max(0.0) * capacity / 0.1).max(0.1 * share)
        };
        Bytes((rate / f64::from(fps.max(1))) as u64)
    }

    /// The path's capacity as measured.
    pub fn capacity(&self) -> BitRate {
        rate_of(self.capacity.rate())
    }

    /// The round trip.
    pub fn rtt(&self) -> RttFacts {
        RttFacts {
            min: Span::from_secs_f64(self.delay.rtt_least()),
            smoothed: Span::from_secs_f64(self.delay.smoothed),
            variation: Span::from_secs_f64(self.delay.variation),
        }
    }

    /// Whether a round trip was measured yet.
    pub fn is_measured(&self) -> bool {
        self.delay.is_measured()
    }

    /// The smoothed loss, in packets per million.
    pub fn loss_ppm(&self) -> u32 {
        (self.loss.fraction() * 1e6) as u32
    }

    /// Parity packets that a group of `data` packets should have; see [`crate::repair::parity`]. None while losses come
    /// with a full queue: more packets would make more of them. The room is `ample` where what is sent is at most half of
    /// what may be, and nobody shares the path.
    pub fn parity(&self, data: u8, ample: bool) -> u8 {
        let greatest = self.delay.greatest();
        if greatest > 0.025 && self.delay.queue > 0.7 * greatest {
            return 0;
        }
        let ample = ample && !self.compete.is_on();
        crate::repair::parity(data, self.losses(), self.delay.smoothed, ample)
    }

    /// Whether packets are lost on this path, lately or not long ago: a film is cut so that parity can mend it.
    pub fn is_lossy(&self) -> bool {
        self.losses().is_much()
    }

    fn losses(&self) -> Lost {
        Lost { lately: self.loss.fraction(), lasting: self.loss.lasting(), burst: self.loss.burst() }
    }

    /// Bytes on the way.
    pub fn in_flight(&self) -> Bytes {
        Bytes(self.flight.bytes() as u64)
    }

    /// Why the budget is what it is.
    pub fn state(&self) -> BudgetWhy {
        self.why(self.now)
    }

    /// When to call [`on_time`](Self::on_time) if nothing else happens; none when there is nothing to wait for.
    pub fn next_wake(&self) -> Option<Stamp<S>> {
        let loss =
            self.flight.next_overdue(self.delay.smoothed.max(self.delay.latest), self.overtaking.is_seen(self.now));
        let silence = self.silent_from();
        // A probe that is due and may not be sent yet must not make the shell spin.
        let policed = self.policer.ceiling(self.now).is_some();
        let probe = (self.policy.probing && !policed && !self.compete.is_on() && self.silence.is_none())
            .then(|| self.probing.next_wake(self.now, self.starting))
            .flatten()
            .map(|at| at.max(self.now + 0.050));
        let first = [loss, silence, probe].into_iter().flatten().min_by(f64::total_cmp)?;
        Some(self.stamp(first))
    }

    /// The queue now, in seconds: what was measured, as long as it is fresh, and at least what is on the way beyond a
    /// round trip.
    fn queue(&self, now: f64) -> f64 {
        let age = (now - self.feedback_at).max(0.0);
        let measured = if age > self.delay.response() + 0.020 { 0.0 } else { self.delay.queue };
        let own =
            self.flight.bytes() / self.capacity.rate() - self.delay.rtt_least() - FEEDBACK_SLACK - self.delay.jitter();
        measured.min(own.max(self.delay.queue - age)).max(own).max(0.0)
    }

    /// The queue our own packets should have left by now, in seconds.
    fn own_queue(&self, now: f64) -> f64 {
        (self.virtual_queue / self.capacity.rate() - (now - self.virtual_at)).max(0.0)
    }

    fn pace_gain(&self, queue: f64) -> f64 {
        let left_alone = 0.6 * self.aim;
        if self.compete.is_on() {
            1.25
        } else if queue < left_alone {
            self.capacity.gain()
        } else if queue < 2.0 * QUEUE_AIM {
            1.0 - 0.06 * ((queue - left_alone) / (1.4 * self.aim)).min(1.0)
        } else {
            (1.0 - (queue - 2.0 * QUEUE_AIM) / 0.080).max(0.1)
        }
    }

    fn allowed_share(&self, now: f64) -> f64 {
        let floor = bytes_per_second(self.policy.floor);
        let share = if self.is_silent(now) { floor } else { self.share.rate() };
        let contended = self.compete.is_on() || self.share.contended(now, 4.0);
        let share = match self.policy.target {
            Some(target) if contended => share.min(bytes_per_second(target)),
            _ => share,
        };
        share.max(floor).min(self.policy.limit.map_or(f64::MAX, bytes_per_second))
    }

    fn why(&self, now: f64) -> BudgetWhy {
        let bound = self.policy.limit.is_some_and(|l| bytes_per_second(l) < self.share.rate());
        if self.is_silent(now) {
            BudgetWhy::Silent
        } else if self.compete.is_on() {
            BudgetWhy::Compete
        } else if now < self.drain_until {
            BudgetWhy::Drain
        } else if self.starting {
            BudgetWhy::Startup
        } else if bound {
            BudgetWhy::Limit
        } else {
            BudgetWhy::Track
        }
    }

    pub(super) fn is_silent(&self, now: f64) -> bool {
        self.silence.is_some() || self.silent_from().is_some_and(|at| now >= at)
    }

    /// When what is on the way means silence, in seconds; later each time nothing came.
    pub(super) fn silent_from(&self) -> Option<f64> {
        let oldest = self.flight.oldest()?;
        let heard = self.delay.feedback_at.unwrap_or(0.0);
        let (at, times) = self.silence.as_ref().map_or((0.0, 0), |s| (s.at, s.times));
        let wait = self.delay.silence() * f64::from(1u32 << times.min(5));
        Some(oldest.max(heard).max(at) + wait.min(self.delay.silence().max(2.0)))
    }
}

/// What a QUIC stack's window lets through: paced at 1.25 windows a round trip; nine tenths of it for the encoder.
fn follow<S: Clock>(now: Stamp<S>, Followed { window, rtt }: Followed) -> Budget<S> {
    let rate = window.0 as f64 / rtt.as_secs_f64().max(0.001);
    Budget {
        at: now,
        until: now + BUDGET_LIFE,
        pace: rate_of(1.25 * rate),
        share: rate_of(0.9 * rate),
        // As quinn's pacer: 2 ms, ten packets at least.
        burst: Bytes((0.002 * 1.25 * rate).max(10.0 * PACKET) as u64),
        in_flight_cap: window,
        queue: Span::ZERO,
        why: BudgetWhy::Limit,
    }
}
