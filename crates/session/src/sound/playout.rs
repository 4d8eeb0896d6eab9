//! When each frame of sound is played: a jitter buffer with a ceiling, and the recovery of the sender's clock.
//!
//! The player's device asks for its next 10 ms when it needs them ([`Playout::next`]). How long a frame was *held* is the
//! time at which it will sound, less the time at which it could have been here at best: its capture and the shortest
//! way seen lately. That is kept at a target, which covers how late frames have lately been, the copies there are to wait
//! for, and how far the device reads ahead; [`Playout::speed_ppm`] says how much faster to play for it.
//!
//! Clocks differ by constant factors and so does the device's, so the speed settles where all three agree: no drift.

use super::SoundArrival;
use std::collections::BTreeMap;
use telepane_model::{Clock, Span, Stamp};
use telepane_protocol::sound::{MOST_COPIES, SOUND_FRAME, SOUND_SAMPLES};

/// No frame is played that was held longer.
// spec: S-12
pub const CEILING: Span = Span::millis(120);
/// Beyond what was measured: a thread wakes late.
const MARGIN: Span = Span::millis(4);
/// The target leaves this much of the ceiling to fluctuation.
const MOST_TARGET: Span = Span::millis(100);
/// Extremes are remembered for one to two of these.
const WINDOW: Span = Span::secs(5);
/// What is late within so long of another is one event. One late event is an accident, two are a pattern.
const EVENT: Span = Span::millis(100);
/// A number further from the next one than this begins anew.
// spec: S-14
const FAR: i32 = 64;
/// Missing frames in a row after which the stream has stopped.
// spec: S-14
const MOST_MISSING: u32 = 5;
/// Deviations are worked off in about this many seconds, at this many millionths at most.
// spec: S-13
const CORRECTED_IN: i64 = 4;
const MOST_SPEED: i64 = 5_000;
/// Held so much longer than wanted, a frame is passed over: playing faster would take too long.
const TOO_LONG: Span = Span::millis(40);
/// At the beginning sooner: while a device opens sound piles up, and nothing was heard yet that could sound hurried.
const TOO_LONG_AT_FIRST: Span = Span::millis(15);
/// The beginning is so many pieces.
const AT_FIRST: u32 = 100;
/// At most one each so many pieces.
const PASS_EVERY: u32 = 10;
/// Sound may be heard so much before its picture.
// spec: S-15
const BEFORE_PICTURE: Span = Span::millis(25);
/// A device that asks so much later than what it had lasted ran dry: what it tells of its queue is not exact to a few milliseconds.
const DRY: Span = Span::millis(5);
/// A device that was opened so short a time ago is still beginning: what it was given it does not play at once.
const OPENING: Span = Span::millis(500);
/// Pictures within the last second that make it film.
const FILM: usize = 10;

/// What is to be heard next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This frame.
    Frame(Vec<u8>),
    /// The frame before this one, as far as this one's own correction tells it.
    Mend(Vec<u8>),
    /// A frame that is missing: what fits to what was heard.
    Conceal,
    /// So many samples of nothing, at most a frame's.
    Silence(usize),
}

/// Why frames are held as long as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// How late frames have been, behind the earliest.
    pub lateness: Span,
    /// The copies that there are to wait for.
    pub copies: Span,
    /// How far the device reads ahead.
    pub ahead: Span,
    /// For the film, beside all that: how long it alone would have them held.
    pub picture: Span,
    /// From the device's taking a sample to its sounding; not held, but heard.
    pub device: Span,
}

/// What happened so far; for people and scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayoutFigures {
    /// Packets that came.
    pub packets: u64,
    /// Frames played.
    pub played: u64,
    /// Of these, from a copy in a later packet.
    pub restored: u64,
    /// Frames played from the next one's correction.
    pub mended: u64,
    /// Frames made up.
    pub concealed: u64,
    /// Frames' times in which nothing was heard although the stream had not ended.
    pub gaps: u64,
    /// Frames that came after their turn.
    pub late: u64,
    /// Frames passed over because they had been held too long.
    pub passed: u64,
    /// Times the device asked so late that what it had must have been played before, and the longest of these.
    pub dry: u64,
    /// See `dry`.
    pub driest: Span,
    /// How long frames are held, smoothed.
    pub held: Span,
    /// How long they are wanted to be held.
    pub target: Span,
    /// What the target is made of.
    pub needs: Needs,
    /// The longest that a played frame was held.
    pub worst: Span,
    /// From the capture to the loudspeaker, as far as the clocks are known.
    pub age: Option<Span>,
    /// How much later sound is heard than the pictures of its instant are shown, in microseconds, while there is film.
    pub behind_picture: Option<i64>,
}

