//! Fingers and pens at the windows: what winit tells of them, what it tells of them once more as the mouse's, and what of all
//! that is told to the model.
//!
//! winit says of the first finger where it is and, just before, that the pointer is there; the server may have moved the
//! pointer there before that. So motion is held until it is known what follows it: nothing waits for long, because a batch of
//! events has an end. Clicks that the server makes of touches winit leaves out by itself.

use super::Model;
#[cfg(all(unix, not(target_os = "macos")))]
use super::pen::{Echoes, PenFact, Stroke, Tip};
#[cfg(all(unix, not(target_os = "macos")))]
use super::pointer::x11_number;
#[cfg(all(unix, not(target_os = "macos")))]
use super::tablets::Tablets;
use super::touch::{Told, Touches};
use super::window::Shell;
use std::time::Duration;
use telepane_model::{Desk, InputEvent, Point, TouchPhase};
use winit::dpi::PhysicalPosition;
use winit::event::{Force, MouseButton, Touch, TouchPhase as Phase};
use winit::window::WindowId;

/// Pixels that a resting finger may wander on a screen of the ordinary scale: Android's `ViewConfiguration` has it so.
const SLOP: f64 = 8.0;
/// Places of the pointer that are held at most.
const MOST_HELD: usize = 64;
/// A pen in reach is asked about as often as this: that it left wakes nobody.
#[cfg(all(unix, not(target_os = "macos")))]
const PEN_PAUSE: Duration = Duration::from_millis(50);

/// What there is beside the mouse.
#[derive(Default)]
pub(super) struct Hands {
    touches: Touches,
    /// Where the pointer went in this batch, in order: by a mouse, a finger or a pen.
    held: Vec<(WindowId, (f64, f64))>,
    /// The pointer is where a finger was, and nobody wants to see it.
    pub(super) hide_the_pointer: bool,
    #[cfg(all(unix, not(target_os = "macos")))]
    pens: Pens,
}

impl Hands {
    /// What the fingers did that has not been told.
    pub(super) fn flush(&mut self) -> Vec<InputEvent> {
        self.touches.flush()
    }

    /// Whether the pointer follows a finger or a pen.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn have_the_pointer(&self) -> bool {
        self.touches.are_there() || self.pens.tip.is_near()
    }

    /// Whether the pointer follows a finger.
    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn have_the_pointer(&self) -> bool {
        self.touches.are_there()
    }
}

/// The pens of an X11 screen.
#[cfg(all(unix, not(target_os = "macos")))]
#[derive(Default)]
struct Pens {
    /// While the host takes pens; `Some(None)` where there can be none.
    tablets: Option<Option<Tablets>>,
    tip: Tip,
    echoes: Echoes,
}

impl<M: Model> Shell<M> {
    /// The pointer is somewhere else now; see the module.
    pub(super) fn hold_motion(&mut self, id: WindowId, position: PhysicalPosition<f64>) {
        if self.hands.held.len() == MOST_HELD {
            self.release_motion();
        }
        self.hands.held.push((id, (position.x, position.y)));
    }

    /// What follows is no finger: the pointer was moved by a mouse, where no pen did it.
    pub(super) fn release_motion(&mut self) {
        for (id, at) in std::mem::take(&mut self.hands.held) {
            if self.hands.touches.is_at(id.into(), at) || self.is_a_pens_place(id.into(), at) {
                continue;
            }
            if let Some(window) = self.number(id) {
                self.hands.hide_the_pointer = false;
                self.moved(window, at);
            }
        }
    }

