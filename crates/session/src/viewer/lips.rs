//! Lip-sync: film waits for its sound.
//!
//! Sound is heard later than the picture of its instant could be shown: it is held for the latest of its frames and for copies of
//! those that were lost (S-12), and its device keeps some. So a frame of film is applied only when its sound is about to be
//! heard. Nothing else waits: what is no film, and whatever comes while the person's hands are on the desktop, is applied at once, and
//! what waits before it with it.

use telepane_model::{Epoch, Span, Stamp, UpdateId, ViewerClock};

/// Sound may be heard so much after its picture, so that film is no older than it has to be: less than half of what nobody notices
/// (45 ms; ITU-R BT.1359-1 has 125 for late sound, and 45 for early).
// spec: S-17
const AFTER_PICTURE: Span = Span::millis(20);
/// Film waits no longer. Sound is held for 120 ms at most, and film takes time of its own.
// spec: S-17
const MOST: Span = Span::millis(100);
/// From frame to frame it waits this much longer at most, so that a film that begins to wait only slows down a little.
const STEP: Span = Span::millis(4);
/// So long after the person did something all is shown at once.
// spec: S-17
const HANDS: Span = Span::secs(1);
/// Sound that was told of last before this is heard no more.
const STALE: Span = Span::millis(500);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lips {
    /// How old sound is when it is heard, smoothed, in microseconds; and when that was told last.
    sound: Option<(i64, Stamp<ViewerClock>)>,
    /// When the person did something last.
    hands: Option<Stamp<ViewerClock>>,
    /// How long the next frame may wait.
    may: Span,
    /// From being applied to being shown, smoothed.
    work: Span,
    /// The frame that was let go last, and when.
    applied: Option<((Epoch, UpdateId), Stamp<ViewerClock>)>,
    /// A frame waits.
    waiting: bool,
    /// How long the last frame waited.
    held: Span,
}

/// A slice of film that ends a frame and could be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilmFrame {
    /// When the frame was captured, on the viewer's clock.
    pub captured: Stamp<ViewerClock>,
    /// When the last of it came.
    pub whole: Stamp<ViewerClock>,
}

impl Lips {
    /// What is heard now is so old.
    pub fn on_heard(&mut self, now: Stamp<ViewerClock>, age: Span) {
        let age = age.as_micros() as i64;
        let before = self.sound(now).unwrap_or(age);
        self.sound = Some((before + (age - before) / 8, now));
    }

    /// The person did something.
    pub const fn on_input(&mut self, now: Stamp<ViewerClock>) {
        (self.hands, self.may) = (Some(now), Span::ZERO);
    }

    /// Whether there is anything to wait for.
    pub fn hears(&self, now: Stamp<ViewerClock>) -> bool {
        self.waiting || self.sound(now).is_some()
    }

    /// When this frame, whose turn has come, is to be applied, if not now.
    // spec: S-17
    pub fn due(&mut self, now: Stamp<ViewerClock>, frame: FilmFrame) -> Option<Stamp<ViewerClock>> {
        let sound = self.sound(now).filter(|_| self.hands.is_none_or(|at| now.since(at) >= HANDS))?;
        let age = Span::micros(sound.max(0) as u64).saturating_sub(AFTER_PICTURE + self.work);
        let at = (frame.captured + age).min(frame.whole + self.may);
        self.waiting |= at > now;
        (at > now).then_some(at)
    }

    /// What came takes the film along that waited; says whether any did.
    pub const fn hurry(&mut self) -> bool {
        if self.waiting {
            self.may = Span::ZERO;
        }
        std::mem::replace(&mut self.waiting, false)
    }

    /// A frame of film is applied from now on; says whether it has waited.
    pub fn on_applied(&mut self, now: Stamp<ViewerClock>, frame: FilmFrame, place: (Epoch, UpdateId)) -> bool {
        let waited = std::mem::replace(&mut self.waiting, false);
        self.held = if waited { now.since(frame.whole) } else { Span::ZERO };
        self.applied = Some((place, now));
        self.may = self.sound(now).map_or(Span::ZERO, |_| (self.may + STEP).min(MOST));
        waited
    }

    /// What was applied up to `upto` is on the screen.
    pub fn on_shown(&mut self, now: Stamp<ViewerClock>, upto: (Epoch, UpdateId)) {
        if let Some((_, at)) = self.applied.take_if(|(place, _)| *place <= upto) {
            let took = now.since(at).min(MOST);
            self.work = Span::micros((self.work.as_micros() * 7 + took.as_micros()) / 8);
        }
    }

