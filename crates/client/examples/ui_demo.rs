//! The client's window with a synthetic picture and no host: prints every input event on standard output.
//!
//! `ui_demo [--fullscreen] [--follow] [--size WxH] [--picture WxH] [--renderer pixels|softbuffer] [--scaling one|fit|integer]`
//!
//! `--follow` gives the picture the window's size, some turns later, as a host does that is asked for it.
//!
//! Keys: F5 changes a small part of the picture, F6 asks for a secret, F7 shows a message, F8 dims, F9 clears, Esc ends.

use std::io::Write;
use telepane_client::clock::Clock;
use telepane_client::ui::{self, Model, Overlay, RendererChoice, Scaling, Turn, UiOptions, Veil, Waker, WindowFact};
use telepane_model::{
    CursorShape, CursorState, InputEvent, KeyCode, KeyMove, Pixels, Rect, Region, Size, Span, Stamp, Surf, View,
    ViewerClock,
};

/// The part of the picture that the `n`th press of F5 changes, and its colour.
pub fn change(n: u32) -> (Rect<Surf>, [u8; 3]) {
    (Rect::new(37 + 61 * (n % 5) as i32, 53 + 40 * (n % 3) as i32, 45, 31), [(n * 70) as u8, 200, 30])
}

/// A picture in which every pixel differs from its neighbours.
pub fn picture(size: Size<Surf>) -> Pixels {
    let mut pixels = Pixels::new(size);
    for (i, px) in pixels.data_mut().chunks_exact_mut(4).enumerate() {
        let (x, y) = (i as u32 % size.w, i as u32 / size.w);
        px.copy_from_slice(&[(x * 7 + y) as u8, (y * 5 + x / 3) as u8, (x ^ y) as u8, 0]);
    }
    pixels
}

/// The colour of a picture of this size that is of one colour, so that it stays one however it is scaled. None is black or pure red.
pub fn plain(size: Size<Surf>) -> [u8; 3] {
    [64 + (size.w * 37 % 191) as u8, 64 + (size.h * 53 % 191) as u8, (size.w * 11 + size.h * 29) as u8]
}

/// Called after a present with what was presented and the window's size.
pub type Watch = Box<dyn FnMut(&Pixels, Size<View>)>;

/// With `--follow`, a picture has the size asked for so many turns later.
const TURNS_BEHIND: u32 = 3;

fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

struct Demo {
    pixels: Pixels,
    cursor: CursorShape,
    turn: Turn,
    veil: Veil,
    overlay: bool,
    changes: u32,
    /// The window's size.
    view: Size<View>,
    /// The picture is to follow it, and in how many turns it does.
    follow: bool,
    behind: u32,
    watch: Watch,
    clock: Clock,
}

impl Model for Demo {
    type Wake = u32;

    fn on_wake(&mut self, wake: u32) {
        say(format_args!("wake {wake}"));
    }

    fn turn(&mut self) -> Turn {
        self.behind = self.behind.saturating_sub(1);
        let wanted = Size::new(self.view.w, self.view.h);
        if self.follow && self.behind == 0 && wanted.is_valid() && self.pixels.size() != wanted {
            self.pixels = Pixels::new(wanted);
            self.pixels.fill(wanted.rect(), plain(wanted));
            self.turn.redraw_all = true;
        }
        if self.follow && self.behind > 0 {
            let turn = std::mem::take(&mut self.turn);
            return Turn { wake_in: Some(Span::millis(2)), ..turn };
        }
        Turn { wake_in: Some(Span::secs(60)), ..std::mem::take(&mut self.turn) }
    }

    fn input(&mut self, event: InputEvent) {
        say(format_args!("{event:?}"));
        let InputEvent::Key { code: KeyCode(code), action: KeyMove::Down } = event else { return };
        match code {
            1 => self.turn.exit = Some(7),
            63 => {
                let (rect, colour) = change(self.changes);
                self.changes += 1;
                self.pixels.fill(rect, colour);
                self.turn.damage.add(rect);
            }
            64 => self.veil = Veil::Ask { prompt: "Access code".to_owned(), secret: true },
            65 => {
                let lines = vec!["nothing answers on UDP port 8443".to_owned()];
                self.veil = Veil::Message { title: "Cannot connect".to_owned(), lines };
            }
            66 => self.veil = Veil::Dim { seconds: 3 },
            67 => self.veil = Veil::Clear,
            _ => {}
        }
    }

