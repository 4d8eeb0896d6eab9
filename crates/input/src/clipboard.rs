//! A selection of the display, X11's or Wayland's (CLIPBOARD, or PRIMARY where that is wanted): several kinds of contents both ways, fetched only
//! when somebody pastes.
//!
//! Nothing is copied ahead of need: that somebody copied is told as [`ClipEvent::Changed`] with the kinds there are, and
//! one of them is fetched when the other side pastes; what was copied there is offered by [`Clipboard::offer`] and asked for
//! by [`ClipEvent::Wanted`] when an application here pastes, both ways [`LIMIT`] bytes each at most. Taking the selection
//! ourselves is never reported as a change, so two clipboards that follow each other come to rest.
//!
//! What an owner has marked as secret is told so and given out with the same mark. It is given only while a person is at
//! work: within two seconds of a key or button there, so that a program which reads every new clipboard gets
//! nothing. A display that cannot tell that gives it only a second after it was offered, when such programs have asked.
//!
//! The object has no thread and no clock: [`Clipboard::poll`] when [`AsFd::as_fd`] is readable, after every other call, and
//! at [`Clipboard::deadline`].

pub mod files;
mod wayland;
mod x11;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::{Path, PathBuf};

use telepane_model::clipboard::{ClipFormat, ClipFormats, Selection};
use telepane_model::time::{HostClock, Span, Stamp};

pub use crate::copied::{ClipError, ClipEvent, FetchId, LIMIT, PasteId};
use crate::{Gone, OpenError};

/// One selection of a display.
#[derive(Debug)]
pub struct Clipboard(Through);

/// What it is reached through.
#[derive(Debug)]
enum Through {
    X11(Box<x11::Clipboard>),
    Wayland(Box<wayland::Clipboard>),
}

/// The same of whichever it is.
macro_rules! through {
    ($clipboard:expr, $one:ident => $done:expr) => {
        match $clipboard {
            Through::X11($one) => $done,
            Through::Wayland($one) => $done,
        }
    };
}

impl Clipboard {
    /// Opens a selection of an X11 display (`None`: from the environment). If somebody has copied already, the first event
    /// says so.
    ///
    /// # Errors
    /// [`OpenError`] when there is no connection, or XFIXES is missing.
    pub fn open(display: Option<&str>, xauthority: Option<&Path>, selection: Selection) -> Result<Self, OpenError> {
        Ok(Self(Through::X11(Box::new(x11::Clipboard::open(display, xauthority, selection)?))))
    }

    /// Opens a selection of a Wayland compositor, by its socket (`None`: from the environment); the same otherwise. Where that
    /// of the environment shows its selections to windows only, those of its Xwayland are taken: GNOME's keeps them the same,
    /// whoever is in front.
    ///
    /// # Errors
    /// [`OpenError`] when there is no connection, or the compositor shows its selections to windows only and has no Xwayland.
    pub fn open_wayland(socket: Option<&Path>, selection: Selection) -> Result<Self, OpenError> {
        Ok(Self(match wayland::Clipboard::open(socket, selection) {
            Err(OpenError::KeptByWindows) if socket.is_none() => {
                let beside = x11::Clipboard::open_xwayland(selection)?.ok_or(OpenError::KeptByWindows)?;
                tracing::info!("the compositor's clipboard is reached by way of its Xwayland");
                Through::X11(Box::new(beside))
            }
            opened => Through::Wayland(Box::new(opened?)),
        }))
    }

    /// Takes in what happened up to `now` and gives the next event; `None` when there is no more for the present.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn poll(&mut self, now: Stamp<HostClock>) -> Result<Option<ClipEvent>, Gone> {
        through!(&mut self.0, c => c.poll(now))
    }

    /// When to poll again even if nothing comes.
    pub fn deadline(&self) -> Option<Stamp<HostClock>> {
        through!(&self.0, c => c.deadline())
    }

    /// Offers what the other side has, in these kinds: from now on pastes here are [`ClipEvent::Wanted`]. To be called anew
    /// whenever somebody has copied there.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn offer(&mut self, formats: ClipFormats, secret: bool) -> Result<(), Gone> {
        through!(&mut self.0, c => c.offer(formats, secret))
    }

    /// Ends our offer, if it still stands: the other side has nothing any more.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn withdraw(&mut self) -> Result<(), Gone> {
        through!(&mut self.0, c => c.withdraw())
    }

    /// Which selection this is.
    pub const fn selection(&self) -> Selection {
        through!(&self.0, c => c.selection())
    }

    /// Whether the selection is ours, for the other side.
    pub fn is_ours(&self) -> bool {
        through!(&self.0, c => c.is_ours())
    }

    /// Fetches what is here in one kind: later a [`ClipEvent::Fetched`] with the same `id` follows, in any case.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn fetch(&mut self, id: FetchId, format: ClipFormat) -> Result<(), Gone> {
        through!(&mut self.0, c => c.fetch(id, format))
    }

    /// Answers a paste with the other side's contents. Longer than [`LIMIT`] bytes is refused; an unknown or expired `id` is
    /// ignored.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn provide(&mut self, id: PasteId, data: &[u8]) -> Result<(), Gone> {
        through!(&mut self.0, c => c.provide(id, data))
    }

    /// Answers a paste of files with where they are now; as [`Clipboard::provide`] otherwise.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn provide_files(&mut self, id: PasteId, paths: &[PathBuf]) -> Result<(), Gone> {
        through!(&mut self.0, c => c.provide_files(id, paths))
    }

    /// What a paste waits for is on its way: it waits longer.
    pub fn still(&mut self, id: PasteId) {
        through!(&mut self.0, c => c.still(id));
    }

    /// Answers a paste with nothing: the other side is gone, may not, or has nothing. An unknown `id` is ignored.
    ///
    /// # Errors
    /// [`Gone`] when the display went away.
    pub fn refuse(&mut self, id: PasteId) -> Result<(), Gone> {
        through!(&mut self.0, c => c.refuse(id))
    }
}

