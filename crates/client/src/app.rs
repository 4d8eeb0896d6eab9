//! The window's model: the driver, seen as what a window needs.

use crate::driver::{Driver, Phase, Wake, code_prompt, exit};
use crate::parts::{Parts, scale_in_turn};
use crate::ui::{Model, Overlay, Turn, Veil, WindowFact};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use telepane_model::monitor::surface_of;
use telepane_model::{CursorShape, CursorState, InputEvent, Monitor, Pixels, Size, Span, Stamp, Surf, ViewerClock};

/// See the module.
pub struct App {
    driver: Driver,
    overlay: bool,
    /// The overlay as it was made last, when, and after how many updates.
    drawn: Option<(u64, u64, Overlay)>,
    /// Something was shown then for the last time.
    lively: u64,
    /// What the window covers, once it is open.
    covers: Option<Covers>,
    /// The scales the person asked for, whatever the screen's is: one, or one for each monitor from the left.
    scales: Vec<u16>,
    /// Since when the pointer is captured.
    captured: Option<u64>,
    /// It cannot be: this was last tried then.
    refused: Option<u64>,
    /// How to leave the full screen was shown.
    way_out_shown: bool,
    /// When somebody typed, pointed or came last.
    used: u64,
    /// Nobody is at the keyboard after this long, if ever.
    rest: Option<u64>,
    /// What a key just did, and when.
    said: Option<(u64, String)>,
    micros: Box<dyn Fn() -> u64>,
    /// A code can be typed on the terminal; then the window does not ask.
    terminal: bool,
    screenshot: Option<PathBuf>,
    stats_json: Option<PathBuf>,
    renderer: String,
    follows: bool,
    /// The host's monitors as they lie on the picture that is shown.
    parts: Parts,
    /// The words it ended with, for whoever runs the window.
    ended: Rc<RefCell<String>>,
}

/// What a window covers.
struct Covers {
    /// Its inside, in physical pixels.
    size: Size<Surf>,
    /// Its screen's scale in percent.
    scale: u16,
    /// How many pictures its monitor shows in 1000 s; 0 where that is not known.
    refresh: u32,
    /// The monitors it lies over, when it is made to lie over several.
    monitors: Vec<Monitor>,
}

/// The scales that the keys step through, in percent.
const SCALES: [u16; 9] = [50, 75, 100, 125, 150, 175, 200, 250, 300];
/// How the pointer is set free is shown over the picture for this long, and in the title all the time.
const HINT_US: u64 = 4_000_000;
/// Nobody is at the keyboard after this long, where nothing else is set: the least that screen lockers wait for.
const REST_US: u64 = 60_000_000;
/// The overlay is made anew this often while something changes …
const OVERLAY_US: u64 = 200_000;
/// … and until everything in it has settled after that …
const SETTLING_US: u64 = 3_000_000;
/// … and this often while nothing does.
const OVERLAY_IDLE_US: u64 = 1_000_000;

impl App {
    /// A window on this driver.
    pub fn new(
        driver: Driver,
        options: &crate::cli::Connect,
        terminal: bool,
        ended: Rc<RefCell<String>>,
        micros: Box<dyn Fn() -> u64>,
    ) -> Self {
        Self {
            driver,
            overlay: options.overlay,
            drawn: None,
            lively: 0,
            covers: None,
            scales: options.scale.clone(),
            captured: None,
            refused: None,
            way_out_shown: false,
            used: micros(),
            rest: match options.free_keys_after {
                None => Some(REST_US),
                Some(0) => None,
                Some(secs) => Some(u64::from(secs) * 1_000_000),
            },
            said: None,
            micros,
            terminal,
            screenshot: options.screenshot.clone(),
            stats_json: options.stats_json.clone(),
            renderer: String::new(),
            follows: options.scaling == crate::cli::Scaling::Fit,
            parts: Parts::default(),
            ended,
        }
    }

