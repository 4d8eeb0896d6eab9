//! The events of one bottleneck: what enters it, leaves it, is dropped, arrives and is reported.

use super::{App, Bulk, Flow, PACKET, Path, SECOND, quantile};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use telepane_model::Rng;

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

/// A packet on the bottleneck.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub flow: usize,
    pub seq: u64,
    pub bytes: u64,
    /// The last of its frame or train: reported at once.
    pub last: bool,
    /// It met congestion (ECN).
    pub marked: bool,
}

/// What one feedback message carries.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub flow: usize,
    /// (seq, arrival in the receiver's microseconds)
    pub arrivals: Vec<(u64, u64)>,
    pub missing: Vec<u64>,
    /// Receiver's microseconds.
    pub hold: u64,
    /// Packets that came with a mark, in all.
    pub marked: u64,
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
pub(super) struct Asks {
    pub packets: Vec<Packet>,
    pub wake: Option<u64>,
    pub reports: Vec<Report>,
    pub report_due: Option<u64>,
}

/// The bottleneck and all that runs over it.
pub struct Link {
    now: u64,
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
    /// Whether a bad time is under way.
    bad: bool,
    rng: Rng,
    last_report: u64,
    /// Our flows, in the order they were added.
    pub flows: Vec<Flow>,
    /// The bulk flow, if there is one.
    pub bulk: Option<Bulk>,
    /// (second, milliseconds of queue), every millisecond.
    pub queues: Vec<(f64, f64)>,
    /// Packets that the bottleneck dropped.
    pub dropped: u64,
    /// Packets that it marked instead.
    pub marked: u64,
}

impl Link {
    /// An empty one.
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
            bad: false,
            rng: Rng::new(seed),
            last_report: 0,
            flows: Vec::new(),
            bulk: None,
            queues: Vec::new(),
            dropped: 0,
            marked: 0,
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

    /// Adds the bulk flow, from one second to another.
    pub fn add_bulk(&mut self, start: f64, end: f64) {
        self.bulk = Some(Bulk::new((end * SECOND) as u64));
        self.at((start * SECOND) as u64, Event::BulkWake);
    }

    fn at(&mut self, t: u64, event: Event) {
        self.count += 1;
        self.events.insert((t, self.count), event);
    }

    /// Goes on until this second.
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
            self.enqueue(Packet { flow: usize::MAX, seq, bytes: PACKET, last: false, marked: false });
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
        if !self.is_lost() {
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

    /// Whether a packet that has left is lost on its way.
    fn is_lost(&mut self) -> bool {
        if let Some(g) = self.path.bursts {
            let turns = if self.bad { g.betters_ppm } else { g.worsens_ppm };
            self.bad ^= self.rng.chance_ppm(turns);
            if self.bad && self.rng.chance_ppm(g.loss_ppm) {
                return true;
            }
        }
        self.rng.chance_ppm(self.path.loss_ppm)
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
            // The bulk flow does not understand marks.
            if self.path.ecn && self.queue.front().is_some_and(|(p, _)| p.flow != usize::MAX) {
                self.queue[0].0.marked = true;
                self.marked += 1;
                return;
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

    /// What happened, in the manner of a session's journal: `cargo xtask plot` draws it. Of flows, the first.
    pub fn journal(&self) -> String {
        let mut lines: Vec<(f64, String)> = Vec::new();
        let mut line = |at: f64, text: String| lines.push((at, text));
        for &(at, ms) in self.queues.iter().step_by(STEP) {
            let capacity = (self.path.rate((at * SECOND) as u64) * 1e3) as u64;
            line(at, format!("Path {{ capacity: {capacity}kbit/s, queue: {ms:.3}ms }}"));
        }
        if let Some(flow) = self.flows.first() {
            let mut next = 0.0;
            for &(at, _, pace, share) in flow.estimates.iter() {
                if at >= next {
                    line(at, format!("Budget {{ pace: {pace}kbit/s, share: {share}kbit/s }}"));
                    next = at + STEP as f64 / 1e3;
                }
            }
            for (bin, bytes) in by_tenths(&flow.sent_at) {
                line(bin, format!("Sent {{ sent: {}kbit/s }}", bytes * 8 / 100));
            }
            for (start, done) in flow.frames.iter().filter_map(|f| Some((f.start, f.done?))) {
                line(done, format!("Shown {{ age: {:.3}ms }}", (done - start) * 1e3));
            }
        }
        let others = self.bulk.iter().map(|b| &b.arrived).chain(self.flows.iter().skip(1).map(|f| &f.arrived));
        for other in others {
            for (bin, bytes) in by_tenths(other) {
                line(bin, format!("Rival {{ rival: {}kbit/s }}", bytes * 8 / 100));
            }
        }
        lines.sort_by(|a, b| a.0.total_cmp(&b.0));
        lines.iter().fold("telepane-notes 1 bottleneck\n".to_owned(), |mut text, (at, line)| {
            let _ = writeln!(text, "{at:.6} {line}");
            text
        })
    }
}

/// Bytes by the tenth of a second, gaps as zeros.
fn by_tenths(of: &[(f64, u64)]) -> impl Iterator<Item = (f64, u64)> {
    let mut bins: BTreeMap<u64, u64> = BTreeMap::new();
    for (at, bytes) in of {
        *bins.entry((at * 10.0) as u64).or_default() += bytes;
    }
    let ends = bins.first_key_value().map(|b| *b.0).zip(bins.last_key_value().map(|b| *b.0));
    let (first, last) = ends.map_or((1, 0), |(first, last)| (first, last + 1));
    (first..=last).map(move |bin| (bin as f64 / 10.0, bins.get(&bin).copied().unwrap_or(0)))
}

/// Milliseconds between two points of a journal's curves.
const STEP: usize = 10;
