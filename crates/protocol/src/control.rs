//! The control stream's messages, in order and reliable. Each stands in a frame with a varint length.
//!
//! A message is `kind varint | fields`. A kind nobody knows is skipped, and bytes after the known fields are ignored:
//! both are how the protocol grows.

use crate::capability::Capabilities;
use crate::clip::ClipWord;
use crate::fault::Fault;
use crate::files::{self, FileWord};
use crate::life::{self, LifeWord};
use crate::monitors;
use crate::policy;
use crate::proof::{self, Proofs};
use crate::wire::{Put, Reader};
use telepane_model::cursor::MAX_CURSOR;
use telepane_model::{
    CursorShape, Desk, Epoch, HostClock, Monitor, Point, SessionPolicy, Size, Stamp, Surf, SurfaceId, UpdateId,
};

/// A control message.
// spec: K-1
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Both ways, first: which versions and what else is spoken.
    Hello {
        /// The oldest version spoken.
        oldest: u16,
        /// The newest version spoken.
        newest: u16,
        /// What can be done.
        capabilities: Capabilities,
        /// The program and its version, for logs.
        agent: String,
    },
    /// Both ways: a step of authentication, opaque here. At most [`MAX_AUTH`] bytes.
    Auth(Vec<u8>),
    /// Viewer to host, after authentication: begin or resume a session.
    Attach {
        /// The session to resume; zeros for a new one.
        session: [u8; 16],
        /// The desktop size wished for, if it can follow.
        want: Option<Size<Surf>>,
        /// The scale wished for, in percent.
        scale: u16,
        /// What is still held of each surface, when resuming. At most [`MAX_SURFACES`].
        held: Vec<Held>,
    },
    /// Host to viewer: the session stands.
    Welcome {
        /// The version both will speak.
        version: u16,
        /// The session's name, to resume it with.
        session: [u8; 16],
        /// Whether it is the one that was asked for, its surfaces intact.
        resumed: bool,
        /// The host's clock now.
        now: Stamp<HostClock>,
        /// Whether the desktop follows [`Control::Resize`].
        resizable: bool,
        /// The host's name, for the title.
        host: String,
    },
    /// Host to viewer: no session. The connection closes after it.
    Refuse {
        /// Why.
        reason: RefuseReason,
        /// In words.
        text: String,
    },
    /// Viewer to host: the desktop should have this size.
    Resize {
        /// The size.
        size: Size<Surf>,
        /// The scale, in percent.
        scale: u16,
    },
    /// Viewer to host: what is held of this surface is unusable; begin a new epoch.
    Refresh {
        /// Which surface.
        surface: SurfaceId,
        /// The epoch that is unusable.
        epoch: Epoch,
    },
    /// Host to viewer: a cursor's image.
    CursorShape(CursorShape),
    /// Both ways: there is something to paste. A newer offer replaces an older one; `formats` 0 takes it back.
    ClipOffer {
        /// The offer's number, rising.
        serial: u32,
        /// Bit set of formats: bit 0 is plain text.
        formats: u32,
    },
    /// Both ways: someone pastes what `serial` offered.
    ClipRequest {
        /// The offer.
        serial: u32,
        /// The request's number.
        id: u32,
    },
    /// Both ways: a part of what was asked for. At most [`MAX_CLIP_CHUNK`] bytes.
    ClipChunk {
        /// The request.
        id: u32,
        /// Whether it is the last part.
        last: bool,
        /// The part.
        bytes: Vec<u8>,
    },
    /// Both ways: the offer is gone, or may not be read.
    ClipRefuse {
        /// The request.
        id: u32,
    },
    /// Host to viewer: a sentence for the person.
    Notice(String),
    /// Viewer to host, after a Welcome that resumes nothing: what the slots of the tile cache hold, by the hashes of
    /// the pixels' specification (0: nothing). At most [`MAX_OFFER`].
    CacheOffer {
        /// The slot of the first hash.
        first: u32,
        /// One for each slot from there on.
        hashes: Vec<u128>,
    },
    /// Viewer to host: what the person wishes the session to keep to; replaces what was wished before.
    PolicyWish(SessionPolicy),
    /// Host to viewer: what holds now.
    PolicyTold(SessionPolicy),
    /// Viewer to host: the desktop should have these monitors.
    MonitorsWish(Vec<Monitor>),
    /// Host to viewer: the monitors the desktop has.
    MonitorsTold(Vec<Monitor>),
    /// Host to viewer: an application put the pointer here.
    PointerPut(Point<Desk>),
    /// Viewer to host: nothing of the screen is seen there, or something is again. As RDP's Suppress Output.
    SuppressOutput(bool),
    /// Viewer to host: which sound the person wants.
    SoundWish {
        /// The desktop's is to be sent.
        listens: bool,
        /// The viewer's microphone is on.
        speaks: bool,
    },
    /// Host to viewer: which sound there may be.
    SoundState {
        /// The desktop's can be heard.
        offers: bool,
        /// The viewer's microphone is let in.
        takes: bool,
    },
    /// Both ways: a pipe of bulk may run on.
    BulkMore {
        /// Which pipe.
        pipe: u32,
        /// To this byte.
        upto: u64,
    },
    /// A message about files.
    File(FileWord),
    /// Both ways: about a clipboard of more than text.
    Clip(ClipWord),
    /// A message about the life of the session.
    Life(LifeWord),
    /// Viewer to host: what tiles show, to be held against what they should.
    Proofs(Proofs),
    /// Both ways: the end, said aloud.
    Bye {
        /// Why.
        reason: Goodbye,
        /// In words.
        text: String,
    },
}

