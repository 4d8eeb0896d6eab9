//! One flow: application, queue, pacer and controller on one side, the feedback writer on the other.

use super::link::{Asks, Packet, Report};
use super::{Kind, PACKET, SECOND, Steer};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use telepane_model::{Arrival, Bytes, HostClock, Rng, SentPacket, Span, Stamp, ViewerClock};
use telepane_rate::{FeedbackFacts, Pacer, Policy, SendClass, SendFacts};

/// What the application does from some second on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// Nothing.
    Idle,
    /// One update of 2 to 6 kB every 120 to 270 ms, each after an input event.
    Typing,
    /// A film that wants 9.6 Mbit/s whatever the demand says, as text that scrolls does.
    Scroll,
    /// As much as the budget and the demand allow, at the frame rate.
    Film,
    /// So many bytes at once, after an input event.
    Burst(u64),
}

/// An application over time.
#[derive(Clone, Debug)]
pub struct App {
    /// (from this second, what), in order.
    pub work: Vec<(f64, Work)>,
    /// Mbit/s that a film wants.
    pub demand: f64,
    /// Frames a second.
    pub fps: u32,
    /// How much faster the receiver's clock runs, parts per million.
    pub drift_ppm: i64,
    /// The receiver's thread looks at its socket this often, seconds: arrivals bunch. Zero: at once.
    pub receive_grain: f64,
    /// What a person allows.
    pub policy: Policy,
    /// Who steers.
    pub kind: Kind,
    /// Frames are mended by parity where the controller says so.
    pub parity: bool,
    /// Input events at these seconds, besides those that `work` implies.
    pub inputs: Vec<f64>,
}

impl App {
    /// An application steered by the production controller, without parity.
    pub fn new(work: &[(f64, Work)]) -> Self {
        Self {
            work: work.to_vec(),
            demand: 64.0,
            fps: 30,
            drift_ppm: 0,
            receive_grain: 0.0,
            policy: Policy::default(),
            kind: Kind::Ours,
            parity: false,
            inputs: Vec::new(),
        }
    }
}

/// A frame that was drawn.
pub struct Frame {
    /// When, in seconds.
    pub start: f64,
    /// Its size without parity.
    pub bytes: u64,
    /// What it was.
    pub work: Work,
    /// When the last packet that was needed arrived.
    pub done: Option<f64>,
    groups: Vec<Group>,
}

/// Packets of a frame of which `need` suffice.
struct Group {
    need: usize,
    /// Those that wait or are on the way.
    out: usize,
    came: BTreeSet<u64>,
}

impl Group {
    fn is_whole(&self) -> bool {
        self.came.len() >= self.need
    }
}

#[derive(Clone)]
struct Segment {
    frame: Option<usize>,
    group: usize,
    part: u64,
    bytes: u64,
    last: bool,
}

/// See the module.
pub struct Flow {
    /// The controller.
    pub controller: Box<dyn Steer>,
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
    pub(super) wakes: u64,
    typed: f64,
    burst: usize,
    // the other side
    fresh: Vec<(u64, u64)>,
    told: Vec<(u64, u64)>,
    /// Packets that came with a mark, and how many of them the sender was told of.
    marked: u64,
    marks_told: u64,
    missing: BTreeSet<u64>,
    expected: u64,
    newest_at: u64,
    pub(super) reports: u64,
    armed: bool,
    /// What was drawn.
    pub frames: Vec<Frame>,
    /// (second, bytes) of what arrived.
    pub arrived: Vec<(f64, u64)>,
    /// (second, bytes) of what was sent.
    pub sent_at: Vec<(f64, u64)>,
    /// Bytes of filler and of parity.
    pub extra: u64,
    /// Frames left out because too much waited.
    pub skipped: u64,
    /// (second, milliseconds of queue, pace and share in kbit/s) as the controller has them.
    pub estimates: Vec<(f64, f64, u64, u64)>,
}

