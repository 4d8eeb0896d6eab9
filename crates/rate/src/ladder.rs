//! What gives way when a film does not fit: quality first, then frames a second and size, in the order that the person's
//! slider says, and back again.
//!
//! The quality of each frame is the coder's own affair: it takes what the frame's share of the link allows. This is about
//! how many frames share a second's bytes, and in which size they are coded. A ladder of such pairs is walked by foresight:
//! from what the last frames took at which quantiser follows what the others of the ladder would look like on the link as
//! it is, and the best that is good enough is taken. Going down needs half a second of one mind, going up two seconds and
//! some room to spare, and longer each time that it was wrong, so that nobody sees it change its mind; only what the link
//! had before a fall, and has again, is believed at once, once in a while. A viewer that falls behind in decoding pushes it
//! down whatever the link has.
//!
//! One ladder serves one film after another; `C` is the clock of the host.

use telepane_model::time::Clock;
use telepane_model::{BitRate, FilmScale, Filmed, Span, Stamp};

/// What people and the viewer leave of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LadderPolicy {
    /// No more frames a second come in the first place.
    pub max_fps: Option<u32>,
    /// From smooth (0) to sharp (100).
    pub sharpness: u8,
    /// Frames are no coarser than this quality, 0 to 100.
    pub least: u8,
    /// The viewer shows frames that are coded smaller.
    pub scales: bool,
}

/// A step of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Frames a second at most.
    pub fps: u32,
    /// In which size.
    pub scale: FilmScale,
}

/// A rung and how many steps of the quantiser more than usual are put up with on it, before the next one is taken: what
/// gives way first does so for long.
type Step = (Rung, f64);

const fn step(fps: u32, scale: FilmScale, more: f64) -> Step {
    (Rung { fps, scale }, more)
}

use FilmScale::{Full, Half, ThreeQuarters};
/// For a person who wants it sharp: frames go first, down to fifteen.
const SHARP: &[Step] = &[
    step(60, Full, 0.0),
    step(30, Full, 0.0),
    step(20, Full, 0.0),
    step(15, Full, 8.0),
    step(15, ThreeQuarters, 8.0),
    step(15, Half, 0.0),
];
/// For everybody else it flows: sharpness goes first, then size, and only then the frames under thirty (decision 0023).
const MIDDLE: &[Step] = &[
    step(60, Full, 0.0),
    step(30, Full, 4.0),
    step(30, ThreeQuarters, 4.0),
    step(30, Half, 4.0),
    step(20, Half, 4.0),
    step(15, Half, 0.0),
];
/// For one who wants it smooth: size goes first.
const SMOOTH: &[Step] = &[
    step(60, Full, 0.0),
    step(60, ThreeQuarters, 0.0),
    step(30, ThreeQuarters, 0.0),
    step(30, Half, 0.0),
    step(20, Half, 0.0),
    step(15, Half, 0.0),
];

/// A quantiser is too coarse above this at the smooth end; it falls to the other at the sharp one. An estimate: film-thin, which
/// ends near the middle, has 34 dB of luma (`benches/baselines/film-thin.json`).
const COARSE: (f64, f64) = (44.0, 28.0);
/// Bytes of a frame go with its pixels to this power, where that size was not coded lately (a grainy pan at one quantiser:
/// three quarters of the sides leave 0.51 of the bytes, a half 0.42), and with the time since the one before to this (an
/// estimate; what is gone up for is measured again).
const BY_AREA: f64 = 0.75;
const BY_TIME: f64 = 0.4;
/// Bytes double for each six steps of the quantiser (ITU-T H.264 §8.5: the step size does).
const OCTAVE: f64 = 6.0;
/// What is gone up for has so much to spare, in steps of the quantiser: 1.4 times the bytes (`research` §5.8).
const TO_SPARE: f64 = 3.0;
/// Frames that a coder cannot make in time come less often, down to so many a second; at the smooth end, in the middle, at
/// the sharp end.
const FEWEST: (f64, f64, f64) = (28.0, 25.0, 13.0);
/// Down after so much of one mind, and so long after the last change; sooner from a rung that suited before the link fell and
/// whose coarsest frames now take twice what they may, so that each leaves later than the one before.
const DOWN: Span = Span::millis(500);
const DOWN_SOON: Span = Span::millis(200);
const DOWN_AGAIN: Span = Span::secs(1);
/// Up after so much, and twice as much each time that it was wrong within [`WRONG`]. More frames of the same size begin no
/// stream anew, and under thirty a second each is missed.
const UP: Span = Span::secs(2);
const UP_ALIKE: Span = Span::secs(1);
const WRONG: Span = Span::secs(10);
const MOST_WRONG: u32 = 4;
/// With so much of what it had before, the link has not fallen, or is back; all of it is not known before it is used.
const AGAIN: f64 = 0.7;
/// The rung that held before a fall comes back after so much of one mind (three frames), if it suits and that was lately, and
/// once in [`WRONG`], twice as long each time that was wrong: a link that swings is followed as slowly as ever.
const BACK: Span = Span::millis(60);
const LATELY: Span = Span::secs(60);
/// The viewer is behind when every report of so long says more than one and a half frames (ALVR's rule, by time).
const BEHIND: Span = Span::millis(250);
/// What it was pushed down for is tried again after so long, and twice as long each time that was wrong.
const TRY_AGAIN: Span = Span::secs(4);
/// Frames come a little less often than it shows them: else each would wait until the one before is painted.
const SELDOMER: f64 = 1.1;
/// However seldom its screen shows a frame, so many seconds are the most between two that come.
const MOST_BETWEEN: f64 = 0.2;
/// Nothing is begun for a viewer that is so far behind, as long as its word is fresh.
const FAR_BEHIND: Span = Span::millis(120);
const FRESH: Span = Span::millis(500);
/// What a size took is believed for so long after it was coded, and twice as long each time that it was wrong to go up: grain
/// that is gone when it is coded smaller comes back with the size.
const REMEMBER: Span = Span::secs(20);
/// After so long without a film the next one begins at the top.
const FORGET: Span = Span::secs(10);
/// A break this long says nothing of how often frames come.
const BREAK: f64 = 0.3;

