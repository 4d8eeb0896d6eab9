//! One of our flows: application, queue, pacer and controller on one side, the feedback writer on the other.

use super::{Asks, PACKET, Packet, Report};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use telepane_model::{Arrival, Bytes, HostClock, Rng, SentPacket, Span, Stamp, ViewerClock};
use telepane_rate::{Controller, FeedbackFacts, Pacer, Policy, SendClass, SendFacts};

const SECOND: f64 = 1e9;
/// Feedback: every eight packets or 5 ms, at once on a gap or a frame's end.
const REPORT_EVERY: usize = 8;
const REPORT_AFTER: u64 = 5_000_000;

/// What the application does from some second on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    Idle,
    /// One update of 2 to 6 kB every 120 to 270 ms, each after an input event.
    Typing,
    /// As much as the budget and the demand allow, at the frame rate.
    Film,
    /// So many bytes at once, after an input event.
    Burst(u64),
}

/// An application over time.
#[derive(Clone, Debug)]
pub struct App {
    pub work: Vec<(f64, Work)>,
    /// Mbit/s.
    pub demand: f64,
    pub fps: u32,
    /// How much faster the receiver's clock runs, parts per million.
    pub drift_ppm: i64,
    /// The receiver's thread looks at its socket this often, seconds: arrivals bunch. Zero: at once.
    pub receive_grain: f64,
    pub policy: Policy,
    /// Input events at these seconds, besides those that `work` implies.
    pub inputs: Vec<f64>,
}

impl App {
    pub fn new(work: &[(f64, Work)]) -> Self {
        Self {
            work: work.to_vec(),
            demand: 64.0,
            fps: 30,
            drift_ppm: 0,
            receive_grain: 0.0,
            policy: Policy::default(),
            inputs: Vec::new(),
        }
    }
}

pub struct Frame {
    /// Seconds.
    pub start: f64,
    pub bytes: u64,
    left: BTreeSet<u64>,
    pub done: Option<f64>,
}

#[derive(Clone)]
struct Segment {
    frame: Option<usize>,
    part: u64,
    bytes: u64,
    last: bool,
}

pub struct Flow {
    pub controller: Controller<HostClock, ViewerClock>,
    pacer: Pacer<HostClock>,
    app: App,
    rng: Rng,
    queue: VecDeque<Segment>,
    again: VecDeque<Segment>,
    backlog: u64,
    filler: u64,
    filler_packet: u64,
    next: u64,
    sent: BTreeMap<u64, Segment>,
    pub wakes: u64,
    typed: f64,
    burst: usize,
    // the other side
    fresh: Vec<(u64, u64)>,
    told: Vec<(u64, u64)>,
    missing: BTreeSet<u64>,
    expected: u64,
    newest_at: u64,
    pub reports: u64,
    armed: bool,
    // what came of it
    pub frames: Vec<Frame>,
    /// (second, bytes)
    pub arrived: Vec<(f64, u64)>,
    pub sent_at: Vec<(f64, u64)>,
    pub filler_sent: u64,
    pub skipped: u64,
    /// (second, milliseconds) as the controller has it.
    pub estimates: Vec<(f64, f64)>,
    pub lost_told: u64,
}

impl Flow {
    pub fn new(start: u64, app: App, seed: u64) -> Self {
        let now = stamp(start);
        Self {
            controller: Controller::new(now, app.policy),
            pacer: Pacer::new(),
            app,
            rng: Rng::new(seed),
            queue: VecDeque::new(),
            again: VecDeque::new(),
            backlog: 0,
            filler: 0,
            filler_packet: 0,
            next: 0,
            sent: BTreeMap::new(),
            wakes: 0,
            typed: -1.0,
            burst: 0,
            fresh: Vec::new(),
            told: Vec::new(),
            missing: BTreeSet::new(),
            expected: 0,
            newest_at: 0,
            reports: 0,
            armed: false,
            frames: Vec::new(),
            arrived: Vec::new(),
            sent_at: Vec::new(),
            filler_sent: 0,
            skipped: 0,
            estimates: Vec::new(),
            lost_told: 0,
        }
    }

    /// When the receiver's thread reads what is there at `now`.
    pub fn read_at(&self, now: u64) -> u64 {
        let grain = (self.app.receive_grain * SECOND) as u64;
        if grain == 0 { now } else { now.div_ceil(grain) * grain }
    }

    pub fn interval(&self) -> u64 {
        1_000_000_000 / u64::from(self.app.fps)
    }

