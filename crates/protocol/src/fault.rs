//! What a peer may not do: one name for each forbidden thing. The same list stands in `protocol-spec/faults.md`.

use thiserror::Error;

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// Something malformed or forbidden that came from the peer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
        pub enum Fault {
            $($(#[doc = $doc])* #[error($text)] $name,)*
        }

        impl Fault {
            /// Every fault there is, in the order of the specification.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in the specification.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

faults! {
    /// The bytes end before the message does.
    Truncated = "the message ends too early",
    /// An integer does not fit its field.
    NumberTooLarge = "a number is larger than its field allows",
    /// A datagram kind nobody knows.
    UnknownDatagram = "unknown kind of datagram",
    /// A control message kind nobody knows; it is skipped.
    UnknownControl = "unknown kind of control message",
    /// A message for the other side.
    WrongDirection = "a message came from the side that may not send it",
    /// A list is longer than its bound.
    ListTooLong = "a list is longer than allowed",
    /// A text is longer than its bound.
    TextTooLong = "a text is longer than allowed",
    /// A text is not UTF-8.
    TextNotUtf8 = "a text is not valid UTF-8",
    /// A surface's size is zero or too large.
    BadSize = "a surface has an impossible size",
    /// A shard's index or count is out of range, or its siblings say otherwise.
    BadShard = "a shard does not fit its slice",
    /// A slice names a base that is not before it.
    BadBase = "a slice is coded against a slice that is not before it",
    /// A slice changes what an earlier slice of the same id said.
    SliceReused = "a slice id was used twice with different content",
    /// An epoch of zero, or one far ahead.
    BadEpoch = "an epoch number is impossible",
    /// A surface that was never announced.
    UnknownSurface = "unknown surface",
    /// Feedback for datagrams that were never sent.
    FeedbackFromTheFuture = "feedback names a datagram that was never sent",
    /// The viewer claims to hold a slice that was never sent.
    AppliedFromTheFuture = "the viewer claims a slice that was never sent",
    /// The viewer claims that its screen shows what cannot be there.
    BadShown = "the viewer claims to show what it cannot",
    /// A key code outside the table.
    BadKeyCode = "a key code is out of range",
    /// An unknown input event or button.
    BadInput = "an input event is malformed",
    /// Input events out of order within a batch, or absurdly far ahead.
    InputOutOfOrder = "input events are out of order",
    /// A cursor larger than allowed, or whose pixels do not match its size.
    BadCursor = "a cursor has an impossible size",
    /// Monitors of which there are none or too many, or that do not lie on one surface.
    BadMonitors = "monitors make no desktop",
    /// A control message that its state does not allow.
    Unexpected = "a control message came at the wrong time",
    /// No version in common.
    VersionMismatch = "no protocol version in common",
    /// Clipboard data nobody asked for.
    UnaskedClipboard = "clipboard data that was not asked for",
    /// The pixel data of a slice does not decode.
    BadPixels = "a slice's pixel data does not decode",
    /// A capability list with the same entry twice.
    CapabilityTwice = "a capability is listed twice",
    /// A policy with a value out of range, or its entries out of order.
    BadPolicy = "a policy holds an impossible value",
    /// More was sent than the receiver said it holds.
    TooMuchPending = "more slices are pending than the receiver holds",
    /// A frame of sound that is not one Opus frame of 10 ms, or too long.
    BadSound = "a frame of sound is malformed",
    /// Sound that nobody wished for, or that is not allowed.
    UnaskedSound = "sound that was not wished for",
    /// A path or name that may not travel.
    BadPath = "a path is absolute, climbs, or has an impossible name",
    /// A chunk without bytes that ends nothing, or beyond what a pipe carries, or over what came before.
    BadChunk = "a chunk does not fit its pipe",
    /// Bulk data for a pipe nobody opened.
    UnaskedBulk = "bulk data that was not asked for",
    /// Bulk data beyond what the receiver allowed.
    TooMuchBulk = "more bulk data than the receiver allowed",
    /// A kind of clipboard contents that nobody knows.
    BadFormat = "an unknown kind of clipboard contents",
    /// Clipboard contents that are not what their kind says, or that may act on their own.
    BadContents = "clipboard contents are not what their kind says",
    /// A hash of a tile that the surface does not have.
    BadProof = "a tile that does not exist is said to show something",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Fault::ALL.iter().map(|f| f.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::ALL.len());
    }
}
