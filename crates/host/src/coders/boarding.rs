//! How seats come together: one whose picture is exact joins others at once, one whose picture never is is brought to what
//! the others hold at one moment.

use super::{Answer, BOARD_RARELY, BOARD_WITHIN, Boarding, Coder, Coders, Group, Newest, SeatId, TRY_AGAIN, Told};
use crate::clock::Clock;
use std::sync::Arc;
use telepane_model::{EncodeJob, EncodedSlices, HostClock, Quality, Size, Stamp, Surf, Version};

impl Coders {
    /// Lets `seat`, which was being brought to others, in with them, if its viewer has confirmed that it is there.
    /// Answers the job that waited for that.
    pub fn board(&mut self, clock: &Clock, seat: SeatId, newest: Newest<'_>) -> Option<Answer> {
        let now = clock.now();
        let part = self.parts.get(&seat)?;
        let own = part.group;
        let boarding = part.boarding.as_ref()?;
        if now > boarding.until {
            self.stay(seat);
            return self.resume(clock, seat, own, newest);
        }
        let (target, pixels) = (boarding.group, boarding.pixels.clone()?);
        let ready = |g: &Group| matches!(&g.coder, Coder::Here(shared) if g.awaiting.is_empty() && shared.is_settled());
        let here = self.groups.get(&target).is_some_and(|g| matches!(g.coder, Coder::Here(_)));
        if !boarding.sent || !here || !self.groups.get(&own).is_some_and(ready) {
            return None;
        }
        let Some(Group { coder: Coder::Here(mine), waiting, told, awaiting }) = self.groups.remove(&own) else {
            return None;
        };
        let Some(Group { coder: Coder::Here(theirs), .. }) = self.groups.get_mut(&target) else { return None };
        match theirs.welcome(mine, &pixels) {
            Ok(()) => {
                tracing::debug!(seat, group = target, "brought to others");
                if let Some(part) = self.parts.get_mut(&seat) {
                    (part.group, part.boarding) = (target, None);
                }
                let (_, job) = waiting.into_iter().find(|(s, _)| *s == seat)?;
                self.run(clock, seat, job, newest)
            }
            Err(mine) => {
                self.groups.insert(own, Group { coder: Coder::Here(mine), waiting, told, awaiting });
                self.stay(seat);
                self.resume(clock, seat, own, newest)
            }
        }
    }

    /// Sets out to bring `seat` to others, if it has coded for itself long enough.
    pub(super) fn set_out(&mut self, now: Stamp<HostClock>, seat: SeatId, size: Size<Surf>) {
        let Some(part) = self.parts.get_mut(&seat).filter(|p| p.boarding.is_none() && now >= p.board_at) else {
            return;
        };
        if !self.groups.get(&part.group).is_some_and(Group::is_idle_alone) {
            return;
        }
        // Towards an older one, so that two do not go to each other.
        let Some((id, group)) = self.groups.range_mut(..part.group).next() else { return };
        let pixels = match &mut group.coder {
            Coder::Here(shared) if shared.size() != size => return,
            Coder::Here(shared) => Some(Arc::new(shared.expect(seat))),
            Coder::Away => {
                group.told.push(Told::Expected(seat));
                None
            }
        };
        part.boarding = Some(Boarding { group: *id, pixels, until: now + BOARD_WITHIN, sent: false });
    }

    /// `seat` is not brought anywhere any more.
    pub(super) fn stay(&mut self, seat: SeatId) {
        let Some(part) = self.parts.get_mut(&seat) else { return };
        let Some(boarding) = part.boarding.take() else { return };
        part.patience = (part.patience + part.patience).min(BOARD_RARELY);
        part.board_at = boarding.until + part.patience;
        if let Some(group) = self.groups.get_mut(&boarding.group)
            && !group.leave(seat)
        {
            self.dissolve(boarding.group);
        }
    }

    /// The job of `seat` that waits in `group` goes on.
    pub(super) fn resume(&mut self, clock: &Clock, seat: SeatId, group: u64, newest: Newest<'_>) -> Option<Answer> {
        let waiting = &mut self.groups.get_mut(&group)?.waiting;
        let at = waiting.iter().position(|(s, _)| *s == seat)?;
        let (seat, job) = waiting.remove(at)?;
        self.run(clock, seat, job, newest)
    }

    /// What was coded on the way to others is not what the job asked for: it is not the newest.
    pub(super) fn carry(&mut self, seat: SeatId, job: &EncodeJob, slices: &mut EncodedSlices) {
        let Some(part) = self.parts.get_mut(&seat) else { return };
        let own = self.groups.get(&part.group).map(|g| &g.coder);
        let Some(boarding) = part.boarding.as_mut().filter(|_| slices.version == Version(0)) else { return };
        // A picture that is shown and only to be refined is not said to be left. Where nothing more comes there is nothing
        // to wait for either.
        boarding.sent = slices.left.is_empty()
            && match (own, &boarding.pixels) {
                (Some(Coder::Here(shared)), Some(there)) => slices.slices.is_empty() || *shared.sent() == **there,
                _ => true,
            };
        slices.left = vec![job.size.rect()];
        slices.same.clear();
        for tile in slices.slices.iter_mut().flat_map(|s| &mut s.tiles) {
            tile.quality = Quality::NONE;
        }
    }

    /// `seat`, whose viewer has confirmed everything exact, joins others that have too.
    pub fn join(&mut self, now: Stamp<HostClock>, seat: SeatId) {
        if self.groups.len() < 2 {
            return;
        }
        let Some(part) = self.parts.get_mut(&seat).filter(|p| now >= p.join_at) else { return };
        let from = part.group;
        if part.boarding.is_some() || !self.groups.get(&from).is_some_and(Group::is_idle_alone) {
            return;
        }
        part.join_at = now + TRY_AGAIN;
        let Some(Group { coder: Coder::Here(mut own), .. }) = self.groups.remove(&from) else { return };
        for (id, group) in &mut self.groups {
            let Coder::Here(shared) = &mut group.coder else { continue };
            match shared.join(own) {
                Ok(()) => {
                    tracing::debug!(seat, group = id, "in step with others");
                    part.group = *id;
                    return;
                }
                Err(back) => own = back,
            }
        }
        self.groups.insert(from, Group::here(own));
    }
}