    /// A finger did something.
    pub(super) fn touched(&mut self, window: usize, touch: &Touch) {
        let Some(id) = self.lives.get(window).map(|live| live.window.id()) else { return };
        let view = (touch.location.x, touch.location.y);
        // To a pixel, as `Touches::is_at`.
        let its_own =
            |(of, at): &(WindowId, (f64, f64))| *of == id && (at.0 - view.0).abs() < 1.0 && (at.1 - view.1).abs() < 1.0;
        self.hands.held.retain(|held| !its_own(held));
        self.release_motion();
        self.hands.hide_the_pointer = true;
        let phase = phase(touch.phase);
        let asking = self.asking();
        let Some(live) = self.lives.get_mut(window) else { return };
        if phase == TouchPhase::Down {
            if !live.focused {
                // Without a window manager a touch gives nobody the keyboard.
                live.focus_tries = live.focus_tries.max(1);
            }
            if asking {
                return;
            }
        }
        let pixel = Point::new(view.0.floor() as i32, view.1.floor() as i32);
        let (layout, slop) = (live.layout, SLOP * live.scale);
        let told = Told {
            id: touch.id,
            window: id.into(),
            phase,
            view,
            at: self.desk_under(window, view),
            inside: layout.is_some_and(|layout| layout.picture().holds(pixel)),
            pressure: touch.force.map_or(0, pressure),
            zoom: layout.map_or(1.0, |l| f64::from(l.part().w) / f64::from(l.picture().w.max(1))),
            slop,
        };
        let (now, takes) = (self.model.now(), self.model.takes_touch());
        let events = self.hands.touches.on_told(now, told, takes);
        self.act(events);
    }

    /// The end of a batch: follows the time, who takes what, and the pens. Says after what time to do so again.
    pub(super) fn follow_hands(&mut self) -> Option<Duration> {
        self.release_motion();
        let asking = self.asking();
        if self.hands.touches.are_there() {
            let over = asking || (self.hands.touches.are_the_hosts() && !self.model.takes_touch());
            let open: Vec<u64> = self.lives.iter().map(|live| live.window.id().into()).collect();
            let events = self.hands.touches.cancel(|window| over || !open.contains(&window));
            self.act(events);
        }
        let now = self.model.now();
        let events = self.hands.touches.on_time(now);
        self.act(events);
        let due = self.hands.touches.due().map(|due| Duration::from_micros(due.since(now).as_micros()));
        [due, self.follow_pens(asking)].into_iter().flatten().min()
    }

    /// A window lost the keyboard: what began in it is taken back.
    pub(super) fn take_back(&mut self, id: WindowId) {
        let events = self.hands.touches.cancel(|window| window == u64::from(id));
        self.act(events);
        self.take_back_the_pen();
    }

    /// The desktop's pixel under a place that belongs to this window, though another one may lie there.
    fn desk_under(&self, window: usize, at: (f64, f64)) -> Option<Point<Desk>> {
        let (window, at) = self.dragged_to(window, at);
        Some(self.lives.get(window)?.layout?.to_desk(at.0, at.1))
    }

    /// Tells what fingers did; a mouse made of them is the mouse.
    fn act(&mut self, events: Vec<InputEvent>) {
        for event in events {
            match event {
                InputEvent::PointerTo(at) => self.pointer.moved(at),
                InputEvent::Button { button, down } => {
                    if let Some(event) = self.pointer.press(button, down) {
                        self.input(event);
                    }
                }
                event => self.input(event),
            }
        }
    }
}

#[cfg(all(unix, not(target_os = "macos")))]
impl<M: Model> Shell<M> {
    /// Hears of pens while the host takes them and nothing else wants the pointer.
    fn follow_pens(&mut self, asking: bool) -> Option<Duration> {
        if asking || self.pointer.is_captured() || !self.model.takes_pen() {
            self.pen_leaves();
            self.hands.pens.tablets = None;
            return None;
        }
        let is_x11 = self.screen.as_ref().is_some_and(super::screen::Screen::is_x11);
        let tablets = self.hands.pens.tablets.get_or_insert_with(|| is_x11.then(Tablets::open).flatten());
        tablets.as_mut()?.follow(self.lives.iter().map(|live| live.window.id().into()));
        self.hear_pens(false);
        self.hands.pens.tip.is_near().then_some(PEN_PAUSE)
    }

    /// Whether the pointer is at this place because a pen is. If it is a mouse's, the pen points no more.
    fn is_a_pens_place(&mut self, window: u64, at: (f64, f64)) -> bool {
        if !self.there_are_pens() {
            return false;
        }
        self.hear_pens(false);
        if self.hands.pens.echoes.is_place(window, at) {
            return true;
        }
        // What a pen that was away does first may be told as a mouse's: it is the same place.
        if !self.hands.pens.tip.is_near() {
            return false;
        }
        self.hear_pens(true);
        if self.hands.pens.echoes.is_place(window, at) || self.hands.pens.tip.touches() {
            return true;
        }
        self.pen_leaves();
        false
    }

