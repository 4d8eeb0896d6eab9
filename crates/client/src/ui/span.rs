//! A window that lies over several of this machine's monitors, for a desktop that has the same ones.
//!
//! Platforms cover one monitor when asked for the whole screen. Over several a window without a frame is put where their
//! common rectangle is; on X11 a window manager is asked for the same in its own words (EWMH `_NET_WM_FULLSCREEN_MONITORS`),
//! for it would keep panels above. Wayland has no word for it: there the window covers one.

use std::fmt;
use std::sync::Arc;
use telepane_model::{Monitor, Rect, Surf};
use winit::monitor::MonitorHandle;

/// Which of the monitors there are a window that covers the screen should lie over: given all, their numbers. Fewer than two
/// mean the one it is on.
#[derive(Clone, Default)]
pub struct Spread(Option<Arc<Choose>>);

/// Which monitors to cover.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// By their numbers from 0.
    pub numbers: Vec<usize>,
    /// With a window each, not one over all.
    pub apart: bool,
}

/// Chooses among monitors.
type Choose = dyn Fn(&[Monitor]) -> Chosen;

impl Spread {
    /// What `choose` says; asked again whenever monitors come or go.
    pub fn new(choose: impl Fn(&[Monitor]) -> Chosen + 'static) -> Self {
        Self(Some(Arc::new(choose)))
    }

    /// The monitors to lie over: none, or several.
    pub(super) fn over(&self, seen: &[Monitor]) -> Vec<Monitor> {
        let chosen = self.chosen(seen);
        if chosen.len() > 1 { chosen } else { Vec::new() }
    }

    /// The monitors to cover with a window each: those chosen, or all.
    pub(super) fn each(&self, seen: &[Monitor]) -> Vec<Monitor> {
        let chosen = self.chosen(seen);
        if chosen.is_empty() { seen.to_vec() } else { chosen }
    }

    /// Whether they are covered with a window each.
    pub(super) fn is_apart(&self, seen: &[Monitor]) -> bool {
        self.0.as_ref().is_some_and(|choose| choose(seen).apart)
    }

    fn chosen(&self, seen: &[Monitor]) -> Vec<Monitor> {
        let Chosen { numbers, .. } = self.0.as_ref().map(|choose| choose(seen)).unwrap_or_default();
        let chosen = seen.iter().enumerate().filter(|(i, _)| numbers.contains(i)).map(|(_, m)| m.clone());
        chosen.collect()
    }
}

impl fmt::Debug for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Spread(chosen)" } else { "Spread(one)" })
    }
}

/// This machine's monitors from left to right, in the coordinates of its screen: the same numbers as a desktop would have
/// that lies under them pixel for pixel.
pub(super) fn seen(all: impl Iterator<Item = MonitorHandle>, primary: Option<MonitorHandle>) -> Vec<Monitor> {
    let seen = all
        .map(|m| Monitor {
            place: Rect::new(m.position().x, m.position().y, m.size().width, m.size().height),
            scale: percent(m.scale_factor()),
            refresh: m.refresh_rate_millihertz().unwrap_or(0),
            primary: primary.as_ref() == Some(&m),
            name: short(&m.name().unwrap_or_default()),
        })
        .collect();
    in_order(seen)
}

/// The monitors that the server tells of now, with what was known of those that were there; `scale` is the window's.
#[cfg(any(test, all(unix, not(target_os = "macos"))))]
pub(super) fn renewed(told: Vec<Monitor>, known: &[Monitor], scale: f64) -> Vec<Monitor> {
    let one = |m: Monitor| {
        let name = short(&m.name);
        match known.iter().find(|k| k.place == m.place && (m.name.is_empty() || k.name == name)) {
            Some(known) => {
                // Two ways to ask may round in two ways.
                let as_before = m.refresh == 0 || m.refresh.abs_diff(known.refresh) <= known.refresh / 200;
                let refresh = if as_before { known.refresh } else { m.refresh };
                Monitor { primary: m.primary, refresh, ..known.clone() }
            }
            // One that only moved, or has another mode, keeps its scale.
            None => {
                let before = known.iter().find(|k| !name.is_empty() && k.name == name);
                Monitor { scale: before.map_or(percent(scale), |k| k.scale), name, ..m }
            }
        }
    };
    in_order(told.into_iter().map(one).collect())
}