/// See the module. `C` is the player's clock, `P` the sender's.
#[derive(Debug)]
pub struct Playout<C: Clock, P: Clock> {
    frames: BTreeMap<i64, Held<P>>,
    /// The number of the next frame, in a count that does not wrap.
    next: Option<i64>,
    playing: bool,
    /// The stream said that nothing follows this frame.
    last: Option<i64>,
    missing: u32,
    since_pass: u32,
    /// The newest frames that were made up.
    made_up: std::collections::VecDeque<i64>,
    /// Pieces since it began.
    begun: u32,
    /// The shortest way: arrival minus capture, on clocks that have nothing to do with each other.
    way: Windowed<C, i64>,
    lateness: Windowed<C, Events<C>>,
    ahead: Windowed<C, Span>,
    /// What the device wants at once.
    turn: Windowed<C, Span>,
    copies: Windowed<C, u32>,
    /// How much later than its own packet the packet came that had a lost frame's copy.
    restored: Windowed<C, Events<C>>,
    held: Option<i64>,
    offset: Option<i64>,
    /// From the device's taking a sample to its sounding, smoothed, in microseconds.
    device: Option<i64>,
    /// When what the device was given so far has sounded.
    lasts: Option<Stamp<C>>,
    /// When it was opened.
    opened: Option<Stamp<C>>,
    /// The device asks for what it has played since it asked last, and not for all that it keeps.
    steady: bool,
    pictures: std::collections::VecDeque<(Stamp<C>, Span)>,
    figures: PlayoutFigures,
}

#[derive(Debug)]
struct Held<P: Clock> {
    bytes: Vec<u8>,
    captured: Stamp<P>,
    copy: bool,
}

impl<C: Clock, P: Clock> Playout<C, P> {
    /// Nothing has come.
    pub fn new() -> Self {
        Self {
            frames: BTreeMap::new(),
            next: None,
            playing: false,
            last: None,
            missing: 0,
            made_up: std::collections::VecDeque::new(),
            since_pass: 0,
            begun: 0,
            way: Windowed::default(),
            lateness: Windowed::default(),
            ahead: Windowed::default(),
            turn: Windowed::default(),
            copies: Windowed::default(),
            restored: Windowed::default(),
            held: None,
            offset: None,
            device: None,
            lasts: None,
            opened: None,
            steady: false,
            pictures: std::collections::VecDeque::new(),
            figures: PlayoutFigures::default(),
        }
    }

    /// A packet came.
    // spec: S-12, S-14
    pub fn on_packet(&mut self, now: Stamp<C>, packet: SoundArrival<P>) {
        self.figures.packets += 1;
        self.offset = packet.offset.or(self.offset);
        let mut number = self.whole(packet.number);
        if let Some(next) = self.next
            && (number - next).abs() > i64::from(FAR)
        {
            self.frames.clear();
            self.made_up.clear();
            (self.next, self.playing, self.last) = (None, false, None);
            number = i64::from(packet.number);
        }
        let way = now.as_micros() as i64 - packet.captured.as_micros() as i64;
        self.way.put(now, way, i64::min);
        let late = Span::micros((way - self.way.extreme(i64::min).unwrap_or(way)).max(0) as u64);
        self.lateness.put(now, Events::one(now, late.min(CEILING)), Events::merge);
        self.copies.put(now, packet.earlier.len() as u32, u32::max);
        if packet.last {
            self.last = Some(number);
        }
        let frames = std::iter::once(packet.frame).chain(packet.earlier);
        for ((bytes, number), back) in frames.zip((0..=number).rev()).zip(0..) {
            let captured =
                Stamp::from_micros(packet.captured.as_micros().saturating_sub(back * SOUND_FRAME.as_micros()));
            let passed = self.next.is_some_and(|next| number < next);
            if back == 0 && passed {
                self.figures.late += 1;
            }
            // Before anything was played a stream begins with the packet that came first, not with its copies.
            let before = self.next.is_none() && back > 0 && !self.frames.contains_key(&(number + 1));
            if back > 0 && !before && self.is_missing(number) {
                self.restored.put(now, Events::one(now, SOUND_FRAME.scaled(back, 1)), Events::merge);
            }
            if !passed && !before {
                self.frames.entry(number).or_insert(Held { bytes, captured, copy: back > 0 });
            }
        }
        while self.frames.len() > 2 * FAR as usize {
            self.frames.pop_first();
        }
    }

