//! What is known of the viewer's decoder and of its screen, and what that leaves of the ladder.

use super::WRONG;
use telepane_model::{Clock, Span, Stamp};

/// The viewer is behind when every report of so long says more than one and a half frames (ALVR's rule, by time).
const BEHIND: Span = Span::millis(250);
/// What it was pushed down for is tried again after so long, and twice as long each time that was wrong, up to the most.
const TRY_AGAIN: Span = Span::secs(4);
const TRY_SELDOM: Span = Span::secs(64);
/// Frames come a little less often than it shows them: else each would wait until the one before is painted.
const SELDOMER: f64 = 1.1;
/// However seldom its screen shows a frame, so many seconds are the most between two that come.
const MOST_BETWEEN: f64 = 0.2;
/// Nothing is begun for a viewer that is so far behind, as long as its word is fresh.
const FAR_BEHIND: Span = Span::millis(120);
const FRESH: Span = Span::millis(500);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct ViewerPace<C: Clock> {
    behind_since: Option<Stamp<C>>,
    told: Option<(Stamp<C>, Span)>,
    /// No rung above this until then.
    bound: usize,
    until: Stamp<C>,
    hold: Span,
    /// Seconds between two frames that its screen shows, where they came more often; until when that is believed.
    shows: f64,
    shows_until: Stamp<C>,
    shows_hold: Span,
}

impl<C: Clock> ViewerPace<C> {
    pub(super) const fn new() -> Self {
        Self {
            behind_since: None,
            told: None,
            bound: 0,
            until: Stamp::ZERO,
            hold: TRY_AGAIN,
            shows: 0.0,
            shows_until: Stamp::ZERO,
            shows_hold: TRY_AGAIN,
        }
    }

    /// What it decodes now has waited so long; `frame`: seconds from one of a film that is known to the next. Whether it is behind.
    pub(super) fn on_queue(&mut self, now: Stamp<C>, queue: Span, frame: Option<f64>) -> bool {
        self.told = Some((now, queue));
        if frame.is_none_or(|frame| queue.as_secs_f64() <= 1.5 * frame) {
            self.behind_since = None;
            return false;
        }
        now.since(*self.behind_since.get_or_insert(now)) >= BEHIND
    }

    /// It gets no rung above this for a while.
    pub(super) fn bind(&mut self, now: Stamp<C>, bound: usize) {
        self.hold = longer(now, self.until, self.hold);
        (self.bound, self.until) = (bound, now + self.hold);
        self.behind_since = None;
    }

    /// Its screen shows a frame only every so long.
    pub(super) fn on_shows(&mut self, now: Stamp<C>, every: Span) {
        if self.shows == 0.0 {
            self.shows_hold = longer(now, self.shows_until, self.shows_hold);
        }
        self.shows = (SELDOMER * every.as_secs_f64()).clamp(0.001, MOST_BETWEEN);
        self.shows_until = now + self.shows_hold;
    }

    /// What was believed for long enough is tried again.
    pub(super) fn on_time(&mut self, now: Stamp<C>) {
        if now >= self.shows_until {
            self.shows = 0.0;
        }
        if self.bound > 0 && now >= self.until {
            self.bound -= 1;
            self.until = now + self.hold;
        }
    }

    /// The topmost rung that it gets.
    pub(super) const fn bound(&self) -> usize {
        self.bound
    }

    /// Seconds between two frames, at least; 0 without a bound.
    pub(super) const fn shows(&self) -> f64 {
        self.shows
    }

    /// When something may be begun for it, if it is far behind.
    pub(super) fn free(&self, now: Stamp<C>) -> Option<Stamp<C>> {
        let far = self.told.filter(|(at, queue)| *queue > FAR_BEHIND && now.since(*at) < FRESH);
        far.map(|(at, _)| at + FRESH)
    }
}

/// For how long it is held this time: twice as long if it was wrong to try again at `tried`.
fn longer<C: Clock>(now: Stamp<C>, tried: Stamp<C>, hold: Span) -> Span {
    let wrong = tried > Stamp::ZERO && now.since(tried) < WRONG;
    if wrong { hold.scaled(2, 1).min(TRY_SELDOM) } else { TRY_AGAIN }
}
