//! Invented screens: what they show follows from kind, size, seed and the time since the first poll, and nothing else.
//!
//! They make tests and the simulator run without a display. The damage they tell is exact, as X's is, without moves.
//! The editor takes input, so that the way from key to glyph can be measured in virtual time.

mod editor;
mod font;
mod paint;
mod scenes;

use crate::held::Held;
use crate::rects;
use crate::source::{Description, Event, Lost, ResizeRefused, Source, Wake};
use editor::Editor;
pub use paint::photo;
use scenes::{Drag, Film, Scene, Scroll};
use std::sync::Arc;
use telepane_model::{
    Damage, FrameFacts, FrameId, HostClock, InputEvent, Pixels, Rect, Size, Span, Stamp, Surf, SurfaceId, Trust,
};

/// Kinds of invented screens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Seven glyphs a second, until somebody types into it.
    Editor,
    /// A window full of text moving up, 30 steps a second.
    Scroll,
    /// A window dragged over a photograph, 60 steps a second.
    Drag,
    /// A film of 1280x720, 30 frames a second, in the middle of the screen.
    Film,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Editor, Self::Scroll, Self::Drag, Self::Film];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Editor => "editor",
            Self::Scroll => "scroll",
            Self::Drag => "drag",
            Self::Film => "film",
        }
    }

    /// Steps a second; the editor has no beat.
    const fn rate(self) -> u64 {
        match self {
            Self::Editor => 0,
            Self::Scroll | Self::Film => 30,
            Self::Drag => 60,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Kind {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|k| k.name() == s)
            .ok_or_else(|| format!("no synthetic screen {s:?}; there are editor, scroll, drag and film"))
    }
}

enum Play {
    Editor(Editor),
    Steps { scene: Box<dyn Scene>, shown: u64 },
}

/// An invented screen.
pub struct Synthetic {
    kind: Kind,
    seed: u64,
    held: Held,
    play: Play,
    start: Option<Stamp<HostClock>>,
    next: Stamp<HostClock>,
    running: bool,
    whole: bool,
    damage: Vec<Rect<Surf>>,
    frame: FrameId,
}

impl Synthetic {
    /// A screen of this kind and size. Its time starts at the first [`Synthetic::advance`] or poll.
    pub fn new(kind: Kind, size: Size<Surf>, seed: u64) -> Self {
        let mut held = Held::new(size);
        let p = held.writer();
        let mut steps = |mut scene: Box<dyn Scene>| {
            scene.first(p);
            Play::Steps { scene, shown: 0 }
        };
        let play = match kind {
            Kind::Scroll => steps(Box::new(Scroll::new(size, seed))),
            Kind::Drag => steps(Box::new(Drag::new(size, seed))),
            Kind::Film => steps(Box::new(Film::new(size, seed))),
            Kind::Editor => {
                let mut editor = Editor::new(size, seed);
                editor.first(p);
                Play::Editor(editor)
            }
        };
        Self {
            kind,
            seed,
            held,
            play,
            start: None,
            next: Stamp::ZERO,
            running: true,
            whole: true,
            damage: Vec::new(),
            frame: FrameId(0),
        }
    }

    /// Which kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Stops or starts what happens by itself. A stopped screen changes only by input; started again it goes on
    /// where its time now is.
    pub fn run(&mut self, on: bool) {
        self.running = on;
    }

    /// Does everything that is due by `now`; the frame comes with the next poll.
    pub fn advance(&mut self, now: Stamp<HostClock>) {
        let start = match self.start {
            Some(start) => start,
            None => {
                self.start = Some(now);
                self.next = now + self.beat(1);
                return;
            }
        };
        if !self.running || now < self.next {
            return;
        }
        let from = self.damage.len();
        match &mut self.play {
            Play::Steps { scene, shown } => {
                let step = (now - start).as_micros() * self.kind.rate() / 1_000_000;
                if step > *shown {
                    scene.go(step, self.held.writer(), &mut self.damage);
                    *shown = step;
                }
                self.next = start + Span::micros(((step + 1) * 1_000_000).div_ceil(self.kind.rate().max(1)));
            }
            Play::Editor(editor) => {
                // A long sleep is not caught up with: nobody types a thousand keys at once.
                for _ in 0..64 {
                    if now < self.next {
                        break;
                    }
                    editor.type_on(self.held.writer(), &mut self.damage);
                    self.next += editor.pause();
                }
                if self.next <= now {
                    self.next = now + editor.pause();
                }
            }
        }
        let written = self.damage[from..].to_vec();
        self.held.wrote(&written);
    }

    /// What a user did. In the editor, keys become glyphs at once, and it no longer types by itself; elsewhere
    /// nothing happens. The frame comes with the next poll.
    pub fn input(&mut self, event: &InputEvent) {
        let Play::Editor(editor) = &mut self.play else { return };
        let from = self.damage.len();
        if editor.input(event, self.held.writer(), &mut self.damage) {
            self.running = false;
        }
        let written = self.damage[from..].to_vec();
        self.held.wrote(&written);
    }