/// See the module.
#[derive(Clone, Debug)]
pub struct Ladder<C: Clock> {
    policy: LadderPolicy,
    at: usize,
    /// Seconds between the film's changes; none before two have come.
    source: Option<f64>,
    came: Option<Stamp<C>>,
    cost: Option<Cost<C>>,
    /// Seconds of coding a frame in full size.
    took: Option<f64>,
    /// Bytes a second.
    share: f64,
    /// Seconds that the last frame takes to leave, if it was no key frame.
    leaves: f64,
    changed: Option<Stamp<C>>,
    /// It went up then.
    raised: Option<Stamp<C>>,
    worse_since: Option<Stamp<C>>,
    better_since: Option<Stamp<C>>,
    /// So often it went up and had to come down again, and the share of the link at the last time.
    wrong: u32,
    wrong_share: f64,
    /// The share of the link while this rung suits, smoothed; zero before it does.
    stood: f64,
    /// The topmost rung that had to be left because the link fell.
    fell: Option<Fell<C>>,
    /// What held before the fall would suit since.
    back_since: Option<Stamp<C>>,
    /// When it last came back, and how often that was wrong.
    back: Option<Stamp<C>>,
    back_wrong: u32,
    viewer: ViewerPace<C>,
    /// No frame is begun before.
    next: Stamp<C>,
    changes: u32,
}

/// A rung that suited until the link fell.
#[derive(Clone, Copy, Debug)]
struct Fell<C: Clock> {
    rung: usize,
    /// The share of the link on which it suited.
    share: f64,
    /// When it was left.
    at: Stamp<C>,
}

/// What frames of this film take.
#[derive(Clone, Copy, Debug)]
struct Cost<C: Clock> {
    /// For each size, the smallest first: when it was coded last, and the logarithm of the bytes that a frame takes at
    /// quantiser 0, a second after the one before.
    bytes: [Option<(Stamp<C>, f64)>; 3],
    /// The size that was coded last, and when.
    last: FilmScale,
    at: Stamp<C>,
}

impl<C: Clock> Cost<C> {
    /// What a frame in this size takes: as it did when it was coded no longer ago than `lately`, else as follows from the last.
    fn of(&self, scale: FilmScale, lately: Span) -> Option<f64> {
        let own = |s: FilmScale| self.bytes.get(s as usize).copied().flatten();
        let fresh = own(scale).filter(|(at, _)| self.at.since(*at) < lately);
        let other = || own(self.last).map(|(_, b)| b + BY_AREA * libm::log2(area(scale) / area(self.last)));
        fresh.map(|(_, b)| b).or_else(other)
    }

    fn add(&mut self, at: Stamp<C>, scale: FilmScale, bytes: f64) {
        (self.at, self.last) = (at, scale);
        if let Some(own) = self.bytes.get_mut(scale as usize) {
            let before = own.filter(|(then, _)| at.since(*then) < REMEMBER).map_or(bytes, |(_, b)| b);
            *own = Some((at, before + (bytes - before) / 8.0));
        }
    }
}

/// What is known of the viewer's decoder and screen.
#[derive(Clone, Copy, Debug)]
struct ViewerPace<C: Clock> {
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

impl<C: Clock> Ladder<C> {
    /// At the top, with no film known.
    pub const fn new(policy: LadderPolicy) -> Self {
        let viewer = ViewerPace {
            behind_since: None,
            told: None,
            bound: 0,
            until: Stamp::ZERO,
            hold: TRY_AGAIN,
            shows: 0.0,
            shows_until: Stamp::ZERO,
            shows_hold: TRY_AGAIN,
        };
        Self {
            policy,
            at: 0,
            source: None,
            came: None,
            cost: None,
            took: None,
            share: 0.0,
            leaves: 0.0,
            changed: None,
            raised: None,
            worse_since: None,
            better_since: None,
            wrong: 0,
            wrong_share: 0.0,
            stood: 0.0,
            fell: None,
            back_since: None,
            back: None,
            back_wrong: 0,
            viewer,
            next: Stamp::ZERO,
            changes: 0,
        }
    }

