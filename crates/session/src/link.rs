//! One side's end of the datagram link: numbering what is sent, telling what arrived, and learning from feedback what
//! became of it. Host and viewer use the same one.

use crate::arrivals::Arrivals;
use crate::clock_map::ClockEstimate;
use std::collections::BTreeMap;
use telepane_model::{Arrival, Bytes, Clock, SentPacket, Span, Stamp};
use telepane_protocol::{Chunk, Datagram, Fault, Feedback, Shard};
use telepane_rate::repair::LOSSY_PPM;
use telepane_rate::{Controller, FeedbackFacts, Pacer, Policy, Scavenger, SendClass, SendFacts};

/// What is alone (an update of one packet, input) is sent again after this where packets are lost (DESIGN §3.4): no later
/// packet would show that it is missing.
// spec: H-32, Y-28
pub const LONE_AGAIN: Span = Span::millis(4);
/// What QUIC and IP add to a datagram: short header and packet number 4, AEAD tag 16, frame header 3, UDP 8, IPv4 20.
const OVERHEAD: usize = 51;
/// Missing numbers read of one feedback message; the controller reads no more.
const MOST_MISSING: usize = 1_024;
/// Numbers remembered at most; the oldest are forgotten (a controller never has this many on the way).
const REMEMBERED: usize = 16_384;

/// What of so many bytes of the path is left for what groups of `data` packets, with `parity` others, carry in `shard` bytes each.
pub fn carried_in(bytes: u64, shard: usize, (data, parity): (u8, u8)) -> u64 {
    let packets = u64::from(data) + u64::from(parity);
    let wire = (shard + Shard::HEADER + OVERHEAD) as u64 * packets.max(1);
    bytes.saturating_mul(shard as u64 * u64::from(data)) / wire
}

/// The end on the side whose clock is `C`; the peer's clock is `P`. `T` says what a datagram carried.
pub struct Link<C: Clock, P: Clock, T> {
    /// The sending side's controller.
    pub rate: Controller<C, P>,
    /// The sending side's pacer.
    pub pacer: Pacer<C>,
    /// What bulk may send.
    pub scavenger: Scavenger<C>,
    /// The peer reads feedback in its closer form.
    // spec: D-37
    pub closely: bool,
    /// What arrived.
    pub arrivals: Arrivals<C>,
    /// The peer's clock.
    pub clock: ClockEstimate<C, P>,
    next: u64,
    sent: BTreeMap<u64, Sent<C, T>>,
    /// When anything was last heard from the peer.
    pub heard: Stamp<C>,
    /// The newest datagram that wants an answer and when the oldest unanswered one left, while one is unanswered.
    waiting: Option<(u64, Stamp<C>)>,
    asked: Option<Stamp<C>>,
    reported: u64,
    /// What was said last to wait behind what is sent, bulk left out.
    backlog: Bytes,
}

#[derive(Debug)]
struct Sent<C: Clock, T> {
    at: Stamp<C>,
    tag: T,
    /// The arrivals it told of, if it is feedback.
    told: Vec<u64>,
}

/// What a datagram that leaves wants to come back.
enum Wants {
    /// Nothing: feedback asks for no feedback, else there would be no end of it, and its silence means nothing.
    Nothing,
    /// An answer when there is company, which does not measure the path.
    Company,
    /// One that does.
    Answer(SendFacts),
}

/// What a feedback message settled.
#[derive(Debug)]
pub struct Settled<T, P: Clock> {
    /// Carried, and arrived: then, on the peer's clock.
    pub arrived: Vec<(T, Stamp<P>)>,
    /// Carried, and taken for lost.
    pub lost: Vec<T>,
}

impl<C: Clock, P: Clock, T: Clone> Link<C, P, T> {
    /// A fresh link.
    pub fn new(now: Stamp<C>, policy: Policy) -> Self {
        Self {
            rate: Controller::new(now, policy),
            pacer: Pacer::new(),
            scavenger: Scavenger::default(),
            closely: false,
            arrivals: Arrivals::new(),
            clock: ClockEstimate::new(),
            next: 0,
            sent: BTreeMap::new(),
            heard: now,
            waiting: None,
            asked: None,
            reported: 0,
            backlog: Bytes(0),
        }
    }

    /// A fresh link to a peer that was known before: its clock still runs.
    pub fn renewed(now: Stamp<C>, policy: Policy, clock: ClockEstimate<C, P>) -> Self {
        Self { clock, ..Self::new(now, policy) }
    }

    /// Numbers and writes a datagram that leaves now.
    // spec: D-6
    pub fn send(&mut self, now: Stamp<C>, datagram: &Datagram, tag: T, class: SendClass, backlog: Bytes) -> Vec<u8> {
        self.backlog = backlog;
        // spec: T-5
        let urgent = matches!(datagram, Datagram::Sound(_) | Datagram::Input(_));
        self.number(now, datagram, tag, Wants::Answer(SendFacts { backlog, class, urgent }), Vec::new())
    }

