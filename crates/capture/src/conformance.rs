//! The tests every source passes, written once.
//!
//! A [`Stage`] opens the source under test, changes what it shows, and reads the truth by a way of its own. The suite
//! asserts: the first event of pixels is a whole frame; ids rise by one; every pixel that changed lies in the damage
//! of a frame, and after quiet the pixels equal the truth; nothing moves while nothing changes; a resize is a whole
//! frame of the new size; pixels handed out never change.

use crate::source::{Event, Source, Wake};
use std::sync::Arc;
use telepane_model::{Damage, FrameFacts, HostClock, Pixels, Rect, Rng, Size, Span, Stamp, Surf, Trust};

/// The world around the source under test.
pub trait Stage {
    /// The source, opened afresh.
    fn open(&mut self) -> Box<dyn Source>;
    /// Fills a rectangle of what the source shows with a colour (blue, green, red), and returns when that is done.
    /// False if this stage cannot draw: its source changes by itself.
    fn fill(&mut self, rect: Rect<Surf>, colour: [u8; 3]) -> bool;
    /// The whole screen, read without the source. `None` if there is no other way.
    fn truth(&mut self) -> Option<Pixels>;
    /// Waits until `wake` says, but at most for `most`, and gives the time then.
    fn wait(&mut self, wake: Wake, most: Span) -> Stamp<HostClock>;
    /// Whether the source looks at the pixels by the clock, so that a change can take this long to be seen.
    fn lag(&self) -> Span {
        Span::millis(400)
    }
}

/// A source, and what has been heard of it so far.
struct Watched<'a> {
    stage: &'a mut dyn Stage,
    source: Box<dyn Source>,
    now: Stamp<HostClock>,
    seen: Pixels,
    id: u64,
    kept: Vec<(Arc<Pixels>, Pixels)>,
    polls: u32,
}

impl<'a> Watched<'a> {
    fn new(stage: &'a mut dyn Stage) -> Self {
        let source = stage.open();
        let now = stage.wait(source.wake(), Span::ZERO);
        Self { stage, source, now, seen: Pixels::default(), id: 0, kept: Vec::new(), polls: 0 }
    }

    /// Polls until `None`, waits, and again, for `time`; gives the frames.
    fn run(&mut self, time: Span) -> Vec<FrameFacts> {
        let end = self.now + time;
        let mut frames = Vec::new();
        loop {
            for turn in 0.. {
                assert!(turn < 10_000, "poll never gives None");
                self.polls += 1;
                match self.source.poll(self.now).expect("the source lives") {
                    Some(Event::Frame(facts)) => {
                        self.check(&facts);
                        frames.push(facts);
                    }
                    Some(Event::CursorShape(s)) => assert_eq!(s.bgra.len(), 4 * usize::from(s.w) * usize::from(s.h)),
                    Some(_) => {}
                    None => break,
                }
            }
            if self.now >= end {
                return frames;
            }
            self.now = self.stage.wait(self.source.wake(), end - self.now);
        }
    }

    /// One frame against everything heard before it.
    fn check(&mut self, facts: &FrameFacts) {
        self.id += 1;
        assert_eq!(facts.id.0, self.id, "ids rise by one");
        assert!(facts.captured <= self.now);
        let pixels = self.source.pixels();
        assert_eq!(pixels.size(), facts.size);
        assert_eq!(self.source.describe().size, facts.size);
        assert!(pixels.data().chunks_exact(4).all(|p| p[3] == 0), "the fourth byte is 0");
        if self.seen.size() != facts.size {
            assert_eq!(facts.damage, Damage::all(facts.size), "a new size is a whole frame");
        } else if facts.damage.trust != Trust::Unknown {
            missed_nothing(&self.seen, &pixels, facts);
        }
        self.seen = (*pixels).clone();
        if self.id.is_multiple_of(7) {
            self.kept.push((Arc::clone(&pixels), (*pixels).clone()));
            if self.kept.len() > 3 {
                self.kept.remove(0);
            }
        }
        for (arc, was) in &self.kept {
            assert!(**arc == *was, "pixels handed out changed");
        }
    }

    /// Runs until the source shows the truth, which a loaded machine may keep from it for a while; gives the frames.
    fn settle(&mut self, lag: Span) -> Vec<FrameFacts> {
        let mut frames = self.run(lag);
        for _ in 0..PATIENCE {
            match self.stage.truth() {
                Some(truth) if truth != *self.source.pixels() => frames.extend(self.run(lag)),
                _ => break,
            }
        }
        self.truth();
        frames
    }

    fn truth(&mut self) {
        if let Some(truth) = self.stage.truth() {
            let pixels = self.source.pixels();
            assert_eq!(truth.size(), pixels.size());
            assert!(truth == *pixels, "{}", difference(&truth, &pixels));
        }
    }
}

/// So many times the lag a change may take on a loaded machine.
const PATIENCE: u32 = 100;

