//! A discrete-event model of one bottleneck in virtual time: a drop-tail FIFO with a rate trace, a propagation delay,
//! random loss on both ways, and jitter on the way back. Over it run any number of our flows, each a controller, a pacer
//! and an application that draws frames, and at most one bulk flow with a CUBIC window.
//!
//! Times are nanoseconds inside and seconds in what is told. A packet is 1,200 bytes, headers included.

#![allow(dead_code, reason = "each test binary uses a part")]

mod bulk;
mod flow;
pub mod runs;

pub use bulk::Bulk;
pub use flow::{App, Flow, Work};

use std::collections::{BTreeMap, VecDeque};
use telepane_model::Rng;

pub const PACKET: u64 = 1_200;
const SECOND: f64 = 1e9;

/// The bottleneck and the way around it.
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
    /// Mean extra delay of feedback, seconds; feedback is not reordered.
    pub reverse_jitter: f64,
    /// From this second on the round trip is this, seconds.
    pub detour: Option<(f64, f64)>,
    /// A token bucket in front of the bottleneck drops what exceeds it: Mbit/s and bytes at once.
    pub policer: Option<(f64, u64)>,
    /// The queue is managed by CoDel (RFC 8289: 5 ms, 100 ms).
    pub codel: bool,
    /// A radio that aggregates: it gets a turn every so many seconds, evenly between half and one and a half of it, and
    /// then delivers all that has left the bottleneck, at 300 Mbit/s.
    pub turns: f64,
}

/// CoDel's state (RFC 8289 section 5).
#[derive(Default)]
struct Codel {
    above_since: Option<u64>,
    dropping: bool,
    next: u64,
    count: u32,
}

const CODEL_TARGET: u64 = 5_000_000;
const CODEL_INTERVAL: u64 = 100_000_000;
/// What a packet takes in the air, nanoseconds.
const AIR: u64 = 32_000;

impl Path {
    /// A path of one rate with 100 ms of buffer.
    pub fn steady(mbps: f64, rtt: f64) -> Self {
        let buffer = (mbps * 1e6 / 8.0 * 0.1) as u64;
        Self {
            rates: vec![(0.0, mbps)],
            rtt,
            buffer,
            loss_ppm: 0,
            reverse_jitter: 0.0,
            detour: None,
            policer: None,
            codel: false,
            turns: 0.0,
        }
    }

    /// Half the round trip without queue at `t` nanoseconds, in seconds.
    fn way(&self, t: u64) -> f64 {
        let rtt = self.detour.filter(|d| t as f64 >= d.0 * SECOND).map_or(self.rtt, |d| d.1);
        rtt / 2.0
    }

    /// Mbit/s at `t` nanoseconds.
    fn rate(&self, t: u64) -> f64 {
        let s = t as f64 / SECOND;
        self.rates.iter().take_while(|r| r.0 <= s).last().or(self.rates.first()).map_or(1.0, |r| r.1)
    }

    /// When `bytes` that begin to leave at `start` have left, following the trace.
    fn leave(&self, start: u64, bytes: u64) -> u64 {
        let mut t = start as f64;
        let mut bits = bytes as f64 * 8.0;
        loop {
            let rate = self.rate(t as u64) * 1e6 / SECOND;
            let end = self.rates.iter().map(|r| r.0 * SECOND).find(|&e| e > t + 1.0).unwrap_or(f64::INFINITY);
            if rate > 0.0 && bits / rate <= end - t {
                return (t + bits / rate).ceil() as u64;
            }
            bits -= rate * (end - t);
            t = end;
        }
    }
}

/// A packet on the bottleneck.
#[derive(Clone, Debug)]
pub struct Packet {
    pub flow: usize,
    pub seq: u64,
    pub bytes: u64,
    /// The frame it belongs to; none is filler.
    pub frame: Option<usize>,
    /// The last of its frame or train: reported at once.
    pub last: bool,
}

/// What one feedback message carries.
#[derive(Clone, Debug)]
pub struct Report {
    pub flow: usize,
    /// (seq, arrival in the receiver's microseconds)
    pub arrivals: Vec<(u64, u64)>,
    pub missing: Vec<u64>,
    /// Receiver's microseconds.
    pub hold: u64,
}

enum Event {
    Left,
    Arrive(Packet),
    ReportDue(usize, u64),
    Report(Report),
    Frame(usize),
    Wake(usize, u64),
    BulkWake,
    BulkAck(u64),
    Sample,
}

/// What flows ask of the network.
#[derive(Default)]
pub struct Asks {
    pub packets: Vec<Packet>,
    pub wake: Option<u64>,
    pub reports: Vec<Report>,
    pub report_due: Option<u64>,
}

