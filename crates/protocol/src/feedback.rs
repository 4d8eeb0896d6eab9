//! Feedback: what a side received and when, what the viewer holds and shows, what the host did with the input.
//!
//! Two forms, one of them closer, for a peer that reads it ([`crate::Capability::Reports`]).

use crate::fault::Fault;
use crate::wire::{Put, Reader, unzigzag, zigzag};
use telepane_model::{Epoch, InputSeq, Span, SurfaceId, UpdateId};

/// The two kinds of datagram.
pub(crate) const FEEDBACK: u8 = 2;
pub(crate) const CLOSE_FEEDBACK: u8 = 7;

const SURFACES: u8 = 0x10;
const REPORT: u8 = 0x20;
const SHOWN: u8 = 0x40;

/// What a side says of the datagrams it received, and of what became of them. Repeating it is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Feedback {
    /// The newest datagram received (the whole counter).
    pub newest: u64,
    /// The low 32 bits of the receiver's clock when the newest arrived.
    pub arrived: u32,
    /// From that arrival to the sending of this message.
    pub hold: Span,
    /// Datagrams received in all.
    pub received: u64,
    /// Arrivals from the newest backwards: how many numbers lie between (missing or reported earlier), and how many
    /// microseconds earlier it arrived (negative when it came later, out of order). At most [`Feedback::MOST`].
    pub earlier: Vec<(u64, i32)>,
    /// Viewer only: the state of each surface. At most [`Feedback::MOST_SURFACES`].
    pub surfaces: Vec<SurfaceReport>,
    /// Host only: what became of the input.
    pub input: Option<InputReport>,
    /// It is written in its closer form, for a peer that reads that ([`crate::Capability::Reports`]).
    pub close: bool,
}

impl Feedback {
    /// The most arrivals in one message, the newest not counted.
    pub const MOST: usize = 64;
    /// The most surfaces in one message.
    pub const MOST_SURFACES: usize = 16;
}

/// What the viewer holds of one surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SurfaceReport {
    /// Which surface.
    pub surface: SurfaceId,
    /// In which geometry.
    pub epoch: Epoch,
    /// The framebuffer is exactly what this slice left.
    pub applied: UpdateId,
    /// The viewer waits for a rebase on `applied` and ignores every slice up to this one.
    pub gave_up: Option<UpdateId>,
    /// Slices complete but waiting, plus the time to decode them.
    pub queue: Span,
    /// The newest slice whose pixels are on the screen, to a host that takes it ([`crate::Capability::Reports`]).
    pub shown: Option<UpdateId>,
}

/// What the host did with the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct InputReport {
    /// Every event up to this one is done with.
    pub done: InputSeq,
    /// How many of them were not delivered because they were too old.
    pub dropped: u32,
}