/// What a resuming viewer still holds of a surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Held {
    /// Which surface.
    pub surface: SurfaceId,
    /// In which epoch.
    pub epoch: Epoch,
    /// The framebuffer is what this slice left.
    pub applied: UpdateId,
    /// No later slice up to this one will be taken.
    pub through: UpdateId,
}

/// Why a session was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RefuseReason {
    /// No version in common.
    Version = 1,
    /// Authentication failed.
    Authentication = 2,
    /// The user may not.
    Permission = 3,
    /// Someone else is connected, and sharing is not on.
    Busy = 4,
    /// The agent is stopping.
    Stopping = 5,
    /// Anything else; the text says it.
    Other = 255,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Goodbye {
    /// The person closed the client.
    Left = 1,
    /// The agent stops.
    Stopping = 2,
    /// Another connection took over.
    TakenOver = 3,
    /// The key was revoked or a permission taken away.
    Revoked = 4,
    /// The peer broke the protocol.
    Fault = 5,
    /// The desktop is gone and does not come back.
    DesktopGone = 6,
    /// No input came for too long.
    Idle = 7,
    /// A session may last no longer.
    TooLong = 8,
    /// Anything else; the text says it.
    Other = 255,
}

/// The most bytes of one authentication step.
// spec: K-6
pub const MAX_AUTH: usize = 1024;
/// The most bytes of one part of clipboard data.
pub const MAX_CLIP_CHUNK: usize = 32 * 1024;
/// The most hashes of one offer.
// spec: K-21
pub const MAX_OFFER: usize = 1024;
/// The most surfaces of one session.
pub const MAX_SURFACES: usize = 16;
/// The most bytes of a name or a sentence.
pub const MAX_SENTENCE: usize = 512;

impl Control {
    /// Whether it may come from the host.
    // spec: K-3
    pub const fn from_host(&self) -> bool {
        if let Self::File(word) = self {
            return word.from_host();
        }
        if let Self::Life(word) = self {
            return word.from_host();
        }
        !matches!(
            self,
            Self::Attach { .. }
                | Self::Resize { .. }
                | Self::Refresh { .. }
                | Self::CacheOffer { .. }
                | Self::PolicyWish(_)
                | Self::MonitorsWish(_)
                | Self::SoundWish { .. }
                | Self::Proofs(_)
                | Self::SuppressOutput(_)
        )
    }

