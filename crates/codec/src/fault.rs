//! What a slice may do wrong, one name per forbidden thing.
//!
//! A fault ends the epoch: the framebuffer is then unspecified (but memory-safe), and the viewer asks for a new one.
//! The names are stable: they go into logs, statistics and `protocol-spec/codec.md`.

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $message:literal;)*) => {
        /// A slice broke a rule of `protocol-spec/codec.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[non_exhaustive]
        pub enum CodecFault {
            $($(#[$doc])* #[error($message)] $variant,)*
        }

        impl CodecFault {
            /// Every fault.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// Every fault's name, in the same order.
            pub const ALL_NAMES: &[&str] = &[$($name,)*];

            /// The fault's stable name.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

faults! {
    /// The slice is longer than [`crate::limits::SLICE_BYTES`].
    SliceTooLong = "slice-too-long", "the slice is longer than 1 MiB";
    /// A field or an op runs past the end of what holds it.
    Truncated = "truncated", "an op ends in the middle of a field";
    /// A variable-length number has more than five bytes or does not fit 32 bits.
    LongVarint = "long-varint", "a number does not fit 32 bits";
    /// A rectangle reaches outside the surface.
    RectOutside = "rect-outside", "a rectangle reaches outside the surface";
    /// An op that needs rectangles has none, or more than [`crate::limits::OP_RECTS`].
    RectCount = "rect-count", "an op has no rectangle or too many";
    /// The rectangles of one EXACT op hold more than [`crate::limits::OP_PIXELS`].
    AreaTooLarge = "area-too-large", "an op covers more than half a megapixel";
    /// The ops of one slice write more pixels than [`crate::limits::slice_pixels`].
    TooMuchWork = "too-much-work", "a slice writes more pixels than it may";
    /// A move's source reaches outside the surface.
    MoveOutside = "move-outside", "a move reads outside the surface";
    /// A move by nothing.
    MoveNowhere = "move-nowhere", "a move goes nowhere";
    /// A CACHE op does neither PUT nor REF.
    CacheVerb = "cache-verb", "a cache op does something unknown";
    /// A CACHE op without a run.
    CacheRuns = "cache-runs", "a cache op names no tile";
    /// A CACHE op names a tile that the surface does not have.
    CacheTile = "cache-tile", "a cache op names a tile outside the surface";
    /// A CACHE op names a slot that was not agreed on.
    CacheSlot = "cache-slot", "a cache op names a slot that was not agreed on";
    /// A slot is drawn into which nothing was put.
    CacheEmpty = "cache-empty", "a cache op draws an empty slot";
    /// A slot is drawn on a tile of another size.
    CacheSize = "cache-size", "a cache op draws a slot on a tile of another size";
    /// An EXACT op names a method that does not exist.
    ExactMethod = "exact-method", "an exact op uses an unknown method";
    /// A palette symbol has no colour.
    PaletteIndex = "palette-index", "a palette symbol has no colour";
    /// A stored body is not as long as its pixels need.
    BodySize = "body-size", "an op's body does not fit its pixels";
    /// A TEXT op sets a flag that means nothing.
    TextFlags = "text-flags", "a text op's flags mean nothing";
    /// A TEXT op takes more decisions than its pixels may cost.
    TextBudget = "text-budget", "a text op takes too many decisions";
    /// A TEXT op reads on after its body has ended.
    TextEnd = "text-end", "a text op goes on after its body has ended";
    /// A compressed body is no single well-formed zstd frame, or uses a dictionary or checksum.
    ZstdFrame = "zstd-frame", "a compressed body is not one plain zstd frame";
    /// A compressed body asks for a window above 128 KiB.
    ZstdWindow = "zstd-window", "a compressed body wants a window above 128 KiB";
    /// A compressed body does not unpack to exactly what its pixels need.
    ZstdSize = "zstd-size", "a compressed body does not unpack to its pixels";
    /// A PICTURE op leads to no finer layer than it says it begins with, or brings no plane or an unknown one.
    PictureStep = "picture-step", "a picture op's layers or planes contradict each other";
    /// A PICTURE op's body does not end where its coefficients end, or begins in a state that does not exist.
    PictureBody = "picture-body", "a picture op's body does not fit its coefficients";
    /// A FILM op names a slot of [`crate::limits::FILM_SLOTS`] or above.
    FilmSlot = "film-slot", "a film op names a slot that does not exist";
    /// A FILM op sets a flag that means nothing, or a key without being a frame's first fragment.
    FilmFlags = "film-flags", "a film op's flags contradict each other";
    /// A fragment without the one before it.
    FilmOrder = "film-order", "a film fragment came without its frame's beginning";
    /// A film frame is longer than [`crate::limits::FILM_BYTES`].
    FilmTooLong = "film-too-long", "a film frame is longer than 4 MiB";
    /// A film's colours are not BT.709 full range.
    FilmColour = "film-colour", "a film uses colours that are not known";
    /// The film's stream and its rectangle do not have the same size, or the size is not allowed.
    FilmSize = "film-size", "a film's stream does not fit its rectangle";
    /// A film's frame is coded in a size that is none of those there are.
    FilmScale = "film-scale", "a film is coded in a size that is not known";
    /// The H.264 decoder refuses the stream.
    FilmStream = "film-stream", "a film's stream cannot be decoded";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        let mut names = CodecFault::ALL_NAMES.to_vec();
        for (fault, name) in CodecFault::ALL.iter().zip(&names) {
            assert_eq!(fault.name(), *name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CodecFault::ALL.len());
    }
}
