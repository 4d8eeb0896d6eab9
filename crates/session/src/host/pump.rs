//! What is due now: repairs, questions, feedback, the cursor, shards, and the next job; and alarms for the rest.

use super::Stages;
use super::{Again, Carried, ECHO, Host, LEAST_DATAGRAM, Ordered, Parts, SURFACE};
use crate::link::{LONE_AGAIN, carried_in};
use crate::output::{Alarm, HostOutput, Wake};
use crate::planner::plan;
use telepane_model::{Budget, BudgetWhy, Bytes, EncodeJob, HostClock, InputSeq, JobId, Note, Span};
use telepane_protocol::{Control, Datagram, Shard, SliceBody};
use telepane_rate::SendClass;

/// A slice takes at most this long at the present pace (DESIGN §3.4).
pub(super) const SLICE_TIME: Span = Span::millis(10);
/// Who pressed a key so lately may press another one.
const TYPING: Span = Span::secs(2);
/// Bytes of a slice that are not its part of a frame of film (C-60: 16 at most), and some to spare.
const FILM_HEAD: u64 = 64;
/// A job asks for about this much at the present pace, so that the newest pixels are read often.
const JOB_TIME: Span = Span::millis(20);
/// A job's bytes on the fastest link.
const MOST_JOB: u64 = 2 << 20;
/// What the viewer needs, besides a round trip, to decode and to say so, before it is asked what it holds.
const ASK_AFTER: Span = Span::millis(100);
/// It is asked less and less often, but this often at least, and no more often than that.
const ASK_AT_LEAST: Span = Span::secs(2);
const ASK_AT_MOST: Span = Span::millis(50);
/// Ten notes a second draw a curve and fill no disk.
const TELL_BUDGET: Span = Span::millis(100);

impl Host {
    /// Does what is due now and sets alarms for the rest.
    pub(super) fn pump(&mut self, alarm: &mut Alarm<HostClock>) {
        let now = self.now;
        let released = self.input.on_time(now);
        if !released.is_empty() {
            self.draws = false;
            self.out.push_back(HostOutput::Note(Note::LeaseExpired));
            self.out.extend(released.into_iter().map(|event| HostOutput::Inject { seq: InputSeq(0), event }));
        }
        alarm.set_if(self.input.lease_ends(), Wake::Lease);
        if let Some(facts) = self.cadence.due(now) {
            self.take_frame(&facts);
        }
        alarm.set_if(self.cadence.wake(), Wake::Frame);
        self.send_clip(alarm);
        let Some(link) = &mut self.link else { return };
        let lost = link.on_time(now);
        alarm.set_if(link.rate.next_wake(), Wake::Repair);
        self.repair(lost);
        self.send_cursor();
        self.send_again(alarm);
        self.check(alarm);
        self.send_shards(alarm);
        self.send_bulk(alarm);
        self.send_feedback(alarm);
        self.ask_viewer(alarm);
        self.tell_budget();
    }

    /// Notes what the controller allows, when that has changed and not oftener than [`TELL_BUDGET`]. It wakes nobody: a
    /// budget that changes while nothing happens is told with the next thing that does.
    fn tell_budget(&mut self) {
        let (Some(link), now) = (&mut self.link, self.now) else { return };
        if self.told.is_some_and(|(at, _)| now - at < TELL_BUDGET) {
            return;
        }
        let budget = link.rate.budget(now);
        let told = (budget.pace, budget.share, budget.queue, budget.why);
        if self.told.is_none_or(|(_, before)| before != told) {
            self.told = Some((now, told));
            let (pace, share, queue, why) = told;
            let (rtt, lost_ppm) = (link.rate.rtt().min, link.loss_ppm());
            self.out.push_back(HostOutput::Note(Note::Budget { pace, share, queue, rtt, lost_ppm, why }));
        }
    }

