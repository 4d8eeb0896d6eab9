//! What comes from the viewer: feedback that confirms, misses or gives up, input, and control messages.

use super::outbox::Repair;
use super::policy::step_from;
use super::{Again, Carried, Host, PRESSES, SURFACE};
use crate::arrivals::{Answer, DELAY};
use crate::link::LONE_AGAIN;
use crate::output::HostOutput;
use crate::viewer::patience;
use telepane_model::{BudgetWhy, HostClock, InputEvent, Note, Point, Span, Stamp, UpdateId};
use telepane_protocol::{Control, Datagram, Fault, Feedback, FileWord, InputBatch, LifeWord, SurfaceReport};

/// The viewer's feedback is answered after this long when nothing else wants an answer: it tells the viewer its round
/// trip and that it was heard. The first ones are answered sooner, a give-up at once.
const ANSWER_FEEDBACK: Span = Span::secs(1);
const ANSWER_FIRST: Span = Span::millis(20);
const ANSWER_GAVE_UP: Span = Span::millis(2);
/// Input is answered within this: what it changes on the screen is mostly there by then, and takes the answer along.
// spec: H-26
pub(crate) const ANSWER_INPUT: Span = Span::millis(15);
/// Letting go changes little on the screen that could take the answer along, and hurts little when it is lost, because
/// the key's lease ends: its answer waits for the echo of the next key. It is shorter than the 400 ms after which the
/// viewer shows that nothing answers.
// spec: H-26, Y-16
pub(crate) const ANSWER_LETTING_GO: Span = Span::millis(220);
/// Feedback messages that count as the first ones.
const FIRST_REPORTS: u32 = 4;