    /// Makes the overlay anew when it is time; says when that is again.
    fn draw_overlay(&mut self) -> Option<Span> {
        if !self.overlay || self.driver.phase != Phase::Live {
            self.drawn = None;
            return None;
        }
        let (now, shown) = ((self.micros)(), self.driver.stats.shown);
        if self.drawn.as_ref().is_none_or(|(_, before, _)| *before != shown) {
            self.lively = now;
        }
        let every = if now - self.lively < SETTLING_US { OVERLAY_US } else { OVERLAY_IDLE_US };
        let due = self.drawn.as_ref().map_or(now, |(at, _, _)| at + every);
        if due > now {
            return Some(Span::micros(due - now));
        }
        self.drawn = Some((now, shown, self.driver.overlay()));
        Some(Span::micros(every))
    }

    /// Tells what the desktop should be like.
    fn shape(&mut self) {
        let Some(covers) = &self.covers else { return };
        let scale = self.scales.first().copied().unwrap_or(covers.scale);
        let mut monitors = covers.monitors.clone();
        scale_in_turn(&self.scales, &mut monitors);
        let size = Some(covers.size).filter(|_| self.follows);
        self.driver.on_shape(size, scale, covers.refresh, if self.follows { monitors } else { Vec::new() });
    }

    /// For how much longer the hint about the captured pointer is shown.
    fn hint_left(&self) -> Option<Span> {
        let said = self.said.as_ref().map(|(at, _)| *at);
        let since = [self.captured.or(self.refused), said].into_iter().flatten().max()?;
        let left = (since + HINT_US).checked_sub((self.micros)()).filter(|left| *left > 0)?;
        Some(Span::micros(left))
    }

    /// When nobody will have used the keyboard or the pointer for long, if that is not so already and is to be noticed.
    fn rest_in(&self) -> Option<u64> {
        (self.used + self.rest?).checked_sub((self.micros)()).filter(|left| *left > 0)
    }

    fn finish(&mut self) {
        let written = crate::headless::write_results(
            &self.driver,
            self.screenshot.take().as_deref(),
            self.stats_json.take().as_deref(),
            &self.renderer,
        );
        if let Err(error) = written {
            tracing::warn!(%error, "results not written");
        }
    }
}

/// The desktop's scale as a whole percentage; odd answers of a platform count as 100.
fn percent(scale: f64) -> u16 {
    if scale.is_finite() && scale > 0.0 { (scale * 100.0).round().clamp(50.0, 500.0) as u16 } else { 100 }
}

/// The next scale up or down; `None` for the screen's own.
fn stepped(now: u16, steps: i8) -> Option<u16> {
    match steps {
        0 => None,
        1.. => Some(SCALES.into_iter().find(|s| *s > now).unwrap_or(now)),
        _ => Some(SCALES.into_iter().rev().find(|s| *s < now).unwrap_or(now)),
    }
}

impl Model for App {
    type Wake = Wake;

    fn on_wake(&mut self, wake: Wake) {
        self.driver.on_wake(wake);
    }

    fn turn(&mut self) -> Turn {
        let wake_in = self.driver.turn();
        if let Some(text) = self.driver.said.take() {
            self.said = Some(((self.micros)(), text));
        }
        let hint = self.driver.life_hint().map(|(_, again)| again);
        let size = self.driver.pixels().map(Pixels::size);
        let told = self.parts.follow((self.micros)(), &self.driver.monitors, size);
        let rest = self.rest_in().map(Span::micros);
        let wake_in = [wake_in, hint, self.hint_left(), self.draw_overlay(), told, rest].into_iter().flatten().min();
        let (damage, redraw_all) = self.driver.take_damage();
        let put = self.driver.put.take();
        let exit = match &self.driver.phase {
            Phase::Over(code, text) => {
                self.ended.borrow_mut().clone_from(text);
                Some(*code)
            }
            _ => None,
        };
        if exit.is_some() {
            self.finish();
        }
        Turn { damage, redraw_all, put, wake_in, exit }
    }

