//! A viewer that lies in its feedback, to a host with a limit whose screen never rests, in virtual time.
//!
//! Whatever it says: the host sends no more than its limit over any second, keeps no more for the viewer than its bound,
//! comes to rest after every fact, and does not panic. The fuzz target composes lies; the tests name each of them.

use super::{MOST_WISHES, Source, code};
use crate::{Host, HostOptions, HostOutput, Incoming};
use std::collections::VecDeque;
use telepane_model::{
    BitRate, Damage, EncodeJob, Epoch, FrameFacts, FrameId, HostClock, InputEvent, InputSeq, KeyCode, KeyMove, Region,
    Size, Span, Stamp, SurfaceId, UpdateId, Version,
};
use telepane_protocol::{Capabilities, Capability, Datagram, Feedback, InputBatch, SurfaceReport};
use telepane_rate::Policy;

/// A host under attack.
struct Attacked {
    mind: Host,
    now: Stamp<HostClock>,
    limit: BitRate,
    frame: FrameId,
    next_frame: Stamp<HostClock>,
    jobs: VecDeque<EncodeJob>,
    /// When each of its last datagrams left, and its size on the path; the first has number `first`.
    sent: VecDeque<(Stamp<HostClock>, u64)>,
    first: u64,
    /// The most bytes of any second.
    worst: u64,
    /// The viewer's datagrams so far, and the last of them.
    seq: u64,
    last: Vec<u8>,
}

impl Attacked {
    fn new(limit: BitRate) -> Self {
        let now = Stamp::from_micros(1 << 33);
        let policy = Policy { limit: Some(limit), ..Policy::default() };
        let mut mind = Host::new(now, HostOptions { policy, ..HostOptions::default() });
        // It also says that it takes everything.
        let all = [Capability::ReceiveBuffer, Capability::PendingBytes];
        mind.on_capabilities(&all.iter().fold(Capabilities::default(), |c, &one| c.with(one, u64::MAX >> 2)));
        mind.on_attached(now, 1_200, &[]);
        Self {
            mind,
            now,
            limit,
            frame: FrameId(0),
            next_frame: now,
            jobs: VecDeque::new(),
            sent: VecDeque::new(),
            first: 0,
            worst: 0,
            seq: 0,
            last: Vec::new(),
        }
    }

