//! The host's monitors as parts of the picture that is shown: what it tells of them and the picture that fits come apart,
//! and windows that followed the one before the other would show a stale edge.

use telepane_model::monitor::surface_of;
use telepane_model::{Monitor, Size, Span, Surf};

/// See the module.
#[derive(Debug, Default)]
pub struct Parts {
    shown: Vec<Monitor>,
    /// Told, but of another picture than the one that is shown; and since when.
    waiting: Option<(Vec<Monitor>, u64)>,
}

/// A picture that is larger than all monitors together stays so where a screen has room beside them.
const ROOM_BESIDE_US: u64 = 500_000;

impl Parts {
    /// What there is to be shown: the host's monitors, or the whole picture where it tells of none.
    pub fn shown(&self) -> &[Monitor] {
        &self.shown
    }

    /// The host told of these monitors last, and the picture has this size; says when to look again.
    // spec: K-73
    pub fn follow(&mut self, now: u64, told: &[Monitor], picture: Option<Size<Surf>>) -> Option<Span> {
        let picture = picture?;
        if told.is_empty() {
            if surface_of(&self.shown) != Ok(picture) {
                self.shown = vec![Monitor { place: picture.rect(), scale: 100, primary: true, ..Monitor::default() }];
            }
            return None;
        }
        if self.shown == told {
            self.waiting = None;
            return None;
        }
        if surface_of(told) == Ok(picture) {
            (self.shown, self.waiting) = (told.to_vec(), None);
            return None;
        }
        let since = match &self.waiting {
            Some((before, since)) if before == told => *since,
            _ => now,
        };
        self.waiting = Some((told.to_vec(), since));
        if now < since + ROOM_BESIDE_US {
            return Some(Span::micros(since + ROOM_BESIDE_US - now));
        }
        if told.iter().all(|m| picture.rect().contains(m.place)) {
            (self.shown, self.waiting) = (told.to_vec(), None);
        }
        None
    }
}

/// Gives monitors the scales that a person named: one for all, or one for each in turn.
pub fn scale_in_turn(scales: &[u16], monitors: &mut [Monitor]) {
    match scales {
        [all] => monitors.iter_mut().for_each(|m| m.scale = *all),
        each => monitors.iter_mut().zip(each).for_each(|(m, scale)| m.scale = *scale),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rect;

    fn at(x: i32, w: u32) -> Monitor {
        Monitor { place: Rect::new(x, 0, w, 50), scale: 100, ..Monitor::default() }
    }

    #[test]
    fn monitors_and_the_picture_that_fits_them_are_shown_together() {
        let (one, two) = (vec![at(0, 80)], vec![at(0, 80), at(80, 40)]);
        let mut parts = Parts::default();
        assert_eq!(parts.follow(0, &one, None), None);
        assert!(parts.shown().is_empty(), "there is no picture yet");
        parts.follow(0, &[], Some(Size::new(9, 9)));
        assert_eq!(parts.shown()[0].place, Rect::new(0, 0, 9, 9), "a host that tells of none");
        parts.follow(0, &one, Some(Size::new(80, 50)));
        assert_eq!(parts.shown(), one);
        // A second one: told before its picture is there, and gone before the picture is.
        assert!(parts.follow(10, &two, Some(Size::new(80, 50))).is_some());
        assert_eq!(parts.shown(), one);
        parts.follow(20, &two, Some(Size::new(120, 50)));
        assert_eq!(parts.shown(), two);
        assert!(parts.follow(30, &one, Some(Size::new(120, 50))).is_some());
        assert_eq!(parts.shown(), two);
        parts.follow(40, &one, Some(Size::new(80, 50)));
        assert_eq!(parts.shown(), one);
    }

    #[test]
    fn a_screen_with_room_beside_its_monitors_is_followed_after_a_while() {
        let (mut parts, one, picture) = (Parts::default(), vec![at(0, 80)], Some(Size::new(100, 50)));
        assert_eq!(parts.follow(5, &one, picture), Some(Span::micros(ROOM_BESIDE_US)));
        assert_eq!(parts.follow(5 + ROOM_BESIDE_US, &one, picture), None);
        assert_eq!(parts.shown(), one);
        let outside = vec![at(90, 80)];
        parts.follow(0, &outside, picture);
        parts.follow(9 * ROOM_BESIDE_US, &outside, picture);
        assert_eq!(parts.shown(), one, "what lies outside is not shown");
    }

    #[test]
    fn scales_are_one_for_all_or_one_each() {
        let scaled = |scales: &[u16]| {
            let mut two = [at(0, 80), at(80, 40)];
            scale_in_turn(scales, &mut two);
            two.map(|m| m.scale)
        };
        assert_eq!([scaled(&[]), scaled(&[150]), scaled(&[150, 200])], [[100, 100], [150, 150], [150, 200]]);
        assert_eq!(scaled(&[125, 200, 300]), [125, 200]);
    }
}
