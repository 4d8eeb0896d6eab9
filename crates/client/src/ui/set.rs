//! Which windows there are when each monitor has one of its own, and what they ask of the host together.
//!
//! Framed, there is one window for each monitor of the host: a window that is made larger or smaller asks for a monitor
//! of that size, and one that is closed asks for a desktop without it. Covering the screen, there is one window on each
//! monitor of this machine, and the host is asked for the same monitors. Everything here is arithmetic on lists.

use super::span;
use telepane_model::monitor::from_the_origin;
use telepane_model::{Monitor, Rect, Size, Surf};

/// A window that there should be.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Slot {
    /// The same for as long as it is the same window.
    pub(super) key: String,
    /// What its title says of it; nothing where there is only one.
    pub(super) name: String,
    /// What of the desktop it shows; the whole picture where that is not said.
    pub(super) part: Option<Rect<Surf>>,
    /// The monitor of this machine that it covers.
    pub(super) covers: Option<Monitor>,
}

/// A monitor whose window was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// The window's key.
    pub(super) key: String,
    /// As it was.
    pub(super) monitor: Monitor,
    /// The host has it no longer.
    pub(super) gone: bool,
}

/// What is remembered of the windows together.
#[derive(Debug, Default)]
pub(super) struct Set {
    /// Each monitor has a window of its own.
    pub(super) several: bool,
    /// They cover this machine's monitors.
    pub(super) covering: bool,
    /// The monitors of this machine that are covered.
    pub(super) here: Vec<Monitor>,
    /// Monitors whose windows were closed.
    pub(super) closed: Vec<Closed>,
    /// The host's monitors, as the windows follow them.
    pub(super) host: Vec<Monitor>,
    /// The windows as they should be.
    pub(super) slots: Vec<Slot>,
    /// What the host was asked for last.
    pub(super) asked: Vec<Monitor>,
}

impl Set {
    /// A monitor that the host took away after its window was closed, and that it has again, is shown again.
    pub(super) fn forget_returned(&mut self, host: &[Monitor]) {
        if !self.closed.is_empty() {
            let keys = keys_of(host);
            self.closed.retain_mut(|c| {
                let there = keys.contains(&c.key);
                let returned = there && c.gone;
                c.gone |= !there;
                !returned
            });
        }
    }
}

/// One window for each monitor of the host that was not closed.
pub(super) fn framed(host: &[Monitor], closed: &[Closed]) -> Vec<Slot> {
    let keys = keys_of(host);
    let open = host.iter().zip(keys).enumerate().filter(|(_, (_, key))| !closed.iter().any(|c| c.key == *key));
    let mut slots: Vec<Slot> =
        open.map(|(i, (m, key))| Slot { key, name: name_of(i, m), part: Some(m.place), covers: None }).collect();
    if let ([only], 1) = (&mut slots[..], host.len()) {
        only.name.clear();
    }
    slots
}

/// One window on each of these monitors of this machine. The host has the same where it did as it was asked; one that has
/// others shows them in turn.
pub(super) fn covering(here: &[Monitor], host: &[Monitor], desk: Option<Size<Surf>>) -> Vec<Slot> {
    let places = from_the_origin(here.to_vec());
    let whole = span::around(&places);
    let same = desk == Some(whole.size());
    let mut slots: Vec<Slot> = here
        .iter()
        .zip(keys_of(here))
        .zip(&places)
        .enumerate()
        .map(|(i, ((m, key), place))| {
            let part = if same { Some(place.place) } else { host.get(i).map(|h| h.place) };
            // Beside the desktop there is nothing to see.
            let part = part.or(desk.map(|_| Rect::default()));
            Slot { key, name: name_of(i, m), part, covers: Some(m.clone()) }
        })
        .collect();
    if let [only] = &mut slots[..] {
        only.name.clear();
    }
    slots
}

/// What a framed window asks its monitor to be.
pub(super) struct Wanted {
    pub(super) size: Size<Surf>,
    /// In percent.
    pub(super) scale: u16,
    /// Pictures in 1000 s where the window is; 0 where that is not known.
    pub(super) refresh: u32,
}

/// The desktop that framed windows ask for: each monitor as its window says, at the place it has. One that
/// grew over others pushes them away; where one became smaller nothing moves, and a gap stays: what lies on a monitor stays on it.
pub(super) fn asked_for(host: &[Monitor], mut window: impl FnMut(&str) -> Option<Wanted>) -> Vec<Monitor> {
    let mut asked: Vec<Monitor> = Vec::new();
    let mut right_of: Vec<(Monitor, Monitor)> = Vec::new();
    let mut in_turn: Vec<_> = host.iter().zip(keys_of(host)).collect();
    in_turn.sort_by_key(|(m, _)| (m.place.x, m.place.y));
    for (m, key) in in_turn {
        let Some(Wanted { size, scale, refresh }) = window(&key) else { continue };
        let mut place = Rect::new(m.place.x, m.place.y, size.w, size.h);
        for (before, now) in &right_of {
            let apart = before.place.intersect(m.place).is_empty();
            if apart && !now.place.intersect(place).is_empty() {
                // Beside it before, beside it now; else below it.
                if m.place.x >= before.place.right() {
                    place.x = now.place.right();
                } else {
                    place.y = now.place.bottom();
                }
            }
        }
        let now = Monitor { place, scale, refresh, ..m.clone() };
        right_of.push((m.clone(), now.clone()));
        asked.push(now);
    }
    // In the host's order, which is that of its outputs.
    asked.sort_by_key(|m| host.iter().position(|h| h.name == m.name));
    let asked = from_the_origin(asked);
    with_a_primary(asked)
}