    /// What holds from now on.
    pub fn set(&mut self, policy: LadderPolicy) {
        self.policy = policy;
    }

    /// The film changed on the host's screen.
    pub fn on_change(&mut self, now: Stamp<C>) {
        let before = self.came.replace(now);
        let Some(gap) = before.map(|at| now.since(at)) else { return };
        if gap >= FORGET {
            let changes = self.changes;
            *self = Self { came: Some(now), changes, ..Self::new(self.policy) };
            return;
        }
        let gap = gap.as_secs_f64();
        if (0.001..BREAK).contains(&gap) {
            self.source = Some(self.source.map_or(gap, |s| s + (gap - s) / 16.0));
        }
    }

    /// A frame was coded in `took`, while the link's share was `share`.
    pub fn on_coded(&mut self, now: Stamp<C>, frame: Filmed, took: Span, share: BitRate) {
        self.share = crate::bytes_per_second(share).max(1.0);
        let part = area(frame.scale);
        // A key frame says nothing of those that follow it.
        let bytes = (!frame.key && frame.bytes.0 > 0).then(|| {
            let quantiser = 51.0 - f64::from(frame.quality.min(100)) / 4.0;
            libm::log2(frame.bytes.0 as f64) + quantiser / OCTAVE - BY_TIME * libm::log2(self.interval(self.rung()))
        });
        self.leaves = if frame.key { 0.0 } else { frame.bytes.0 as f64 / self.share };
        let took = took.as_secs_f64() / part;
        // The film's beginning is looked at and a stream made before its key frame is coded: all that is known until the next.
        let before = self.took.filter(|_| self.cost.is_some()).unwrap_or(took);
        self.took = Some(before + (took - before) / 8.0);
        if let Some(bytes) = bytes {
            let new = Cost { bytes: [None; 3], last: frame.scale, at: now };
            self.cost.get_or_insert(new).add(now, frame.scale, bytes);
        }
        self.decide(now);
    }

    /// The viewer says that what it decodes now has waited so long.
    pub fn on_queue(&mut self, now: Stamp<C>, queue: Span) {
        self.viewer.told = Some((now, queue));
        if self.cost.is_none() || queue.as_secs_f64() <= 1.5 * self.interval(self.rung()) {
            self.viewer.behind_since = None;
            return;
        }
        let since = *self.viewer.behind_since.get_or_insert(now);
        if now.since(since) < BEHIND || self.changed.is_some_and(|at| now.since(at) < DOWN_AGAIN) {
            return;
        }
        // It was wrong to try again.
        let again = self.viewer.until > Stamp::ZERO && now.since(self.viewer.until) < WRONG;
        self.viewer.hold = if again { self.viewer.hold.scaled(2, 1).min(Span::secs(64)) } else { TRY_AGAIN };
        self.viewer.bound = self.below(self.at);
        self.viewer.until = now + self.viewer.hold;
        self.viewer.behind_since = None;
        self.go(now, self.viewer.bound);
    }

    /// Frames come more often than the viewer's screen shows them, which is only every so long.
    pub fn on_shows(&mut self, now: Stamp<C>, every: Span) {
        let v = &mut self.viewer;
        // It was wrong to try again.
        let again = v.shows == 0.0 && v.shows_until > Stamp::ZERO && now.since(v.shows_until) < WRONG;
        v.shows_hold = match again {
            true => v.shows_hold.scaled(2, 1).min(Span::secs(64)),
            false if v.shows == 0.0 => TRY_AGAIN,
            false => v.shows_hold,
        };
        v.shows = (SELDOMER * every.as_secs_f64()).clamp(0.001, MOST_BETWEEN);
        v.shows_until = now + v.shows_hold;
    }

    /// From frame to frame, as things are.
    pub fn comes_each(&self) -> Span {
        Span::from_secs_f64(self.interval(self.rung()))
    }

    /// Where it stands.
    pub fn rung(&self) -> Rung {
        let (rung, _) = self.rungs().get(self.at).copied().unwrap_or(step(60, Full, 0.0));
        Rung { scale: self.scale(rung), ..rung }
    }

    /// The size in which the next frame is coded.
    pub fn film_scale(&self) -> FilmScale {
        self.rung().scale
    }

    /// How many frames share a second's bytes.
    pub fn frames_per_second(&self) -> u32 {
        (libm::round(1.0 / self.interval(self.rung())) as u32).max(1)
    }