    /// A picture was shown so long after its capture.
    pub fn on_picture(&mut self, now: Stamp<C>, age: Span) {
        self.pictures.push_back((now, age));
        while self.pictures.front().is_some_and(|(at, _)| now.since(*at) > Span::secs(1)) {
            self.pictures.pop_front();
        }
        while self.pictures.len() > 64 {
            self.pictures.pop_front();
        }
    }

    /// The device was opened: what it was given before says nothing of when it asks next.
    pub const fn on_open(&mut self, now: Stamp<C>) {
        (self.lasts, self.opened) = (None, Some(now));
    }

    /// The device begins a turn in which it wants so much at once; the first of it sounds `latency` after now. What comes after
    /// it is told with each [`Playout::next`].
    pub fn on_device(&mut self, now: Stamp<C>, latency: Span, turn: Span) {
        // A turn that the device itself asked for late had nothing before it to play.
        let opening = self.opened.is_some_and(|at| now.since(at) < OPENING);
        let late = self.lasts.filter(|_| self.playing && !opening).map_or(Span::ZERO, |lasts| now.since(lasts));
        if late >= DRY {
            self.figures.dry += 1;
            self.figures.driest = self.figures.driest.max(late);
        }
        self.steady = self.lasts.is_some() && late < DRY;
        self.lasts = Some(now + latency + turn);
        if self.steady {
            self.turn.put(now, turn, Span::max);
        }
        // A sound server tells what its queue held a moment ago: it is right on average.
        let latency = latency.as_micros() as i64;
        let smoothed = self.device.unwrap_or(latency);
        self.device = Some(smoothed + (latency - smoothed) / 16);
    }

    /// What is to be heard `ahead` of now: that much was asked for already in this turn of the device.
    // spec: S-12, S-14
    pub fn next(&mut self, now: Stamp<C>, ahead: Span) -> Piece {
        if self.steady {
            self.ahead.put(now, ahead, Span::max);
        }
        let (heard, target) = (now + ahead, self.target(now));
        if !self.playing {
            return self.begin(heard, target);
        }
        let Some(mut next) = self.next else { return Piece::Silence(SOUND_SAMPLES) };
        self.begun = self.begun.saturating_add(1);
        let too_long = if self.begun < AT_FIRST { TOO_LONG_AT_FIRST } else { TOO_LONG };
        // What was held too long is passed over.
        while let Some(held) = self.held_by(next, heard)
            && (held > CEILING.as_micros() as i64
                || (self.since_pass >= PASS_EVERY
                    && self.held.unwrap_or(0) > (target + too_long).as_micros() as i64
                    && self.frames.contains_key(&(next + 1))))
        {
            self.frames.remove(&next);
            self.figures.passed += 1;
            self.since_pass = 0;
            next += 1;
            self.held = self.held.map(|h| h - SOUND_FRAME.as_micros() as i64);
        }
        self.since_pass = self.since_pass.saturating_add(1);
        self.next = Some(next + 1);
        let ended = self.last.is_some_and(|last| next > last);
        match self.frames.remove(&next) {
            Some(frame) => {
                self.missing = 0;
                self.figures.played += 1;
                self.figures.restored += u64::from(frame.copy);
                self.measure(heard, frame.captured);
                Piece::Frame(frame.bytes)
            }
            None if ended => {
                self.stop(next);
                Piece::Silence(SOUND_SAMPLES)
            }
            None => self.miss(next),
        }
    }

    /// How much faster than its nominal rate the sound is to be played, in millionths.
    // spec: S-13
    pub fn speed_ppm(&self) -> i32 {
        let Some(held) = self.held.filter(|_| self.playing) else { return 0 };
        let off = held - self.figures.target.as_micros() as i64;
        (off / CORRECTED_IN).clamp(-MOST_SPEED, MOST_SPEED) as i32
    }