pub struct Link {
    pub now: u64,
    path: Path,
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
    queue: VecDeque<(Packet, u64)>,
    queued: u64,
    /// Bytes that the policer has, and since when.
    tokens: (f64, u64),
    codel: Codel,
    /// The radio's present turn, and when its last packet was delivered.
    turn: (u64, u64),
    rng: Rng,
    last_report: u64,
    pub flows: Vec<Flow>,
    pub bulk: Option<Bulk>,
    /// (second, milliseconds of queue), every millisecond.
    pub queues: Vec<(f64, f64)>,
    pub dropped: u64,
}

impl Link {
    pub fn new(path: Path, seed: u64) -> Self {
        let mut link = Self {
            now: 0,
            path,
            events: BTreeMap::new(),
            count: 0,
            queue: VecDeque::new(),
            queued: 0,
            tokens: (f64::MAX, 0),
            codel: Codel::default(),
            turn: (0, 0),
            rng: Rng::new(seed),
            last_report: 0,
            flows: Vec::new(),
            bulk: None,
            queues: Vec::new(),
            dropped: 0,
        };
        link.at(0, Event::Sample);
        link
    }

    /// Adds one of our flows that begins at `start` seconds.
    pub fn add(&mut self, start: f64, app: App) {
        let start = (start * SECOND) as u64;
        self.flows.push(Flow::new(start, app, self.rng.next_u64()));
        self.at(start, Event::Frame(self.flows.len() - 1));
    }

    /// Adds the bulk flow.
    pub fn add_bulk(&mut self, start: f64, end: f64) {
        self.bulk = Some(Bulk::new((end * SECOND) as u64));
        self.at((start * SECOND) as u64, Event::BulkWake);
    }

    fn at(&mut self, t: u64, event: Event) {
        self.count += 1;
        self.events.insert((t, self.count), event);
    }