    /// The application's clock ticks: input, then perhaps an update.
    pub fn frame(&mut self, now: u64, asks: &mut Asks) {
        let t = now as f64 / SECOND;
        let at = stamp(now);
        while self.app.inputs.first().is_some_and(|&i| i <= t) {
            self.app.inputs.remove(0);
            self.controller.on_active(at);
        }
        let index = self.app.work.iter().take_while(|w| w.0 <= t).count();
        let work = index.checked_sub(1).map_or(Work::Idle, |i| self.app.work[i].1);
        match work {
            Work::Idle => {}
            Work::Typing => {
                if t - self.typed > 0.12 + 0.15 * self.unit() {
                    self.typed = t;
                    self.controller.on_active(at);
                    let bytes = 2_000 + self.rng.below(4_000);
                    self.draw(now, bytes);
                }
            }
            Work::Film => {
                let budget = self.controller.budget(at);
                let share = self.controller.frame_budget(at, self.app.fps).0 as f64;
                let per_frame = self.app.demand * 1e6 / 8.0 / f64::from(self.app.fps);
                let drain = (budget.pace.as_bps() as f64 / 8.0).min(1.5 * share * f64::from(self.app.fps)).max(1e3);
                if self.backlog as f64 / drain > 1.5 / f64::from(self.app.fps) {
                    self.skipped += 1;
                } else {
                    // The encoder misses its aim by about 12 %.
                    let miss = 1.0 + 0.12 * (0..12).map(|_| self.unit() - 0.5).sum::<f64>();
                    self.controller.on_limited(at, share < per_frame);
                    self.draw(now, (share.min(per_frame) * miss.clamp(0.6, 1.5)) as u64);
                }
            }
            Work::Burst(bytes) => {
                if self.burst != index {
                    self.burst = index;
                    self.controller.on_active(at);
                    self.draw(now, bytes);
                }
            }
        }
        self.pump(now, asks);
    }

    fn unit(&mut self) -> f64 {
        self.rng.below(1 << 24) as f64 / (1u64 << 24) as f64
    }

    fn draw(&mut self, now: u64, bytes: u64) {
        let bytes = bytes.max(300);
        let parts = bytes.div_ceil(PACKET);
        let frame = Some(self.frames.len());
        self.frames.push(Frame { start: now as f64 / SECOND, bytes, left: (0..parts).collect(), done: None });
        for part in 0..parts {
            let bytes = if part + 1 == parts { bytes - PACKET * (parts - 1) } else { PACKET };
            self.queue.push_back(Segment { frame, part, bytes, last: part + 1 == parts });
            self.backlog += bytes;
        }
        self.controller.on_backlog(stamp(now), Bytes(self.backlog));
    }

    pub fn wake(&mut self, now: u64, n: u64, asks: &mut Asks) {
        if n == self.wakes {
            self.controller.on_time(stamp(now));
            self.pump(now, asks);
        }
    }

    /// What a session's pump does: repair, probe, pace, send.
    fn pump(&mut self, now: u64, asks: &mut Asks) {
        let at = stamp(now);
        for lost in self.controller.lost() {
            self.lost_told += 1;
            let Some(segment) = self.sent.remove(&lost.seq) else { continue };
            if segment.frame.is_some_and(|f| self.frames[f].left.contains(&segment.part)) {
                self.backlog += segment.bytes;
                self.again.push_back(segment);
            }
        }
        if self.pacer.probing().is_none()
            && let Some(probe) = self.controller.probe(at)
        {
            self.filler = probe.filler.0;
            self.filler_packet = probe.packet.0;
            self.pacer.begin(at, probe);
        }
        let mut wake = self.controller.next_wake();
        loop {
            let queued = self.again.front().or(self.queue.front());
            let probing = self.pacer.probing().is_some();
            let bytes = match queued {
                Some(s) => s.bytes,
                None if probing && self.filler > 0 => self.filler_packet,
                None => {
                    if probing {
                        self.pacer.end_probe();
                    }
                    break;
                }
            };
            let budget = self.controller.budget(at);
            let due = self.pacer.next_send_at(at, Bytes(bytes), &budget, self.controller.in_flight());
            if due > at {
                wake = Some(wake.map_or(due, |w| w.min(due)));
                break;
            }
            let mut segment = match self.again.pop_front().or_else(|| self.queue.pop_front()) {
                Some(segment) => {
                    self.backlog -= segment.bytes;
                    segment
                }
                None => {
                    self.filler = self.filler.saturating_sub(self.filler_packet);
                    self.filler_sent += self.filler_packet;
                    Segment { frame: None, part: 0, bytes, last: false }
                }
            };
            self.pacer.on_sent(at, Bytes(bytes));
            segment.last |= probing && self.pacer.probing().is_none();
            let class = if probing { SendClass::Probe } else { SendClass::Paced };
            self.controller.on_sent(
                SentPacket { seq: self.next, bytes: Bytes(bytes), at },
                SendFacts { backlog: Bytes(self.backlog), class },
            );
            self.sent_at.push((now as f64 / SECOND, bytes));
            asks.packets.push(Packet { flow: 0, seq: self.next, bytes, frame: segment.frame, last: segment.last });
            self.sent.insert(self.next, segment);
            self.next += 1;
        }
        asks.wake = wake.map(|w| (w.as_micros() * 1_000).max(now + 1_000));
    }