    /// The same for what is answered when there is company: how long that takes says nothing of the path.
    // spec: H-26
    pub fn send_patiently(&mut self, now: Stamp<C>, datagram: &Datagram, tag: T) -> Vec<u8> {
        self.number(now, datagram, tag, Wants::Company, Vec::new())
    }

    /// The feedback that is due by now, if any: `fill` adds what only its side knows, and says what it carries.
    // spec: D-18, D-31
    pub fn feedback(&mut self, now: Stamp<C>, fill: impl FnOnce(&mut Feedback) -> T) -> Option<Vec<u8>> {
        if self.arrivals.due().is_none_or(|at| at > now) {
            return None;
        }
        let lossy = self.is_lossy();
        let (mut f, told) = self.arrivals.report(now, lossy)?;
        f.close = self.closely;
        let tag = fill(&mut f);
        Some(self.number(now, &Datagram::Feedback(f), tag, Wants::Nothing, told))
    }

    fn number(&mut self, now: Stamp<C>, datagram: &Datagram, tag: T, wants: Wants, told: Vec<u64>) -> Vec<u8> {
        let out = datagram.encode(self.next);
        let bytes = Self::cost(out.len());
        match wants {
            Wants::Nothing => {}
            Wants::Company => self.ask(now, bytes, None),
            Wants::Answer(facts) => self.ask(now, bytes, Some(facts)),
        }
        self.scavenger.on_other(now, bytes);
        self.pacer.on_sent(now, bytes);
        self.keep(now, tag, told);
        out
    }

    /// Numbers and writes a chunk that leaves now. The pacer does not wait for it: what is paced goes before bulk.
    // spec: B-7
    pub fn send_chunk(&mut self, now: Stamp<C>, chunk: &Chunk, tag: T, class: SendClass) -> Vec<u8> {
        let out = chunk.encode(self.next);
        let bytes = Self::cost(out.len());
        self.ask(now, bytes, Some(SendFacts { backlog: self.backlog, class, urgent: false }));
        self.scavenger.on_sent(bytes);
        if class == SendClass::Probe {
            self.pacer.on_sent(now, bytes);
        }
        self.keep(now, tag, Vec::new());
        out
    }

    /// What is sent now wants an answer; with `facts`, one that measures the path.
    fn ask(&mut self, now: Stamp<C>, bytes: Bytes, facts: Option<SendFacts>) {
        let seq = self.next;
        if let Some(facts) = facts {
            self.rate.on_sent(SentPacket { seq, bytes, at: now }, facts);
        }
        self.asked = Some(now);
        self.waiting = Some((seq, self.waiting.map_or(now, |(_, since)| since)));
    }

    fn keep(&mut self, now: Stamp<C>, tag: T, told: Vec<u64>) {
        self.sent.insert(self.next, Sent { at: now, tag, told });
        self.next += 1;
        while self.sent.len() > REMEMBERED {
            self.sent.pop_first();
        }
    }

    /// What a datagram of `payload` bytes takes of the path.
    pub const fn cost(payload: usize) -> Bytes {
        Bytes((payload + OVERHEAD) as u64)
    }

    /// Something came from the peer.
    pub fn on_heard(&mut self, at: Stamp<C>) {
        self.heard = self.heard.max(at);
    }

    /// Reads the link half of a feedback message.
    // spec: D-19, H-27, L-6
    pub fn on_feedback(&mut self, at: Stamp<C>, f: &Feedback) -> Result<Settled<T, P>, Fault> {
        if f.newest >= self.next {
            return Err(Fault::FeedbackFromTheFuture);
        }
        if let Some((newest, since)) = self.waiting {
            // What was sent after the newest reported one goes on waiting.
            let later = self.sent.range(f.newest + 1..).next().map_or(since, |(_, s)| s.at.max(since));
            self.waiting = (f.newest < newest).then_some((newest, later));
        }
        let newest_at = self.clock.whole(f.arrived, at);
        if let Some(sent) = self.sent.get(&f.newest)
            && f.newest >= self.reported
        {
            self.clock.on_exchange(sent.at, newest_at, f.hold, at);
        }
        self.reported = self.reported.max(f.newest);
        let mut arrivals = vec![Arrival { seq: f.newest, at: newest_at }];
        let mut missing = Vec::new();
        let (mut seq, mut came) = (f.newest, newest_at.as_micros() as i64);
        for (gap, earlier) in &f.earlier {
            // A gap past what is remembered says nothing more.
            let Some(next) = seq.checked_sub(gap.saturating_add(1)) else { break };
            if *gap > REMEMBERED as u64 {
                break;
            }
            missing.extend((next + 1..seq).rev().take(MOST_MISSING - missing.len()));
            seq = next;
            came = came.saturating_sub(i64::from(*earlier));
            arrivals.push(Arrival { seq, at: Stamp::from_micros(came.max(0) as u64) });
        }
        self.rate.on_feedback(&FeedbackFacts { received_at: at, hold: f.hold, arrivals: &arrivals, missing: &missing });
        let mut arrived = Vec::new();
        for (sent, came) in arrivals.iter().filter_map(|a| Some((self.sent.remove(&a.seq)?, a.at))) {
            self.arrivals.settle(&sent.told);
            arrived.push((sent.tag, came));
        }
        Ok(Settled { arrived, lost: self.take_lost() })
    }