    /// The number of the host's next datagram.
    fn next(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    /// Lets time pass, doing what the host asks for.
    fn run(&mut self, span: Span) {
        let end = self.now + span;
        for turns in 0.. {
            assert!(turns < MOST_WISHES, "time goes on");
            if self.now >= self.next_frame {
                self.draw();
            }
            self.mind.on_time(self.now);
            let woken = self.drain();
            let next = woken.map_or(end, |at| at.min(end)).min(self.next_frame);
            if self.now >= end {
                break;
            }
            self.now = next.max(self.now + Span::micros(1)).min(end);
        }
    }

    /// The whole screen changes.
    fn draw(&mut self) {
        self.next_frame = self.now + Span::millis(33);
        self.frame.0 += 1;
        let size = Size::new(1_280, 768);
        let damage = Damage::exact(Region::from(size.rect()));
        let facts = FrameFacts { id: self.frame, surface: SurfaceId(0), size, captured: self.now, damage };
        self.mind.on_frame(self.now, &facts);
    }

    /// Takes what the host wishes and gives when it wants to be woken.
    fn drain(&mut self) -> Option<Stamp<HostClock>> {
        for wishes in 0.. {
            assert!(wishes < MOST_WISHES, "the mind comes to rest");
            match self.mind.poll_output() {
                HostOutput::Idle { until, .. } => {
                    let Some(job) = self.jobs.pop_front() else { return until };
                    // A tile of a picture: what is coded exceeds every limit used here.
                    self.mind.on_coded(self.now, code(&job, Version(self.frame.0), TILE));
                }
                HostOutput::Encode(job) => self.jobs.push_back(job),
                HostOutput::Datagram(bytes) => self.on_sent(bytes.len() as u64 + OVERHEAD),
                _ => {}
            }
            assert!(self.jobs.len() <= 64, "jobs wait in no heap");
        }
        None
    }

    fn on_sent(&mut self, bytes: u64) {
        self.sent.push_back((self.now, bytes));
        if self.sent.len() > KEPT {
            self.sent.pop_front();
            self.first += 1;
        }
        let second = self.sent.iter().rev().take_while(|(at, _)| self.now - *at < Span::secs(1));
        self.worst = self.worst.max(second.map(|s| s.1).sum());
    }

    /// A datagram comes from the viewer.
    fn hear(&mut self, bytes: Vec<u8>) {
        self.mind.on_datagram(&Incoming { bytes: bytes.clone(), arrived: self.now });
        self.last = bytes;
        self.drain();
        self.check();
    }

    fn say(&mut self, feedback: Feedback) {
        self.seq += 1;
        self.hear(Datagram::Feedback(feedback).encode(self.seq));
    }

    /// A key goes down: the person counts as active, and the path may be probed.
    fn press(&mut self) {
        self.seq += 1;
        let event = InputEvent::Key { code: KeyCode(30), action: KeyMove::Down };
        let batch = InputBatch {
            sent: self.now.as_micros() as u32,
            floor: InputSeq(1),
            first: InputSeq(1),
            events: vec![(Span::ZERO, event)],
            ..InputBatch::default()
        };
        self.hear(Datagram::Input(batch).encode(self.seq));
    }

    /// Everything sent has come, and in no time at all.
    fn all_at_once(&self) -> Feedback {
        Feedback {
            newest: self.next().saturating_sub(1),
            arrived: self.now.as_micros() as u32,
            received: self.next(),
            earlier: vec![(0, 0); Feedback::MOST],
            ..Feedback::default()
        }
    }

    fn report(&self, epoch: u32, applied: u32, gave_up: Option<u32>) -> Feedback {
        let report = SurfaceReport {
            surface: SurfaceId(0),
            epoch: Epoch(epoch),
            applied: UpdateId(applied),
            gave_up: gave_up.map(UpdateId),
            queue: Span::ZERO,
            shown: Some(UpdateId(applied / 2)),
        };
        Feedback { surfaces: vec![report], ..self.all_at_once() }
    }

    /// What always holds.
    // spec: H-43, T-2
    fn check(&self) {
        self.mind.verify();
        let kept = self.mind.kept_bytes();
        assert!(kept <= KEPT_BYTES, "{kept} bytes are kept for the viewer");
        let most = self.limit.as_bps() / 8 + SLACK;
        assert!(self.worst <= most, "{} bytes in a second, {} allowed", self.worst, self.limit.as_bps() / 8);
    }
}

/// Lies and truths in any order.
///
/// # Panics
/// When the host sends more than its limit, keeps more than its bound, does not come to rest, or is inconsistent.
pub fn feedback(bytes: &[u8]) {
    let mut s = Source(bytes);
    let mut a = Attacked::new(BitRate::mbps(1 << (s.small() % 5)));
    a.run(Span::millis(5));
    let mut ops = 0;
    while let Some(op) = s.u8() {
        ops += 1;
        if ops > MOST_OPS {
            break;
        }
        match op % 10 {
            0 => a.run(Span::millis(1 + s.small() % 64)),
            1 => a.run(Span::micros(s.u16())),
            2 => {
                let feedback = a.all_at_once();
                a.say(feedback);
            }
            3 => {
                let feedback = Feedback {
                    newest: a.next().saturating_sub(s.small()),
                    arrived: s.any() as u32,
                    hold: Span::micros(s.any()),
                    received: s.any(),
                    earlier: (0..s.small() % 65).map(|_| (s.any() >> 20, s.any() as i32)).collect(),
                    ..Feedback::default()
                };
                a.say(feedback);
            }
            4 => {
                let bytes = a.last.clone();
                a.hear(bytes);
            }
            5 => {
                let gave_up = (op > 128).then(|| s.any() as u32);
                let feedback = a.report(s.small() as u32 % 8, s.u16() as u32, gave_up);
                a.say(feedback);
            }
            6 => {
                let feedback = a.report(1, s.small() as u32, None);
                a.say(feedback);
            }
            7 => {
                let feedback = Feedback { newest: a.next() + s.any(), ..a.all_at_once() };
                a.say(feedback);
            }
            8 => a.press(),
            _ => a.hear(s.bytes().to_vec()),
        }
        a.check();
    }
    a.run(Span::millis(200));
    a.check();
}

/// More makes a run longer and nothing else.
const MOST_OPS: u32 = 600;
/// What a tile takes: less than a slice at the slowest limit.
const TILE: usize = 900;
/// Datagrams remembered: more than two seconds at the highest limit.
const KEPT: usize = 8_192;
/// `Link::cost`'s.
const OVERHEAD: u64 = 51;
/// Above the limit over a second: a slice at once (H-43), and what is said unpaced before the pacer has made up for it.
const SLACK: u64 = 40_000;
/// A host keeps 4 MiB of slices for a viewer, whatever that says; and one job's more.
const KEPT_BYTES: u64 = (4 << 20) + (2 << 20);

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    /// Ten seconds in which `lie` is told every 5 ms; what was sent in the worst second.
    fn attack(mbps: u64, lie: impl Fn(&mut Attacked, u64)) -> u64 {
        let mut a = Attacked::new(BitRate::mbps(mbps));
        for step in 0..2_000 {
            a.run(Span::millis(5));
            if step % 100 == 0 {
                a.press();
            }
            lie(&mut a, step);
        }
        a.check();
        a.worst
    }