/// Every pixel that differs between two pictures lies in the damage, and the damage lies in the surface.
fn missed_nothing(before: &Pixels, after: &Pixels, facts: &FrameFacts) {
    let mut masked = before.clone();
    for r in facts.damage.changed.rects() {
        assert!(facts.size.rect().contains(*r));
        masked.copy_from(after, *r);
    }
    assert!(masked == *after, "frame {:?}: {}", facts.id, difference(&masked, after));
    assert!(!facts.damage.changed.is_empty(), "a frame without damage");
}

fn difference(a: &Pixels, b: &Pixels) -> String {
    let size = a.size();
    let first =
        (0..size.h).flat_map(|y| (0..size.w).map(move |x| (x, y))).find(|(x, y)| a.get(*x, *y) != b.get(*x, *y));
    match first {
        Some((x, y)) => format!("first at {x},{y}: {:?} and {:?}", a.get(x, y), b.get(x, y)),
        None => "equal colours".into(),
    }
}

/// Runs everything. `random` seeds what is drawn.
///
/// # Panics
/// When the source breaks the contract.
pub fn suite(stage: &mut dyn Stage, random: u64) {
    let lag = stage.lag();
    let mut w = Watched::new(stage);
    let first = (0..PATIENCE).map(|_| w.run(lag)).find(|frames| !frames.is_empty()).unwrap_or_default();
    let Some(facts) = first.first() else {
        panic!("no first frame within {PATIENCE} times {lag:?}");
    };
    assert_eq!(facts.damage, Damage::all(facts.size), "the first frame is whole");
    let size = facts.size;
    let mut rng = Rng::new(random);
    if w.stage.fill(Rect::new(0, 0, size.w, size.h), [10, 20, 30]) {
        drawing(&mut w, size, &mut rng, lag);
    } else {
        let frames = w.run(Span::secs(3));
        assert!(!frames.is_empty(), "a source that changes by itself does");
    }
    resizing(&mut w, size, lag);
}

fn drawing(w: &mut Watched<'_>, size: Size<Surf>, rng: &mut Rng, lag: Span) {
    w.settle(lag);
    // Single rectangles, seen one by one.
    for _ in 0..8 {
        let rect = any_rect(size, rng);
        let colour = [rng.below(255) as u8, rng.below(255) as u8, 1 + rng.below(254) as u8];
        w.stage.fill(rect, colour);
        let frames = w.settle(lag);
        assert!(!frames.is_empty(), "{rect:?} was drawn and not seen");
    }
    // Storms: rectangles drawn while frames are taken, past the limit of a list.
    for round in 0..4 {
        for i in 0..120u32 {
            let rect = any_rect(Size::new(40, 40), rng);
            let at = rect.offset(rng.below(u64::from(size.w)) as i32, rng.below(u64::from(size.h)) as i32);
            w.stage.fill(at.intersect(size.rect()), [i as u8, round, rng.below(255) as u8]);
            if i % 16 == 3 {
                if round % 2 == 0 {
                    w.source.expect_echo(w.now);
                }
                w.run(Span::ZERO);
            }
        }
        w.settle(lag);
    }
    // Drawn as it was: no frame. And nothing at all: no frame, and hardly a poll.
    w.stage.fill(Rect::new(3, 3, 9, 9), [9, 9, 9]);
    w.settle(lag);
    w.stage.fill(Rect::new(3, 3, 9, 9), [9, 9, 9]);
    assert_eq!(w.run(lag), [], "the same pixels again are no frame");
    let polls = w.polls;
    let quiet = Span::secs(2);
    assert_eq!(w.run(quiet), [], "idle says nothing");
    if w.source.wake().fd.is_some() {
        // Each wake is at least two polls.
        assert!(w.polls - polls <= 8, "{} polls in {quiet:?} of nothing", w.polls - polls);
    }
    w.truth();
}

fn any_rect(size: Size<Surf>, rng: &mut Rng) -> Rect<Surf> {
    let (x, y) = (rng.below(u64::from(size.w)), rng.below(u64::from(size.h)));
    let w = 1 + rng.below(u64::from(size.w) - x);
    let h = 1 + rng.below(u64::from(size.h) - y);
    Rect::new(x as i32, y as i32, w as u32, h as u32)
}

fn resizing(w: &mut Watched<'_>, size: Size<Surf>, lag: Span) {
    let asked = Size::new(size.w * 2 / 3, size.h / 2 + 1);
    if !w.source.describe().can_resize {
        assert!(w.source.resize(asked).is_err(), "it says it cannot be resized");
        return;
    }
    for target in [asked, size] {
        let got = w.source.resize(target).expect("it says it can be resized");
        let frames = w.settle(lag);
        assert!(frames.iter().any(|f| f.size == got), "a resize to {got} was not seen");
        w.stage.fill(Rect::new(5, 5, 30, 20), [200, 100, got.w as u8]);
        w.settle(lag);
    }
    assert!(w.source.resize(Size::new(0, 10)).is_err());
    assert_eq!(w.source.pixels().size(), size, "a refused resize changes nothing");
}