    fn input(&mut self, event: InputEvent) {
        self.used = (self.micros)();
        self.driver.on_input(event);
    }

    fn now(&self) -> Stamp<ViewerClock> {
        Stamp::from_micros((self.micros)())
    }

    fn takes_touch(&self) -> bool {
        self.driver.takes_touch()
    }

    fn takes_pen(&self) -> bool {
        self.driver.takes_pen()
    }

    fn window(&mut self, fact: WindowFact) {
        match fact {
            WindowFact::Resized { physical, scale } => {
                let size = Size::new(physical.w, physical.h);
                // Which monitors it lies over is told next, if that changed.
                let (refresh, monitors) = self.covers.take().map(|c| (c.refresh, c.monitors)).unwrap_or_default();
                self.covers = Some(Covers { size, scale: percent(scale), refresh, monitors });
                self.shape();
            }
            WindowFact::Refresh(refresh) => {
                if let Some(covers) = &mut self.covers {
                    covers.refresh = refresh;
                }
                self.shape();
            }
            WindowFact::Spans(monitors) => {
                if let Some(covers) = &mut self.covers {
                    covers.monitors = monitors;
                }
                self.shape();
            }
            WindowFact::Laid(monitors) => {
                let size = surface_of(&monitors).unwrap_or_default();
                let scale = monitors.iter().find(|m| m.primary).or(monitors.first()).map_or(100, |m| m.scale);
                self.covers = Some(Covers { size, scale, refresh: 0, monitors });
                self.shape();
            }
            WindowFact::MonitorClosed => {
                self.said = Some(((self.micros)(), "Ctrl+Alt+N shows the monitor again".into()));
            }
            WindowFact::ScaleWished(steps) => {
                let now = self.scales.first().copied().or(self.covers.as_ref().map(|c| c.scale)).unwrap_or(100);
                self.scales = stepped(now, steps).into_iter().collect();
                self.shape();
                let text = match self.scales.first() {
                    Some(scale) => format!("The desktop's scale: {scale} %"),
                    None => "The desktop's scale: as this screen's".into(),
                };
                self.said = Some(((self.micros)(), text));
            }
            WindowFact::Grabbed(on) => {
                let text = match on {
                    true => "Keys such as Alt+Tab go to the desktop; Ctrl+Alt+G gives them back",
                    false => "Keys such as Alt+Tab are this machine's",
                };
                self.said = Some(((self.micros)(), text.into()));
            }
            WindowFact::CannotGrab => {
                let text =
                    "Keys such as Alt+Tab stay with this machine: its system has no way to give them to a window";
                self.said = Some(((self.micros)(), text.into()));
            }
            WindowFact::Captured(Some(on)) => self.captured = on.then(|| (self.micros)()),
            WindowFact::Captured(None) => self.refused = Some((self.micros)()),
            WindowFact::CloseRequested => match self.driver.phase {
                Phase::NeedCode(_) => {
                    self.driver.phase = Phase::Over(exit::NOT_TRUSTED, "no access code was given".into())
                }
                _ => self.driver.leave(),
            },
            WindowFact::Hidden(on) => self.driver.on_hidden(on),
            WindowFact::Fullscreen(on) => {
                if on && !std::mem::replace(&mut self.way_out_shown, true) {
                    self.said = Some(((self.micros)(), "Ctrl+Alt+Enter leaves the full screen".into()));
                }
            }
            WindowFact::OverlayToggled => {
                self.overlay = !self.overlay;
                self.drawn = None;
            }
            WindowFact::Sharpen(steps) => {
                let at = self.driver.sharpen(steps);
                let text = format!("Smooth motion or sharp pictures: {at} of 100");
                self.said = Some(((self.micros)(), text));
            }
            WindowFact::SoundToggled => {
                self.driver.toggle_listening();
                self.said = Some(((self.micros)(), self.driver.sound.hint().into()));
            }
            WindowFact::MicrophoneToggled => {
                self.driver.toggle_microphone();
                self.said = Some(((self.micros)(), self.driver.sound.hint().into()));
            }
            WindowFact::PasteAsKeys => self.driver.paste_as_keys(),
            WindowFact::Dropped(path) => self.driver.on_dropped(path),
            WindowFact::Renderer(name) => self.renderer = name,
        }
    }