    /// Whether it may come from the viewer.
    // spec: K-3
    pub const fn from_viewer(&self) -> bool {
        if let Self::File(word) = self {
            return word.from_viewer();
        }
        if let Self::Life(word) = self {
            return !word.from_host();
        }
        !matches!(
            self,
            Self::Welcome { .. }
                | Self::Refuse { .. }
                | Self::CursorShape(_)
                | Self::Notice(_)
                | Self::SoundState { .. }
                | Self::PolicyTold(_)
                | Self::MonitorsTold(_)
                | Self::PointerPut(_)
        )
    }

    /// Writes the message, without its frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Hello { oldest, newest, capabilities, agent } => {
                out.varint(1);
                out.varint(u64::from(*oldest));
                out.varint(u64::from(*newest));
                capabilities.encode(&mut out);
                out.text(agent, MAX_SENTENCE);
            }
            Self::Auth(bytes) => {
                out.varint(2);
                put_bytes(&mut out, bytes, MAX_AUTH);
            }
            Self::Attach { session, want, scale, held } => {
                out.varint(3);
                out.extend_from_slice(session);
                put_size(&mut out, *want);
                out.varint(u64::from(*scale));
                let held = held.get(..MAX_SURFACES).unwrap_or(held);
                out.varint(held.len() as u64);
                for h in held {
                    for v in [u32::from(h.surface.0), h.epoch.0, h.applied.0, h.through.0] {
                        out.varint(u64::from(v));
                    }
                }
            }
            Self::Welcome { version, session, resumed, now, resizable, host } => {
                out.varint(4);
                out.varint(u64::from(*version));
                out.extend_from_slice(session);
                out.push(u8::from(*resumed) | u8::from(*resizable) << 1);
                out.varint(now.as_micros());
                out.text(host, MAX_SENTENCE);
            }
            Self::Refuse { reason, text } => {
                out.varint(5);
                out.push(*reason as u8);
                out.text(text, MAX_SENTENCE);
            }
            Self::Resize { size, scale } => {
                out.varint(6);
                put_size(&mut out, Some(*size));
                out.varint(u64::from(*scale));
            }
            Self::Refresh { surface, epoch } => {
                out.varint(7);
                out.varint(u64::from(surface.0));
                out.varint(u64::from(epoch.0));
            }
            Self::CursorShape(c) => {
                out.varint(8);
                out.varint(u64::from(c.id));
                for v in [c.w, c.h, c.hot_x, c.hot_y] {
                    out.varint(u64::from(v));
                }
                // Runs of transparent pixels make most of a cursor; the frame's bound still holds for the largest.
                put_runs(&mut out, &c.bgra);
            }
            Self::ClipOffer { serial, formats } => {
                out.varint(9);
                out.varint(u64::from(*serial));
                out.varint(u64::from(*formats));
            }
            Self::ClipRequest { serial, id } => {
                out.varint(10);
                out.varint(u64::from(*serial));
                out.varint(u64::from(*id));
            }
            Self::ClipChunk { id, last, bytes } => {
                out.varint(11);
                out.varint(u64::from(*id));
                out.push(u8::from(*last));
                put_bytes(&mut out, bytes, MAX_CLIP_CHUNK);
            }
            Self::ClipRefuse { id } => {
                out.varint(12);
                out.varint(u64::from(*id));
            }
            Self::Notice(text) => {
                out.varint(13);
                out.text(text, MAX_SENTENCE);
            }
            Self::Bye { reason, text } => {
                out.varint(14);
                out.push(*reason as u8);
                out.text(text, MAX_SENTENCE);
            }
            Self::BulkMore { pipe, upto } => {
                out.varint(20);
                out.varint(u64::from(*pipe));
                out.varint(*upto);
            }
            Self::File(word) => word.encode(&mut out),
            Self::Clip(word) => word.encode(&mut out),
            Self::Life(word) => word.encode(&mut out),
            Self::Proofs(proofs) => proofs.encode(&mut out),
            Self::SuppressOutput(on) => {
                out.varint(46);
                out.push(u8::from(*on));
            }
            Self::CacheOffer { first, hashes } => {
                out.varint(15);
                out.varint(u64::from(*first));
                let hashes = hashes.get(..MAX_OFFER).unwrap_or(hashes);
                out.varint(hashes.len() as u64);
                hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
            }
            Self::PolicyWish(policy) => {
                out.varint(40);
                policy::put(&mut out, policy);
            }
            Self::PolicyTold(policy) => {
                out.varint(41);
                policy::put(&mut out, policy);
            }
            Self::MonitorsWish(list) => {
                out.varint(60);
                monitors::put(&mut out, list);
            }
            Self::MonitorsTold(list) => {
                out.varint(61);
                monitors::put(&mut out, list);
            }
            Self::PointerPut(at) => {
                out.varint(62);
                out.signed(at.x);
                out.signed(at.y);
            }
            Self::SoundWish { listens, speaks } => {
                out.varint(16);
                out.push(u8::from(*listens) | u8::from(*speaks) << 1);
            }
            Self::SoundState { offers, takes } => {
                out.varint(17);
                out.push(u8::from(*offers) | u8::from(*takes) << 1);
            }
        }
        out
    }

    /// Reads a message without its frame.
    // spec: K-1, K-2, K-5, K-6, K-7, K-8, K-9, K-10, K-11, K-12, K-13, K-14, K-15, K-21, K-70
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut r = Reader::new(bytes);
        Ok(match r.varint()? {
            1 => Self::Hello {
                oldest: r.var()?,
                newest: r.var()?,
                capabilities: Capabilities::decode(&mut r)?,
                agent: r.text(MAX_SENTENCE)?.into(),
            },
            2 => Self::Auth(take_bytes(&mut r, MAX_AUTH)?),
            3 => {
                let (session, want, scale) = (r.array()?, take_size(&mut r)?, r.var()?);
                let mut held = Vec::new();
                for _ in 0..r.count(MAX_SURFACES)? {
                    held.push(Held {
                        surface: SurfaceId(r.var()?),
                        epoch: Epoch(r.var()?),
                        applied: UpdateId(r.var()?),
                        through: UpdateId(r.var()?),
                    });
                }
                Self::Attach { session, want, scale, held }
            }
            4 => {
                let (version, session, bits) = (r.var()?, r.array()?, r.u8()?);
                Self::Welcome {
                    version,
                    session,
                    resumed: bits & 1 != 0,
                    resizable: bits & 2 != 0,
                    now: Stamp::from_micros(r.varint()?),
                    host: r.text(MAX_SENTENCE)?.into(),
                }
            }
            5 => Self::Refuse { reason: RefuseReason::from_wire(r.u8()?), text: r.text(MAX_SENTENCE)?.into() },
            6 => Self::Resize { size: take_size(&mut r)?.ok_or(Fault::BadSize)?, scale: r.var()? },
            7 => Self::Refresh { surface: SurfaceId(r.var()?), epoch: Epoch(r.var()?) },
            8 => {
                let id = r.var()?;
                let (w, h, hot_x, hot_y): (u16, u16, u16, u16) = (r.var()?, r.var()?, r.var()?, r.var()?);
                if w > MAX_CURSOR || h > MAX_CURSOR || hot_x > w || hot_y > h {
                    return Err(Fault::BadCursor);
                }
                let bgra = take_runs(&mut r, usize::from(w) * usize::from(h))?;
                Self::CursorShape(CursorShape { id, w, h, hot_x, hot_y, bgra })
            }
            9 => Self::ClipOffer { serial: r.var()?, formats: r.var()? },
            10 => Self::ClipRequest { serial: r.var()?, id: r.var()? },
            11 => Self::ClipChunk { id: r.var()?, last: r.u8()? & 1 != 0, bytes: take_bytes(&mut r, MAX_CLIP_CHUNK)? },
            12 => Self::ClipRefuse { id: r.var()? },
            13 => Self::Notice(r.text(MAX_SENTENCE)?.into()),
            14 => Self::Bye { reason: Goodbye::from_wire(r.u8()?), text: r.text(MAX_SENTENCE)?.into() },
            15 => {
                let first = r.var()?;
                let mut hashes = Vec::new();
                for _ in 0..r.count(MAX_OFFER)? {
                    hashes.push(u128::from_le_bytes(r.array()?));
                }
                Self::CacheOffer { first, hashes }
            }
            40 => Self::PolicyWish(policy::take(&mut r)?),
            41 => Self::PolicyTold(policy::take(&mut r)?),
            // spec: S-6, S-7
            16 => {
                let bits = r.u8()?;
                Self::SoundWish { listens: bits & 1 != 0, speaks: bits & 2 != 0 }
            }
            17 => {
                let bits = r.u8()?;
                Self::SoundState { offers: bits & 1 != 0, takes: bits & 2 != 0 }
            }
            60 => Self::MonitorsWish(monitors::take(&mut r)?),
            62 => Self::PointerPut(Point::new(r.signed()?, r.signed()?)),
            61 => Self::MonitorsTold(monitors::take(&mut r)?),
            20 => Self::BulkMore { pipe: r.var()?, upto: r.varint()? },
            proof::KIND => Self::Proofs(Proofs::decode(&mut r)?),
            // spec: K-92
            46 => Self::SuppressOutput(r.u8()? & 1 != 0),
            kind if ClipWord::KINDS.contains(&kind) => Self::Clip(ClipWord::decode(kind, &mut r)?),
            kind if files::KINDS.contains(&kind) => Self::File(FileWord::decode(kind, &mut r)?),
            kind if life::KINDS.contains(&kind) => Self::Life(LifeWord::decode(kind, &mut r)?),
            _ => return Err(Fault::UnknownControl),
        })
    }
}