    fn beat(&mut self, steps: u64) -> Span {
        match &mut self.play {
            Play::Editor(editor) => editor.pause(),
            Play::Steps { .. } => Span::micros((steps * 1_000_000).div_ceil(self.kind.rate().max(1))),
        }
    }
}

impl Source for Synthetic {
    fn describe(&self) -> Description {
        Description {
            name: format!("synthetic {}", self.kind),
            backend: "synthetic",
            damage: Trust::Exact,
            has_cursor: false,
            can_resize: true,
            size: self.held.size(),
        }
    }

    fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<Event>, Lost> {
        self.advance(now);
        if !self.whole && self.damage.is_empty() {
            return Ok(None);
        }
        let size = self.held.size();
        let mut changed = std::mem::take(&mut self.damage);
        let damage = if std::mem::take(&mut self.whole) {
            Damage::all(size)
        } else {
            for r in &mut changed {
                *r = r.intersect(size.rect());
            }
            Damage::exact(rects::region(changed))
        };
        if damage.changed.is_empty() {
            return Ok(None);
        }
        self.frame = FrameId(self.frame.0 + 1);
        Ok(Some(Event::Frame(FrameFacts { id: self.frame, surface: SurfaceId(0), size, captured: now, damage })))
    }

    fn pixels(&self) -> Arc<Pixels> {
        self.held.pixels()
    }

    fn wake(&self) -> Wake {
        let at = if self.whole || !self.damage.is_empty() || self.start.is_none() {
            Some(Stamp::ZERO)
        } else {
            self.running.then_some(self.next)
        };
        Wake { fd: None, at }
    }

    fn resize(&mut self, size: Size<Surf>) -> Result<Size<Surf>, ResizeRefused> {
        if !size.is_valid() {
            return Err(ResizeRefused::OutOfRange {
                asked: size,
                least: Size::new(1, 1),
                most: Size::new(telepane_model::geometry::MAX_SIDE, telepane_model::geometry::MAX_SIDE),
            });
        }
        let (frame, running) = (self.frame, self.running);
        *self = Self::new(self.kind, size, self.seed);
        (self.frame, self.running) = (frame, running);
        Ok(size)
    }

    fn expect_echo(&mut self, _now: Stamp<HostClock>) {}

    fn input(&mut self, event: &InputEvent) {
        Self::input(self, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{KeyCode, KeyMove};

    /// The same time gives the same picture, however often one looked in between.
    #[test]
    fn time_alone_decides() {
        let at = |ms: u64| Stamp::from_micros(5_000_000 + ms * 1000);
        for kind in [Kind::Scroll, Kind::Drag, Kind::Film] {
            let size = Size::new(400, 300);
            let (mut often, mut seldom) = (Synthetic::new(kind, size, 3), Synthetic::new(kind, size, 3));
            for ms in 0..700 {
                often.poll(at(ms)).unwrap();
            }
            seldom.poll(at(0)).unwrap();
            seldom.poll(at(699)).unwrap();
            assert!(often.pixels() == seldom.pixels(), "{kind}");
            assert!(often.frame.0 > 19, "{kind}");
        }
    }

    #[test]
    fn the_editor_types_about_seven_keys_a_second() {
        let mut editor = Synthetic::new(Kind::Editor, Size::new(800, 600), 1);
        let mut frames = 0;
        for ms in 0..20_000 {
            frames += u32::from(editor.poll(Stamp::from_micros(ms * 1000)).unwrap().is_some());
        }
        assert!((120..=160).contains(&frames), "{frames} frames in 20 s");
    }

    #[test]
    fn a_key_becomes_a_glyph_and_its_repeat_another() {
        let mut editor = Synthetic::new(Kind::Editor, Size::new(800, 600), 1);
        editor.poll(Stamp::ZERO).unwrap();
        let key = |code, action| InputEvent::Key { code: KeyCode(code), action };
        let now = Stamp::from_micros(10);
        for (action, shows) in [(KeyMove::Down, true), (KeyMove::Repeat, true), (KeyMove::Up, false)] {
            let before = editor.pixels();
            editor.input(&key(30, action));
            let event = editor.poll(now).unwrap();
            assert_eq!(event.is_some(), shows);
            assert_eq!(before != editor.pixels(), shows);
            if let Some(Event::Frame(f)) = event {
                assert!(f.damage.changed.area() < 600, "a glyph and a caret");
            }
        }
        // It waits for the user now.
        assert_eq!(editor.wake().at, None);
        let a = editor.pixels();
        editor.input(&key(42, KeyMove::Down));
        editor.input(&key(14, KeyMove::Down));
        editor.input(&InputEvent::Text("a".into()));
        assert!(editor.pixels() == a, "backspace and the same letter again");
    }
}