    /// Whether something is played or about to be.
    pub fn is_active(&self) -> bool {
        self.playing || !self.frames.is_empty()
    }

    /// How old what is heard now is, smoothed, as far as the clocks are known.
    pub fn age(&self) -> Option<Span> {
        let (held, offset) = (self.held.filter(|_| self.playing)?, self.offset?);
        let age = held + self.way.extreme(i64::min)? + offset + self.device.unwrap_or(0);
        Some(Span::micros(age.max(0) as u64))
    }

    /// What happened so far.
    pub fn figures(&self) -> PlayoutFigures {
        PlayoutFigures { held: Span::micros(self.held.unwrap_or(0).max(0) as u64), ..self.figures }
    }

    /// The session has a new connection, or its sender is a new one: nothing of the old stream is waited for.
    pub fn reset(&mut self) {
        *self = Self { device: self.device, opened: self.opened, figures: self.figures, ..Self::new() };
    }

    /// Before the first frame, and after a pause: waits until it was held as long as wanted.
    // spec: S-14
    fn begin(&mut self, heard: Stamp<C>, target: Span) -> Piece {
        let Some((&first, _)) = self.frames.first_key_value() else { return Piece::Silence(SOUND_SAMPLES) };
        let held = self.held_by(first, heard).unwrap_or(0);
        let wait = target.as_micros() as i64 - held;
        let samples = (wait.max(0) as u64 * 48 / 1_000) as usize;
        if samples >= 24 {
            return Piece::Silence(samples.min(SOUND_SAMPLES));
        }
        (self.playing, self.next, self.missing, self.begun) = (true, Some(first), 0, 0);
        self.held = Some(held.min(CEILING.as_micros() as i64));
        self.next(Stamp::from_micros(heard.as_micros()), Span::ZERO)
    }

    fn miss(&mut self, number: i64) -> Piece {
        self.missing += 1;
        self.made_up.push_back(number);
        if self.made_up.len() > MOST_COPIES {
            self.made_up.pop_front();
        }
        if self.missing > MOST_MISSING {
            self.figures.gaps += 1;
            if self.frames.is_empty() {
                self.stop(number);
            }
            return Piece::Silence(SOUND_SAMPLES);
        }
        match self.frames.get(&(number + 1)) {
            Some(after) => {
                self.figures.mended += 1;
                Piece::Mend(after.bytes.clone())
            }
            None => {
                self.figures.concealed += 1;
                Piece::Conceal
            }
        }
    }

    /// Nothing is played until a frame from `next` on comes.
    fn stop(&mut self, next: i64) {
        (self.playing, self.next, self.held, self.missing) = (false, Some(next), None, 0);
    }

    /// For how long frame `number` will have been held when it is heard at `at`, in microseconds.
    fn held_by(&self, number: i64, at: Stamp<C>) -> Option<i64> {
        let captured = self.frames.get(&number)?.captured.as_micros() as i64;
        Some(at.as_micros() as i64 - captured - self.way.extreme(i64::min)?)
    }

    fn measure(&mut self, heard: Stamp<C>, captured: Stamp<P>) {
        let Some(way) = self.way.extreme(i64::min) else { return };
        let held = heard.as_micros() as i64 - captured.as_micros() as i64 - way;
        self.figures.worst = self.figures.worst.max(Span::micros(held.max(0) as u64));
        let smoothed = self.held.unwrap_or(held);
        self.held = Some(smoothed + (held - smoothed) / 32);
        self.figures.age = self.offset.map(|offset| {
            let sounds = heard.as_micros() as i64 + self.device.unwrap_or(0);
            Span::micros((sounds - (captured.as_micros() as i64 - offset)).max(0) as u64)
        });
        let picture = self.picture_age(heard).map(|age| age.as_micros() as i64);
        self.figures.behind_picture = self.figures.age.zip(picture).map(|(sound, p)| sound.as_micros() as i64 - p);
    }

