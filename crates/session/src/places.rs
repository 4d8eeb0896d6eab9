//! Where the desktop's windows lie while clients of different monitors come and go.
//!
//! A layout that shrinks leaves windows out of sight: a window manager pulls them in, or nobody does, and none takes them
//! back when the old layout returns. So each window has a *home*: where it lay when its person or its application put it
//! there, and how much of it was seen. The rules (`protocol-spec/decisions/0063`):
//!
//! - A change moves no window of which the new layout shows as much at home as was seen there before.
//! - One of which it shows less is displaced: whoever pulls it in, and where to, its home stays where it is.
//! - A layout that shows as much of the home again takes a displaced window back.
//! - What is moved while no change is under way has another home from then on.
//!
//! The shell lists the windows before it asks for another layout ([`Places::on_asked`]), says what came of it
//! ([`Places::on_layout`]), and lists them again whenever that is due, to move those that are named ([`Places::on_look`]).

use std::collections::BTreeMap;
use telepane_model::window::MOST_WINDOWS;
use telepane_model::{AppWindow, HostClock, Monitor, Point, Rect, Region, Span, Stamp, Surf};

/// After a change the windows are looked at so often: at once, and while a window manager does what it does about it, which
/// has been seen to take a few 100 ms on a busy machine. Where they are at the last look is where the change has left them.
const LOOKS: [Span; 4] = [Span::ZERO, Span::millis(150), Span::millis(600), Span::millis(1_500)];
/// What was listed sooner before this is taken as it was: an edge that is dragged asks for a layout some forty times a second.
const FRESH: Span = Span::secs(1);
/// A layout that comes later than this after it was asked for is another one.
const FOLLOWS: Span = Span::secs(2);

/// See the module.
#[derive(Debug, Default)]
pub struct Places {
    layout: Vec<Rect<Surf>>,
    homes: BTreeMap<u32, Home>,
    /// When another layout was asked for, and when the windows were listed before one.
    asked: Option<Stamp<HostClock>>,
    listed: Option<Stamp<HostClock>>,
    /// The looks that are to come, the last first.
    looks: Vec<Stamp<HostClock>>,
}

/// A window's home, and what became of the window.
#[derive(Debug)]
struct Home {
    place: Rect<Surf>,
    /// How many of its pixels were seen there.
    seen: u64,
    /// Where the last change left it.
    rest: Rect<Surf>,
    /// A change put it out of sight, and it has not been back since.
    displaced: bool,
    /// From where it was sent home in this change.
    sent_from: Option<Point<Surf>>,
}

impl Places {
    /// The shell is about to ask for another layout; `windows` lists them as they are now, and is asked only if no earlier
    /// change is under way, whose moves are nobody's wish.
    pub fn on_asked(&mut self, now: Stamp<HostClock>, windows: impl FnOnce() -> Vec<AppWindow>) {
        self.asked = Some(now);
        if !self.looks.is_empty() || self.listed.is_some_and(|at| now <= at + FRESH) {
            return;
        }
        self.listed = Some(now);
        let mut before = std::mem::take(&mut self.homes);
        for window in windows().into_iter().take(MOST_WINDOWS) {
            let kept = before.remove(&window.id).filter(|home| home.rest == window.place);
            let home = kept.unwrap_or_else(|| Home::at(window.place, &self.layout));
            self.homes.insert(window.id, home);
        }
    }

    /// The desktop has these monitors now.
    pub fn on_layout(&mut self, now: Stamp<HostClock>, monitors: &[Monitor]) {
        let layout: Vec<_> = monitors.iter().map(|m| m.place).collect();
        if layout == self.layout {
            return;
        }
        self.layout = layout;
        let follows = self.asked.is_some_and(|at| now <= at + FOLLOWS);
        if !follows && self.looks.is_empty() {
            // Somebody at the host changed it, and sees to the windows; what was known of them is of no use now.
            (self.homes, self.listed) = (BTreeMap::new(), None);
            return;
        }
        for home in self.homes.values_mut() {
            home.displaced |= seen(home.place, &self.layout) < home.seen;
            home.sent_from = None;
        }
        // Where all are at home there is nothing to be done, nor to be told from a person's wish afterwards.
        let away = self.homes.values().any(|home| home.displaced);
        self.looks = LOOKS.iter().rev().filter(|_| away).map(|after| now + *after).collect();
    }

