//! What is shown: opens the capture source that was asked for, with the input and the clipboard that belong to it.

mod hands;

use crate::cli::{CaptureBackend, Heads, Scene, Serve};
use crate::life::Settings;
use crate::sound;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use telepane_audio::SoundServer;
use telepane_capture::virtual_desktop::{self, VirtualDesktop};
use telepane_capture::{Backend, Options, Reconnect, SessionKind, Source, What, session_kind};
use telepane_input::Injector;
use telepane_input::clipboard::Clipboard;
use telepane_machine::place;
use telepane_model::{HostClock, Selection, Size, Span, Stamp, Surf};
use telepane_protocol::Place;
use telepane_protocol::capability::{HANDS_FINE_WHEEL, HANDS_PEN, HANDS_TOUCH};

/// A source with its hands.
pub struct Desktop {
    /// Where frames come from.
    pub source: Box<dyn Source>,
    /// Where input goes; none for recordings.
    pub injector: Option<Box<dyn Injector>>,
    /// The clipboard; none for recordings.
    pub clipboard: Option<Clipboard>,
    /// X11's second selection, where a viewer wants it.
    pub primary: Option<Clipboard>,
    /// The X display, to open input anew after the server restarted.
    pub display: Option<(Option<String>, Option<PathBuf>)>,
    /// Kept running while it is shown.
    pub running: Option<VirtualDesktop>,
    /// Where its applications play and record; none for recordings and where there is no sound.
    pub sound: Option<Arc<SoundServer>>,
    /// Where whoever works on it stands, and a session that waits to hear that.
    pub place: Placed,
}

/// Where the person at the client works, as far as that concerns a desktop of our own.
#[derive(Default)]
pub struct Placed {
    /// What the last one said is kept here for the next start; none where nobody may say it.
    file: Option<PathBuf>,
    said: Place,
    /// The session that begins with the first client.
    waits: Option<virtual_desktop::Options>,
    /// Without a word of its place it begins then.
    begins: Option<Stamp<HostClock>>,
}

/// A client says where its person works right after it came in.
const PLACE_WITHIN: Span = Span::secs(2);

/// The size of a virtual desktop nobody gave a size for, and of invented scenes.
const DEFAULT_SIZE: Size<Surf> = Size::new(1920, 1080);

/// Opens what `serve` names. `place_file` keeps where the last client's person works.
pub fn open(serve: &Serve, settings: &Settings, place_file: PathBuf) -> Result<Desktop> {
    let place_file = (!settings.no_place).then_some(place_file);
    let backend = match serve.capture {
        CaptureBackend::X11 => Backend::X11,
        CaptureBackend::Scrap => Backend::Scrap,
    };
    if let Some(scene) = serve.synthetic {
        let kind = match scene {
            Scene::Editor => telepane_capture::synthetic::Kind::Editor,
            Scene::Scroll => telepane_capture::synthetic::Kind::Scroll,
            Scene::Drag => telepane_capture::synthetic::Kind::Drag,
            Scene::Film => telepane_capture::synthetic::Kind::Film,
        };
        return without_hands(What::Synthetic { kind, size: serve.size.unwrap_or(DEFAULT_SIZE), seed: 1 });
    }
    if let Some(path) = &serve.replay {
        return without_hands(What::Replay { path: path.clone(), looping: true });
    }
    if let Some(Heads(heads)) = &serve.heads {
        return virtual_display(serve, heads.clone(), settings, place_file);
    }
    match (&serve.display, session_kind()) {
        (None, SessionKind::None) => {
            tracing::info!("there is no display: starting a virtual desktop");
            virtual_display(serve, vec![DEFAULT_SIZE], settings, place_file)
        }
        (display, _) => {
            let desktop = x_display(backend, display.clone(), None)?;
            Ok(Desktop { sound: sound::of_session(serve), ..desktop })
        }
    }
}

fn without_hands(what: What) -> Result<Desktop> {
    let source = telepane_capture::open(&Options { backend: Backend::X11, what })?;
    let place = Placed::default();
    Ok(Desktop {
        source,
        injector: None,
        clipboard: None,
        primary: None,
        display: None,
        running: None,
        sound: None,
        place,
    })
}

fn x_display(backend: Backend, name: Option<String>, xauthority: Option<PathBuf>) -> Result<Desktop> {
    let options = Options { backend, what: What::Display { name: name.clone(), xauthority: xauthority.clone() } };
    let first = telepane_capture::open(&options)?;
    let source = Box::new(Reconnect::with(first, Box::new(move || telepane_capture::open(&options))));
    let mut desktop = Desktop {
        source,
        injector: None,
        clipboard: None,
        primary: None,
        display: Some((name, xauthority)),
        running: None,
        sound: None,
        place: Placed::default(),
    };
    desktop.open_hands()?;
    Ok(desktop)
}

