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

mod viewer;

use telepane_model::time::Clock;
use telepane_model::{BitRate, FilmScale, Filmed, Span, Stamp};
use viewer::ViewerPace;

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

impl<C: Clock> Ladder<C> {
    /// At the top, with no film known.
    pub const fn new(policy: LadderPolicy) -> Self {
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
            viewer: ViewerPace::new(),
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
        let frame = self.cost.is_some().then(|| self.interval(self.rung()));
        let changed = self.changed.is_some_and(|at| now.since(at) < DOWN_AGAIN);
        if self.viewer.on_queue(now, queue, frame) && !changed {
            let bound = self.below(self.at);
            self.viewer.bind(now, bound);
            self.go(now, bound);
        }
    }

    /// Frames come more often than the viewer's screen shows them, which is only every so long.
    pub fn on_shows(&mut self, now: Stamp<C>, every: Span) {
        self.viewer.on_shows(now, every);
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
        let free = self.viewer.free(now).filter(|_| self.cost.is_some());
        self.next.max(free.unwrap_or(Stamp::ZERO))
    }

    /// A frame was begun.
    pub fn on_begun(&mut self, now: Stamp<C>) {
        let step = if self.at == 0 { 0.0 } else { 1.0 / f64::from(self.rung().fps) }.max(self.viewer.shows());
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
        (1.0 / f64::from(rung.fps)).max(self.comes_every()).max(self.coder(rung)).max(self.viewer.shows())
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
        best.max(self.viewer.bound())
    }

    /// The next rung below that asks less of anybody.
    fn below(&self, at: usize) -> usize {
        let asks = |(r, _): Step| (self.interval(r), self.scale(r));
        let Some((interval, scale)) = self.rungs().get(at).copied().map(asks) else { return at };
        let less = |r: &Step| asks(*r).0 > 1.05 * interval || asks(*r).1 < scale;
        self.rungs().iter().skip(at + 1).position(less).map_or(at, |n| at + 1 + n)
    }

    fn decide(&mut self, now: Stamp<C>) {
        self.viewer.on_time(now);
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
mod tests;