    /// When the windows are to be looked at next.
    pub fn due(&self) -> Option<Stamp<HostClock>> {
        self.looks.last().copied()
    }

    /// The windows lie there now: which of them are to be moved, and where to.
    pub fn on_look(&mut self, now: Stamp<HostClock>, windows: &[AppWindow]) -> Vec<AppWindow> {
        let first = self.looks.len() == LOOKS.len();
        self.looks.retain(|at| *at > now);
        self.listed = None;
        let last = self.looks.is_empty();
        let mut moves = Vec::new();
        for window in windows {
            let Some(home) = self.homes.get_mut(&window.id) else { continue };
            let here = Point::new(window.place.x, window.place.y);
            let is_home = here == Point::new(home.place.x, home.place.y);
            let can_return = seen(home.place, &self.layout) >= home.seen;
            home.displaced &= !(is_home && can_return);
            let to = if !home.displaced {
                None
            } else if can_return {
                // Somewhere else than it was sent from, it is where somebody wants it.
                home.displaced = home.sent_from.is_none_or(|from| from == here);
                home.sent_from = Some(here);
                home.displaced.then_some(home.place)
            } else if !first && 2 * seen(window.place, &self.layout) < home.seen {
                // The window manager has had its turn.
                pulled_in(window.place, &self.layout)
            } else {
                None
            };
            if last {
                home.rest = window.place;
                if can_return && !is_home {
                    *home = Home::at(window.place, &self.layout);
                }
            } else if let Some(place) = to {
                moves.push(AppWindow { id: window.id, place });
            }
        }
        moves
    }
}

impl Home {
    fn at(place: Rect<Surf>, layout: &[Rect<Surf>]) -> Self {
        Self { place, seen: seen(place, layout), rest: place, displaced: false, sent_from: None }
    }
}

/// How many pixels of this place a layout shows.
fn seen(place: Rect<Surf>, layout: &[Rect<Surf>]) -> u64 {
    let mut shown = Region::new();
    layout.iter().for_each(|monitor| shown.add(monitor.intersect(place)));
    shown.area()
}