impl RefuseReason {
    // spec: K-16
    const fn from_wire(n: u8) -> Self {
        match n {
            1 => Self::Version,
            2 => Self::Authentication,
            3 => Self::Permission,
            4 => Self::Busy,
            5 => Self::Stopping,
            _ => Self::Other,
        }
    }
}

impl Goodbye {
    // spec: K-16
    const fn from_wire(n: u8) -> Self {
        match n {
            1 => Self::Left,
            2 => Self::Stopping,
            3 => Self::TakenOver,
            4 => Self::Revoked,
            5 => Self::Fault,
            6 => Self::DesktopGone,
            7 => Self::Idle,
            8 => Self::TooLong,
            _ => Self::Other,
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let bytes = bytes.get(..most).unwrap_or(bytes);
    out.varint(bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_bytes(r: &mut Reader<'_>, most: usize) -> Result<Vec<u8>, Fault> {
    let n = r.count(most)?;
    Ok(r.bytes(n)?.to_vec())
}

/// A size as two varints; 0 by 0 for none.
fn put_size(out: &mut Vec<u8>, size: Option<Size<Surf>>) {
    let size = size.unwrap_or_default();
    out.varint(u64::from(size.w));
    out.varint(u64::from(size.h));
}

// spec: K-19
fn take_size(r: &mut Reader<'_>) -> Result<Option<Size<Surf>>, Fault> {
    let size = Size::new(r.var()?, r.var()?);
    match size {
        s if s.is_valid() => Ok(Some(s)),
        s if s == Size::default() => Ok(None),
        _ => Err(Fault::BadSize),
    }
}

/// Pixels as runs: `count varint, pixel [u8; 4]`, or a literal stretch. A count is `2 n` for a run of `n` equal
/// pixels and `2 n + 1` for `n` pixels that follow one by one.
fn put_runs(out: &mut Vec<u8>, bgra: &[u8]) {
    let pixels: Vec<&[u8]> = bgra.chunks_exact(4).collect();
    let run = |i: usize| pixels[i..].iter().take_while(|p| **p == pixels[i]).count();
    let mut i = 0;
    while i < pixels.len() {
        let n = run(i);
        if n >= 2 {
            out.varint(2 * n as u64);
            out.extend_from_slice(pixels[i]);
            i += n;
        } else {
            let end = (i..pixels.len()).find(|j| run(*j) >= 2).unwrap_or(pixels.len());
            out.varint(2 * (end - i) as u64 + 1);
            for p in &pixels[i..end] {
                out.extend_from_slice(p);
            }
            i = end;
        }
    }
}

// spec: K-20, F-1
fn take_runs(r: &mut Reader<'_>, pixels: usize) -> Result<Vec<u8>, Fault> {
    // `pixels` is at most MAX_CURSOR squared, so 256 KiB, whatever the wire says.
    let mut out = Vec::new();
    while out.len() < pixels * 4 {
        let n: usize = r.var()?;
        let (count, literal) = (n / 2, n % 2 == 1);
        if count == 0 || count > pixels - out.len() / 4 {
            return Err(Fault::BadCursor);
        }
        if literal {
            out.extend_from_slice(r.bytes(count * 4)?);
        } else {
            let pixel = r.array::<4>()?;
            for _ in 0..count {
                out.extend_from_slice(&pixel);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Capability;
    use proptest::prelude::*;
    use telepane_model::{ClipFormat, ClipFormats, ClipOffer, Preset, Rect, Selection};

    fn every() -> Vec<Control> {
        let mut bgra = vec![0; 8 * 8 * 4];
        bgra[20..60].copy_from_slice(&core::array::from_fn::<u8, 40, _>(|i| i as u8 * 3));
        vec![
            Control::Hello {
                oldest: 1,
                newest: 3,
                capabilities: Capabilities::default().with(Capability::CacheBytes, 64 << 20),
                agent: "telepane 0.1".into(),
            },
            Control::Auth(vec![1; 200]),
            Control::Attach {
                session: [7; 16],
                want: Some(Size::new(1280, 720)),
                scale: 150,
                held: vec![Held {
                    surface: SurfaceId(0),
                    epoch: Epoch(4),
                    applied: UpdateId(1000),
                    through: UpdateId(1010),
                }],
            },
            Control::Welcome {
                version: 1,
                session: [9; 16],
                resumed: true,
                now: Stamp::from_micros(123_456_789),
                resizable: true,
                host: "büro".into(),
            },
            Control::Refuse { reason: RefuseReason::Busy, text: "someone is here".into() },
            Control::Resize { size: Size::new(800, 600), scale: 100 },
            Control::Refresh { surface: SurfaceId(0), epoch: Epoch(2) },
            Control::CursorShape(CursorShape { id: 3, w: 8, h: 8, hot_x: 1, hot_y: 2, bgra }),
            Control::ClipOffer { serial: 5, formats: 1 },
            Control::ClipRequest { serial: 5, id: 2 },
            Control::ClipChunk { id: 2, last: true, bytes: b"hello".to_vec() },
            Control::ClipRefuse { id: 2 },
            Control::Clip(ClipWord::Offer {
                serial: 300,
                offer: ClipOffer { selection: Selection::Primary, formats: ClipFormats::ALL, secret: true },
            }),
            Control::Clip(ClipWord::Request {
                serial: 300,
                id: 7,
                selection: Selection::Primary,
                format: ClipFormat::Png,
            }),
            Control::Clip(ClipWord::Size { id: 7, size: 1 << 40 }),
            Control::Clip(ClipWord::Cancel { id: 7 }),
            Control::Notice("hello".into()),
            Control::Bye { reason: Goodbye::TakenOver, text: "another client".into() },
            Control::CacheOffer { first: 1024, hashes: vec![0, u128::MAX, 5 << 64] },
            Control::PolicyWish(Preset::E.policy()),
            Control::PolicyTold(Preset::A.policy()),
            Control::MonitorsWish(vec![
                Monitor {
                    place: Rect::new(0, 0, 1920, 1080),
                    scale: 100,
                    refresh: 59_951,
                    primary: true,
                    name: "DP-1".into(),
                },
                Monitor { place: Rect::new(1920, 200, 800, 600), scale: 150, ..Monitor::default() },
            ]),
            Control::MonitorsTold(vec![
                Monitor {
                    place: Rect::new(0, 0, 16_384, 16_384),
                    scale: u16::MAX,
                    refresh: u32::MAX,
                    primary: false,
                    name: "n".repeat(64),
                };
                16
            ]),
            Control::PointerPut(Point::new(-3, 70_000)),
            Control::Proofs(Proofs {
                surface: SurfaceId(0),
                epoch: Epoch(3),
                applied: UpdateId(70_000),
                tiles: (0..Proofs::MOST as u32).map(|i| (i * 7, u64::from(i) << 50)).collect(),
            }),
            Control::SuppressOutput(true),
            Control::BulkMore { pipe: 6, upto: 1 << 40 },
            Control::File(FileWord::Attach),
            Control::File(FileWord::Get { id: 1, path: "a/b".into(), held: 7, size: 9, modified: 1 << 50 }),
            Control::File(FileWord::Info { id: 1, offset: 7, size: 9, modified: 3, executable: true }),
            Control::File(FileWord::Put { id: 2, path: "ä".into(), size: 0, modified: 0, executable: false }),
            Control::File(FileWord::Take { id: 2, offset: 1 << 33 }),
            Control::File(FileWord::Sum { id: 2, sha256: [9; 32] }),
            Control::File(FileWord::End { id: 2, outcome: files::Outcome::Corrupt, text: "no".into() }),
            Control::File(FileWord::List { id: 3, path: String::new() }),
            Control::File(FileWord::Entries {
                id: 3,
                last: true,
                directory: true,
                entries: vec![
                    files::Entry { name: "d".into(), kind: files::EntryKind::Directory, size: 0, modified: 1 };
                    files::MAX_ENTRIES
                ],
            }),
            Control::File(FileWord::MakeDir { id: 4, path: "a/b/c".into() }),
            Control::Life(LifeWord::Ending(Some((life::Ending::Idle, telepane_model::Span::secs(350))))),
            Control::Life(LifeWord::Ending(None)),
            Control::Life(LifeWord::HostState(life::HostState::GoesDown)),
            Control::Life(LifeWord::KeepAwake(true)),
            Control::Life(LifeWord::People(vec![
                life::Person { name: "büro".into(), user: "jane".into(), you: true },
                life::Person::default(),
            ])),
            Control::Life(LifeWord::Place(life::Place { zone: "Europe/Berlin".into(), locale: "de_DE.UTF-8".into() })),
        ]
    }

    // spec: K-2
    #[test]
    fn every_message_round_trips_and_fits_its_frame() {
        for m in every() {
            let bytes = m.encode();
            assert!(bytes.len() <= crate::MAX_CONTROL);
            assert_eq!(Control::decode(&bytes), Ok(m.clone()), "{m:?}");
            // Later versions may add fields at the end.
            assert_eq!(Control::decode(&[&bytes[..], &[1, 2, 3]].concat()), Ok(m));
        }
    }

    #[test]
    fn every_message_cut_short_is_refused() {
        for m in every() {
            let bytes = m.encode();
            for n in 0..bytes.len() {
                assert!(Control::decode(&bytes[..n]).is_err(), "{m:?} at {n}");
            }
        }
    }

    // spec: K-12, K-20, F-1
    #[test]
    fn a_small_message_cannot_claim_a_large_cursor() {
        let mut bytes = vec![8, 1];
        for _ in 0..2 {
            bytes.varint(u64::from(MAX_CURSOR));
        }
        bytes.extend_from_slice(&[0, 0]);
        assert_eq!(Control::decode(&bytes), Err(Fault::Truncated));
        assert_eq!(Control::decode(&[8, 1, 0x41, 0x01, 1, 0, 0]), Err(Fault::BadCursor));
        // The pointer's point lies outside of it: to the right, below.
        assert_eq!(Control::decode(&[8, 1, 4, 4, 5, 0]), Err(Fault::BadCursor));
        assert_eq!(Control::decode(&[8, 1, 4, 4, 0, 5]), Err(Fault::BadCursor));
    }

    proptest! {
        // spec: F-1
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(m) = Control::decode(&bytes) {
                prop_assert_eq!(Control::decode(&m.encode()), Ok(m));
            }
        }
    }
}
