//! SRC: the controller that turns what was sent, and what was heard of it, into a budget.
//!
//! It owns the parts and their order. On each feedback message: delay, then capacity from the newest train, then what
//! loss means, then whether a rival must be matched, then the share. What follows from it is in `budget.rs`.
//! Times inside are seconds since the controller began, rates are bytes per second, both `f64`: every constant of
//! `research` section 5 is stated in them.

mod budget;

use crate::compete::{Compete, Seen, Turn};
use crate::delay::{Delay, Sample};
use crate::facts::{FeedbackFacts, Followed, LostBy, LostPacket, Policy, Probe, SendClass, SendFacts};
use crate::flight::{Flight, Flown, Landed};
use crate::loss::Loss;
use crate::overtaking::Overtaking;
use crate::policer::{Policer, Told};
use crate::probing::{Path, Probing};
use crate::share::{Judged, Share};
use crate::trains::{Around, Arrived, Capacity};
use crate::{PACKET, bytes_per_second, rate_of};
use core::marker::PhantomData;
use telepane_model::time::Clock;
use telepane_model::{Bytes, SentPacket, Span, Stamp};

/// Reports read of one message.
const REPORTS: usize = 1_024;
/// Queue aimed at, and the part of it that is left alone, in seconds.
const QUEUE_AIM: f64 = 0.010;
const QUEUE_AIM_LEAST: f64 = 0.002;
/// A hold beyond this is not believed, in seconds.
const HOLD_MOST: f64 = 10.0;
/// Marks count no more often than this, in seconds.
const MARKS_LEAST: f64 = 0.020;
/// Silence after which the path may have become another one, in seconds.
const LONG_SILENCE: f64 = 1.0;
/// Arrivals are counted from an instant at most this far away, in seconds: `f64` then still has nanoseconds.
const ANCHOR_REACH: f64 = 1e7;

/// What was found lost at one moment.
#[derive(Default)]
struct Losses {
    bytes: f64,
    heads: usize,
    newest_sent: Option<f64>,
}

struct Silence {
    since: f64,
    at: f64,
    times: u32,
    long: bool,
}

/// See the module. `S` is the clock of the side that sends the packets, `R` of the side that reports them.
pub struct Controller<S: Clock, R: Clock> {
    policy: Policy,
    /// Another congestion control rules, for comparison.
    followed: Option<Followed>,
    epoch: Stamp<S>,
    peer_epoch: Option<Stamp<R>>,
    now: f64,
    capacity: Capacity,
    delay: Delay,
    flight: Flight,
    loss: Loss,
    overtaking: Overtaking,
    share: Share,
    compete: Compete,
    policer: Policer,
    probing: Probing,
    backlog: f64,
    /// Our own queue as the capacity predicts it, bytes, and when that was true.
    virtual_queue: f64,
    virtual_at: f64,
    /// Queue aimed at; less where the buffer is shallow.
    aim: f64,
    drain_until: f64,
    feedback_at: f64,
    silence: Option<Silence>,
    starting: bool,
    first_feedback: Option<f64>,
    marked_at: Option<f64>,
    clocks: PhantomData<R>,
}

impl<S: Clock, R: Clock> Controller<S, R> {
    /// A controller for a path of which only `policy` is known. The person counts as active at `now`.
    pub fn new(now: Stamp<S>, policy: Policy) -> Self {
        let initial = bytes_per_second(policy.initial);
        let capacity = Capacity::new(initial, 0.0);
        Self {
            epoch: now,
            peer_epoch: None,
            now: 0.0,
            share: Share::new(capacity.rate()),
            capacity,
            delay: Delay::new(policy.initial_rtt.as_secs_f64().clamp(0.001, 3.0)),
            policy,
            followed: None,
            flight: Flight::default(),
            loss: Loss::default(),
            overtaking: Overtaking::default(),
            compete: Compete::new(),
            policer: Policer::default(),
            probing: Probing::new(0.0),
            backlog: 0.0,
            virtual_queue: 0.0,
            virtual_at: 0.0,
            aim: QUEUE_AIM,
            drain_until: 0.0,
            feedback_at: 0.0,
            silence: None,
            starting: true,
            first_feedback: None,
            marked_at: None,
            clocks: PhantomData,
        }
    }

    /// Replaces what a person allows; what was measured stays.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Another congestion control rules from now on, as long as it is told: budgets are what its window lets through, as QUIC
    /// stacks pace it, and nothing is probed. Measuring and finding losses go on. For comparison only.
    pub fn follow(&mut self, followed: Followed) {
        self.followed = Some(followed);
    }