/// The nearest place that is all on one monitor, or the monitor's corner for a window that is larger.
fn pulled_in(place: Rect<Surf>, layout: &[Rect<Surf>]) -> Option<Rect<Surf>> {
    let near = |at: i32, size: u32, from: i32, room: u32| {
        let most = from.saturating_add_unsigned(room.saturating_sub(size));
        at.clamp(from, most)
    };
    let on = |m: &Rect<Surf>| {
        Rect::new(near(place.x, place.w, m.x, m.w), near(place.y, place.h, m.y, m.h), place.w, place.h)
    };
    let way = |to: &Rect<Surf>| u64::from(to.x.abs_diff(place.x)) + u64::from(to.y.abs_diff(place.y));
    layout.iter().map(on).min_by_key(way)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    const LARGE: [Rect<Surf>; 1] = [Rect::new(0, 0, 1920, 1080)];
    const SMALL: [Rect<Surf>; 1] = [Rect::new(0, 0, 1024, 768)];

    fn window(id: u32, x: i32, y: i32) -> AppWindow {
        AppWindow { id, place: Rect::new(x, y, 400, 200) }
    }

    fn monitors(layout: &[Rect<Surf>]) -> Vec<Monitor> {
        layout.iter().map(|place| Monitor { place: *place, ..Monitor::default() }).collect()
    }

    /// A desktop whose windows do as they are told, under a window manager that may pull them in first.
    struct Desktop {
        places: Places,
        windows: BTreeMap<u32, Rect<Surf>>,
        now: Stamp<HostClock>,
        manager: bool,
        moved: Vec<u32>,
    }

    impl Desktop {
        fn new(layout: &[Rect<Surf>], windows: &[AppWindow], manager: bool) -> Self {
            let mut places = Places::default();
            let now = Stamp::from_micros(1);
            places.on_layout(now, &monitors(layout));
            assert_eq!(places.due(), None, "what was there before is nobody's change");
            let windows = windows.iter().map(|w| (w.id, w.place)).collect();
            Self { places, windows, now, manager, moved: Vec::new() }
        }

        fn list(&self) -> Vec<AppWindow> {
            self.windows.iter().map(|(id, place)| AppWindow { id: *id, place: *place }).collect()
        }

        fn ask(&mut self, layout: &[Rect<Surf>]) {
            let list = self.list();
            self.places.on_asked(self.now, || list);
            self.places.on_layout(self.now, &monitors(layout));
        }

        fn look(&mut self) {
            self.now = self.places.due().expect("a look is due");
            for AppWindow { id, place } in self.places.on_look(self.now, &self.list()) {
                self.windows.insert(id, place);
                self.moved.push(id);
            }
        }

        fn settle(&mut self, layout: &[Rect<Surf>]) {
            if self.places.due().is_some() {
                self.look();
            }
            if self.manager {
                for place in self.windows.values_mut() {
                    if seen(*place, layout) == 0 {
                        *place = Rect::new(layout[0].right() - 40, layout[0].bottom() - 40, place.w, place.h);
                    }
                }
            }
            while self.places.due().is_some() {
                self.look();
            }
            self.now += Span::secs(5);
        }

        fn change(&mut self, layout: &[Rect<Surf>]) {
            self.moved.clear();
            self.ask(layout);
            self.settle(layout);
        }

        fn at(&self, id: u32) -> (i32, i32) {
            let place = self.windows[&id];
            (place.x, place.y)
        }
    }

    #[test]
    fn what_a_small_client_displaced_is_back_with_the_large_one() {
        for manager in [false, true] {
            let mut desktop = Desktop::new(&LARGE, &[window(1, 100, 100), window(2, 1500, 800)], manager);
            for _ in 0..3 {
                desktop.change(&SMALL);
                assert_eq!(desktop.at(2), (624, 568), "pulled in, the nearest way");
                assert!(!desktop.moved.contains(&1), "what fits is left alone");
                desktop.change(&LARGE);
                assert_eq!((desktop.at(1), desktop.at(2)), ((100, 100), (1500, 800)));
                assert!(!desktop.moved.contains(&1));
            }
        }
    }

    #[test]
    fn what_somebody_moved_meanwhile_stays_there() {
        let mut desktop = Desktop::new(&LARGE, &[window(1, 1500, 800), window(2, 1500, 100)], true);
        desktop.change(&SMALL);
        desktop.windows.insert(1, window(1, 30, 40).place);
        desktop.change(&LARGE);
        assert_eq!((desktop.at(1), desktop.at(2)), ((30, 40), (1500, 100)));
        // It lives there now, and a window of another size has another home.
        desktop.windows.insert(2, Rect::new(1300, 100, 600, 300));
        desktop.change(&SMALL);
        desktop.change(&LARGE);
        assert_eq!((desktop.at(1), desktop.windows[&2]), ((30, 40), Rect::new(1300, 100, 600, 300)));
    }

    #[test]
    fn an_edge_that_is_dragged_has_one_home_at_its_beginning() {
        let mut desktop = Desktop::new(&LARGE, &[window(1, 1500, 800)], true);
        for step in (0..40).chain((0..40).rev()) {
            let layout = [Rect::new(0, 0, 1920 - step * 20, 1080 - step * 10)];
            desktop.ask(&layout);
            desktop.now += Span::millis(25);
            if desktop.places.due().is_some_and(|at| at <= desktop.now) {
                desktop.look();
            }
            if seen(desktop.windows[&1], &layout) < 400 * 200 {
                let (right, bottom) = (layout[0].right() - 400, layout[0].bottom() - 200);
                desktop.windows.insert(1, Rect::new(right, bottom, 400, 200));
            }
        }
        desktop.settle(&LARGE);
        assert_eq!(desktop.at(1), (1500, 800));
    }

    #[test]
    fn a_window_half_outside_is_as_well_off_as_before() {
        // 100 pixels of it are seen.
        let mut desktop = Desktop::new(&LARGE, &[window(1, 1820, 100), window(2, -350, 100)], false);
        desktop.change(&SMALL);
        assert_eq!(desktop.at(1), (624, 100));
        assert_eq!(desktop.at(2), (-350, 100), "as much of it is seen");
        desktop.change(&LARGE);
        assert_eq!(desktop.at(1), (1820, 100));
    }

    #[test]
    fn a_hand_that_takes_a_window_on_its_way_home_keeps_it() {
        let mut desktop = Desktop::new(&LARGE, &[window(1, 1500, 800)], false);
        desktop.change(&SMALL);
        desktop.ask(&LARGE);
        desktop.look();
        assert_eq!(desktop.at(1), (1500, 800));
        desktop.windows.insert(1, window(1, 700, 300).place);
        desktop.settle(&LARGE);
        assert_eq!(desktop.at(1), (700, 300));
        desktop.change(&SMALL);
        desktop.change(&LARGE);
        assert_eq!(desktop.at(1), (700, 300), "its home is there");
    }

    #[test]
    fn a_change_that_nobody_here_asked_for_is_somebody_elses() {
        let mut desktop = Desktop::new(&LARGE, &[window(1, 1500, 800)], false);
        desktop.places.on_layout(desktop.now, &monitors(&SMALL));
        assert_eq!(desktop.places.due(), None);
        // Nor is one that comes long after another was asked for, which came to nothing.
        let list = desktop.list();
        desktop.places.on_asked(desktop.now, || list);
        desktop.places.on_layout(desktop.now + Span::secs(3), &monitors(&LARGE));
        assert_eq!(desktop.places.due(), None);
    }

    #[test]
    fn a_second_monitor_that_returns_has_its_windows_again() {
        let two = [Rect::new(0, 0, 800, 600), Rect::new(800, 0, 800, 600)];
        let mut desktop = Desktop::new(&two, &[window(1, 900, 100), window(2, 600, 300)], false);
        desktop.change(&two[..1]);
        assert_eq!(desktop.at(1), (400, 100));
        assert_eq!(desktop.at(2), (600, 300), "half of it is seen still");
        desktop.change(&two);
        assert_eq!((desktop.at(1), desktop.at(2)), ((900, 100), (600, 300)));
    }

    #[test]
    fn a_number_that_is_used_again_is_another_window() {
        let mut desktop = Desktop::new(&LARGE, &[window(1, 1500, 800)], false);
        desktop.change(&SMALL);
        desktop.windows.clear();
        desktop.change(&[Rect::new(0, 0, 1000, 700)]);
        desktop.windows.insert(1, window(1, 5, 5).place);
        desktop.change(&LARGE);
        assert_eq!(desktop.at(1), (5, 5));
    }

    /// Whatever comes: a window that nobody displaced is not moved, and after the first layout has come back every window is
    /// where it was.
    #[test]
    fn any_layouts_leave_what_fits_and_bring_back_what_does_not() {
        let mut rng = Rng::new(63);
        for _ in 0..200 {
            let mut up_to = |n: u64| (rng.next_u64() % n) as i32;
            let windows: Vec<_> = (0..6).map(|id| window(id, up_to(1_800) - 100, up_to(1_000))).collect();
            let manager = up_to(2) == 0;
            let mut desktop = Desktop::new(&LARGE, &windows, manager);
            for _ in 0..1 + up_to(6) {
                let layout = [Rect::new(0, 0, 300 + up_to(2_000).unsigned_abs(), 300 + up_to(1_000).unsigned_abs())];
                let before = desktop.windows.clone();
                desktop.change(&layout);
                for (id, place) in &before {
                    let shown = seen(windows[*id as usize].place, &layout);
                    if *place == windows[*id as usize].place && shown >= seen(*place, &LARGE) {
                        assert!(!desktop.moved.contains(id), "{id} at {place:?} fits {layout:?}");
                    }
                }
            }
            desktop.change(&LARGE);
            assert_eq!(desktop.list(), windows, "with a manager: {manager}");
        }
    }
}