    /// Whether a button moved that is a pen's.
    pub(super) fn is_a_pens_button(&mut self, button: MouseButton, down: bool) -> bool {
        if !self.there_are_pens() {
            return false;
        }
        self.hear_pens(true);
        self.hands.pens.echoes.is_button(x11_number(button), down)
    }

    fn there_are_pens(&self) -> bool {
        self.hands.pens.tablets.iter().flatten().any(Tablets::are_there)
    }

    /// Takes in what the tablets told; `all`: of everything that winit may have told of.
    fn hear_pens(&mut self, all: bool) {
        let tablets = self.hands.pens.tablets.iter_mut().flatten();
        let facts: Vec<PenFact> = tablets.flat_map(|tablets| tablets.facts(all)).collect();
        for (n, fact) in facts.iter().enumerate() {
            match fact {
                PenFact::Stroke(stroke) => {
                    self.hands.pens.echoes.on_stroke(stroke);
                    // Of hovering, the last place alone is told, as of a mouse.
                    let goes_on = |next: &PenFact| matches!(next, PenFact::Stroke(next) if stroke.is_replaced_by(next));
                    if !facts.get(n + 1).is_some_and(goes_on) {
                        self.pen_did(stroke);
                    }
                }
                PenFact::Left(device) if self.hands.pens.tip.is_of(*device) => self.pen_leaves(),
                PenFact::Left(_) => {}
            }
        }
    }

    fn pen_did(&mut self, stroke: &Stroke) {
        self.hands.hide_the_pointer = false;
        let Some(window) = self.number(stroke.window.into()) else { return };
        let Some(live) = self.lives.get_mut(window) else { return };
        if !live.focused && matches!(stroke.button, Some((_, true))) {
            live.focus_tries = live.focus_tries.max(1);
        }
        live.at = Some(Point::new(stroke.at.0.floor() as i32, stroke.at.1.floor() as i32));
        let Some(at) = self.desk_under(window, stroke.at) else { return };
        for pen in self.hands.pens.tip.on_stroke(stroke, at) {
            self.input(InputEvent::Pen(pen));
        }
    }

    /// The pen is out of reach, or points no more.
    fn pen_leaves(&mut self) {
        self.hands.pens.echoes.clear();
        if let Some(pen) = self.hands.pens.tip.leave() {
            self.input(InputEvent::Pen(pen));
        }
    }

    fn take_back_the_pen(&mut self) {
        if let Some(pen) = self.hands.pens.tip.take_back() {
            self.input(InputEvent::Pen(pen));
        }
    }
}

#[cfg(not(all(unix, not(target_os = "macos"))))]
impl<M: Model> Shell<M> {
    fn follow_pens(&mut self, _: bool) -> Option<Duration> {
        None
    }

    fn is_a_pens_place(&mut self, _: u64, _: (f64, f64)) -> bool {
        false
    }

    pub(super) fn is_a_pens_button(&mut self, _: MouseButton, _: bool) -> bool {
        false
    }

    fn take_back_the_pen(&mut self) {}
}

const fn phase(phase: Phase) -> TouchPhase {
    match phase {
        Phase::Started => TouchPhase::Down,
        Phase::Moved => TouchPhase::Move,
        Phase::Ended => TouchPhase::Up,
        Phase::Cancelled => TouchPhase::Cancel,
    }
}

/// At least 1 where it is told at all.
fn pressure(force: Force) -> u16 {
    // `as` saturates and maps NaN to zero.
    ((force.normalized() * 65_535.0).round() as u16).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_force_is_a_pressure() {
        let told = [0.0, 0.5, 1.0, 9.0, -1.0, f64::NAN].map(|force| pressure(Force::Normalized(force)));
        assert_eq!(told, [1, 32_768, 65_535, 65_535, 1, 1]);
        let calibrated = Force::Calibrated { force: 1.0, max_possible_force: 4.0, altitude_angle: None };
        assert_eq!(pressure(calibrated), 16_384);
    }
}
