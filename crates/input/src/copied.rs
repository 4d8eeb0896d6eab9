//! What a clipboard tells, on every system.

use telepane_model::clipboard::{ClipFormat, ClipOffer, MAX_CLIP};

/// The longest contents taken or given, in bytes. Larger is refused: it would stand in memory on both hosts.
pub const LIMIT: usize = MAX_CLIP;
/// A paste on the host, to be answered by the clipboard's `provide` or `refuse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PasteId(pub u64);

/// A fetch by the caller, who chooses the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// What happened to the selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClipEvent {
    /// Somebody here copied: this can be offered to the other side; without a kind, nothing can any more. What we offered is
    /// over.
    Changed(ClipOffer),
    /// An application here pastes what we offered.
    Wanted {
        /// To answer with.
        id: PasteId,
        /// In this kind.
        format: ClipFormat,
    },
    /// It waits no longer.
    Unwanted {
        /// Which.
        id: PasteId,
    },
    /// A fetch is over.
    Fetched {
        /// The one given to the clipboard's `fetch`.
        id: FetchId,
        /// The contents (text and HTML as UTF-8), or why there are none.
        data: Result<Vec<u8>, ClipError>,
    },
}

/// Why there are no contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClipError {
    /// Longer than [`LIMIT`].
    #[error("the clipboard holds more than {} MiB; copy it as a file", LIMIT >> 20)]
    TooLarge,
    /// Nobody owns the clipboard, or its owner has nothing of this kind.
    #[error("the clipboard holds nothing of this kind")]
    Nothing,
    /// The owner did not answer in time.
    #[error("the application that owns the clipboard does not answer; copy again")]
    TimedOut,
    /// Too many fetches at once.
    #[error("too many clipboard fetches at once; try again")]
    Busy,
}