    pub fn on_report(&mut self, now: u64, report: &Report, asks: &mut Asks) {
        let arrivals: Vec<Arrival<ViewerClock>> =
            report.arrivals.iter().map(|&(seq, at)| Arrival { seq, at: Stamp::from_micros(at) }).collect();
        self.controller.on_feedback(&FeedbackFacts {
            received_at: stamp(now),
            hold: Span::micros(report.hold),
            arrivals: &arrivals,
            missing: &report.missing,
        });
        let queue = self.controller.budget(stamp(now)).queue;
        self.estimates.push((now as f64 / SECOND, queue.as_millis_f64()));
        self.pump(now, asks);
    }

    // ---- the receiving side

    fn their_clock(&self, now: u64) -> u64 {
        let us = (now / 1_000) as i64;
        (77_000_000_000 + us + us * self.app.drift_ppm / 1_000_000) as u64
    }

    pub fn arrive(&mut self, now: u64, p: &Packet, asks: &mut Asks) {
        let t = now as f64 / SECOND;
        self.arrived.push((t, p.bytes));
        if let Some(segment) = self.sent.get(&p.seq)
            && let Some(f) = segment.frame
        {
            let frame = &mut self.frames[f];
            frame.left.remove(&segment.part);
            if frame.left.is_empty() && frame.done.is_none() {
                frame.done = Some(t);
            }
        }
        let gap = p.seq > self.expected;
        self.missing.remove(&p.seq);
        self.missing.extend(self.expected..p.seq);
        self.expected = self.expected.max(p.seq + 1);
        self.newest_at = now;
        self.fresh.push((p.seq, self.their_clock(now)));
        if self.fresh.len() >= REPORT_EVERY || gap || p.last {
            self.send_report(now, asks);
        } else if !self.armed {
            self.armed = true;
            asks.report_due = Some(now + REPORT_AFTER);
        }
    }

    pub fn report_due(&mut self, now: u64, n: u64, asks: &mut Asks) {
        if n == self.reports && !self.fresh.is_empty() {
            self.send_report(now, asks);
        }
    }

    fn send_report(&mut self, now: u64, asks: &mut Asks) {
        self.reports += 1;
        self.armed = false;
        let oldest = self.expected.saturating_sub(256);
        self.missing = self.missing.split_off(&oldest);
        let fresh = std::mem::take(&mut self.fresh);
        let mut arrivals = self.told.clone();
        arrivals.extend(&fresh);
        self.told = fresh;
        let hold = self.their_clock(now) - self.their_clock(self.newest_at);
        asks.reports.push(Report { flow: 0, arrivals, missing: self.missing.iter().copied().collect(), hold });
    }

    // ---- results

    /// Delays of frames begun between two seconds, in milliseconds; unfinished ones count as infinite.
    pub fn delays(&self, from: f64, to: f64) -> Vec<f64> {
        let frames = self.frames.iter().filter(|f| f.start >= from && f.start < to);
        frames.map(|f| f.done.map_or(f64::INFINITY, |d| (d - f.start) * 1e3)).collect()
    }

    /// Mbit/s of finished frames between two seconds.
    pub fn goodput(&self, from: f64, to: f64) -> f64 {
        let done = self.frames.iter().filter(|f| f.done.is_some_and(|d| d >= from && d < to));
        done.map(|f| f.bytes).sum::<u64>() as f64 * 8e-6 / (to - from)
    }
}

pub fn stamp(ns: u64) -> Stamp<HostClock> {
    Stamp::from_micros(ns / 1_000)
}