impl AsRawFd for Clipboard {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Clipboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        through!(&self.0, c => c.as_fd())
    }
}

/// What programs of Linux call this kind, the best first.
const fn names_of(format: ClipFormat) -> &'static [&'static str] {
    match format {
        ClipFormat::Text => &["UTF8_STRING", "text/plain;charset=utf-8", "TEXT", STRING, "text/plain"],
        ClipFormat::Html => &["text/html"],
        ClipFormat::Rtf => &["text/rtf", "application/rtf", "text/richtext"],
        ClipFormat::Png => &["image/png"],
        ClipFormat::Files => &["text/uri-list", COPIED_FILES],
    }
}

/// ISO 8859-1, which STRING is (ICCCM 2.6.2), with `?` for what it lacks.
fn to_latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

/// What is not UTF-8 is shown as such rather than losing the whole paste.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// HTML as UTF-8; Firefox gives UTF-16 with its mark in front.
fn html(bytes: Vec<u8>) -> String {
    let wide = |of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> =
            bytes.chunks_exact(2).skip(1).filter_map(|pair| pair.first_chunk().copied()).map(of).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes.first_chunk() {
        Some([0xff, 0xfe]) => wide(u16::from_le_bytes),
        Some([0xfe, 0xff]) => wide(u16::from_be_bytes),
        _ => lossy(bytes),
    }
}

/// Contents as they travel; `text` is what text's bytes say.
fn travelling(
    format: ClipFormat,
    mut bytes: Vec<u8>,
    text: impl FnOnce(Vec<u8>) -> String,
) -> Result<Vec<u8>, ClipError> {
    let text = match format {
        ClipFormat::Text => text(bytes),
        ClipFormat::Html => html(bytes),
        ClipFormat::Rtf | ClipFormat::Files => {
            bytes.truncate(bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1));
            return Ok(bytes);
        }
        ClipFormat::Png => return Ok(bytes),
    };
    // Some owners count C's terminator in.
    let text = text.trim_end_matches('\0');
    if text.len() > LIMIT { Err(ClipError::TooLarge) } else { Ok(text.as_bytes().to_vec()) }
}

/// A wait with an end. The end is set by the first poll after it began, since only polls know the time.
#[derive(Clone, Copy, Debug)]
struct Patience {
    span: Span,
    until: Option<Stamp<HostClock>>,
}

impl Patience {
    const fn new(span: Span) -> Self {
        Self { span, until: None }
    }

    /// Begins anew.
    fn renew(&mut self) {
        self.until = None;
    }

    /// Whether it had an end and that has passed.
    fn is_over(&self, now: Stamp<HostClock>) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    fn over(&mut self, now: Stamp<HostClock>) -> bool {
        now >= *self.until.get_or_insert(now + self.span)
    }
}

/// The name of Latin-1 text.
const STRING: &str = "STRING";
/// The list of files that GNOME's file manager copies.
const COPIED_FILES: &str = "x-special/gnome-copied-files";
/// Where the display cannot tell whether a person is at work: programs that read every clipboard do so within this.
const GREEDY: Span = Span::millis(1_000);
/// Fetches that may wait at once.
const MAX_ASKS: usize = 8;
/// How long the owner may take for an answer or a piece.
const OWNER: Span = Span::millis(5_000);
/// How long a fetch may take altogether, however steadily pieces come.
const LIFE: Span = Span::millis(60_000);
/// Pastes that may wait for the other side at once.
const MAX_WANTED: usize = 16;
/// Large contents that may be on their way at once, each at most [`LIMIT`] bytes in memory.
const MAX_OUTGOING: usize = 4;
/// How long the other side may take, or leave between one part and the next; an application that pastes is blocked meanwhile (GTK and Qt give up after 5 to 30 s).
const VIEWER: Span = Span::millis(10_000);
/// How long a requestor may take for each piece.
const REQUESTOR: Span = Span::millis(5_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin1_keeps_what_it_has() {
        assert_eq!(to_latin1("aä€ÿ"), [b'a', 0xe4, b'?', 0xff]);
    }

    #[test]
    fn html_of_any_width_is_read() {
        let wide = |mark: [u8; 2], of: fn(u16) -> [u8; 2]| {
            mark.into_iter().chain("<b>ä€</b>".encode_utf16().flat_map(of)).collect::<Vec<u8>>()
        };
        assert_eq!(html(wide([0xff, 0xfe], u16::to_le_bytes)), "<b>ä€</b>");
        assert_eq!(html(wide([0xfe, 0xff], u16::to_be_bytes)), "<b>ä€</b>");
        assert_eq!(html("<b>ä€</b>".into()), "<b>ä€</b>");
        assert_eq!(html(vec![0xff, 0xfe, 0x3c]), "", "half a character");
    }
}