    fn target(&mut self, now: Stamp<C>) -> Span {
        let lateness = self.lateness.extreme(Events::merge).map_or(Span::ZERO, |e| e.second);
        // A few packets lost at once bring copies for a while; waited for is one more than was of use more than once.
        let copies = SOUND_FRAME.scaled(self.copies.extreme(u32::max).unwrap_or(0).into(), 1);
        let of_use = self.restored.extreme(Events::merge).map_or(Span::ZERO, |e| e.second);
        let copies = copies.min(of_use + SOUND_FRAME);
        // As the clocks part, a device's turns and the frames beat: sooner or later almost a whole turn is read ahead, or a
        // frame in turns that are longer.
        let beat = self.turn.extreme(Span::max).unwrap_or(SOUND_FRAME).min(SOUND_FRAME);
        let ahead = self.ahead.extreme(Span::max).unwrap_or(Span::ZERO).max(beat);
        let picture = self.for_picture(now);
        let device = Span::micros(self.device.unwrap_or(0).max(0) as u64);
        self.figures.needs = Needs { lateness, copies, ahead, picture, device };
        self.figures.target = (lateness + copies + ahead + MARGIN).max(picture).min(MOST_TARGET);
        self.figures.target
    }

    /// How long to hold for the picture of the same instant.
    // spec: S-15
    fn for_picture(&self, now: Stamp<C>) -> Span {
        let (Some(picture), Some(offset), Some(way)) = (self.picture_age(now), self.offset, self.way.extreme(i64::min))
        else {
            return Span::ZERO;
        };
        // The shortest way in true time, and the device after it.
        let beside = way + offset + self.device.unwrap_or(0);
        Span::micros((picture.as_micros() as i64 - BEFORE_PICTURE.as_micros() as i64 - beside).max(0) as u64)
    }

    /// The median age of the pictures of the last second, if they make a film.
    fn picture_age(&self, now: Stamp<C>) -> Option<Span> {
        let fresh = |at: &Stamp<C>| now.since(*at) <= Span::secs(1);
        let mut ages: Vec<Span> = self.pictures.iter().filter(|(at, _)| fresh(at)).map(|(_, age)| *age).collect();
        ages.sort_unstable();
        (ages.len() >= FILM).then(|| ages.get(ages.len() / 2).copied()).flatten()
    }

    /// A frame that has not come, or came as a copy only after its turn.
    fn is_missing(&self, number: i64) -> bool {
        let played = self.next.is_some_and(|next| number < next);
        if played { self.made_up.contains(&number) } else { !self.frames.contains_key(&number) }
    }

    /// A number that does not wrap, nearest to what is next.
    fn whole(&self, number: u32) -> i64 {
        let near = self.next.or_else(|| self.frames.keys().next_back().copied()).unwrap_or(i64::from(number));
        near + i64::from(number.wrapping_sub(near as u32) as i32)
    }
}

impl<C: Clock, P: Clock> Default for Playout<C, P> {
    fn default() -> Self {
        Self::new()
    }
}

/// The extreme of the last one to two windows.
#[derive(Debug)]
struct Windowed<C: Clock, T> {
    since: Stamp<C>,
    now: Option<T>,
    before: Option<T>,
}

impl<C: Clock, T> Default for Windowed<C, T> {
    fn default() -> Self {
        Self { since: Stamp::ZERO, now: None, before: None }
    }
}

impl<C: Clock, T: Copy> Windowed<C, T> {
    fn put(&mut self, at: Stamp<C>, value: T, better: fn(T, T) -> T) {
        if at.since(self.since) > WINDOW {
            (self.since, self.before) = (at, self.now.take());
        }
        self.now = Some(self.now.map_or(value, |v| better(v, value)));
    }

    fn extreme(&self, better: fn(T, T) -> T) -> Option<T> {
        match (self.now, self.before) {
            (Some(a), Some(b)) => Some(better(a, b)),
            (a, b) => a.or(b),
        }
    }
}

/// The two latest events: the worse, and the other.
#[derive(Clone, Copy, Debug)]
struct Events<C: Clock> {
    at: Stamp<C>,
    first: Span,
    second: Span,
}

impl<C: Clock> Events<C> {
    const fn one(at: Stamp<C>, late: Span) -> Self {
        Self { at, first: late, second: Span::ZERO }
    }

    fn merge(a: Self, b: Self) -> Self {
        let (worse, other) = if b.first > a.first { (b, a) } else { (a, b) };
        let one = worse.at.since(other.at).max(other.at.since(worse.at)) < EVENT;
        let second = worse.second.max(if one { other.second } else { other.first });
        Self { second, ..worse }
    }
}

#[cfg(test)]
#[path = "playout_tests.rs"]
mod tests;