impl Host {
    pub(super) fn read_datagram(&mut self, bytes: &[u8], at: Stamp<HostClock>) -> Result<(), Fault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let (low, datagram) = Datagram::decode(bytes)?;
        let answer = match &datagram {
            Datagram::Feedback(_) => Answer::No,
            // spec: H-26
            Datagram::Input(b) if b.lets_go(self.input.expects()) => Answer::Within(ANSWER_LETTING_GO),
            // A copy of one (Y-28) whose answer is still to leave.
            Datagram::Input(b) if b.lets_go(b.first) && link.arrivals.due().is_some() => {
                Answer::Within(ANSWER_LETTING_GO)
            }
            Datagram::Input(b) if !b.events.is_empty() || !b.held.is_empty() => Answer::Within(ANSWER_INPUT),
            _ => Answer::Within(DELAY),
        };
        let number = link.arrivals.on_datagram(low, at, answer);
        // Something passes again: what the viewer holds is asked for at once, not when the next repair is due.
        self.ask_now |= link.rate.state() == BudgetWhy::Silent;
        link.on_heard(at);
        let Some(number) = number else { return Ok(()) };
        match datagram {
            Datagram::Feedback(f) => self.on_feedback(at, number, &f),
            Datagram::Input(batch) => self.on_input(at, &batch),
            Datagram::Padding(_) => Ok(()),
            Datagram::Sound(packet) => self.on_microphone(packet),
            Datagram::Shard(_) | Datagram::Cursor(_) => Err(Fault::WrongDirection),
        }
    }

    fn on_feedback(&mut self, at: Stamp<HostClock>, number: u64, f: &Feedback) -> Result<(), Fault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let settled = link.on_feedback(at, f)?;
        self.reports = self.reports.saturating_add(1);
        // spec: H-31
        let answer = match f.surfaces.iter().any(|r| r.gave_up.is_some()) {
            true => ANSWER_GAVE_UP,
            false if self.reports <= FIRST_REPORTS => ANSWER_FIRST,
            false => ANSWER_FEEDBACK,
        };
        link.arrivals.hurry(at + answer);
        for (carried, _) in &settled.arrived {
            if let Carried::Chunk(tag) = carried {
                self.bulk.on_settled(*tag, true);
            }
        }
        if let Some(surface) = &mut self.surface {
            let epoch = surface.ledger.epoch();
            for (carried, came) in settled.arrived {
                if let Carried::Shard(e, r) = carried
                    && e == epoch
                {
                    self.showing.on_arrived(e, r.id, came);
                    surface.outbox.on_arrived(r);
                }
            }
        }
        self.repair(settled.lost);
        for report in f.surfaces.iter().filter(|r| r.surface == SURFACE) {
            self.on_decode_queue(report);
            self.on_report(*report)?;
            self.on_shown_report(number, report)?;
        }
        Ok(())
    }

    // spec: H-75
    fn on_shown_report(&mut self, number: u64, report: &SurfaceReport) -> Result<(), Fault> {
        let Some(surface) = self.surface.as_mut().filter(|s| s.ledger.epoch() == report.epoch) else { return Ok(()) };
        let behind = self.showing.on_report(self.now, number, report, self.ladder.comes_each())?;
        if let Some(every) = behind.filter(|_| surface.film.region().is_some()) {
            self.ladder.on_shows(self.now, every);
        }
        Ok(())
    }

    // spec: H-9
    pub(super) fn repair(&mut self, lost: Vec<Carried>) {
        let Some(link) = &self.link else { return };
        let rtt = link.rate.rtt().smoothed;
        let path = Repair { now: self.now, rtt, patience: patience(link.rtt()), lossy: link.is_lossy() };
        for carried in lost {
            match carried {
                Carried::Shard(e, r) => {
                    let surface = self.surface.as_mut().filter(|s| s.ledger.epoch() == e);
                    let copies = surface.map_or(0, |s| s.outbox.on_lost(r, path));
                    if copies > 1 {
                        self.again.push_back(Again { at: self.now + LONE_AGAIN, epoch: e, shard: r, alone: false });
                    }
                    if copies > 0 {
                        self.out.push_back(HostOutput::Note(Note::Resent { id: r.id, shards: copies.into() }));
                    }
                }
                // A place that was left meanwhile is not worth sending again.
                Carried::Cursor(serial) => self.cursor_dirty |= serial == self.cursor_serial,
                Carried::Sound(number) => self.on_sound_lost(number),
                Carried::Chunk(tag) => self.bulk.on_settled(tag, false),
                Carried::Other => {}
            }
        }
    }

    // spec: H-59
    fn on_decode_queue(&mut self, report: &SurfaceReport) {
        let Some(surface) = &mut self.surface else { return };
        if report.epoch != surface.ledger.epoch() || surface.film.region().is_none() {
            return;
        }
        let (before, due) = (self.ladder.rung(), self.ladder.due(self.now));
        self.ladder.on_queue(self.now, report.queue);
        // A frame that was held back for it may be due sooner.
        if self.ladder.due(self.now) < due {
            surface.quiet = None;
        }
        self.out.extend(step_from(before, self.ladder.rung()));
    }

    // spec: H-10, H-12, H-13
    fn on_report(&mut self, report: SurfaceReport) -> Result<(), Fault> {
        let Some(surface) = &mut self.surface else { return Ok(()) };
        let epoch = surface.ledger.epoch();
        if report.epoch > epoch {
            // Whatever led it there, only a later epoch leads it out again.
            self.begin_epoch_after(report.epoch);
            return Err(Fault::AppliedFromTheFuture);
        }
        if report.epoch == epoch && report.applied > surface.ledger.highest() {
            return Err(Fault::AppliedFromTheFuture);
        }
        if report.epoch < epoch {
            return Ok(());
        }
        if report.gave_up.is_some_and(|through| through >= surface.ledger.confirmed())
            && report.applied < surface.ledger.confirmed()
        {
            // It waits for a rebase on less than it confirmed before: one of the two was not true.
            self.begin_epoch();
            return Err(Fault::AppliedFromTheFuture);
        }
        // Before the first slice it has seen shards at most, and the size is in the slice.
        // spec: H-4
        surface.known |= report.applied > UpdateId::BLANK;
        // An answered give-up stays in the reports until the rebase is applied, and reports may overtake each other.
        if let Some(through) = report.gave_up
            && surface.answered.is_none_or(|answered| (report.applied, through) > answered)
            && report.applied >= surface.ledger.confirmed()
        {
            if through > surface.ledger.highest() {
                return Err(Fault::AppliedFromTheFuture);
            }
            self.on_gave_up(report.applied, through);
            return Ok(());
        }
        if report.applied > surface.ledger.confirmed() && report.applied <= surface.ledger.tip() {
            surface.ledger.confirm(report.applied);
            surface.outbox.confirm(report.applied);
            self.out.push_back(HostOutput::Confirmed { epoch, applied: report.applied });
        }
        if !surface.exact && surface.ledger.all_confirmed_exact() {
            surface.exact = true;
            self.out.push_back(HostOutput::Note(Note::Exact { surface: SURFACE }));
        }
        Ok(())
    }

    /// The viewer holds what `base` left and takes no slice up to `through`: the newest pixels are coded against that.
    // spec: H-3, H-11, H-14
    pub(super) fn on_gave_up(&mut self, base: UpdateId, through: UpdateId) {
        let Some(surface) = &mut self.surface else { return };
        if !surface.ledger.leads_to_tip(base) {
            // A state of a chain that was left meanwhile: nobody can code against it.
            self.out.push_back(HostOutput::Note(Note::Refreshed));
            self.begin_epoch();
            return;
        }
        surface.quiet = None;
        surface.pace.dropped();
        surface.answered = Some((base, through));
        self.showing.on_gave_up(base);
        surface.ledger.confirm(base);
        surface.ledger.revert(base, through);
        surface.outbox.confirm(base);
        surface.outbox.discard_after(base);
        if let Some(job) = &mut surface.job {
            job.void = true;
        }
        surface.exact = false;
        let epoch = surface.ledger.epoch();
        self.out.push_back(HostOutput::Note(Note::GaveUp { at: base }));
        self.out.push_back(HostOutput::Confirmed { epoch, applied: base });
        self.out.push_back(HostOutput::Note(Note::Rebased { base }));
    }

    fn on_input(&mut self, at: Stamp<HostClock>, batch: &InputBatch) -> Result<(), Fault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        link.rate.on_active(at);
        let sent = link.clock.whole(batch.sent, at);
        // Without a clock map (the first round trip) the age when sent is the best there is.
        let left = link.clock.to_own(sent, at).map_or(at, |t| t.min(at));
        self.input.doubt = link.clock.offset(at).map_or(at - self.attached_at, |(_, error)| error);
        let delivery = self.input.on_batch(at, batch, |age| left - age)?;
        if delivery.expired > 0 {
            self.out.push_back(HostOutput::Note(Note::InputExpired { count: delivery.expired }));
        }
        for (seq, age, event) in delivery.events {
            let mut press = event.is_press();
            match &event {
                InputEvent::PointerTo(p) => (self.focus, self.relative) = (Point::new(p.x, p.y), false),
                InputEvent::PointerBy { .. } => self.relative = true,
                InputEvent::Touch { at, .. } => self.focus = Point::new(at.x, at.y),
                InputEvent::Pen(pen) => {
                    self.focus = Point::new(pen.at.x, pen.at.y);
                    // Only its coming down is a press; then it draws.
                    press &= !std::mem::replace(&mut self.draws, pen.touching);
                }
                _ => {}
            }
            if seq.0 != 0 {
                self.injected = Some((seq, at));
                if press {
                    self.pressed.truncate(PRESSES - 1);
                    self.pressed.push_front((seq, at));
                }
                self.out.push_back(HostOutput::Note(Note::Injected { seq, age }));
            }
            self.out.push_back(HostOutput::Inject { seq, event });
        }
        Ok(())
    }

    // spec: H-14, K-3, K-10, K-11, K-21, K-40, K-72
    pub(super) fn read_control(&mut self, message: Control) -> Result<(), Fault> {
        match message {
            Control::Resize { size, scale } => {
                self.follow_monitors(&[]);
                self.out.push_back(HostOutput::Resize { size, scale });
            }
            Control::MonitorsWish(monitors) => {
                self.follow_monitors(&monitors);
                self.out.push_back(HostOutput::Monitors(monitors));
            }
            Control::Refresh { surface, epoch } => {
                if surface != SURFACE {
                    return Err(Fault::UnknownSurface);
                }
                if self.surface.as_ref().is_some_and(|s| s.ledger.epoch() <= epoch) {
                    self.out.push_back(HostOutput::Note(Note::Refreshed));
                    self.out.push_back(HostOutput::Spoilt);
                    self.begin_epoch_after(epoch);
                }
            }
            m @ (Control::ClipOffer { .. }
            | Control::ClipRequest { .. }
            | Control::ClipChunk { .. }
            | Control::ClipRefuse { .. }
            | Control::Clip(_)) => self.clip.on_control(self.now, &mut self.bulk, m)?,
            Control::BulkMore { pipe, upto } => self.bulk.on_more(pipe, upto),
            Control::File(FileWord::Attach) => return Err(Fault::Unexpected),
            Control::File(word) => self.out.push_back(HostOutput::File(word)),
            Control::CacheOffer { first, hashes } => self.out.push_back(HostOutput::CacheOffer { first, hashes }),
            Control::PolicyWish(wish) => self.on_wish(wish),
            Control::Proofs(proofs) => self.on_proofs(proofs)?,
            // spec: K-92
            Control::SuppressOutput(on) => self.cadence.suppress(on),
            Control::SoundWish { listens, speaks } => self.on_sound_wish(listens, speaks),
            // spec: K-84
            Control::Life(LifeWord::Place(place)) => self.out.push_back(HostOutput::Place(place)),
            Control::Bye { reason, .. } => self.out.push_back(HostOutput::Closed(reason)),
            _ => return Err(Fault::Unexpected),
        }
        Ok(())
    }
}