    /// When the next frame may be begun.
    pub fn due(&self, now: Stamp<C>) -> Stamp<C> {
        let behind = self.viewer.told.filter(|(at, queue)| *queue > FAR_BEHIND && now.since(*at) < FRESH);
        let free = behind.filter(|_| self.cost.is_some()).map_or(Stamp::ZERO, |(at, _)| at + FRESH);
        self.next.max(free)
    }

    /// A frame was begun.
    pub fn on_begun(&mut self, now: Stamp<C>) {
        let step = if self.at == 0 { 0.0 } else { 1.0 / f64::from(self.rung().fps) }.max(self.viewer.shows);
        if step == 0.0 || self.source.is_none_or(|source| source * 1.03 >= step) {
            self.next = now;
            return;
        }
        let step = Span::from_secs_f64(step);
        // One that begins a little late does not put off all that follow it.
        self.next = if now.since(self.next) < step.scaled(1, 4) { self.next + step } else { now + step };
    }

    /// How often it moved, for figures.
    pub const fn changes(&self) -> u32 {
        self.changes
    }

    fn rungs(&self) -> &'static [Step] {
        // Where frames must be finer than they need be to be of use, fewer are sent (H-45), not smaller ones.
        let any = self.coarsest() >= f64::from(Filmed::COARSEST);
        match self.policy.sharpness {
            0..=33 => SMOOTH,
            34..=66 if any => MIDDLE,
            _ => SHARP,
        }
    }

    /// No frame has a coarser quantiser, whatever the link has.
    fn coarsest(&self) -> f64 {
        51.0 - f64::from(self.policy.least) / 4.0
    }

    fn scale(&self, rung: Rung) -> FilmScale {
        if self.policy.scales { rung.scale } else { Full }
    }

    /// Seconds from frame to frame: as the rung says, as they come, and as they can be coded.
    fn interval(&self, rung: Rung) -> f64 {
        (1.0 / f64::from(rung.fps)).max(self.comes_every()).max(self.coder(rung)).max(self.viewer.shows)
    }

    /// Seconds that coding one takes, and what lies between two. Of a coder that is not known yet thirty a second are expected:
    /// were it sixty, a key frame would be paid for by too many small ones.
    fn coder(&self, rung: Rung) -> f64 {
        self.took.map_or(1.0 / 30.0, |took| 1.05 * took * area(self.scale(rung)))
    }

    fn comes_every(&self) -> f64 {
        let allowed = self.policy.max_fps.map_or(0.0, |fps| 1.0 / f64::from(fps.max(1)));
        self.source.unwrap_or(1.0 / 30.0).max(allowed)
    }

    /// The quantiser with which frames of this rung fit, if anything is known of them.
    fn needs(&self, rung: Rung) -> Option<f64> {
        let lately = REMEMBER.scaled(1 << self.wrong, 1);
        let bytes = self.cost?.of(self.scale(rung), lately)?;
        let interval = self.interval(rung);
        Some(OCTAVE * (bytes + BY_TIME * libm::log2(interval) - libm::log2(self.share * interval)))
    }

    /// Whether frames of this rung would be good enough with `spare` steps of the quantiser in hand.
    fn suits(&self, (rung, more): Step, spare: f64) -> bool {
        let Some(quantiser) = self.needs(rung) else { return true };
        let s = f64::from(self.policy.sharpness.min(100)) / 100.0;
        let coarse = (COARSE.0 + (COARSE.1 - COARSE.0) * s).min(self.coarsest());
        let fewest = match self.policy.sharpness {
            0..=33 => FEWEST.0,
            34..=66 => FEWEST.1,
            _ => FEWEST.2,
        };
        // Only what the coder cannot do counts: a rung of fifteen has no more.
        let wanted = (0.93 / self.comes_every()).min(fewest).min(0.93 * f64::from(rung.fps));
        let wanted = if spare > 0.0 { 1.1 * wanted } else { wanted };
        quantiser <= (coarse + more).min(f64::from(Filmed::COARSEST)) - spare && wanted * self.coder(rung) <= 1.0
    }

    /// The topmost rung that suits, else the last.
    fn best(&self, spare: f64) -> usize {
        let suits = |r: &Step| self.suits(*r, spare);
        let best = self.rungs().iter().position(suits).unwrap_or(self.rungs().len() - 1);
        best.max(self.viewer.bound)
    }

    /// The next rung below that asks less of anybody.
    fn below(&self, at: usize) -> usize {
        let asks = |(r, _): Step| (self.interval(r), self.scale(r));
        let Some((interval, scale)) = self.rungs().get(at).copied().map(asks) else { return at };
        let less = |r: &Step| asks(*r).0 > 1.05 * interval || asks(*r).1 < scale;
        self.rungs().iter().skip(at + 1).position(less).map_or(at, |n| at + 1 + n)
    }