fn with_a_primary(mut asked: Vec<Monitor>) -> Vec<Monitor> {
    if !asked.iter().any(|m| m.primary)
        && let Some(first) = asked.first_mut()
    {
        first.primary = true;
    }
    asked
}

/// A key for each: its name, and which of those with that name it is.
fn keys_of(monitors: &[Monitor]) -> Vec<String> {
    let nth = |i: usize, m: &Monitor| monitors.iter().take(i).filter(|o| o.name == m.name).count();
    monitors.iter().enumerate().map(|(i, m)| format!("{}/{}", m.name, nth(i, m))).collect()
}

fn name_of(i: usize, m: &Monitor) -> String {
    match m.name.is_empty() {
        true => format!("monitor {}", i + 1),
        false => m.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, x: i32, y: i32, w: u32, h: u32) -> Monitor {
        Monitor { place: Rect::new(x, y, w, h), scale: 100, name: name.into(), ..Monitor::default() }
    }

    fn places(list: &[Monitor]) -> Vec<Rect<Surf>> {
        list.iter().map(|m| m.place).collect()
    }

    #[test]
    fn each_monitor_of_the_host_has_a_window_until_it_is_closed() {
        let host = [at("A", 0, 0, 80, 60), at("B", 80, 0, 40, 30), at("", 0, 60, 9, 9)];
        let slots = framed(&host, &[]);
        let seen: Vec<_> = slots.iter().map(|s| (s.key.as_str(), s.name.as_str(), s.part.unwrap())).collect();
        let want = [("A/0", "A", host[0].place), ("B/0", "B", host[1].place), ("/0", "monitor 3", host[2].place)];
        assert_eq!(seen, want);
        let mut set =
            Set { closed: vec![Closed { key: "B/0".into(), monitor: host[1].clone(), gone: false }], ..Set::default() };
        set.forget_returned(&host);
        let left = framed(&host, &set.closed);
        assert_eq!(left.iter().map(|s| s.key.as_str()).collect::<Vec<_>>(), ["A/0", "/0"]);
        set.forget_returned(&host[..1]);
        set.forget_returned(&host);
        assert_eq!(set.closed, [], "the host has it again");
        assert_eq!(framed(&host[..1], &[])[0].name, "", "the only one needs no name");
        assert_eq!(framed(&[at("A", 0, 0, 1, 1), at("A", 1, 0, 1, 1)], &[])[1].key, "A/1");
    }

    #[test]
    fn windows_over_the_screen_show_the_same_places_or_what_there_is() {
        let here = [at("L", -80, 0, 80, 60), at("R", 0, 10, 40, 30)];
        let parts =
            |host: &[Monitor], desk| covering(&here, host, desk).into_iter().map(|s| s.part).collect::<Vec<_>>();
        let same = [Some(Rect::new(0, 0, 80, 60)), Some(Rect::new(80, 10, 40, 30))];
        assert_eq!(parts(&[], Some(Size::new(120, 60))), same, "the host has them, in one output or several");
        let one = at("X", 0, 0, 50, 50);
        assert_eq!(
            parts(std::slice::from_ref(&one), Some(Size::new(50, 50))),
            [Some(one.place), Some(Rect::default())]
        );
        assert_eq!(parts(&[], None), [None, None], "nothing is known yet");
        assert_eq!(covering(&here, &[], None)[0].covers.as_ref().map(|m| m.place), Some(here[0].place));
    }

    #[test]
    fn a_window_that_changes_moves_only_what_it_would_lie_over() {
        let host = [at("A", 0, 0, 80, 60), at("B", 80, 0, 40, 30), at("C", 80, 30, 40, 30)];
        let with = |changed: &str, w, h| {
            asked_for(&host, |key| {
                let now = host.iter().zip(keys_of(&host)).find(|(_, k)| k == key).map(|(m, _)| m.place.size());
                let refresh = if key == "B/0" { 30_000 } else { 144_000 };
                Some(Wanted { size: if key == changed { Size::new(w, h) } else { now? }, scale: 150, refresh })
            })
        };
        assert_eq!(places(&with("none", 1, 1)), places(&host));
        assert_eq!(places(&with("A/0", 50, 60))[1..], places(&host)[1..], "a gap stays");
        let grown = places(&with("A/0", 100, 60));
        assert_eq!(grown, [Rect::new(0, 0, 100, 60), Rect::new(100, 0, 40, 30), Rect::new(100, 30, 40, 30)]);
        assert_eq!(places(&with("B/0", 40, 50))[2], Rect::new(80, 50, 40, 30), "below it");
        let rates = with("none", 1, 1).into_iter().map(|m| (m.scale, m.refresh)).collect::<Vec<_>>();
        assert_eq!(rates, [(150, 144_000), (150, 30_000), (150, 144_000)], "each as where its window is");
        // One is closed: the others stay, from the origin.
        let left =
            asked_for(&host, |k| (k != "A/0").then_some(Wanted { size: Size::new(40, 30), scale: 100, refresh: 0 }));
        assert_eq!(places(&left), [Rect::new(0, 0, 40, 30), Rect::new(0, 30, 40, 30)]);
        assert!(left[0].primary && !left[1].primary);
    }
}
