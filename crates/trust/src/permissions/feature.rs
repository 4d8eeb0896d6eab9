//! The features a permission file speaks of, under DCV's names, and sets of them.
//!
//! All of DCV's names are known, also those that Telepane does not offer yet, so that an existing file parses unchanged.
//! The order is that of the names.

use core::fmt;
use core::str::FromStr;

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something a client may be allowed to do, under DCV's names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Feature { $($(#[$doc])* $name,)* }

        impl Feature {
            /// Every feature.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in the file.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

features! {
    /// The microphone, from client to host.
    AudioIn = "audio-in",
    /// Sound, from host to client.
    AudioOut = "audio-out",
    /// The host's clipboard to the client. Worth denying only together with `screenshot`.
    ClipboardCopy = "clipboard-copy",
    /// The client's clipboard to the host.
    ClipboardPaste = "clipboard-paste",
    /// Seeing the screen.
    Display = "display",
    /// Extensions of the client.
    ExtensionsClient = "extensions-client",
    /// Extensions of the host.
    ExtensionsServer = "extensions-server",
    /// Files from the host.
    FileDownload = "file-download",
    /// Files to the host.
    FileUpload = "file-upload",
    /// Game controllers.
    Gamepad = "gamepad",
    /// Keys, without the secure attention sequence.
    Keyboard = "keyboard",
    /// Ctrl+Alt+Del; needs `keyboard` as well.
    KeyboardSas = "keyboard-sas",
    /// Moving and clicking the mouse.
    Mouse = "mouse",
    /// Seeing the host's pointer and its shape.
    Pointer = "pointer",
    /// Printing on the client.
    Printer = "printer",
    /// Saving what is on the screen.
    Screenshot = "screenshot",
    /// Smart cards of the client.
    Smartcard = "smartcard",
    /// Pens and 3D devices.
    Stylus = "stylus",
    /// Touch.
    Touch = "touch",
    /// Being connected while the owner is not.
    UnsupervisedAccess = "unsupervised-access",
    /// USB devices of the client.
    Usb = "usb",
    /// Cameras of the client.
    Webcam = "webcam",
}

impl Feature {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Feature {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|f| f.name() == text).ok_or(())
    }
}

/// A set of features.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct FeatureSet(u32);

impl FeatureSet {
    /// No feature.
    pub const NONE: Self = Self(0);
    /// Every feature: DCV's `builtin`.
    pub const BUILTIN: Self = Self((1 << Feature::ALL.len()) - 1);

    /// Only `feature`.
    pub(super) const fn of(feature: Feature) -> Self {
        Self(feature.bit())
    }

    /// True when `feature` is in the set.
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & feature.bit() != 0
    }

    /// The features, in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.iter().copied().filter(move |f| self.has(*f))
    }

    /// The features that are in both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Feature::name)).finish()
    }
}
