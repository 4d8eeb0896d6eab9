//! What is copied and pasted, by kind. An offer says which kinds there are; contents are asked for one kind at a time.

/// One kind of contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ClipFormat {
    /// Plain text: UTF-8, lines end in LF.
    Text = 0,
    /// HTML: UTF-8.
    Html = 1,
    /// Rich Text Format.
    Rtf = 2,
    /// An image as PNG.
    Png = 3,
    /// Files and directories, packed one after the other.
    Files = 4,
}

impl ClipFormat {
    /// Every kind there is.
    pub const ALL: [Self; 5] = [Self::Text, Self::Html, Self::Rtf, Self::Png, Self::Files];

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|f| *f as u8 == number)
    }
}

/// A set of kinds, as bits by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClipFormats(u32);

impl ClipFormats {
    /// None.
    pub const NONE: Self = Self(0);
    /// Plain text alone.
    pub const TEXT: Self = Self(1);
    /// Every kind there is.
    pub const ALL: Self = Self(0x1f);

    /// The known ones of these bits; the others mean nothing.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// As bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether this kind is among them.
    pub const fn has(self, format: ClipFormat) -> bool {
        self.0 & (1 << format as u8) != 0
    }

    /// With this one.
    #[must_use]
    pub const fn with(self, format: ClipFormat) -> Self {
        Self(self.0 | 1 << format as u8)
    }

    /// Without this one.
    #[must_use]
    pub const fn without(self, format: ClipFormat) -> Self {
        Self(self.0 & !(1 << format as u8))
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = ClipFormat> {
        ClipFormat::ALL.into_iter().filter(move |f| self.has(*f))
    }
}

impl FromIterator<ClipFormat> for ClipFormats {
    fn from_iter<T: IntoIterator<Item = ClipFormat>>(formats: T) -> Self {
        formats.into_iter().fold(Self::NONE, Self::with)
    }
}

/// Where it was copied to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selection {
    /// What Copy and Paste mean everywhere.
    #[default]
    Clipboard = 0,
    /// X11's second one: what is selected, pasted by the middle button.
    Primary = 1,
}

impl Selection {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Clipboard, Self::Primary];
}

/// What can be pasted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClipOffer {
    /// From where.
    pub selection: Selection,
    /// In these kinds; with none, nothing can be pasted any more.
    pub formats: ClipFormats,
    /// A password manager has marked it: it is kept out of histories and given only to a person's own paste.
    pub secret: bool,
}

/// The names under which programs mark what they copy as secret: KDE's (X11 and Wayland), Windows' and macOS's. An owner that
/// announces one of them, with whatever contents, has a secret.
pub const SECRET_MARKS: [&str; 5] = [
    "x-kde-passwordManagerHint",
    "ExcludeClipboardContentFromMonitorProcessing",
    "Clipboard Viewer Ignore",
    "org.nspasteboard.ConcealedType",
    "org.nspasteboard.TransientType",
];

/// The most bytes of one kind but files that are pasted: DCV's `max-payload-size`.
pub const MAX_CLIP: usize = 20 << 20;