fn virtual_display(
    serve: &Serve,
    heads: Vec<Size<Surf>>,
    settings: &Settings,
    place_file: Option<PathBuf>,
) -> Result<Desktop> {
    let sound = sound::for_desktop(serve);
    let environment = sound.as_ref().map(|s| s.environment()).unwrap_or_default();
    let said = place_file.as_deref().and_then(read_place).unwrap_or_default();
    let mut options =
        virtual_desktop::Options { heads, server: Default::default(), session: Default::default(), environment };
    let mut place = Placed { file: place_file, said, ..Placed::default() };
    let running = if settings.first_client {
        place.waits = Some(options.clone());
        virtual_desktop::start(&virtual_desktop::Options { session: virtual_desktop::Session::None, ..options })?
    } else {
        options.environment.extend(place::environment(&place.said));
        virtual_desktop::start(&options)?
    };
    tracing::info!(
        display = running.display(),
        server = running.server_name(),
        session = running.session_name(),
        "a virtual desktop runs"
    );
    let source = running.source()?;
    let display = Some((Some(running.display().to_owned()), Some(running.xauthority())));
    let mut desktop = Desktop {
        source,
        injector: None,
        clipboard: None,
        primary: None,
        display,
        running: Some(running),
        sound,
        place,
    };
    desktop.open_hands()?;
    Ok(desktop)
}

/// What the last client said, if that can be read.
fn read_place(file: &Path) -> Option<Place> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut lines = text.lines().map(str::to_owned);
    Some(Place { zone: lines.next()?, locale: lines.next()? })
}

impl Desktop {
    /// A client came in; `says` whether it will say where its person works.
    pub fn expect_place(&mut self, now: Stamp<HostClock>, says: bool) {
        if self.place.waits.is_some() && self.place.begins.is_none() {
            let within = if says && self.place.file.is_some() { PLACE_WITHIN } else { Span::ZERO };
            self.place.begins = Some(now + within);
        }
    }

    /// Until when a session waits to hear where its person works.
    pub const fn waits_until(&self) -> Option<Stamp<HostClock>> {
        self.place.begins
    }

    /// A person at a client works there.
    pub fn on_place(&mut self, now: Stamp<HostClock>, said: &Place) {
        let Some(file) = self.place.file.as_deref().filter(|_| self.running.is_some()) else { return };
        if self.place.said != *said {
            tracing::info!(zone = said.zone, locale = said.locale, "the person works here");
            self.place.said.clone_from(said);
            // Texts of the wire are lines only if they have no end of line in them; what is odd is not read back.
            if let Err(error) = std::fs::write(file, format!("{}\n{}\n", said.zone, said.locale)) {
                tracing::warn!(%error, "the next start will not know where the person works");
            }
        }
        if self.place.waits.is_some() {
            self.place.begins = Some(now);
        }
    }

    /// Begins the session that waited long enough.
    // spec: H-58
    pub fn begin_session(&mut self, now: Stamp<HostClock>) {
        if self.place.begins.is_none_or(|at| now < at) {
            return;
        }
        self.place.begins = None;
        let (Some(mut options), Some(running)) = (self.place.waits.take(), &mut self.running) else { return };
        options.environment.extend(place::environment(&self.place.said));
        match running.begin(&options) {
            Ok(()) => tracing::info!(session = running.session_name(), "the first client is here: the session begins"),
            Err(error) => tracing::error!(%error, "the session does not begin; the desktop stays empty"),
        }
    }

    /// Opens input and clipboard (anew, when the server restarted).
    pub fn open_hands(&mut self) -> Result<()> {
        let Some((name, xauthority)) = &self.display else { return Ok(()) };
        let (name, xauthority) = (name.as_deref(), xauthority.as_deref());
        // The one before turns the display's own devices off as it goes.
        self.injector = None;
        let opened = hands::open(name, xauthority, self.running.as_ref());
        self.injector = Some(opened.context("input")?);
        self.clipboard = self.open_selection(Selection::Clipboard);
        self.primary = None;
        Ok(())
    }

    /// What its hands can do besides keys and a mouse, as a host says it.
    // spec: D-34, D-35
    pub fn hands(&self) -> u64 {
        let takes = self.injector.as_ref().map(|injector| injector.takes()).unwrap_or_default();
        [(takes.touch, HANDS_TOUCH), (takes.pen, HANDS_PEN), (takes.fine_wheel, HANDS_FINE_WHEEL)]
            .into_iter()
            .fold(0, |bits, (takes, bit)| if takes { bits | bit } else { bits })
    }

    /// Opens the second selection.
    pub fn open_primary(&mut self) {
        self.primary = self.open_selection(Selection::Primary);
    }

    fn open_selection(&self, selection: Selection) -> Option<Clipboard> {
        let (name, xauthority) = self.display.as_ref()?;
        let opened = Clipboard::open(name.as_deref(), xauthority.as_deref(), selection);
        opened.inspect_err(|error| tracing::warn!(%error, ?selection, "the clipboard is not shared")).ok()
    }
}