    /// Asks the viewer what it holds (any datagram that wants an answer does), when something was left to say and
    /// nothing is on the way that would bring the answer.
    // spec: H-30
    fn ask_viewer(&mut self, alarm: &mut Alarm<HostClock>) {
        let now = self.now;
        let Some(link) = &mut self.link else { return };
        let unconfirmed = self.surface.as_ref().is_some_and(|s| s.ledger.tip() > s.ledger.confirmed());
        if !unconfirmed && link.rate.state() != BudgetWhy::Silent {
            self.asks = 0;
            if !self.ask_now {
                return;
            }
        }
        let asked = link.asked_at();
        if self.ask_now {
            self.ask_now = false;
            if asked.is_some_and(|at| now - at < ASK_AT_MOST) {
                return;
            }
        } else {
            let sends = self.surface.as_mut().is_some_and(|s| s.job.is_some() || !s.outbox.is_idle());
            if sends || link.rate.in_flight() > Bytes(0) {
                return;
            }
            let wait = link.patience(ASK_AFTER).scaled(1 << self.asks.min(5), 1).min(ASK_AT_LEAST);
            let due = asked.map_or(link.heard, |at| at.max(link.heard)) + wait;
            if due > now {
                alarm.set(due, Wake::Repair);
                return;
            }
            self.asks = self.asks.saturating_add(1);
        }
        let bytes = link.send(now, &Datagram::Padding(1), Carried::Other, SendClass::Unpaced, Bytes::default());
        alarm.set_if(link.rate.next_wake(), Wake::Repair);
        self.out.push_back(HostOutput::Datagram(bytes));
    }

    // spec: H-26
    fn send_feedback(&mut self, alarm: &mut Alarm<HostClock>) {
        let now = self.now;
        let Some(link) = &mut self.link else { return };
        let input = self.input.report();
        let bytes = link.feedback(now, |f| {
            f.input = Some(input);
            Carried::Other
        });
        alarm.set_if(link.arrivals.due(), Wake::Feedback);
        self.out.extend(bytes.map(HostOutput::Datagram));
    }

    // spec: H-16, K-12
    fn send_cursor(&mut self) {
        if !self.cursor_dirty {
            return;
        }
        self.cursor_dirty = false;
        if let Some(shape) = self.shape.clone()
            && self.shapes_told.insert(shape.id)
        {
            self.send_control(Control::CursorShape(shape));
        }
        if let (Some(state), Some(link)) = (self.cursor, &mut self.link) {
            let carried = Carried::Cursor(self.cursor_serial);
            let bytes = link.send(self.now, &Datagram::Cursor(state), carried, SendClass::Unpaced, Bytes::default());
            self.out.push_back(HostOutput::Datagram(bytes));
        }
    }

    /// What is to be sent once more, in another packet and whatever became of the first, goes when its time has come.
    // spec: H-9, H-32
    fn send_again(&mut self, alarm: &mut Alarm<HostClock>) {
        while let Some(Again { at, epoch, shard, alone }) = self.again.front().copied() {
            if at > self.now {
                alarm.set(at, Wake::Repair);
                return;
            }
            self.again.pop_front();
            let surface = self.surface.as_mut().filter(|s| s.ledger.epoch() == epoch);
            if let Some(surface) = surface.filter(|s| !alone || s.ledger.tip() == shard.id) {
                surface.outbox.again(shard);
            }
        }
    }