    /// Lets time pass; says what is now taken for lost.
    pub fn on_time(&mut self, now: Stamp<C>) -> Vec<T> {
        self.rate.on_time(now);
        self.take_lost()
    }

    fn take_lost(&mut self) -> Vec<T> {
        let lost: Vec<u64> = self.rate.lost().map(|p| p.seq).collect();
        // It stays remembered: it may turn up after all.
        lost.into_iter().filter_map(|seq| self.sent.get(&seq)).map(|s| s.tag.clone()).collect()
    }

    /// The part of what is sent that does not arrive, in millionths. What comes the other way is counted too: little work
    /// sends too little for its loss to be known, and both ways mostly lead through the same air.
    pub fn loss_ppm(&self) -> u32 {
        self.rate.loss_ppm().max(self.arrivals.loss_ppm())
    }

    /// Whether so much is lost that what is alone is sent twice ([`LONE_AGAIN`] apart).
    pub fn is_lossy(&self) -> bool {
        self.loss_ppm() > LOSSY_PPM
    }

    /// When the next packet of `payload` bytes may leave.
    pub fn next_send_at(&mut self, now: Stamp<C>, payload: usize) -> Stamp<C> {
        self.next_send_past(now, payload, Bytes(0))
    }

    /// The same for what goes before `bulk` bytes of what is on the way: they do not fill its window.
    // spec: B-8
    pub fn next_send_past(&mut self, now: Stamp<C>, payload: usize, bulk: Bytes) -> Stamp<C> {
        let in_flight = Bytes(self.rate.in_flight().0.saturating_sub(bulk.0));
        self.pacer.next_send_at(now, Self::cost(payload), &self.rate.budget(now), in_flight)
    }

    /// Since when nothing was answered although something should have been.
    pub fn unanswered_since(&self) -> Option<Stamp<C>> {
        self.waiting.map(|(_, since)| since)
    }

    /// How long nothing has been answered although something should have been.
    pub fn silence(&self, now: Stamp<C>) -> Span {
        self.unanswered_since().map_or(Span::ZERO, |since| now.since(since))
    }

    /// When something that wants an answer left last.
    pub const fn asked_at(&self) -> Option<Stamp<C>> {
        self.asked
    }

    /// The round trip: as measured with what wants answers, or with feedback alone where that is all there is.
    pub fn rtt(&self) -> Span {
        let smoothed = self.rate.rtt().smoothed;
        match self.clock.latest_rtt() {
            Some(latest) if self.rate.is_measured() => smoothed.max(latest),
            Some(latest) => latest,
            None => smoothed,
        }
    }

    /// How long an answer takes at most on a path as it was measured, with `more` for the peer's own doings.
    pub fn patience(&self, more: Span) -> Span {
        let rtt = self.rate.rtt();
        rtt.smoothed + rtt.variation.scaled(4, 1) + more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::{Answer, DELAY};
    use telepane_model::{Epoch, HostClock, UpdateId, ViewerClock};
    use telepane_protocol::SurfaceReport;

    // spec: D-31, D-37
    #[test]
    fn feedback_for_20_mbit_costs_little_more_than_a_hundredth() {
        let cost = |closely: bool| {
            let at = |us: u64| Stamp::<ViewerClock>::from_micros(us);
            let mut link = Link::<ViewerClock, HostClock, ()>::new(at(0), Policy::default());
            link.closely = closely;
            let (mut down, mut up) = (0, 0);
            for n in 0..800_u64 {
                let now = at(n * 480);
                link.arrivals.on_datagram(20_000 + n as u16, now, Answer::Within(DELAY));
                down += 1_200;
                let report = SurfaceReport {
                    epoch: Epoch(3),
                    applied: UpdateId(9_000),
                    queue: Span::millis(2),
                    shown: Some(UpdateId(9_000)),
                    ..SurfaceReport::default()
                };
                let bytes = link.feedback(now, |f| f.surfaces.push(report));
                up += bytes.map_or(0, |b| b.len() + OVERHEAD);
            }
            up as f64 / f64::from(down)
        };
        let (close, wide) = (cost(true), cost(false));
        assert!(close < 0.0115 && wide < 0.0135, "{close} and {wide}");
    }

    // spec: H-44
    #[test]
    fn headers_and_parity_have_their_part_of_what_a_film_may_take() {
        let shard = 1_200 - Shard::HEADER;
        let alone = carried_in(1_000_000, shard, (8, 0));
        let packets = alone.div_ceil(shard as u64);
        assert!(alone + packets * (Shard::HEADER + OVERHEAD) as u64 <= 1_001_300 && alone > 930_000, "{alone}");
        assert_eq!(carried_in(1_000_000, shard, (1, 0)), alone);
        assert_eq!(carried_in(900_000, shard, (8, 1)), carried_in(800_000, shard, (8, 0)));
        assert!(carried_in(u64::MAX, shard, (8, 4)) > 1 << 40, "a limit that nobody set");
    }
}