    #[test]
    fn arrivals_in_no_time_do_not_lift_the_limit() {
        for mbps in [1, 4, 16] {
            let worst = attack(mbps, |a, _| {
                let feedback = a.report(1, u32::MAX, None);
                a.say(Feedback { surfaces: Vec::new(), ..feedback });
            });
            // It was believed, up to the limit.
            assert!(worst > mbps * 100_000, "{mbps}: {worst}");
        }
    }

    #[test]
    fn arrivals_before_they_were_sent_do_not_either() {
        attack(4, |a, step| {
            let back = (step as u32).wrapping_mul(70_000_000);
            let arrived = (a.now.as_micros() as u32).wrapping_sub(back);
            let earlier = vec![(0, i32::MIN + step as i32); Feedback::MOST];
            let feedback = Feedback { arrived, earlier, ..a.all_at_once() };
            a.say(feedback);
        });
    }

    // spec: H-27
    #[test]
    fn arrivals_of_what_was_never_sent_count_for_nothing() {
        let quiet = attack(4, |_, _| {});
        let told = attack(4, |a, step| {
            let feedback = Feedback { newest: a.next() + step, ..a.all_at_once() };
            a.say(feedback);
        });
        assert!(told <= quiet + SLACK / 4, "{told} bytes in a second, {quiet} when nothing is said");
    }

    #[test]
    fn ranges_of_any_length_are_read_in_bounded_time() {
        attack(4, |a, _| {
            let earlier = vec![(u64::MAX >> 2, 0); Feedback::MOST];
            let feedback = Feedback { earlier, ..a.all_at_once() };
            a.say(feedback);
        });
    }

    #[test]
    fn everything_missing_makes_nothing_be_sent_beyond_the_limit() {
        attack(4, |a, _| {
            // Only the newest and what is 64 numbers before it came.
            let feedback = Feedback { earlier: vec![(63, 0)], ..a.all_at_once() };
            a.say(feedback);
        });
    }

    #[test]
    fn a_message_said_again_and_again_is_read_once() {
        let once = attack(4, |a, step| {
            if step == 10 {
                let feedback = a.report(1, 1, None);
                a.say(feedback);
            }
        });
        let again = attack(4, |a, step| {
            if step == 10 {
                let feedback = a.report(1, 1, None);
                a.say(feedback);
            }
            for _ in 0..20 {
                let last = a.last.clone();
                a.hear(last);
            }
        });
        assert!(again <= once + SLACK / 4, "{again} bytes in a second, {once} when it is said once");
    }

    #[test]
    fn giving_everything_up_all_the_time_stays_within_the_limit() {
        for mbps in [1, 16] {
            attack(mbps, |a, step| {
                let feedback = a.report(1, 0, Some(step as u32));
                a.say(feedback);
                let feedback = a.report(1, step as u32, Some(u32::MAX));
                a.say(feedback);
            });
        }
    }

    #[test]
    fn a_viewer_in_later_epochs_stays_within_the_limit() {
        attack(4, |a, step| {
            let feedback = a.report(step as u32 * 1_000, 7, Some(9));
            a.say(feedback);
        });
    }

    /// Everything arrives, nothing is ever applied, and any amount may wait: what is kept stays bounded.
    // spec: V-5, T-2
    #[test]
    fn a_viewer_that_confirms_nothing_is_not_kept_memory_for() {
        let mut a = Attacked::new(BitRate::mbps(64));
        for _ in 0..1_000 {
            a.run(Span::millis(5));
            let feedback = a.all_at_once();
            a.say(feedback);
        }
        // It has come to the bound, or this would show nothing.
        assert!(a.mind.kept_bytes() > 3 << 20, "{}", a.mind.kept_bytes());
        a.check();
    }

    /// It says it can take little at once, and nothing of whether it came.
    // spec: T-3
    #[test]
    fn no_more_is_on_the_way_than_half_of_what_the_viewer_can_take() {
        let mut a = Attacked::new(BitRate::mbps(64));
        let small = Capabilities::default().with(Capability::ReceiveBuffer, 65_536);
        a.mind.on_capabilities(&small);
        a.mind.on_attached(a.now, 1_200, &[]);
        (a.sent, a.first) = (VecDeque::new(), 0);
        for _ in 0..30 {
            // Each time everything has come, and then nothing is said for less than a silence.
            let feedback = a.all_at_once();
            a.say(feedback);
            let before = a.next();
            a.run(Span::millis(20));
            let skipped = (before - a.first) as usize;
            let sent: u64 = a.sent.iter().skip(skipped).map(|s| s.1).sum();
            assert!(sent <= 32_768 + 12_000, "{sent} bytes are on the way");
        }
        assert!(a.worst > 100_000, "{}", a.worst);
    }

    #[test]
    fn any_lies_in_any_order() {
        for seed in 0..60 {
            let mut rng = Rng::new(seed);
            let bytes: Vec<u8> = (0..rng.below(1_500)).map(|_| rng.next_u64() as u8).collect();
            feedback(&bytes);
        }
    }
}
