//! A source that outlives its display: lost, it says so once, tries again every half second, and goes on with a
//! whole frame when the display is back. Frame ids and cursor numbers go on without a gap or a double.

use crate::open::OpenError;
use crate::source::{Description, Event, Lost, ResizeRefused, Source, Wake};
use std::collections::VecDeque;
use std::sync::Arc;
use telepane_model::{
    AppWindow, CursorShape, Damage, Desk, FrameId, HostClock, Monitor, Pixels, Point, Size, Span, Stamp, Surf, Trust,
};

/// How long between two attempts.
const PAUSE: Span = Span::millis(500);
/// Cursor images remembered to keep their numbers.
const KNOWN_SHAPES: usize = 64;

/// Opens the source anew.
pub type Opener = Box<dyn FnMut() -> Result<Box<dyn Source>, OpenError> + Send>;

/// See the module.
pub struct Reconnect {
    open: Opener,
    name: String,
    inner: Option<Box<dyn Source>>,
    last: Arc<Pixels>,
    frame: FrameId,
    /// The next frame is told as whole: the reader's picture is of an earlier life.
    whole: bool,
    retry_at: Stamp<HostClock>,
    echo: Option<Stamp<HostClock>>,
    shapes: VecDeque<CursorShape>,
    shape_count: u32,
    /// The inner source's number of the current shape, and ours.
    shape: (u32, u32),
}

impl Reconnect {
    /// Waits for the display from the start, if need be.
    pub fn new(name: impl Into<String>, open: Opener) -> Self {
        Self {
            open,
            name: name.into(),
            inner: None,
            last: Arc::new(Pixels::default()),
            frame: FrameId(0),
            whole: true,
            retry_at: Stamp::ZERO,
            echo: None,
            shapes: VecDeque::new(),
            shape_count: 0,
            shape: (0, 0),
        }
    }

    /// Starts with a source that is open already.
    pub fn with(first: Box<dyn Source>, open: Opener) -> Self {
        let mut new = Self::new(first.describe().name, open);
        new.inner = Some(first);
        new
    }

    /// Whether the display is there.
    pub fn is_connected(&self) -> bool {
        self.inner.is_some()
    }

    /// Our number for an image of the inner source.
    fn number(&mut self, shape: CursorShape) -> CursorShape {
        let inner = shape.id;
        let bare = CursorShape { id: 0, ..shape };
        let known = self.shapes.iter().find(|k| bare == CursorShape { id: 0, ..(*k).clone() });
        let ours = match known {
            Some(known) => known.clone(),
            None => {
                self.shape_count = self.shape_count.saturating_add(1);
                let new = CursorShape { id: self.shape_count, ..bare };
                if self.shapes.len() >= KNOWN_SHAPES {
                    self.shapes.pop_front();
                }
                self.shapes.push_back(new.clone());
                new
            }
        };
        self.shape = (inner, ours.id);
        ours
    }

    fn translate(&mut self, event: Event) -> Event {
        match event {
            Event::Frame(mut facts) => {
                self.frame = FrameId(self.frame.0 + 1);
                facts.id = self.frame;
                if std::mem::take(&mut self.whole) {
                    facts.damage = Damage::all(facts.size);
                }
                Event::Frame(facts)
            }
            Event::CursorShape(shape) => Event::CursorShape(self.number(shape)),
            Event::Cursor(mut state) => {
                if state.shape == self.shape.0 {
                    state.shape = self.shape.1;
                }
                Event::Cursor(state)
            }
            event @ (Event::Monitors(_) | Event::PointerPut(_) | Event::Gone) => event,
        }
    }
}

impl Source for Reconnect {
    fn describe(&self) -> Description {
        self.inner.as_ref().map_or_else(
            || Description {
                name: self.name.clone(),
                backend: "none",
                damage: Trust::Unknown,
                has_cursor: false,
                can_resize: false,
                size: self.last.size(),
            },
            |s| s.describe(),
        )
    }

    fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<Event>, Lost> {
        if self.inner.is_none() {
            if now < self.retry_at {
                return Ok(None);
            }
            self.retry_at = now + PAUSE;
            match (self.open)() {
                Ok(mut source) => {
                    if let Some(at) = self.echo.take() {
                        source.expect_echo(at);
                    }
                    tracing::info!(source = source.describe().name, "display found");
                    self.inner = Some(source);
                    self.whole = true;
                }
                Err(e) => {
                    tracing::debug!(error = %e, "display not there yet");
                    return Ok(None);
                }
            }
        }
        let Some(inner) = &mut self.inner else { return Ok(None) };
        match inner.poll(now) {
            Ok(event) => Ok(event.map(|e| self.translate(e))),
            Err(lost) => {
                tracing::warn!(%lost, "trying again every half second");
                self.last = inner.pixels();
                self.name = inner.describe().name;
                self.inner = None;
                self.retry_at = now + PAUSE;
                Ok(Some(Event::Gone))
            }
        }
    }

    fn pixels(&self) -> Arc<Pixels> {
        self.inner.as_ref().map_or_else(|| Arc::clone(&self.last), |s| s.pixels())
    }

    fn wake(&self) -> Wake {
        self.inner.as_ref().map_or(Wake { fd: None, at: Some(self.retry_at) }, |s| s.wake())
    }

    fn resize(&mut self, size: Size<Surf>) -> Result<Size<Surf>, ResizeRefused> {
        match &mut self.inner {
            Some(inner) => inner.resize(size),
            None => Err(ResizeRefused::Fixed("a display that is not there")),
        }
    }

    fn arrange(&mut self, monitors: &[Monitor]) -> Result<Size<Surf>, ResizeRefused> {
        match &mut self.inner {
            Some(inner) => inner.arrange(monitors),
            None => Err(ResizeRefused::Fixed("a display that is not there")),
        }
    }

    fn windows(&mut self) -> Vec<AppWindow> {
        self.inner.as_mut().map(|inner| inner.windows()).unwrap_or_default()
    }

    fn put_windows(&mut self, windows: &[AppWindow]) {
        if let Some(inner) = &mut self.inner {
            inner.put_windows(windows);
        }
    }

    fn expect_pointer(&mut self, at: Option<Point<Desk>>) {
        if let Some(inner) = &mut self.inner {
            inner.expect_pointer(at);
        }
    }

    fn rest(&mut self, rests: bool) {
        if let Some(inner) = &mut self.inner {
            inner.rest(rests);
        }
    }

    fn expect_echo(&mut self, now: Stamp<HostClock>) {
        match &mut self.inner {
            Some(inner) => inner.expect_echo(now),
            None => self.echo = Some(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Kind, Synthetic};

    /// A source that dies at an instant.
    struct Mortal(Synthetic, Stamp<HostClock>);

    impl Source for Mortal {
        fn describe(&self) -> Description {
            self.0.describe()
        }
        fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<Event>, Lost> {
            if now >= self.1 {
                return Err(Lost::Display { name: ":7".into(), reason: "its time had come".into() });
            }
            self.0.poll(now)
        }
        fn pixels(&self) -> Arc<Pixels> {
            self.0.pixels()
        }
        fn wake(&self) -> Wake {
            self.0.wake()
        }
        fn resize(&mut self, size: Size<Surf>) -> Result<Size<Surf>, ResizeRefused> {
            self.0.resize(size)
        }
        fn expect_echo(&mut self, now: Stamp<HostClock>) {
            self.0.expect_echo(now);
        }
    }

    #[test]
    fn a_restart_is_one_gone_and_one_whole_frame() {
        let at = Stamp::from_micros;
        let mut lives = 0u64;
        let opener: Opener = Box::new(move || {
            lives += 1;
            // The first attempt and the third fail.
            if lives == 1 || lives == 3 {
                return Err(OpenError::NoDisplay { sockets: Vec::new() });
            }
            let scene = Synthetic::new(Kind::Film, Size::new(64, 48), lives);
            Ok(Box::new(Mortal(scene, at(lives * 1_000_000))) as Box<dyn Source>)
        });
        let mut source = Reconnect::new(":7", opener);
        let (mut last, mut gone, mut whole) = (0, 0, 0);
        let mut now = at(0);
        while now < at(5_000_000) {
            while let Some(event) = source.poll(now).unwrap() {
                match event {
                    Event::Frame(f) => {
                        assert_eq!(f.id.0, last + 1);
                        last = f.id.0;
                        whole += u32::from(f.damage.trust == Trust::Unknown);
                    }
                    Event::Gone => {
                        gone += 1;
                        assert_eq!(source.pixels().size(), Size::new(64, 48));
                    }
                    _ => {}
                }
            }
            let next = source.wake().at.unwrap();
            now = next.max(now + Span::micros(1));
        }
        assert_eq!((gone, whole), (2, 3));
        assert!(last > 20);
    }
}