    fn decide(&mut self, now: Stamp<C>) {
        if now >= self.viewer.shows_until {
            self.viewer.shows = 0.0;
        }
        if self.viewer.bound > 0 && now >= self.viewer.until {
            self.viewer.bound -= 1;
            self.viewer.until = now + self.viewer.hold;
        }
        let (low, high) = (self.best(0.0), self.best(TO_SPARE));
        let since_change = self.changed.map_or(Span::secs(60), |at| now.since(at));
        if low <= self.at {
            self.worse_since = None;
            self.stood = if self.stood > 0.0 { self.stood + (self.share - self.stood) / 16.0 } else { self.share };
        } else {
            let since = *self.worse_since.get_or_insert(now);
            let far = self.needs(self.rung()).is_some_and(|q| q >= f64::from(Filmed::COARSEST) + OCTAVE);
            let wait = if far && self.stood > 0.0 { DOWN_SOON } else { DOWN };
            // Another such frame would be all that is seen of it meanwhile.
            let wait = if self.leaves >= DOWN.as_secs_f64() { Span::ZERO } else { wait };
            if now.since(since) >= wait && since_change >= DOWN_AGAIN {
                if self.raised.is_some_and(|at| now.since(at) < WRONG) {
                    (self.wrong, self.wrong_share) = ((self.wrong + 1).min(MOST_WRONG), self.share);
                }
                self.falls(now);
                self.go(now, low);
                return;
            }
        }
        if let Some(to) = self.before(now) {
            let since = *self.back_since.get_or_insert(now);
            if now.since(since) >= BACK {
                (self.raised, self.back) = (Some(now), Some(now));
                self.go(now, to);
                return;
            }
        } else {
            self.back_since = None;
        }
        if high >= self.at {
            self.better_since = None;
            return;
        }
        if self.share > 1.5 * self.wrong_share {
            self.wrong = 0;
        }
        let flows = |(to, _): &Step| to.fps <= 30 && self.scale(*to) == self.film_scale();
        let up = if self.rungs().get(high).is_some_and(flows) { UP_ALIKE } else { UP };
        let wait = up.scaled(1 << self.wrong, 1);
        let since = *self.better_since.get_or_insert(now);
        if now.since(since) >= wait && since_change >= wait {
            self.raised = Some(now);
            self.go(now, high);
        }
    }

    /// This rung is left for one below. If that is the link's doing, it is remembered, but not in place of one above it.
    fn falls(&mut self, now: Stamp<C>) {
        let wrong = self.back.is_some_and(|at| now.since(at) < WRONG);
        self.back_wrong = if wrong { (self.back_wrong + 1).min(MOST_WRONG) } else { self.back_wrong.saturating_sub(1) };
        let before = self.fell.filter(|f| now.since(f.at) < LATELY && f.rung <= self.at);
        if before.is_none() && self.share < AGAIN * self.stood {
            self.fell = Some(Fell { rung: self.at, share: self.stood, at: now });
        }
    }

    /// The rung that held before the link fell, or what of it suits, if the link is again as it was then.
    fn before(&self, now: Stamp<C>) -> Option<usize> {
        let fell = self.fell.filter(|f| now.since(f.at) < LATELY && self.share >= AGAIN * f.share)?;
        let calm = self.back.is_none_or(|at| now.since(at) >= WRONG.scaled(1 << self.back_wrong, 1));
        Some(fell.rung.max(self.best(0.0))).filter(|to| calm && *to < self.at)
    }

    fn go(&mut self, now: Stamp<C>, to: usize) {
        if to != self.at {
            self.changes += 1;
            (self.at, self.changed, self.stood) = (to, Some(now), 0.0);
        }
        self.fell = self.fell.filter(|f| f.rung < to);
        (self.worse_since, self.better_since, self.back_since) = (None, None, None);
    }
}