impl Flow {
    pub(super) fn new(start: u64, app: App, seed: u64) -> Self {
        let now = stamp(start);
        Self {
            controller: app.kind.begin(now, app.policy),
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
            marked: 0,
            marks_told: 0,
            missing: BTreeSet::new(),
            expected: 0,
            newest_at: 0,
            reports: 0,
            armed: false,
            frames: Vec::new(),
            arrived: Vec::new(),
            sent_at: Vec::new(),
            extra: 0,
            skipped: 0,
            estimates: Vec::new(),
        }
    }

    /// When the receiver's thread reads what is there at `now`.
    pub(super) fn read_at(&self, now: u64) -> u64 {
        let grain = (self.app.receive_grain * SECOND) as u64;
        if grain == 0 { now } else { now.div_ceil(grain) * grain }
    }

    pub(super) fn interval(&self) -> u64 {
        1_000_000_000 / u64::from(self.app.fps)
    }

    /// The application's clock ticks: input, then perhaps an update.
    pub(super) fn frame(&mut self, now: u64, asks: &mut Asks) {
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
                    self.draw(now, work, bytes);
                }
            }
            Work::Film | Work::Scroll => {
                let budget = self.controller.budget(at);
                let share = self.controller.frame_budget(at, self.app.fps).0 as f64;
                let demand = if work == Work::Scroll { SCROLL } else { self.app.demand };
                let per_frame = demand * 1e6 / 8.0 / f64::from(self.app.fps);
                let drain = (budget.pace.as_bps() as f64 / 8.0).min(1.5 * share * f64::from(self.app.fps)).max(1e3);
                if self.backlog as f64 / drain > 1.5 / f64::from(self.app.fps) {
                    self.skipped += 1;
                } else {
                    // The encoder misses its aim by about 12 %.
                    let miss = 1.0 + 0.12 * (0..12).map(|_| self.unit() - 0.5).sum::<f64>();
                    self.controller.on_limited(at, share < per_frame);
                    self.draw(now, work, (share.min(per_frame) * miss.clamp(0.6, 1.5)) as u64);
                }
            }
            Work::Burst(bytes) => {
                if self.burst != index {
                    self.burst = index;
                    self.controller.on_active(at);
                    self.draw(now, work, bytes);
                }
            }
        }
        self.pump(now, asks);
    }

    fn unit(&mut self) -> f64 {
        self.rng.below(1 << 24) as f64 / (1u64 << 24) as f64
    }

    fn draw(&mut self, now: u64, work: Work, bytes: u64) {
        let bytes = bytes.max(300);
        let parts = bytes.div_ceil(PACKET);
        let frame = Some(self.frames.len());
        let mut groups = Vec::new();
        for first in (0..parts).step_by(GROUP) {
            let data = (parts - first).min(GROUP as u64);
            let parity = if self.app.parity { u64::from(self.controller.parity(data as u8)) } else { 0 };
            for part in first..first + data + parity {
                let last_data = part + 1 == parts;
                let bytes = if last_data && parity == 0 { bytes - PACKET * (parts - 1) } else { PACKET };
                // Parity takes numbers above every frame's data.
                let number = if part < first + data { part } else { PARITY + first + part };
                let last = first + data == parts && part + 1 == first + data + parity;
                self.queue.push_back(Segment { frame, group: groups.len(), part: number, bytes, last });
                self.backlog += bytes;
            }
            self.extra += parity * PACKET;
            groups.push(Group { need: data as usize, out: (data + parity) as usize, came: BTreeSet::new() });
        }
        self.frames.push(Frame { start: now as f64 / SECOND, bytes, work, done: None, groups });
        self.controller.on_backlog(stamp(now), Bytes(self.backlog));
    }

    pub(super) fn wake(&mut self, now: u64, n: u64, asks: &mut Asks) {
        if n == self.wakes {
            self.controller.on_time(stamp(now));
            self.pump(now, asks);
        }
    }

    /// What a session's pump does: repair, probe, pace, send.
    fn pump(&mut self, now: u64, asks: &mut Asks) {
        let at = stamp(now);
        for lost in self.controller.lost() {
            let Some(segment) = self.sent.get(&lost.seq).cloned() else { continue };
            let Some(f) = segment.frame else { continue };
            let group = &mut self.frames[f].groups[segment.group];
            if group.came.contains(&segment.part) {
                continue;
            }
            group.out = group.out.saturating_sub(1);
            // What is still to come may be enough.
            if group.came.len() + group.out < group.need {
                group.out += 1;
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
                    self.extra += self.filler_packet;
                    Segment { frame: None, group: 0, part: 0, bytes, last: false }
                }
            };
            self.pacer.on_sent(at, Bytes(bytes));
            segment.last |= probing && self.pacer.probing().is_none();
            let class = if probing { SendClass::Probe } else { SendClass::Paced };
            self.controller.on_sent(
                SentPacket { seq: self.next, bytes: Bytes(bytes), at },
                SendFacts { backlog: Bytes(self.backlog), class, urgent: false },
            );
            self.sent_at.push((now as f64 / SECOND, bytes));
            asks.packets.push(Packet { flow: 0, seq: self.next, bytes, last: segment.last, marked: false });
            self.sent.insert(self.next, segment);
            self.next += 1;
        }
        asks.wake = wake.map(|w| (w.as_micros() * 1_000).max(now + 1_000));
    }

    pub(super) fn on_report(&mut self, now: u64, report: &Report, asks: &mut Asks) {
        let arrivals: Vec<Arrival<ViewerClock>> =
            report.arrivals.iter().map(|&(seq, at)| Arrival { seq, at: Stamp::from_micros(at) }).collect();
        self.controller.on_feedback(&FeedbackFacts {
            received_at: stamp(now),
            hold: Span::micros(report.hold),
            arrivals: &arrivals,
            missing: &report.missing,
        });
        if report.marked > self.marks_told {
            self.marks_told = report.marked;
            self.controller.on_marked(stamp(now));
        }
        let budget = self.controller.budget(stamp(now));
        let kbps = |rate: telepane_model::BitRate| rate.as_bps() / 1_000;
        let queue = budget.queue.as_millis_f64();
        self.estimates.push((now as f64 / SECOND, queue, kbps(budget.pace), kbps(budget.share)));
        self.pump(now, asks);
    }

    // ---- the receiving side

    fn their_clock(&self, now: u64) -> u64 {
        let us = (now / 1_000) as i64;
        (77_000_000_000 + us + us * self.app.drift_ppm / 1_000_000) as u64
    }

    pub(super) fn arrive(&mut self, now: u64, p: &Packet, asks: &mut Asks) {
        let t = now as f64 / SECOND;
        self.arrived.push((t, p.bytes));
        if let Some(segment) = self.sent.get(&p.seq)
            && let Some(f) = segment.frame
        {
            let frame = &mut self.frames[f];
            let group = &mut frame.groups[segment.group];
            if group.came.insert(segment.part) {
                group.out = group.out.saturating_sub(1);
            }
            if frame.done.is_none() && frame.groups.iter().all(Group::is_whole) {
                frame.done = Some(t);
            }
        }
        let gap = p.seq > self.expected;
        self.missing.remove(&p.seq);
        self.missing.extend(self.expected..p.seq);
        self.expected = self.expected.max(p.seq + 1);
        self.marked += u64::from(p.marked);
        self.newest_at = now;
        self.fresh.push((p.seq, self.their_clock(now)));
        let wanted = self.controller.reporting();
        if self.fresh.len() >= wanted.every || wanted.at_once && (gap || p.last) {
            self.send_report(now, asks);
        } else if !self.armed {
            self.armed = true;
            asks.report_due = Some(now + wanted.after);
        }
    }

    pub(super) fn report_due(&mut self, now: u64, n: u64, asks: &mut Asks) {
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
        asks.reports.push(Report {
            flow: 0,
            arrivals,
            missing: self.missing.iter().copied().collect(),
            hold,
            marked: self.marked,
        });
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

pub(super) fn stamp(ns: u64) -> Stamp<HostClock> {
    Stamp::from_micros(ns / 1_000)
}

/// Mbit/s of text that scrolls; data packets of a group at most (spec: D-12); numbers of parity.
const SCROLL: f64 = 9.6;
const GROUP: usize = 8;
const PARITY: u64 = 1 << 40;