impl Feedback {
    /// Writes it; its first byte.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> u8 {
        out.varint(self.newest);
        out.extend_from_slice(&self.arrived.to_le_bytes());
        out.varint(self.hold.as_micros());
        out.varint(if self.close {
            self.newest.saturating_add(1).saturating_sub(self.received)
        } else {
            self.received
        });
        let earlier = self.earlier.get(..Self::MOST).unwrap_or(&self.earlier);
        out.varint(earlier.len() as u64);
        for (gap, earlier) in earlier {
            if self.close {
                out.varint(u64::from(zigzag(*earlier)) << 1 | u64::from(*gap > 0));
                if *gap > 0 {
                    out.varint(*gap);
                }
            } else {
                out.varint(*gap);
                out.signed(*earlier);
            }
        }
        let mut kind = if self.close { CLOSE_FEEDBACK } else { FEEDBACK };
        let surfaces = self.surfaces.get(..Self::MOST_SURFACES).unwrap_or(&self.surfaces);
        if !surfaces.is_empty() {
            kind |= SURFACES;
            out.varint(surfaces.len() as u64);
            for s in surfaces {
                out.varint(u64::from(s.surface.0));
                out.varint(u64::from(s.epoch.0));
                out.varint(u64::from(s.applied.0));
                out.varint(s.gave_up.map_or(0, |id| u64::from(id.0)));
                out.varint(s.queue.as_micros());
            }
        }
        if let Some(input) = self.input {
            kind |= REPORT;
            out.varint(u64::from(input.done.0));
            out.varint(u64::from(input.dropped));
        }
        if !surfaces.is_empty() && surfaces.iter().all(|s| s.shown.is_some()) {
            kind |= SHOWN;
            for s in surfaces {
                out.varint(u64::from(s.shown.map_or(0, |shown| s.applied.0.saturating_sub(shown.0))));
            }
        }
        kind
    }

    // spec: D-18, D-19, D-20, D-21, D-36, D-37
    pub(crate) fn decode(flags: u8, close: bool, r: &mut Reader<'_>) -> Result<Self, Fault> {
        let mut f = Self {
            newest: r.varint()?,
            arrived: r.u32()?,
            hold: Span::micros(r.varint()?),
            received: r.varint()?,
            close,
            ..Self::default()
        };
        if close {
            f.received = (f.newest + 1).checked_sub(f.received).ok_or(Fault::NumberTooLarge)?;
        }
        for _ in 0..r.count(Self::MOST)? {
            f.earlier.push(if close { close_arrival(r)? } else { (r.varint()?, r.signed()?) });
        }
        if flags & SURFACES != 0 {
            for _ in 0..r.count(Self::MOST_SURFACES)? {
                f.surfaces.push(SurfaceReport {
                    surface: SurfaceId(r.var()?),
                    epoch: Epoch(r.var()?),
                    applied: UpdateId(r.var()?),
                    gave_up: match r.var()? {
                        0 => None,
                        id => Some(UpdateId(id)),
                    },
                    queue: Span::micros(r.varint()?),
                    shown: None,
                });
            }
        }
        if flags & REPORT != 0 {
            f.input = Some(InputReport { done: InputSeq(r.var()?), dropped: r.var()? });
        }
        if flags & SHOWN != 0 {
            for s in &mut f.surfaces {
                let shown = s.applied.0.checked_sub(r.var()?).ok_or(Fault::BadShown)?;
                s.shown = Some(UpdateId(shown));
            }
        }
        Ok(f)
    }
}

// spec: D-37
fn close_arrival(r: &mut Reader<'_>) -> Result<(u64, i32), Fault> {
    let step = r.varint()?;
    let earlier = u32::try_from(step >> 1).map_err(|_| Fault::NumberTooLarge)?;
    let gap = if step & 1 != 0 { r.varint()? } else { 0 };
    Ok((gap, unzigzag(earlier)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::Datagram;

    // spec: D-5, D-36, D-37
    #[test]
    fn both_forms_round_trip() {
        let round_trip = |f: &Datagram| assert_eq!(Datagram::decode(&f.encode(0x1_2345)), Ok((0x2345, f.clone())));
        round_trip(&Datagram::Feedback(Feedback {
            newest: 99_999,
            arrived: 0xdead_beef,
            hold: Span::micros(310),
            received: 99_000,
            earlier: vec![(0, 120), (3, -40)],
            surfaces: vec![SurfaceReport {
                surface: SurfaceId(0),
                epoch: Epoch(2),
                applied: UpdateId(8),
                gave_up: Some(UpdateId(12)),
                queue: Span::millis(3),
                shown: Some(UpdateId(6)),
            }],
            input: Some(InputReport { done: InputSeq(44), dropped: 2 }),
            close: false,
        }));
        round_trip(&Datagram::Feedback(Feedback {
            newest: 99_999,
            arrived: 0xdead_beef,
            hold: Span::micros(310),
            received: 99_000,
            earlier: vec![(0, 120), (3, -40), (0, 0), (1 << 40, i32::MIN), (0, i32::MAX)],
            input: Some(InputReport { done: InputSeq(44), dropped: 2 }),
            close: true,
            ..Feedback::default()
        }));
    }

    // spec: D-4, D-36, D-37
    #[test]
    fn each_fault_has_its_bytes() {
        for (bytes, fault) in [
            (vec![FEEDBACK, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x41, 0], Fault::ListTooLong),
            (vec![CLOSE_FEEDBACK, 0, 0, 1, 0, 0, 0, 0, 0, 3, 0], Fault::NumberTooLarge),
            (vec![CLOSE_FEEDBACK, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0xc0, 0, 0, 2, 0, 0, 0, 0], Fault::NumberTooLarge),
            (
                [&[FEEDBACK | SURFACES | SHOWN, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 2, 8, 0, 0, 9][..]].concat(),
                Fault::BadShown,
            ),
        ] {
            assert_eq!(Datagram::decode(&bytes), Err(fault), "{bytes:?}");
        }
    }
}