    // spec: H-2, H-7, H-8, H-28
    fn send_shards(&mut self, alarm: &mut Alarm<HostClock>) {
        let now = self.now;
        let pictures = self.policy().pictures();
        let (Some(link), Some(surface)) = (&mut self.link, &mut self.surface) else { return };
        // Whether the person is at work, and filler therefore allowed, the controller knows itself.
        if link.pacer.probing().is_none()
            && let Some(probe) = link.rate.probe(now)
        {
            link.pacer.begin(now, probe);
            self.filler = probe.filler.0;
            self.filler_packet = probe.packet.0;
        }
        let typing = self.injected.is_some_and(|(_, at)| now.since(at) < TYPING);
        let (mut ahead, mut film_ahead, mut end_ahead) = (false, false, false);
        while let Some((r, len, repair)) = surface.outbox.peek() {
            let at = link.next_send_past(now, len + Shard::HEADER, self.bulk.in_flight());
            if at > now {
                alarm.set(at, Wake::Pacing);
                // The next job takes so long that the path would run dry behind the last slice: it is coded meanwhile.
                let budget = link.rate.budget(now);
                let rest = surface.outbox.unsent(budget.pace);
                ahead = !repair && at <= now + surface.lead && rest <= surface.lead;
                film_ahead = !ahead && surface.pace.codes_ahead(rest);
                let (slice, coding) = film_bytes(&budget, surface.pace.takes());
                let unsent = surface.outbox.fresh_bytes() as u64;
                end_ahead = !ahead && !repair && surface.pace.ends_ahead(unsent, slice, coding, typing);
                if !ahead && !film_ahead && !end_ahead {
                    return;
                }
                break;
            }
            let class = if link.pacer.probing().is_some() { SendClass::Probe } else { SendClass::Paced };
            let Some((_, shard)) = surface.outbox.take(now) else { break };
            self.stages.pace.extend(surface.outbox.waited.take().filter(|_| self.stages.pace.len() < Stages::MOST));
            let backlog = Bytes(surface.outbox.fresh_bytes() as u64);
            let (alone, echo) = (shard.last && backlog.0 == 0, surface.outbox.is_echo(r.id));
            let lossy = link.is_lossy() || surface.film.region().is_some() && link.rate.is_lossy();
            if !repair && shard.data == 1 && shard.parity == 0 && (alone || echo) && lossy {
                let (at, epoch) = (now + LONE_AGAIN, surface.ledger.epoch());
                self.again.push_back(Again { at, epoch, shard: r, alone: !echo });
                alarm.set(at, Wake::Repair);
            }
            let carried = Carried::Shard(surface.ledger.epoch(), r);
            let bytes = link.send(now, &Datagram::Shard(shard), carried, class, backlog);
            link.arrivals.ride(now);
            self.out.push_back(HostOutput::Datagram(bytes));
        }
        if surface.job.is_some() {
            return;
        }
        let budget = link.rate.budget(now);
        if let Some(refine_at) = surface.quiet
            && refine_at.is_none_or(|at| at > now)
        {
            alarm.set_if(refine_at, Wake::Refine);
            self.send_filler(alarm);
            return;
        }
        let shard = self.max_datagram.max(LEAST_DATAGRAM / 2).saturating_sub(Shard::HEADER);
        let at = link.next_send_past(now, shard, self.bulk.in_flight());
        if at > now && !ahead && !film_ahead && !end_ahead {
            alarm.set(at, Wake::Pacing);
            return;
        }
        surface.film.on_time(now);
        if surface.film.region().is_none() {
            surface.pace.dropped();
        }
        let mut plan = plan(&surface.ledger, &surface.film, pictures, self.focus, now);
        if surface.pace.is_coding() {
            plan.film = None;
        } else if plan.film.is_some() && !surface.pace.is_filming() {
            // spec: H-44
            let due = self.ladder.due(now);
            if due > now {
                plan.film = None;
                plan.refine_at = Some(plan.refine_at.map_or(due, |at| at.min(due)));
            }
        }
        // What is known to be wrong goes before everything but a frame that is half sent.
        let wrong = match self.checks.due(&surface.ledger, &surface.film, now) {
            Ok(items) if !film_ahead && !surface.pace.is_filming() => items,
            Ok(_) => Vec::new(),
            Err(later) => {
                plan.refine_at = plan.refine_at.into_iter().chain(later).min();
                Vec::new()
            }
        };
        let anew = !wrong.is_empty();
        let active = self.injected.is_some_and(|(_, at)| surface.captured.since(at) < ECHO);
        let echo = plan.echo().filter(|_| active);
        if film_ahead && (echo.is_some() || plan.film.is_none()) {
            return;
        }
        // Nothing else is coded before its time.
        if end_ahead && (anew || plan.film.is_none() || plan.items().len() > 1) {
            return;
        }
        let (items, film) = match (echo, plan.film) {
            _ if anew => (wrong, None),
            (Some(echo), _) => (echo.to_vec(), None),
            // A frame is begun by itself, so that nothing else waits until it is coded.
            (None, Some(film)) if !surface.pace.is_filming() => (vec![film], Some(film.rect)),
            (None, film) => (plan.items(), film.map(|f| f.rect)),
        };
        if items.is_empty() {
            surface.quiet = Some(plan.refine_at);
            alarm.set_if(plan.refine_at, Wake::Refine);
            self.send_filler(alarm);
            return;
        }
        let per_slice = budget.pace.bytes_in(SLICE_TIME).0 / shard as u64;
        let shards = per_slice.clamp(1, u64::from(telepane_protocol::MAX_DATA_SHARDS));
        let slice_bytes = shards * shard as u64 - SliceBody::OVERHEAD as u64;
        // spec: V-5
        let waiting = surface.outbox.waiting_bytes();
        if waiting > 0 && waiting + slice_bytes > self.peer.pending {
            // Were one of them lost, the viewer could not keep what follows; its next report makes room.
            return;
        }
        let pending = self.peer.pending.saturating_sub(waiting).max(slice_bytes);
        let frame = link.rate.frame_budget(now, self.ladder.frames_per_second());
        // The path carries each packet's headers too, and parity.
        let parity = if self.peer.fec { link.rate.parity(shards as u8, false) } else { 0 };
        let group = (shards as u8, parity);
        let frame = Bytes(carried_in(frame.0, shard, group));
        let room = match (film, surface.film.region()) {
            (Some(_), _) => {
                let (slice, coding) = film_bytes(&budget, surface.pace.takes());
                let cut = surface.pace.cut(slice, coding, typing);
                // Each slice has a head of its own.
                cut.saturating_add(cut.div_ceil(slice_bytes.max(1)).saturating_mul(FILM_HEAD))
            }
            (None, Some(_)) => frame.0,
            (None, None) => budget.pace.bytes_in(JOB_TIME).0,
        };
        if film.is_some() && !surface.pace.is_filming() {
            self.ladder.on_begun(now);
        }
        let id = JobId(self.next_job);
        self.next_job += 1;
        let room = (room << surface.cramped).clamp(slice_bytes, MOST_JOB).min(pending);
        surface.job = Some(Ordered {
            id,
            planned: now,
            captured: surface.captured,
            injected: self.injected,
            answers: surface.answers,
            shard,
            group,
            room,
            film: film.map(|rect| (rect, frame.0)),
            parts: Parts::default(),
            void: false,
        });
        self.out.push_back(HostOutput::Encode(EncodeJob {
            id,
            surface: SURFACE,
            epoch: surface.ledger.epoch(),
            size: surface.size,
            base: surface.coded(),
            first: surface.ledger.next_id(),
            items,
            max_bytes: Bytes(room),
            film_bytes: frame,
            film_scale: self.ladder.film_scale(),
            slice_bytes: Bytes(slice_bytes),
            pictures,
            anew,
        }));
    }