fn in_order(mut seen: Vec<Monitor>) -> Vec<Monitor> {
    seen.retain(|m| m.place.size().is_valid());
    seen.sort_by_key(|m| (m.place.x, m.place.y));
    // Mirrored monitors are one.
    seen.dedup_by_key(|m| m.place);
    seen
}

/// A scale as a whole percentage; odd answers of a platform count as 100.
pub(super) fn percent(scale: f64) -> u16 {
    if scale.is_finite() && scale > 0.0 { (scale * 100.0).round().clamp(50.0, 500.0) as u16 } else { 100 }
}

fn short(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(16).collect()
}

/// How many pictures in 1000 s are shown of what lies there: as many as on the fastest monitor that shows any of it; 0 where
/// one does not say, or none shows it.
pub(super) fn fastest(seen: &[Monitor], place: Rect<Surf>) -> u32 {
    let shows = || seen.iter().filter(|m| !m.place.intersect(place).is_empty()).map(|m| m.refresh);
    if shows().any(|rate| rate == 0) { 0 } else { shows().max().unwrap_or(0) }
}

/// The rectangle that holds them.
pub(super) fn around(monitors: &[Monitor]) -> Rect<Surf> {
    monitors.iter().fold(Rect::default(), |whole, m| whole.union(m.place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_monitor_stays() {
        let at = |x, scale, primary| Monitor { place: Rect::new(x, 0, 100, 80), scale, primary, ..Monitor::default() };
        let known = [at(0, 150, true), at(100, 200, false)];
        let told = vec![at(100, 0, true), at(300, 0, false), at(100, 0, true)];
        assert_eq!(renewed(told, &known, 1.25), [at(100, 200, true), at(300, 125, false)]);
        assert_eq!(percent(f64::NAN), 100);
        let rate = |refresh| Monitor { refresh, ..at(0, 100, false) };
        let now = |told| renewed(vec![rate(told)], &[rate(60_000)], 1.0)[0].refresh;
        assert_eq!([0, 59_999, 60_000, 144_000, 30_000].map(now), [60_000, 60_000, 60_000, 144_000, 30_000]);
        let named = |x, scale, name: &str| Monitor { name: name.into(), ..at(x, scale, false) };
        let known = [named(0, 150, "A"), named(100, 200, "B")];
        let told = vec![named(0, 0, "B"), named(100, 0, "C")];
        assert_eq!(renewed(told, &known, 1.25), [named(0, 200, "B"), named(100, 125, "C")], "each by its name");
    }

    #[test]
    fn a_window_shows_as_many_pictures_as_the_fastest_monitor_below_it() {
        let at = |x, refresh| Monitor { place: Rect::new(x, 0, 100, 80), refresh, ..Monitor::default() };
        let seen = [at(-100, 30_000), at(0, 144_000), at(100, 0)];
        let of = |x| fastest(&seen, Rect::new(x, 10, 50, 50));
        assert_eq!([-200, -140, -51, -49, 0, 50].map(of), [0, 30_000, 30_000, 144_000, 144_000, 144_000]);
        assert_eq!([51, 100, 200].map(of), [0, 0, 0], "what is not known");
        assert_eq!(of(-100), 30_000, "up to its edge");
    }

    #[test]
    fn several_are_lain_over_and_one_is_not() {
        let at = |x| Monitor { place: Rect::new(x, 0, 100, 80), ..Monitor::default() };
        let seen = [at(-100), at(0), at(100)];
        let pick =
            |numbers: &'static [usize]| Spread::new(|_| Chosen { numbers: numbers.to_vec(), apart: false }).over(&seen);
        assert_eq!(around(&pick(&[0, 2])), Rect::new(-100, 0, 300, 80));
        assert_eq!(Spread::new(|_| Chosen { numbers: vec![1], apart: true }).each(&seen), [at(0)]);
        assert_eq!(Spread::default().each(&seen), seen);
        assert!(pick(&[1]).is_empty() && pick(&[1, 9]).is_empty() && Spread::default().over(&seen).is_empty());
    }
}