    /// How long the last frame of film waited for its sound.
    pub fn held(&self, now: Stamp<ViewerClock>) -> Span {
        self.sound(now).map_or(Span::ZERO, |_| self.held)
    }

    fn sound(&self, now: Stamp<ViewerClock>) -> Option<i64> {
        self.sound.filter(|(_, at)| now.since(*at) <= STALE).map(|(age, _)| age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Stamp<ViewerClock> {
        Stamp::from_micros(ms * 1_000)
    }

    /// A film of 25 frames a second whose frames are whole 20 ms after their capture and shown 5 ms after they are applied, beside
    /// sound that is so old; at what age each is shown.
    fn ages(lips: &mut Lips, from: u64, frames: u64, sound: u64) -> Vec<u64> {
        let mut ages = Vec::new();
        for n in 0..frames {
            let (captured, whole) = (from + 40 * n, from + 40 * n + 20);
            lips.on_heard(at(whole), Span::millis(sound));
            let frame = FilmFrame { captured: at(captured), whole: at(whole) };
            let due = lips.due(at(whole), frame).unwrap_or(at(whole));
            assert_eq!(lips.due(due, frame), None, "it is due when it was said to be");
            let id = UpdateId(n as u32 + 1);
            assert_eq!(lips.on_applied(due, frame, (Epoch(1), id)), due > at(whole));
            lips.on_shown(due + Span::millis(5), (Epoch(1), id));
            ages.push((due + Span::millis(5)).since(at(captured)).as_micros() / 1_000);
        }
        ages
    }

    // spec: S-17
    #[test]
    fn film_is_slowly_held_until_its_sound_is_heard() {
        let mut lips = Lips::default();
        let shown = ages(&mut lips, 1_000, 60, 90);
        assert_eq!(shown[0], 25, "at first as soon as it can be");
        assert!(shown.windows(2).all(|w| w[1].saturating_sub(w[0]) <= 4), "{shown:?}");
        assert!(shown[40..].iter().all(|age| (69..=71).contains(age)), "20 ms before its sound: {shown:?}");
        assert_eq!(lips.held(at(3_400)).as_micros() / 1_000, 45);
    }

    // spec: S-17
    #[test]
    fn film_waits_no_longer_than_so_long() {
        let shown = ages(&mut Lips::default(), 1_000, 60, 300);
        assert_eq!(shown.last(), Some(&(25 + 100)), "{shown:?}");
    }

    // spec: S-17
    #[test]
    fn without_sound_or_beside_sound_that_is_earlier_film_does_not_wait() {
        let mut lips = Lips::default();
        let frame = FilmFrame { captured: at(1_000), whole: at(1_020) };
        assert_eq!(lips.due(at(1_020), frame), None, "nothing is heard");
        assert!(ages(&mut lips, 2_000, 60, 35).iter().all(|age| *age == 25));
        ages(&mut lips, 5_000, 60, 90);
        let later = FilmFrame { captured: at(8_000), whole: at(8_020) };
        assert_eq!(lips.due(at(8_020), later), None, "nothing is heard any more");
    }

    // spec: S-17
    #[test]
    fn nothing_waits_while_hands_are_on_the_desktop() {
        let mut lips = Lips::default();
        ages(&mut lips, 1_000, 60, 90);
        lips.on_input(at(3_400));
        let shown = ages(&mut lips, 3_400, 60, 90);
        assert!(shown[..24].iter().all(|age| *age == 25), "for a second: {shown:?}");
        assert!(shown[50..].iter().all(|age| *age >= 69), "and then as before: {shown:?}");
    }

    // spec: S-17
    #[test]
    fn what_cannot_wait_takes_film_along_and_waiting_begins_anew() {
        let mut lips = Lips::default();
        ages(&mut lips, 1_000, 60, 90);
        assert!(!lips.hurry(), "nothing waits");
        let frame = FilmFrame { captured: at(3_400), whole: at(3_420) };
        assert!(lips.due(at(3_420), frame).is_some());
        assert!(lips.hurry());
        let shown = ages(&mut lips, 3_440, 3, 90);
        assert_eq!(shown, [25, 29, 33]);
    }
}