    /// Completes a probe with padding when there is nothing better to send.
    fn send_filler(&mut self, alarm: &mut Alarm<HostClock>) {
        let now = self.now;
        let Some(link) = &mut self.link else { return };
        // A probe made of chunks needs no filler.
        while link.pacer.probing().is_some() && !self.bulk.is_probing() {
            if self.filler == 0 {
                link.pacer.end_probe();
                return;
            }
            let size = (self.filler_packet.min(self.filler) as usize).min(LEAST_DATAGRAM);
            let at = link.next_send_at(now, size);
            if at > now {
                alarm.set(at, Wake::Pacing);
                return;
            }
            self.filler -= size as u64;
            let padding = Datagram::Padding(size.saturating_sub(3));
            let bytes = link.send(now, &padding, Carried::Other, SendClass::Probe, Bytes::default());
            self.out.push_back(HostOutput::Datagram(bytes));
        }
    }
}

/// What leaves while a slice does, and while a frame of film is coded in `takes`; while the path has a queue it does not rest.
fn film_bytes(budget: &Budget<HostClock>, takes: Span) -> (u64, u64) {
    let coding = takes.saturating_sub(budget.queue);
    (budget.pace.bytes_in(SLICE_TIME).0, budget.pace.bytes_in(coding).0)
}
