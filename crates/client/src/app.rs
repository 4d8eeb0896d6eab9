//! The window's model: the driver, seen as what a window needs.

use crate::driver::{Driver, Phase, Wake, code_prompt, exit};
use crate::ui::{Model, Turn, Veil, WindowFact};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use telepane_model::{CursorShape, CursorState, InputEvent, Pixels, Size, Span, Surf};

/// See the module.
pub struct App {
    driver: Driver,
    overlay: bool,
    /// The window's size, until it has been steady for a while.
    resize: Option<(Size<Surf>, u64)>,
    micros: Box<dyn Fn() -> u64>,
    /// A code can be typed on the terminal; then the window does not ask.
    terminal: bool,
    screenshot: Option<PathBuf>,
    stats_json: Option<PathBuf>,
    renderer: String,
    follows: bool,
    /// The words it ended with, for whoever runs the window.
    ended: Rc<RefCell<String>>,
}

/// The desktop follows the window once its size has been steady for this long.
const STEADY_US: u64 = 250_000;

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
            resize: None,
            micros,
            terminal,
            screenshot: options.screenshot.clone(),
            stats_json: options.stats_json.clone(),
            renderer: String::new(),
            follows: options.scaling == crate::cli::Scaling::Fit,
            ended,
        }
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

impl Model for App {
    type Wake = Wake;

    fn on_wake(&mut self, wake: Wake) {
        self.driver.on_wake(wake);
    }

    fn turn(&mut self) -> Turn {
        let mut wake_in = self.driver.turn();
        if let Some((size, since)) = self.resize {
            let steady = (self.micros)() - since;
            if steady >= STEADY_US {
                self.resize = None;
                if self.follows {
                    self.driver.on_resize(size);
                    wake_in = Some(Span::ZERO);
                }
            } else {
                let left = Span::micros(STEADY_US - steady);
                wake_in = Some(wake_in.map_or(left, |w| w.min(left)));
            }
        }
        let (damage, redraw_all) = self.driver.take_damage();
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
        Turn { damage, redraw_all, wake_in, exit }
    }

    fn input(&mut self, event: InputEvent) {
        self.driver.on_input(event);
    }

    fn window(&mut self, fact: WindowFact) {
        match fact {
            WindowFact::Resized { physical, .. } => {
                self.resize = Some((Size::new(physical.w, physical.h), (self.micros)()));
            }
            WindowFact::CloseRequested => match self.driver.phase {
                Phase::NeedCode(_) => {
                    self.driver.phase = Phase::Over(exit::NOT_TRUSTED, "no access code was given".into())
                }
                _ => self.driver.leave(),
            },
            WindowFact::Occluded(_) => {}
            WindowFact::OverlayToggled => self.overlay = !self.overlay,
            WindowFact::Renderer(name) => self.renderer = name,
        }
    }

    fn pixels(&self) -> Option<&Pixels> {
        self.driver.pixels()
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
            Phase::Live => match self.driver.silent() {
                Some(span) => Veil::Dim { seconds: (span.as_micros() / 1_000_000) as u32 },
                None => Veil::Clear,
            },
            Phase::Over(_, text) => Veil::Message { title: "The session is over".into(), lines: vec![text.clone()] },
        }
    }

    fn answer(&mut self, text: String) {
        self.driver.on_code(&text);
    }

    fn title(&self) -> String {
        match &self.driver.phase {
            Phase::Live => format!("{} – Telepane", self.driver.host_name),
            _ => "Telepane".into(),
        }
    }

    fn overlay(&self) -> Option<Vec<String>> {
        self.overlay.then(|| self.driver.overlay())
    }

    fn shown(&mut self) {
        self.driver.shown();
    }
}