    /// A packet left. Numbers must rise; a number at or below an earlier one is ignored.
    pub fn on_sent(&mut self, packet: SentPacket<S>, facts: SendFacts) {
        let now = self.advance(packet.at);
        // No datagram is larger; the bound keeps a caller's mistake from becoming a window of terabytes.
        let bytes = packet.bytes.0.min(65_535) as f64;
        let rate = self.capacity.rate();
        let ahead = (self.virtual_queue - rate * (now - self.virtual_at)).max(0.0);
        let probe = facts.class == SendClass::Probe;
        let mut flown = Flown::new(packet.seq, bytes, now, ahead / rate, probe);
        flown.bulk = facts.class == SendClass::Bulk;
        flown.urgent = facts.urgent;
        if !self.flight.sent(flown) {
            return;
        }
        self.virtual_queue = ahead + bytes;
        self.virtual_at = now;
        self.note_backlog(now, facts.backlog);
    }

    /// Bytes now wait to be sent (call it when an update is queued; [`SendFacts`] says it at each packet).
    pub fn on_backlog(&mut self, now: Stamp<S>, backlog: Bytes) {
        let now = self.advance(now);
        self.note_backlog(now, backlog);
    }

    /// Whether the encoder has more to send than the budget allows. Say it for every frame.
    pub fn on_limited(&mut self, now: Stamp<S>, limited: bool) {
        let now = self.advance(now);
        self.probing.on_limited(now, limited);
    }

    /// A person did something: the path may be probed for the next 30 s.
    pub fn on_active(&mut self, now: Stamp<S>) {
        let now = self.advance(now);
        self.probing.on_active(now);
    }

    /// The packets take another path (an address changed): delays are measured anew, the rate is a first guess.
    pub fn on_path_change(&mut self, now: Stamp<S>) {
        let now = self.advance(now);
        self.delay.forget();
        self.capacity.forget(now);
        self.compete.forget();
        self.policer.forget();
        self.loss.forget();
        self.overtaking = Overtaking::default();
        self.aim = QUEUE_AIM;
        self.starting = true;
        self.first_feedback = None;
    }

    /// Time passed. Call it at [`next_wake`](Self::next_wake), and then ask [`lost`](Self::lost) and
    /// [`probe`](Self::probe).
    pub fn on_time(&mut self, now: Stamp<S>) {
        let now = self.advance(now);
        let lost = self.find_lost(now);
        if lost.bytes > 0.0 {
            self.loss.on_feedback(now, lost.bytes, 0.0, self.delay.response().max(0.1));
        }
        if self.silent_from().is_some_and(|at| now >= at) {
            let times = self.silence.as_ref().map_or(0, |s| s.times);
            let since = self.silence.as_ref().map_or(now, |s| s.since);
            let long = self.silence.as_ref().is_some_and(|s| s.long);
            self.silence = Some(Silence { since, at: now, times: times.saturating_add(1), long });
            self.flight.silence(now - self.delay.smoothed - 4.0 * self.delay.variation);
            self.policer.on_silence();
        }
        if let Some(silence) = &mut self.silence
            && !silence.long
            && now - silence.since > LONG_SILENCE
        {
            silence.long = true;
            self.capacity.set(0.5 * self.capacity.rate());
            self.compete.forget();
        }
    }

    /// A feedback message came in. What it says of packets never sent, or says again, is ignored.
    pub fn on_feedback(&mut self, facts: &FeedbackFacts<'_, S, R>) {
        let now = self.advance(facts.received_at);
        for &seq in facts.missing.iter().take(REPORTS) {
            self.flight.missed(seq);
        }
        let arrived = self.land(now, facts);
        let losses = self.find_lost(now);
        let Some(arrived) = arrived else {
            if losses.bytes > 0.0 {
                self.loss.on_feedback(now, losses.bytes, 0.0, self.delay.response().max(0.1));
            }
            return;
        };
        let elapsed = (now - self.feedback_at).clamp(0.0, 0.05);
        self.feedback_at = now;
        self.first_feedback.get_or_insert(now);
        if self.silence.take().is_some_and(|s| s.long) {
            self.starting = true;
            self.first_feedback = Some(now);
            self.capacity.confirmed = false;
        }
        self.judge_capacity(now, arrived.probe_bytes, &losses);
        self.judge_loss(now, elapsed, &losses, arrived.bytes);
        self.judge_share(now, elapsed, &losses, arrived.competing_bytes);
        self.judge_start(now);
    }

