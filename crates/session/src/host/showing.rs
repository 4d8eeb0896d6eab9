//! What the viewer's screen makes of a film: which frames were shown, and which it had no time for.
//!
//! A report says what was applied and what was shown (D-36). One that has applied a frame and has not shown the one before
//! it passed that one over: that is evidence, while a report that was lost, or two reports in one, are none. Frames that came
//! together, after a stall of the path or behind a missing one, are the path's doing and not the screen's.

use std::collections::VecDeque;
use telepane_model::{Epoch, HostClock, Span, Stamp, UpdateId, ViewerClock};
use telepane_protocol::{Fault, SurfaceReport};

/// Judged over so much …
const LOOK: Span = Span::millis(500);
/// … and so many frames.
const FEWEST: u32 = 6;
/// Frames that are looked back at; what a viewer leaves unshown for longer was passed over anyway.
const MOST_FRAMES: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Showing {
    epoch: Epoch,
    /// The newest report: the number of its datagram, and what it said is shown.
    said: Option<(u64, UpdateId)>,
    frames: VecDeque<Frame>,
    look: Option<Look>,
    figures: ShownFigures,
}

/// What the viewer's screen shows, for people and scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShownFigures {
    /// Slices that were applied and not shown when the viewer reported last.
    pub unshown: u32,
    /// Frames of film of which it is known.
    pub frames: u64,
    /// Of these, frames that were not shown before the next one was applied.
    pub passed_over: u64,
}

#[derive(Debug)]
struct Frame {
    /// Its last slice.
    end: UpdateId,
    /// When it and all before it were whole, on the viewer's clock.
    came: Option<Stamp<ViewerClock>>,
    passed_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    since: Stamp<HostClock>,
    frames: u32,
    passed_over: u32,
    /// How often the screen changed.
    steps: u32,
}

impl Showing {
    pub(super) fn figures(&self) -> ShownFigures {
        self.figures
    }

    /// A frame of film ends with this slice of this epoch.
    pub(super) fn on_frame(&mut self, epoch: Epoch, end: UpdateId) {
        self.follow(epoch);
        self.frames.push_back(Frame { end, came: None, passed_over: false });
        if self.frames.len() > MOST_FRAMES {
            self.frames.pop_front();
        }
    }

    /// A shard of slice `id` came to the viewer.
    pub(super) fn on_arrived(&mut self, epoch: Epoch, id: UpdateId, at: Stamp<ViewerClock>) {
        if epoch == self.epoch {
            for frame in self.frames.iter_mut().filter(|f| f.end >= id) {
                frame.came = Some(frame.came.map_or(at, |came| came.max(at)));
            }
        }
    }

    /// What followed `base` will not be applied.
    pub(super) fn on_gave_up(&mut self, base: UpdateId) {
        self.frames.retain(|f| f.end <= base);
    }

    /// A report that is in order otherwise, in the viewer's datagram `number`. `every`: frames of the film come so often.
    /// Returns how seldom the screen changes, if it is behind.
    // spec: H-75
    pub(super) fn on_report(
        &mut self,
        now: Stamp<HostClock>,
        number: u64,
        report: &SurfaceReport,
        every: Span,
    ) -> Result<Option<Span>, Fault> {
        let Some(shown) = report.shown else { return Ok(None) };
        self.follow(report.epoch);
        match self.said {
            // Reports may overtake each other.
            Some((newest, _)) if number <= newest => return Ok(None),
            Some((_, before)) if shown < before => return Err(Fault::BadShown),
            _ => self.said = Some((number, shown)),
        }
        self.figures.unshown = report.applied.0.saturating_sub(shown.0);
        let mut look = self.look.unwrap_or(Look { since: now, frames: 0, passed_over: 0, steps: 0 });
        let mut stepped = false;
        for i in 0..self.frames.len() {
            let next = self.frames.get(i + 1).map(|next| (next.end, next.came));
            let Some(frame) = self.frames.get_mut(i).filter(|f| f.end <= report.applied) else { break };
            let apart = next.is_none_or(|(_, came)| match (frame.came, came) {
                (Some(this), Some(next)) => next.since(this) >= every.scaled(1, 2),
                _ => true,
            });
            let known = next.is_some_and(|(end, came)| end <= report.applied && frame.came.is_some() && came.is_some());
            if frame.end <= shown {
                stepped = true;
                look.frames += u32::from(apart && !frame.passed_over);
            } else if apart && known && !frame.passed_over {
                frame.passed_over = true;
                (look.frames, look.passed_over) = (look.frames + 1, look.passed_over + 1);
            }
        }
        self.frames.retain(|f| f.end > shown);
        look.steps += u32::from(stepped);
        let before = self.look.unwrap_or(Look { frames: 0, passed_over: 0, ..look });
        self.figures.frames += u64::from(look.frames - before.frames);
        self.figures.passed_over += u64::from(look.passed_over - before.passed_over);
        let long = now.since(look.since);
        self.look = Some(look);
        if long < LOOK {
            return Ok(None);
        }
        self.look = None;
        let behind = look.passed_over * 3 >= look.frames && look.steps * 3 <= look.frames * 2;
        Ok((look.frames >= FEWEST && behind).then(|| long.scaled(1, look.steps.max(1).into())))
    }