    fn now(&self) -> Stamp<ViewerClock> {
        self.clock.now()
    }

    fn window(&mut self, fact: WindowFact) {
        say(format_args!("{fact:?}"));
        match fact {
            WindowFact::CloseRequested => self.turn.exit = Some(0),
            WindowFact::Resized { physical, .. } => (self.view, self.behind) = (physical, TURNS_BEHIND),
            WindowFact::OverlayToggled => self.overlay = !self.overlay,
            _ => {}
        }
    }

    fn pixels(&self) -> Option<&Pixels> {
        Some(&self.pixels)
    }

    fn cursor(&self) -> Option<(&CursorShape, CursorState)> {
        Some((&self.cursor, CursorState { shape: 1, visible: true, ..Default::default() }))
    }

    fn veil(&self) -> Veil {
        self.veil.clone()
    }

    fn answer(&mut self, text: String) {
        say(format_args!("answer {text:?}"));
        self.veil = Veil::Clear;
    }

    fn title(&self) -> String {
        "Telepane demo".to_owned()
    }

    fn overlay(&self) -> Option<Overlay> {
        let line = || vec![(format!("changes {}", self.changes), [255; 3])];
        self.overlay.then(|| Overlay { lines: vec![line()], marks: Vec::new() })
    }

    fn shown(&mut self) {
        (self.watch)(&self.pixels, self.view);
        say(format_args!("shown"));
    }
}

fn size(text: &str) -> Option<(u32, u32)> {
    let (w, h) = text.split_once('x')?;
    Some((w.parse().ok()?, h.parse().ok()?))
}

/// Runs the demo with these arguments; returns the exit code.
pub fn run(arguments: impl Iterator<Item = String>, watch: Watch) -> Result<i32, String> {
    let mut follow = false;
    let mut options = UiOptions { title: "Telepane demo".to_owned(), ..Default::default() };
    let mut picture_size = Size::new(640, 480);
    let mut arguments = arguments;
    while let Some(flag) = arguments.next() {
        if flag == "--fullscreen" {
            options.fullscreen = true;
            continue;
        }
        if flag == "--follow" {
            follow = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{flag} wants a value"))?;
        match (flag.as_str(), value.as_str()) {
            ("--size", v) => options.size = size(v).map(|(w, h)| Size::new(w, h)),
            ("--picture", v) => picture_size = size(v).map(|(w, h)| Size::new(w, h)).ok_or("--picture WxH")?,
            ("--renderer", "pixels") => options.renderer = Some(RendererChoice::Pixels),
            ("--renderer", "softbuffer") => options.renderer = Some(RendererChoice::Softbuffer),
            ("--scaling", "one") => options.scaling = Scaling::OneToOne,
            ("--scaling", "fit") => options.scaling = Scaling::Fit,
            ("--scaling", "integer") => options.scaling = Scaling::Integer,
            _ => return Err(format!("unknown: {flag} {value}")),
        }
    }
    let mut pixels = picture(picture_size);
    if follow {
        pixels.fill(picture_size.rect(), plain(picture_size));
    }
    let make = |waker: Waker<u32>| {
        std::thread::spawn(move || waker.wake(42));
        Demo {
            pixels,
            cursor: CursorShape { id: 1, w: 16, h: 16, hot_x: 8, hot_y: 8, bgra: vec![200; 1024] },
            turn: Turn { damage: Region::new(), ..Turn::default() },
            veil: Veil::Clear,
            overlay: false,
            changes: 0,
            view: Size::default(),
            follow,
            behind: 0,
            watch,
            clock: Clock::new(),
        }
    };
    ui::run(|waker| Ok(make(waker)), options).map_err(|e| e.to_string())
}

#[allow(dead_code, reason = "the window test includes this file as a module and calls `run`")]
fn main() {
    match run(std::env::args().skip(1), Box::new(|_, _| {})) {
        Ok(code) => std::process::exit(code),
        Err(error) => {
            eprintln!("ui_demo: {error}");
            std::process::exit(2);
        }
    }
}