/// The part of a region's pixels that are coded.
fn area(scale: FilmScale) -> f64 {
    let side = f64::from(scale.quarters()) / 4.0;
    side * side
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Bytes, HostClock};

    const FREE: LadderPolicy = LadderPolicy { max_fps: None, sharpness: 50, least: 0, scales: true };

    /// A film and a coder, by what a frame in full size takes at quantiser 26 thirty times a second.
    struct Show {
        ladder: Ladder<HostClock>,
        now: Stamp<HostClock>,
        hz: u64,
        bytes: f64,
        took: Span,
        /// What a smaller size saves, as [`BY_AREA`] foresees it.
        by_area: f64,
        begun: u32,
        moves: Vec<(u64, Rung)>,
    }

    impl Show {
        fn new(policy: LadderPolicy, hz: u64, bytes: f64, took: Span) -> Self {
            let now = Stamp::from_micros(5_000_000);
            let by_area = BY_AREA;
            Self { ladder: Ladder::new(policy), now, hz, bytes, took, by_area, begun: 0, moves: Vec::new() }
        }

        /// Plays on a link of so many kilobits a second; answers frames a second and the last frame's quality.
        fn play(&mut self, seconds: u64, kbps: u64) -> (u32, u8) {
            let (before, mut quality) = (self.begun, 100);
            let mut busy = Stamp::ZERO;
            for n in 0..seconds * self.hz {
                let now = self.now + Span::micros(n * 1_000_000 / self.hz);
                self.ladder.on_change(now);
                if now < busy || self.ladder.due(now) > now {
                    continue;
                }
                self.ladder.on_begun(now);
                self.begun += 1;
                let part = area(self.ladder.film_scale());
                let step = 1.0 / f64::from(self.ladder.frames_per_second());
                let needs = self.bytes * libm::pow(part, self.by_area) * libm::pow(30.0 * step, BY_TIME);
                let room = kbps as f64 * 125.0 * step;
                let steps = (OCTAVE * libm::log2(needs / room)).max(0.0);
                quality = (100.0 - 4.0 * steps).max(0.0) as u8;
                let bytes = Bytes(needs.min(room) as u64);
                let took = Span::from_secs_f64(self.took.as_secs_f64() * part);
                busy = now + took;
                let rung = self.ladder.rung();
                let frame = Filmed { bytes, quality, scale: self.ladder.film_scale(), key: false };
                self.ladder.on_coded(now, frame, took, BitRate::kbps(kbps));
                if self.ladder.rung() != rung {
                    self.moves.push((now.as_micros() / 1_000, self.ladder.rung()));
                }
            }
            self.now += Span::secs(seconds);
            ((self.begun - before) / seconds as u32, quality)
        }
    }

    fn film(sharpness: u8) -> Show {
        Show::new(LadderPolicy { sharpness, ..FREE }, 30, 4_000.0, Span::millis(12))
    }

    #[test]
    fn what_fits_stays_at_the_top() {
        let mut show = film(50);
        assert_eq!(show.play(10, 4_000), (30, 100));
        // Quality alone takes the first of it.
        let (fps, quality) = show.play(10, 600);
        assert!(fps == 30 && (60..100).contains(&quality), "{fps} {quality}");
        assert_eq!(show.ladder.changes(), 0);
    }

    // spec: H-44
    #[test]
    fn what_does_not_fit_goes_down_once_and_comes_back_when_it_fits() {
        let mut show = film(50);
        show.play(5, 4_000);
        let (fps, _) = show.play(20, 150);
        assert!(show.moves.len() <= 2, "{:?}", show.moves);
        let low = show.ladder.rung();
        assert!(fps >= 29 && low.scale < Full, "{fps} {low:?}");
        let down = show.moves[0].0;
        assert!((10_500..11_500).contains(&down), "after half a second: {down}");
        show.play(8, 4_000);
        assert_eq!(show.ladder.rung(), SHARP[0].0, "{:?}", show.moves);
        assert!(show.moves.len() <= 4, "{:?}", show.moves);
        assert_eq!(show.play(2, 4_000), (30, 100));
    }

    #[test]
    fn a_link_that_swings_moves_it_seldom() {
        let mut show = film(50);
        show.play(5, 150);
        let before = show.moves.len();
        // Good for a second and a half, bad for as long, a minute long: nobody wants to see that.
        for n in 0..40 {
            show.play(1 + n % 2, if n % 2 == 0 { 150 } else { 300 });
        }
        assert!(show.moves.len() - before <= 2, "{:?}", show.moves);
        // Good for long enough each time: wrong, and then slower to try again.
        let before = show.moves.len();
        for _ in 0..8 {
            show.play(6, 1_000);
            show.play(4, 150);
        }
        assert!(show.moves.len() - before <= 18, "{:?}", show.moves);
    }

    // spec: H-44
    #[test]
    fn the_slider_says_what_goes_first() {
        let at = |sharpness: u8, kbps: u64| {
            let mut show = film(sharpness);
            let (fps, quality) = show.play(12, kbps);
            (show.ladder.rung(), fps, quality)
        };
        let (smooth, middle, sharp) = (at(0, 100), at(50, 100), at(100, 100));
        assert!(smooth.0.scale < Full && smooth.0.fps >= 30, "{smooth:?}");
        assert!(sharp.0.fps == 15, "{sharp:?}");
        assert!(smooth.1 >= middle.1 && middle.1 > sharp.1, "{smooth:?} {middle:?} {sharp:?}");
        // Sixty a second are worth their size only to one who wants it smooth.
        let sixty = |sharpness: u8| {
            let mut show = Show::new(LadderPolicy { sharpness, ..FREE }, 60, 4_000.0, Span::millis(6));
            show.play(12, 300);
            show.ladder.rung()
        };
        assert_eq!(sixty(0), Rung { fps: 60, scale: ThreeQuarters });
        assert_eq!(sixty(50), Rung { fps: 30, scale: Full });
        // Where it is enough for the one, the other already gives way.
        assert_eq!((at(0, 450).0.fps, at(100, 450).0.fps < 60), (60, true));
    }

    // spec: H-45
    #[test]
    fn who_demands_a_quality_gets_fewer_frames_not_smaller_ones() {
        let mut show = Show::new(LadderPolicy { least: 80, ..FREE }, 30, 4_000.0, Span::millis(12));
        show.play(12, 300);
        assert_eq!(show.ladder.rung(), Rung { fps: 15, scale: Full }, "{:?}", show.moves);
    }

    // spec: H-59
    #[test]
    fn without_the_capability_nothing_is_coded_smaller() {
        let mut show = Show::new(LadderPolicy { scales: false, sharpness: 0, ..FREE }, 30, 4_000.0, Span::millis(12));
        show.play(12, 60);
        assert_eq!((show.ladder.film_scale(), show.ladder.rung().fps), (Full, 15));
    }

    #[test]
    fn a_slow_coder_is_helped_as_the_slider_says() {
        // 45 ms a frame in full size, sixty changes a second.
        let at = |sharpness: u8| {
            let mut show = Show::new(LadderPolicy { sharpness, ..FREE }, 60, 6_000.0, Span::millis(45));
            let (fps, _) = show.play(10, 20_000);
            (show.ladder.film_scale(), fps)
        };
        assert_eq!(at(100).0, Full, "twenty a second are enough");
        for sharpness in [0, 50] {
            let (scale, fps) = at(sharpness);
            assert!(scale == ThreeQuarters && fps >= 28, "{scale:?} {fps}");
        }
    }

    /// More grain than any quantiser of use makes fit: size goes, and the frames keep coming.
    // spec: H-44
    #[test]
    fn a_film_that_takes_what_it_may_flows() {
        let mut show = Show::new(FREE, 30, 400_000.0, Span::millis(25));
        let (fps, _) = show.play(12, 20_000);
        assert_eq!((fps, show.ladder.rung()), (30, Rung { fps: 30, scale: ThreeQuarters }), "{:?}", show.moves);
    }

    #[test]
    fn grain_that_is_gone_with_the_size_is_not_forgotten_again_and_again() {
        let mut show = Show::new(FREE, 30, 400_000.0, Span::millis(25));
        show.by_area = 2.2;
        show.play(10, 20_000);
        let before = show.moves.len();
        let (fps, _) = show.play(100, 20_000);
        let tries = (show.moves.len() - before) / 2;
        assert!(fps >= 29 && (1..=2).contains(&tries), "{fps}, {:?}", show.moves);
    }

    // spec: H-44
    #[test]
    fn what_held_before_a_fall_is_back_at_once_but_not_each_time() {
        let mut show = Show::new(FREE, 30, 400_000.0, Span::millis(25));
        show.play(12, 20_000);
        let held = show.ladder.rung();
        let fall = |show: &mut Show| {
            let (from, before) = (show.now.as_micros() / 1_000, show.moves.len());
            show.play(8, 2_000);
            assert!(show.ladder.rung().scale < held.scale);
            let left = show.moves.get(before..).and_then(|m| m.first()).map(|(at, _)| at - from);
            assert!(left.is_some_and(|ms| ms <= 300), "a frame takes as long to leave as ten: {left:?}");
            let (from, before) = (show.now.as_micros() / 1_000, show.moves.len());
            show.play(1, 20_000);
            show.moves.get(before..).and_then(|m| m.first()).map(|(at, rung)| (at - from, *rung))
        };
        let (after, rung) = fall(&mut show).unwrap();
        assert!(rung == held && after <= 300, "{after} ms: {rung:?}");
        assert_eq!(fall(&mut show), None, "a link that swings is not followed");
        show.play(12, 20_000);
        assert_eq!(show.ladder.rung(), held, "{:?}", show.moves);
        // Half of it is not what there was.
        show.play(12, 2_000);
        let low = show.ladder.rung();
        show.play(1, 10_000);
        assert_eq!(show.ladder.rung(), low, "{:?}", show.moves);
    }

    // spec: H-59
    #[test]
    fn a_viewer_that_falls_behind_gets_less_and_is_tried_again_seldom() {
        let mut show = film(50);
        show.play(3, 4_000);
        let at = |show: &Show, ms: u64| show.now + Span::millis(ms);
        // One long frame is nothing.
        show.ladder.on_queue(at(&show, 0), Span::millis(90));
        show.ladder.on_queue(at(&show, 40), Span::millis(10));
        show.ladder.on_queue(at(&show, 280), Span::millis(90));
        assert_eq!(show.ladder.changes(), 0);
        for ms in (300..700).step_by(20) {
            show.ladder.on_queue(at(&show, ms), Span::millis(ms / 3));
        }
        assert_eq!((show.ladder.rung().scale, show.ladder.changes()), (ThreeQuarters, 1));
        let held = show.ladder.due(at(&show, 681));
        assert!(held >= at(&show, 1_100), "nothing is begun for one so far behind");
        show.ladder.on_queue(at(&show, 700), Span::millis(5));
        assert!(show.ladder.due(at(&show, 701)) <= at(&show, 701));
        let start = show.moves.len();
        for _ in 0..60 {
            show.play(1, 4_000);
            if show.ladder.rung().scale == Full {
                for ms in (0..300).step_by(20) {
                    show.ladder.on_queue(at(&show, ms), Span::millis(100));
                }
                show.ladder.on_queue(at(&show, 301), Span::ZERO);
            }
        }
        let tries = show.moves.len() - start;
        assert!((2..=5).contains(&tries), "in a minute: {tries}");
    }

    /// Each frame would stand for longer than it takes to make up one's mind.
    #[test]
    fn a_film_that_is_far_too_large_is_made_smaller_with_its_second_frame() {
        let mut ladder = Ladder::<HostClock>::new(FREE);
        let at = |n: u64| Stamp::from_micros(5_000_000 + n * 1_000_000 / 60);
        (0..10).for_each(|n| ladder.on_change(at(n)));
        for (n, key, down) in [(10, true, false), (100, false, true)] {
            let frame = Filmed { scale: Full, key, quality: 0, bytes: Bytes(130_000) };
            ladder.on_coded(at(n), frame, Span::millis(20), BitRate::mbps(1));
            assert_eq!(ladder.changes() > 0, down, "{n}");
        }
    }

    // spec: H-75
    #[test]
    fn frames_come_as_often_as_the_screen_shows_them_and_more_are_tried_seldom() {
        let mut show = film(50);
        show.play(20, 4_000);
        assert_eq!(show.ladder.frames_per_second(), 30);
        let (scale, start) = (show.ladder.rung().scale, show.now);
        let mut bound = Vec::new();
        let mut was = 30;
        while show.now.since(start) < Span::secs(60) {
            show.play(20, 500);
            let fps = show.ladder.frames_per_second();
            if fps > 11 {
                show.ladder.on_shows(show.now, Span::millis(100));
                bound.push(show.now.since(start).as_micros() / 1_000_000);
                assert_eq!(show.ladder.frames_per_second(), 9, "was {was}");
            }
            was = fps;
        }
        assert!((3..=6).contains(&bound.len()), "tried after {bound:?} s");
        assert_eq!((show.ladder.rung().scale, show.ladder.changes()), (scale, 0), "no smaller frames for that");
        show.ladder.on_shows(show.now, Span::secs(1 << 40));
        assert_eq!(show.ladder.frames_per_second(), 5, "but five a second do");
    }

    #[test]
    fn a_new_film_begins_at_the_top() {
        let mut show = film(50);
        show.play(6, 100);
        assert!(show.ladder.rung().scale < Full);
        show.now += Span::secs(11);
        show.ladder.on_change(show.now);
        assert_eq!(show.ladder.rung(), SHARP[0].0);
        assert_eq!(show.ladder.frames_per_second(), 30, "as if nothing were known");
    }

    /// The key frame took longer, because a film's beginning does; that is forgotten with the frame after it.
    #[test]
    fn a_coder_is_expected_to_make_thirty_a_second_until_it_is_known() {
        let begun = |key: u64, then: u64| {
            let mut ladder = Ladder::<HostClock>::new(FREE);
            let at = |n: u64| Stamp::from_micros(5_000_000 + n * 1_000_000 / 60);
            (0..4).for_each(|n| ladder.on_change(at(n)));
            let mut shared_by = vec![ladder.frames_per_second()];
            for (n, took, key) in [(4, key, true), (8, then, false)] {
                let frame = Filmed { bytes: Bytes(4_000), quality: 100, scale: Full, key };
                ladder.on_coded(at(n), frame, Span::millis(took), BitRate::kbps(20_000));
                shared_by.push(ladder.frames_per_second());
            }
            shared_by
        };
        assert_eq!(begun(8, 6), [30, 60, 60]);
        assert_eq!(begun(40, 30), [30, 24, 32]);
    }

    #[test]
    fn nonsense_is_survived() {
        let mut ladder =
            Ladder::<HostClock>::new(LadderPolicy { max_fps: Some(0), sharpness: 255, least: 255, scales: true });
        for n in 0..50u64 {
            let now = Stamp::from_micros(n * 7);
            ladder.on_change(now);
            let filmed = Filmed { bytes: Bytes(u64::MAX * (n % 2)), quality: 255, scale: Half, key: n % 3 == 0 };
            ladder.on_coded(now, filmed, Span::secs(n), BitRate::bps(n % 2 * u64::MAX));
            ladder.on_queue(now, Span::secs(1 << 40));
            ladder.on_begun(now);
            assert!(ladder.frames_per_second() >= 1);
            let _ = ladder.due(now);
        }
    }
}