    /// Slices of another epoch have nothing to do with those of the last.
    fn follow(&mut self, epoch: Epoch) {
        if epoch != self.epoch {
            *self = Self { epoch, figures: ShownFigures { unshown: 0, ..self.figures }, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Span = Span::micros(33_333);
    const EPOCH: Epoch = Epoch(1);

    /// Frames of one slice each come every 33 ms in groups of `together`; the screen takes `paint` for each and no report of
    /// those in `lost` comes. Returns how often it was found behind, and the figures.
    fn play(paint: u64, together: u64, lost: impl Fn(u32) -> bool) -> (Vec<Span>, ShownFigures) {
        let (mut showing, mut behind) = (Showing::default(), Vec::new());
        let (mut shown, mut painting) = (0, None::<(u64, u32)>);
        for n in 1..=90_u32 {
            let at = u64::from(n).div_ceil(together) * together * 33_333;
            showing.on_frame(EPOCH, UpdateId(n));
            showing.on_arrived(EPOCH, UpdateId(n), Stamp::from_micros(at));
            if let Some((_, what)) = painting.take_if(|(done, _)| *done <= at) {
                shown = what;
            }
            let report = SurfaceReport {
                epoch: EPOCH,
                applied: UpdateId(n),
                shown: Some(UpdateId(shown)),
                ..SurfaceReport::default()
            };
            if !lost(n) {
                let now = Stamp::from_micros(9_000_000 + at);
                behind.extend(showing.on_report(now, n.into(), &report, EVERY).expect("it is true"));
            }
            if painting.is_none() {
                painting = Some((at + paint * 1_000, n));
            }
        }
        (behind, showing.figures())
    }

    // spec: H-75
    #[test]
    fn a_screen_that_shows_each_third_frame_is_found_out_and_nobody_else() {
        let (behind, figures) = play(99, 1, |_| false);
        assert!((4..=6).contains(&behind.len()), "{behind:?}");
        assert!(behind.iter().all(|every| (85..=135).contains(&(every.as_micros() / 1_000))), "{behind:?}");
        assert!(figures.passed_over * 2 > figures.frames && figures.frames > 80, "{figures:?}");
        for paint in [1, 15, 30] {
            assert_eq!(play(paint, 1, |_| false).0, []);
            assert_eq!(play(paint, 1, |n| n % 4 < 2).0, [], "reports that are lost are no evidence");
        }
        assert_eq!(play(60, 3, |_| false).0, [], "nor are frames that come together");
    }

    // spec: H-75
    #[test]
    fn what_is_shown_does_not_go_back() {
        let mut showing = Showing::default();
        let mut say = |number, epoch: u32, shown: Option<u32>| {
            let report = SurfaceReport {
                epoch: Epoch(epoch),
                applied: UpdateId(9),
                shown: shown.map(UpdateId),
                ..SurfaceReport::default()
            };
            showing.on_report(Stamp::ZERO, number, &report, EVERY)
        };
        assert_eq!(say(5, 1, Some(7)), Ok(None));
        assert_eq!(say(4, 1, Some(6)), Ok(None), "overtaken");
        assert_eq!(say(6, 1, Some(6)), Err(Fault::BadShown));
        assert_eq!(say(7, 1, None), Ok(None));
        assert_eq!(say(8, 2, Some(0)), Ok(None), "another epoch");
        assert_eq!(showing.figures().unshown, 9);
    }
}