    fn pixels(&self) -> Option<&Pixels> {
        self.driver.pixels()
    }

    fn monitors(&self) -> &[Monitor] {
        self.parts.shown()
    }

    fn cursor(&self) -> Option<(&CursorShape, CursorState)> {
        self.driver.cursor()
    }

    fn veil(&self) -> Veil {
        match &self.driver.phase {
            Phase::Connecting => Veil::Message { title: "Connecting".into(), lines: Vec::new() },
            Phase::NeedCode(_) if self.terminal => {
                Veil::Message { title: "Access code".into(), lines: vec!["Type it in the terminal.".into()] }
            }
            Phase::NeedCode(why) => {
                Veil::Ask { prompt: code_prompt(*why, self.driver.notice.as_deref()), secret: false }
            }
            Phase::Live if self.driver.pixels().is_none() => {
                Veil::Message { title: "Waiting for the first picture".into(), lines: Vec::new() }
            }
            Phase::Live => {
                let seconds = self.driver.silent().map(|span| (span.as_micros() / 1_000_000) as u32);
                match (self.driver.life.away(), seconds) {
                    (Some(why), seconds) => Veil::Away { why, seconds },
                    (None, Some(seconds)) => Veil::Dim { seconds },
                    (None, None) => Veil::Clear,
                }
            }
            Phase::Over(_, text) => Veil::Message { title: "The session is over".into(), lines: vec![text.clone()] },
        }
    }

    fn answer(&mut self, text: String) {
        self.driver.on_code(&text);
    }

    fn title(&self) -> String {
        // spec: S-16
        let speaks = if self.driver.sound.speaks { "MICROPHONE ON – " } else { "" };
        let title = match &self.driver.phase {
            Phase::Live if self.captured.is_some() => {
                format!("{} – Ctrl+Alt+R frees the pointer – Telepane", self.driver.host_name)
            }
            Phase::Live => match self.driver.life.company() {
                Some(company) => format!("{} {company} – Telepane", self.driver.host_name),
                None => format!("{} – Telepane", self.driver.host_name),
            },
            _ => "Telepane".into(),
        };
        let uploading = self.driver.uploading().map(|u| format!("{} % uploaded – ", u.percent())).unwrap_or_default();
        format!("{speaks}{uploading}{title}")
    }

    fn overlay(&self) -> Option<Overlay> {
        self.drawn.as_ref().map(|(_, _, overlay)| overlay.clone())
    }

    fn rests(&self) -> bool {
        self.rest.is_some() && self.rest_in().is_none()
    }

    fn keep_awake(&self) -> bool {
        self.driver.life.awake
    }

    fn hint(&self) -> Option<String> {
        if let Some((text, _)) = self.driver.life_hint() {
            return Some(text);
        }
        self.hint_left()?;
        if let Some((_, text)) = self.said.as_ref().filter(|(at, _)| (self.micros)() < at + HINT_US) {
            return Some(text.clone());
        }
        let text = match self.captured {
            Some(_) => "The pointer is captured; Ctrl+Alt+R sets it free",
            None => "The pointer cannot be captured here",
        };
        Some(text.into())
    }

    fn shown(&mut self) {
        self.driver.shown();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_go_up_and_down_by_steps() {
        assert_eq!(stepped(100, 1), Some(125));
        assert_eq!(stepped(110, 1), Some(125));
        assert_eq!(stepped(110, -1), Some(100));
        assert_eq!((stepped(500, 1), stepped(50, -1)), (Some(500), Some(50)));
        assert_eq!(stepped(175, 0), None);
    }
}
