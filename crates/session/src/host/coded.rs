//! What the coder answers: a job's slices are cut into shards and queued, with the journey of the frame that they end.

use super::outbox::{Cut, Whole};
use super::policy::step_from;
use super::pump::SLICE_TIME;
use super::{ECHO, Host, Parts, SURFACE, Stages};
use crate::link::carried_in;
use crate::output::HostOutput;
use telepane_model::journey::HostJourney;
use telepane_model::{
    BitRate, BudgetWhy, Bytes, EncodedSlice, EncodedSlices, HostClock, JobId, Note, Quality, Span, Stamp, UpdateId,
};
use telepane_protocol::SliceBody;

impl Host {
    /// A job was done, or the next slices of one that goes on: they stand, and leave while the others are coded.
    // spec: H-38
    pub fn on_coded(&mut self, now: Stamp<HostClock>, mut done: EncodedSlices) {
        self.advance(now);
        let Some(surface) = &mut self.surface else { return };
        // A job that was overtaken by a give-up or a new epoch is void.
        let Some(job) = surface.job.filter(|j| j.id == done.job) else { return };
        surface.job = Some(job).filter(|_| done.goes_on);
        if job.parts.bytes == 0 {
            surface.lead = now.since(job.planned).min(SLICE_TIME);
        }
        if !done.goes_on {
            surface.quiet = None;
        }
        if job.void {
            return;
        }
        let epoch = surface.ledger.epoch();
        let tip = surface.ledger.tip();
        if let Some(first) = done.slices.first_mut()
            && surface.announced == Some(tip)
            && first.base == UpdateId::BLANK
        {
            first.base = tip;
        } else if tip == UpdateId::BLANK && done.slices.is_empty() && done.left.is_empty() && !done.same.is_empty() {
            let id = surface.ledger.next_id();
            surface.announced = Some(id);
            done.slices.push(EncodedSlice { id, base: tip, tiles: Vec::new(), bytes: Vec::new() });
        }
        surface.ledger.on_coded(&done);
        if !done.goes_on {
            self.checks.on_coded(now, &done);
        }
        done.no_film.iter().for_each(|rect| surface.film.refuse(*rect));
        let film = job.film.filter(|(rect, _)| !done.no_film.contains(rect));
        if done.awaits {
            surface.pace.on_begun(job.id, job.planned);
            surface.begun = Some((job.captured, job.planned, job.answers));
            if done.slices.is_empty() {
                return;
            }
        }
        // spec: H-5
        let complete = done.left.is_empty() && !done.goes_on;
        // What is mended was captured long ago: its journey would tell of no update.
        let ends_frame = complete && !done.anew;
        let whole = |s: &EncodedSlice| s.tiles.iter().any(|t| t.quality != Quality::NONE);
        let count = done.slices.len();
        let coded = job.parts.bytes + done.slices.iter().map(|s| s.bytes.len() as u64).sum::<u64>();
        let settles = job.parts.settle || done.slices.iter().any(whole);
        if let Some(job) = &mut surface.job {
            job.parts = Parts { bytes: coded, settle: settles };
        }
        // The rest of a frame of film is as old as the frame.
        let began = surface.begun.filter(|_| film.is_some() && surface.pace.is_filming());
        let began = began.unwrap_or((job.captured, job.planned, job.answers));
        let filming = film.filter(|_| !done.awaits).map(|(rect, share)| {
            let rest = done.left.contains(&rect) && count > 0;
            (surface.pace.on_coded(now.since(job.planned), coded, rest), share)
        });
        if let (Some(frame), Some(link)) = (done.filmed, &self.link) {
            let before = self.ladder.rung();
            surface.pace.on_whole(frame.bytes.0);
            // What may be sent into silence says nothing of what the link carries.
            if link.rate.state() != BudgetWhy::Silent {
                let share = BitRate::bps(carried_in(link.rate.budget(now).share.as_bps(), job.shard, job.group));
                self.ladder.on_coded(now, frame, surface.pace.last_took(), share);
            }
            self.out.extend(step_from(before, self.ladder.rung()));
        }
        let films = filming.is_some() && surface.pace.is_filming();
        if filming.is_some() {
            surface.begun = films.then_some(began);
        }
        let (captured, planned, answers) = began;
        // Copies of what another viewer got show an older capture, and answer no press after it.
        let read = surface.captures.iter().find(|(version, _)| *version == done.version).map(|(_, at)| *at);
        let captured = read.map_or(captured, |at| at.min(captured));
        let answers = answers.filter(|(_, at)| *at <= captured);
        if !done.goes_on {
            let settled = complete || films || !done.same.is_empty() || settles;
            surface.cramped = if settled { 0 } else { (surface.cramped + 1).min(10) };
        }
        let echo = job.injected.is_some_and(|(_, at)| job.captured.since(at) < ECHO && coded < ECHO_BYTES);
        let worth = self.link.as_ref().map_or(WORTH_TILES, |link| match surface.film.region() {
            _ if echo => WORTH_ECHO,
            Some(_) => WORTH_FILM.min(Span::millis(67) + link.rate.rtt().min),
            None => WORTH_TILES,
        });
        let fec = self.peer.fec;
        let link = self.link.as_ref();
        let is_film = film.is_some() && count > 0;
        let cut = Cut {
            shard: job.shard,
            least: if is_film { surface.pace.least_shards(now) } else { 1 },
            packet: self.path_datagram,
            apart: is_film && fec && link.is_some_and(|l| l.is_lossy() || l.rate.is_lossy()),
        };
        let (asked, room) = filming.unwrap_or((coded, job.room));
        // How much a job that goes on will come to is not known.
        let ample = !done.goes_on && asked.saturating_mul(2) <= room;
        let parity = |packets: u8| link.filter(|_| fec).map_or(0, |l| l.rate.parity(packets, ample));
        // A film that has what it needs asks the link for no more.
        let limited = match filming {
            Some((frame, share)) if done.left.iter().all(|r| film.is_some_and(|(film, _)| film == *r)) => {
                frame.saturating_mul(10) >= share.saturating_mul(9)
            }
            _ => !complete && !done.goes_on || coded.saturating_mul(10) >= job.room.saturating_mul(9),
        };
        for (i, slice) in done.slices.into_iter().enumerate() {
            let last = ends_frame && i + 1 == count;
            if last && self.stages.code.len() < Stages::MOST {
                self.stages.wait.push(planned.since(captured));
                self.stages.code.push(now.since(planned));
            }
            let journey = last.then_some(HostJourney { input: answers, captured, planned, encoded: now, sent: now });
            // spec: H-4
            let size = (!surface.known).then_some(surface.size);
            let body = SliceBody { size, journey, ops: slice.bytes };
            self.out.push_back(HostOutput::Note(Note::SliceSent {
                id: slice.id,
                base: slice.base,
                bytes: Bytes(body.ops.len() as u64),
            }));
            let whole = Whole {
                surface: SURFACE,
                epoch,
                id: slice.id,
                base: slice.base,
                has_size: size.is_some(),
                has_journey: last,
                last,
                coded: last.then_some(now),
                worth,
                echo: echo && !is_film,
                body: body.encode(),
            };
            if last && is_film {
                self.showing.on_frame(epoch, whole.id);
            }
            surface.outbox.push(whole, cut, parity);
        }
        if let Some(link) = &mut self.link {
            link.rate.on_limited(now, limited);
            link.rate.on_backlog(now, Bytes(surface.outbox.fresh_bytes() as u64));
        }
    }

    /// The frame of film that job `job` began, and whose answer said so, is coded: it can be put into slices.
    pub fn on_film_coded(&mut self, now: Stamp<HostClock>, job: JobId) {
        self.advance(now);
        let Some(surface) = &mut self.surface else { return };
        if surface.pace.on_filmed(now, job) {
            surface.quiet = None;
        }
    }

    /// The coder no longer keeps the state a job was based on: everything is sent anew.
    // spec: H-14
    pub fn on_base_gone(&mut self, now: Stamp<HostClock>, job: JobId) {
        self.advance(now);
        let Some(surface) = &mut self.surface else { return };
        let Some(job) = surface.job.take_if(|j| j.id == job) else { return };
        surface.quiet = None;
        if !job.void {
            self.out.push_back(HostOutput::Note(Note::Refreshed));
            self.begin_epoch();
        }
    }
}

/// How long mending a loss is worth waiting for (`research/rate-control.md` §5.7): what answers input, a film (two frames
/// at 30 a second and the way back, at most), everything else.
const WORTH_ECHO: Span = Span::millis(80);
const WORTH_FILM: Span = Span::millis(100);
const WORTH_TILES: Span = Span::millis(150);
/// What answers input is no larger.
const ECHO_BYTES: u64 = 32 << 10;