    /// The path marked packets as having met congestion instead of dropping them (ECN, RFC 3168). It counts once a round trip.
    // spec: T-6
    pub fn on_marked(&mut self, now: Stamp<S>) {
        let now = self.advance(now);
        let rtt = self.delay.response();
        if self.marked_at.is_some_and(|at| now - at < rtt.max(MARKS_LEAST)) {
            return;
        }
        self.marked_at = Some(now);
        if self.compete.is_on() {
            self.compete.on_marked(now);
        } else {
            self.share.on_marked(now, self.capacity.delivered(rtt.max(0.05)), rtt);
        }
    }

    /// Packets newly considered lost, for repair.
    pub fn lost(&mut self) -> impl Iterator<Item = LostPacket> + '_ {
        self.flight.lost()
    }

    /// A probe to begin now, if one is due. Ask after feedback, after queueing an update and at
    /// [`next_wake`](Self::next_wake); hand it to [`Pacer::begin`](crate::Pacer::begin).
    pub fn probe(&mut self, now: Stamp<S>) -> Option<Probe> {
        let now = self.advance(now);
        let capacity = self.capacity.rate();
        let limit = self.policy.limit.map(bytes_per_second);
        // What a token bucket lets pass at once would be taken for what it lets pass over time.
        if self.followed.is_some() || self.is_silent(now) || self.compete.is_on() || self.policer.ceiling(now).is_some()
        {
            return None;
        }
        let floor = if now - self.feedback_at > 0.2 { 0.0 } else { self.delay.floor() };
        if limit.is_some_and(|l| capacity >= 1.2 * l) {
            // The path is known to carry what a person allows: there is nothing to learn.
            return None;
        }
        let on_the_way = self.flight.bytes() / capacity;
        let clear = floor < 0.006 && on_the_way < self.delay.rtt_least() + 0.020 + self.delay.jitter();
        let train = self.probing.ask(Path {
            now,
            capacity,
            backlog: self.backlog,
            clear,
            starting: self.starting,
            allowed: self.policy.probing,
        })?;
        // A pair is too short to exceed anything.
        let rate =
            if train.bytes < 2.0 * PACKET { train.rate } else { limit.map_or(train.rate, |l| train.rate.min(2.5 * l)) };
        Some(Probe {
            rate: rate_of(rate),
            bytes: Bytes(train.bytes as u64),
            filler: Bytes(train.filler as u64),
            packet: Bytes(train.packet as u64),
            charged: limit.is_some(),
        })
    }

    /// A probe made of bulk data, of which `backlog` waits: it costs no filler.
    pub fn probe_with(&mut self, now: Stamp<S>, backlog: Bytes) -> Option<Probe> {
        self.on_limited(now, true);
        let others = core::mem::replace(&mut self.backlog, backlog.0 as f64);
        let probe = self.probe(now);
        self.backlog = others;
        probe
    }

    /// Whether a person did something within the last 30 s (DESIGN §2, *active*).
    pub fn is_active(&self, now: Stamp<S>) -> bool {
        self.probing.is_active(self.seconds(now))
    }

    fn note_backlog(&mut self, now: f64, backlog: Bytes) {
        let backlog = backlog.0 as f64;
        if self.backlog <= 0.0 && backlog > 0.0 {
            self.capacity.on_busy(now);
        }
        self.probing.on_backlog(now, backlog);
        self.backlog = backlog;
    }

    /// Takes the arrivals in: delay samples and the capacity's history.
    fn land(&mut self, now: f64, facts: &FeedbackFacts<'_, S, R>) -> Option<Landing> {
        let mut landing = Landing::default();
        let mut fresh: Vec<(Sample, Flown, bool)> = Vec::new();
        let mut probes: Vec<(f64, f64)> = Vec::new();
        let mut newest = f64::MIN;
        let recovery = self.compete.recovery().unwrap_or(f64::MIN);
        let epoch = self.anchor(now, facts)?;
        for arrival in facts.arrivals.iter().take(REPORTS) {
            let arrived = seconds_between(epoch, arrival.at);
            newest = newest.max(arrived);
            let (packet, given_up) = match self.flight.arrived(arrival.seq) {
                Some(Landed::Fresh(packet)) => (packet, None),
                Some(Landed::Late(packet, by)) => (packet, Some(by)),
                None => continue,
            };
            let in_time = given_up.is_none();
            if in_time {
                landing.bytes += packet.bytes;
                if packet.probe {
                    landing.probe_bytes += packet.bytes;
                    probes.push((arrived, packet.sent));
                }
                landing.competing_bytes += if packet.sent > recovery { packet.bytes } else { 0.0 };
            } else if given_up == Some(LostBy::Later) {
                self.loss.on_late(packet.bytes);
            }
            let (sent, explained) = (packet.sent, packet.explained);
            fresh.push((Sample { sent, arrived, heard: now, explained, apart: false }, packet, in_time));
        }
        if fresh.is_empty() {
            return None;
        }
        probes.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (arrived, sent) in probes {
            self.probing.on_probe_arrived(sent, arrived, self.capacity.rate());
        }
        let hold = Some(facts.hold.as_secs_f64()).filter(|&h| h <= HOLD_MOST).unwrap_or(0.0);
        for (sample, ..) in &mut fresh {
            sample.heard = (now - hold - (newest - sample.arrived)).min(now).max(sample.sent);
        }
        fresh.sort_by(|a, b| a.0.arrived.total_cmp(&b.0.arrived));
        for (sample, packet, _) in &mut fresh {
            self.overtaking.on_arrived(now, packet.urgent, sample.sent, sample.arrived);
            sample.apart = packet.urgent && self.overtaking.is_seen(now);
        }
        let samples: Vec<Sample> = fresh.iter().map(|f| f.0).collect();
        self.delay.on_feedback(now, hold, newest, &samples);
        for (sample, Flown { bytes, bulk, .. }, in_time) in fresh {
            if in_time {
                let Sample { sent, arrived, heard, apart, .. } = sample;
                self.capacity.on_arrived(Arrived { sent, arrived, heard, bytes, bulk, apart });
            }
        }
        Some(landing)
    }

    /// The instant the peer's arrivals are counted from. It is moved when they are so far from it that seconds in `f64`
    /// would lose microseconds; what was measured from the old one is then worthless.
    fn anchor(&mut self, now: f64, facts: &FeedbackFacts<'_, S, R>) -> Option<Stamp<R>> {
        let newest = facts.arrivals.iter().take(REPORTS).map(|a| a.at).max()?;
        match self.peer_epoch {
            Some(epoch) if seconds_between(epoch, newest).abs() <= ANCHOR_REACH => Some(epoch),
            before => {
                self.peer_epoch = Some(newest);
                if before.is_some() {
                    self.delay.forget();
                    self.capacity.forget(now);
                }
                Some(newest)
            }
        }
    }

    fn judge_capacity(&mut self, now: f64, probe_bytes: f64, losses: &Losses) {
        let rtt_least = self.delay.rtt_least();
        let fell = self.capacity.on_feedback(Around {
            now,
            queue: self.delay.queue,
            floor: self.delay.floor(),
            rtt_least,
            backlog: self.backlog > 0.0,
            competing: self.compete.is_on(),
        });
        let failed = self.probing.on_feedback(now, probe_bytes, self.capacity.rate(), rtt_least);
        if failed && self.capacity.confirmed {
            self.starting = false;
        }
        if fell {
            let excess = (self.flight.bytes() / self.capacity.rate() - rtt_least).clamp(0.0, 1.0);
            self.drain_until = self.drain_until.max(now + excess + rtt_least);
        }
        self.probing.on_lost(now, losses.heads, self.loss.fraction(), rtt_least);
        self.probing.heal(now);
    }

    fn judge_loss(&mut self, now: f64, elapsed: f64, losses: &Losses, arrived: f64) {
        let greatest = self.delay.greatest();
        if losses.bytes > 0.0 && self.delay.queue >= 0.7 * greatest && greatest < 0.030 {
            // Full at so short a queue: a shallow buffer. Aim below it.
            self.aim = self.aim.min((0.4 * greatest).max(QUEUE_AIM_LEAST));
        }
        self.aim = (self.aim + 0.0005 * elapsed).min(QUEUE_AIM);
        let smoothed = self.delay.response();
        self.loss.on_feedback(now, losses.bytes, arrived, smoothed.max(0.1));
        if !self.compete.is_on() {
            let delivered = self.capacity.delivered((2.0 * smoothed).max(0.1));
            let (lost, queue) = (losses.bytes, self.delay.queue);
            self.policer.on_feedback(Told { now, lost, arrived, queue, smoothed, delivered });
        }
        if let Some(ceiling) = self.policer.ceiling(now)
            && self.capacity.rate() > ceiling
        {
            self.capacity.set(ceiling);
        }
        if losses.bytes > 0.0
            && !self.compete.is_on()
            && self.loss.is_congestion(now, self.delay.queue, greatest, smoothed)
        {
            let delivered = 0.9 * self.capacity.delivered(smoothed.max(0.05));
            let rate = self.capacity.rate();
            self.capacity.set(rate.min(delivered.max(0.5 * rate)));
            self.share.cut(now, delivered, smoothed);
        }
    }

    fn judge_share(&mut self, now: f64, elapsed: f64, losses: &Losses, arrived: f64) {
        let smoothed = self.delay.smoothed;
        let turn = self.compete.on_feedback(Seen {
            now,
            queue: self.delay.queue,
            floor_long: self.delay.floor_long(),
            smoothed,
            in_flight: self.flight.bytes(),
            arrived,
            lost_sent: losses.newest_sent,
            packet: PACKET / self.capacity.rate(),
            limited: self.probing.limited_within(now, if self.compete.is_on() { 0.3 } else { 0.5 }),
            decreases: self.share.decreases(),
            before: self.share.before(),
        });
        if let Turn::Left = turn {
            self.share.calm();
            self.share.set(self.share.rate().min(self.capacity.delivered(0.2)));
        }
        if let Some(window) = self.compete.window() {
            let delivered = self.capacity.delivered(0.1);
            self.share.set(0.92 * window / smoothed.max(0.001));
            let rate = self.capacity.rate().max(1.1 * delivered);
            self.capacity.set(rate.min((3.0 * delivered).max(self.share.rate())));
        } else {
            self.share.on_feedback(Judged {
                now,
                elapsed,
                capacity: self.capacity.rate(),
                unexplained: self.delay.unexplained(),
                rtt_least: self.delay.rtt_least(),
                smoothed: self.delay.response(),
                draining: now <= self.drain_until,
                delivered: self.capacity.delivered(self.delay.response().max(0.05)),
            });
        }
    }

    /// The start is over when the capacity was seen and a further probe did not raise it, or after four round trips
    /// (at least 0.4 s) in any case.
    fn judge_start(&mut self, now: f64) {
        let patience = (4.0 * self.delay.smoothed).max(0.4);
        if self.first_feedback.is_some_and(|t| now - t > patience) && !self.probing.is_pending() {
            self.starting = false;
        }
    }

    fn find_lost(&mut self, now: f64) -> Losses {
        let mut losses = Losses::default();
        let rtt = self.delay.smoothed.max(self.delay.latest);
        let overtaking = self.overtaking.is_seen(now);
        let (mut run, mut previous) = (0, None);
        let loss = &mut self.loss;
        self.flight.overdue(now, rtt, overtaking, |packet| {
            if previous.is_some_and(|p| p + 1 != packet.seq) {
                loss.on_run(core::mem::take(&mut run));
            }
            run += 1;
            previous = Some(packet.seq);
            losses.bytes += packet.bytes;
            losses.heads += usize::from(packet.probe);
            losses.newest_sent = Some(losses.newest_sent.map_or(packet.sent, |t| t.max(packet.sent)));
        });
        if run > 0 {
            loss.on_run(run);
        }
        losses
    }

    /// Seconds since the controller began; never backwards.
    fn advance(&mut self, at: Stamp<S>) -> f64 {
        self.now = self.seconds(at);
        self.now
    }

    fn seconds(&self, at: Stamp<S>) -> f64 {
        at.since(self.epoch).as_secs_f64().max(self.now)
    }

    /// The first whole microsecond after `at`.
    fn stamp(&self, at: f64) -> Stamp<S> {
        self.epoch + Span::from_secs_f64(at) + Span::micros(1)
    }
}

/// Signed seconds from `from` to `to`.
fn seconds_between<C: Clock>(from: Stamp<C>, to: Stamp<C>) -> f64 {
    (i128::from(to.as_micros()) - i128::from(from.as_micros())) as f64 * 1e-6
}

/// Bytes that newly arrived: in time, of probes, and of packets that count for the competing window.
#[derive(Default)]
struct Landing {
    bytes: f64,
    probe_bytes: f64,
    competing_bytes: f64,
}
