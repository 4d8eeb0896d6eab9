//! What is shown: opens the capture source that was asked for, with the input and the clipboard that belong to it.

use crate::cli::{CaptureBackend, Heads, Scene, Serve};
use crate::sound;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::Arc;
use telepane_audio::SoundServer;
use telepane_capture::virtual_desktop::{self, VirtualDesktop};
use telepane_capture::{Backend, Options, Reconnect, SessionKind, Source, What, session_kind};
use telepane_input::Injector;
use telepane_input::clipboard::Clipboard;
use telepane_model::{Selection, Size, Surf};

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
}

/// The size of a virtual desktop nobody gave a size for, and of invented scenes.
const DEFAULT_SIZE: Size<Surf> = Size::new(1920, 1080);

/// Opens what `serve` names.
pub fn open(serve: &Serve) -> Result<Desktop> {
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
        return virtual_display(serve, heads.clone());
    }
    match (&serve.display, session_kind()) {
        (None, SessionKind::None) => {
            tracing::info!("there is no display: starting a virtual desktop");
            virtual_display(serve, vec![DEFAULT_SIZE])
        }
        (display, _) => {
            let desktop = x_display(backend, display.clone(), None)?;
            Ok(Desktop { sound: sound::of_session(serve), ..desktop })
        }
    }
}

fn without_hands(what: What) -> Result<Desktop> {
    let source = telepane_capture::open(&Options { backend: Backend::X11, what })?;
    Ok(Desktop { source, injector: None, clipboard: None, primary: None, display: None, running: None, sound: None })
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
    };
    desktop.open_hands()?;
    Ok(desktop)
}

fn virtual_display(serve: &Serve, heads: Vec<Size<Surf>>) -> Result<Desktop> {
    let sound = sound::for_desktop(serve);
    let environment = sound.as_ref().map(|s| s.environment()).unwrap_or_default();
    let options =
        virtual_desktop::Options { heads, server: Default::default(), session: Default::default(), environment };
    let running = virtual_desktop::start(&options)?;
    tracing::info!(
        display = running.display(),
        server = running.server_name(),
        session = running.session_name(),
        "a virtual desktop runs"
    );
    let source = running.source()?;
    let display = Some((Some(running.display().to_owned()), Some(running.xauthority())));
    let mut desktop =
        Desktop { source, injector: None, clipboard: None, primary: None, display, running: Some(running), sound };
    desktop.open_hands()?;
    Ok(desktop)
}

impl Desktop {
    /// Opens input and clipboard (anew, when the server restarted).
    pub fn open_hands(&mut self) -> Result<()> {
        let Some((name, xauthority)) = &self.display else { return Ok(()) };
        let (name, xauthority) = (name.as_deref(), xauthority.as_deref());
        self.injector = Some(telepane_input::open_x11(name, xauthority).context("input")?);
        self.clipboard = self.open_selection(Selection::Clipboard);
        self.primary = None;
        Ok(())
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