    pub fn run(&mut self, until: f64) {
        let until = (until * SECOND) as u64;
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > until {
                break;
            }
            self.now = entry.key().0;
            match entry.remove() {
                Event::Left => self.left(),
                Event::Arrive(p) => self.arrive(p),
                Event::ReportDue(f, n) => self.with(f, |flow, now, asks| flow.report_due(now, n, asks)),
                Event::Report(r) => self.with(r.flow, |flow, now, asks| flow.on_report(now, &r, asks)),
                Event::Frame(f) => {
                    self.with(f, |flow, now, asks| flow.frame(now, asks));
                    let next = self.now + self.flows[f].interval();
                    self.at(next, Event::Frame(f));
                }
                Event::Wake(f, n) => self.with(f, |flow, now, asks| flow.wake(now, n, asks)),
                Event::BulkWake => {
                    self.bulk_pump();
                    self.at(self.now + 500_000_000, Event::BulkWake);
                }
                Event::BulkAck(seq) => {
                    if let Some(b) = &mut self.bulk {
                        b.on_ack(self.now, seq);
                    }
                    self.bulk_pump();
                }
                Event::Sample => {
                    let ms = self.queued as f64 * 8.0 / (self.path.rate(self.now).max(0.001) * 1e3);
                    self.queues.push((self.now as f64 / SECOND, ms));
                    self.at(self.now + 1_000_000, Event::Sample);
                }
            }
        }
    }

    fn with(&mut self, f: usize, act: impl FnOnce(&mut Flow, u64, &mut Asks)) {
        let mut asks = Asks::default();
        act(&mut self.flows[f], self.now, &mut asks);
        for mut p in asks.packets {
            p.flow = f;
            self.enqueue(p);
        }
        if let Some(t) = asks.wake {
            self.flows[f].wakes += 1;
            let n = self.flows[f].wakes;
            self.at(t.max(self.now), Event::Wake(f, n));
        }
        if let Some(t) = asks.report_due {
            let n = self.flows[f].reports;
            self.at(t, Event::ReportDue(f, n));
        }
        for mut r in asks.reports {
            r.flow = f;
            if self.rng.chance_ppm(self.path.loss_ppm) {
                continue;
            }
            // u^3 has a mean of a quarter: mostly short, sometimes four times the mean.
            let u = self.rng.below(1 << 20) as f64 / (1u64 << 20) as f64;
            let jitter = self.path.reverse_jitter * 4.0 * u * u * u;
            let t = self.now + ((self.path.way(self.now) + jitter) * SECOND) as u64;
            self.last_report = t.max(self.last_report + 1_000);
            self.at(self.last_report, Event::Report(r));
        }
    }

    fn bulk_pump(&mut self) {
        let Some(b) = &mut self.bulk else { return };
        for seq in b.pump(self.now) {
            self.enqueue(Packet { flow: usize::MAX, seq, bytes: PACKET, frame: None, last: false });
        }
    }

    fn enqueue(&mut self, p: Packet) {
        if let Some((mbps, burst)) = self.path.policer {
            let gained = (self.now - self.tokens.1) as f64 / SECOND * mbps * 1e6 / 8.0;
            self.tokens = ((self.tokens.0 + gained).min(burst as f64), self.now);
            if self.tokens.0 < p.bytes as f64 {
                self.dropped += 1;
                return;
            }
            self.tokens.0 -= p.bytes as f64;
        }
        if self.queued + p.bytes > self.path.buffer {
            self.dropped += 1;
            return;
        }
        self.queued += p.bytes;
        let bytes = p.bytes;
        self.queue.push_back((p, self.now));
        if self.queue.len() == 1 {
            let t = self.path.leave(self.now, bytes);
            self.at(t, Event::Left);
        }
    }

    fn left(&mut self) {
        let Some((p, _)) = self.queue.pop_front() else { return };
        self.queued -= p.bytes;
        if !self.rng.chance_ppm(self.path.loss_ppm) {
            let t = self.in_the_air(self.now) + (self.path.way(self.now) * SECOND) as u64;
            let t = self.flows.get(p.flow).map_or(t, |f| f.read_at(t));
            self.at(t, Event::Arrive(p));
        }
        if self.path.codel {
            self.manage();
        }
        if let Some((next, _)) = self.queue.front() {
            let t = self.path.leave(self.now, next.bytes);
            self.at(t, Event::Left);
        }
    }

    /// When the radio has delivered what reaches it at `t`.
    fn in_the_air(&mut self, t: u64) -> u64 {
        if self.path.turns <= 0.0 {
            return t;
        }
        while self.turn.0 < t {
            let wait = self.path.turns * (0.5 + self.rng.below(1 << 20) as f64 / (1u64 << 20) as f64);
            self.turn.0 += (wait * SECOND) as u64;
        }
        self.turn.1 = self.turn.0.max(self.turn.1 + AIR);
        self.turn.1
    }

    /// CoDel looks at the head of the queue.
    fn manage(&mut self) {
        while let Some((_, since)) = self.queue.front() {
            if self.now - since < CODEL_TARGET || self.queued <= PACKET {
                (self.codel.above_since, self.codel.dropping) = (None, false);
                return;
            }
            let above = *self.codel.above_since.get_or_insert(self.now);
            if self.now - above < CODEL_INTERVAL || self.codel.dropping && self.now < self.codel.next {
                return;
            }
            let spacing = |count: u32| (CODEL_INTERVAL as f64 / f64::from(count).sqrt()) as u64;
            if self.codel.dropping {
                self.codel.count += 1;
                self.codel.next += spacing(self.codel.count);
            } else {
                let again = self.codel.count > 2 && self.now - self.codel.next.min(self.now) < 16 * CODEL_INTERVAL;
                self.codel.count = if again { self.codel.count - 2 } else { 1 };
                (self.codel.dropping, self.codel.next) = (true, self.now + spacing(self.codel.count));
            }
            if let Some((p, _)) = self.queue.pop_front() {
                self.queued -= p.bytes;
                self.dropped += 1;
            }
        }
    }

    fn arrive(&mut self, p: Packet) {
        if p.flow == usize::MAX {
            if let Some(b) = &mut self.bulk {
                b.arrived.push((self.now as f64 / SECOND, p.bytes));
            }
            let t = self.now + (self.path.way(self.now) * SECOND) as u64;
            self.at(t, Event::BulkAck(p.seq));
            return;
        }
        self.with(p.flow, |flow, now, asks| flow.arrive(now, &p, asks));
    }

    /// The longest queue in milliseconds between two seconds.
    pub fn peak(&self, from: f64, to: f64) -> f64 {
        self.queues.iter().filter(|q| q.0 >= from && q.0 < to).map(|q| q.1).fold(0.0, f64::max)
    }

    /// A quantile of the queue in milliseconds between two seconds.
    pub fn queue_quantile(&self, from: f64, to: f64, p: f64) -> f64 {
        quantile(self.queues.iter().filter(|q| q.0 >= from && q.0 < to).map(|q| q.1).collect(), p)
    }

    /// Seconds from `from` until the queue stays under `ms` for 300 ms.
    pub fn settles(&self, from: f64, ms: f64) -> f64 {
        let mut last_above = from;
        for &(t, q) in self.queues.iter().filter(|q| q.0 > from) {
            if q > ms {
                last_above = t;
            } else if t - last_above > 0.3 && t - from > 0.35 {
                break;
            }
        }
        last_above - from
    }
}

/// The value at quantile `p`, NaN of nothing.
pub fn quantile(mut values: Vec<f64>, p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let i = (values.len().saturating_sub(1) as f64 * p).round() as usize;
    values.get(i).copied().unwrap_or(f64::NAN)
}

/// Mbit/s of (second, bytes) between two seconds.
pub fn mbps(arrived: &[(f64, u64)], from: f64, to: f64) -> f64 {
    let bytes: u64 = arrived.iter().filter(|a| a.0 >= from && a.0 < to).map(|a| a.1).sum();
    bytes as f64 * 8e-6 / (to - from)
}
