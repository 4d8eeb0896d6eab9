//! The datagrams: slice shards, feedback, input, the cursor's place, padding, sound.
//!
//! Layout: `kind u8 | seq u16 | body`. The low four bits of `kind` name the body, the high four are its flags. `seq` is
//! the low half of a counter over every datagram a side sends; [`expand_seq`] restores it.

use crate::MAX_DATA_SHARDS;
use crate::MAX_SHARDS;
use crate::fault::Fault;
use crate::feedback::{CLOSE_FEEDBACK, FEEDBACK, Feedback};
use crate::sound::SoundPacket;
use crate::wire::{Put, Reader};
use telepane_model::geometry::MAX_SIDE;
use telepane_model::input::MAX_TEXT;
use telepane_model::{
    Button, CursorState, Epoch, InputEvent, InputSeq, KeyCode, KeyMove, MAX_FINGERS, Meaning, Pen, Point, Span,
    SurfaceId, TouchPhase, UpdateId,
};

/// One datagram, read or to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// Host to viewer: a piece of a slice.
    Shard(Shard),
    /// Either way: what arrived, and what became of it.
    Feedback(Feedback),
    /// Viewer to host: what the user did.
    Input(InputBatch),
    /// Host to viewer: where the pointer is. The newest one wins.
    Cursor(CursorState),
    /// Either way: nothing but bytes, to measure the path.
    Padding(usize),
    /// Either way: a frame of sound.
    Sound(SoundPacket),
}

/// A piece of a slice.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Shard {
    /// Of which surface.
    pub surface: SurfaceId,
    /// Of which geometry.
    pub epoch: Epoch,
    /// Which slice.
    pub id: UpdateId,
    /// The slice it is coded against; always before `id`.
    pub base: UpdateId,
    /// The slice's body begins with the surface's size.
    pub has_size: bool,
    /// The slice's body carries a journey.
    pub has_journey: bool,
    /// The slice ends a frame: what it leaves may be shown.
    pub last: bool,
    /// This shard's place: `0..data` hold the body in equal pieces (the last may be shorter), then parity.
    pub index: u8,
    /// Data shards, 1 to [`MAX_DATA_SHARDS`].
    pub data: u8,
    /// Parity shards; `data + parity <=` [`MAX_SHARDS`].
    pub parity: u8,
    /// Bytes of the whole body. Only written when the slice has more than one shard.
    pub total: u32,
    /// The piece.
    pub payload: Vec<u8>,
}

/// Input events in order, and what is held down.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct InputBatch {
    /// The low 32 bits of the viewer's clock when this was sent.
    pub sent: u32,
    /// Every event before this one is acknowledged or given up: the host waits for none of them.
    pub floor: InputSeq,
    /// The number of the first event here; not before `floor`.
    pub first: InputSeq,
    /// The events, each with its age when sent. At most [`InputBatch::MOST`].
    pub events: Vec<(Span, InputEvent)>,
    /// The keys that are down. At most [`InputBatch::MOST_HELD`].
    pub held: Vec<KeyCode>,
    /// The buttons that are down.
    pub buttons: Vec<Button>,
    /// The fingers that touch, in ascending order; only to a host that takes fingers.
    pub fingers: Vec<u8>,
    /// A pen is in reach; only to a host that takes one.
    pub pen: bool,
}

impl InputBatch {
    /// The most events in one datagram.
    pub const MOST: usize = 32;
    /// The most keys held at once.
    pub const MOST_HELD: usize = 32;

    /// Whether its events from number `news` on, of which there are some, do nothing but let go, and it leaves nothing held:
    /// its answer may wait for company.
    // spec: H-26
    pub fn lets_go(&self, news: InputSeq) -> bool {
        let known = news.0.saturating_sub(self.first.0) as usize;
        let news = self.events.get(known..).unwrap_or_default();
        let only = !news.is_empty() && news.iter().all(|(_, event)| lets_go(event));
        only && self.held.is_empty() && self.buttons.is_empty() && self.fingers.is_empty() && !self.pen
    }
}

/// Whether an event lets go of something, which is never too late.
pub const fn lets_go(event: &InputEvent) -> bool {
    matches!(
        event,
        InputEvent::Key { action: KeyMove::Up, .. }
            | InputEvent::Button { down: false, .. }
            | InputEvent::Touch { phase: TouchPhase::Up | TouchPhase::Cancel, .. }
            | InputEvent::Pen(Pen { near: false, .. })
            | InputEvent::Blur
    )
}

const SHARD: u8 = 1;
const INPUT: u8 = 3;
const CURSOR: u8 = 4;
const PADDING: u8 = 5;
const SOUND: u8 = 6;

// spec: D-9, D-17
const SIZE: u8 = 0x10;
const JOURNEY: u8 = 0x20;
const LAST: u8 = 0x40;
const SPLIT: u8 = 0x80;
const VISIBLE: u8 = 0x10;
const CONTACTS: u8 = 0x10;

/// How soon a datagram is due, compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// Sound and input: late, it is worth nothing.
    Urgent,
    /// As soon as what it goes with.
    Along,
    /// What fills the path.
    Ordinary,
}

/// How soon the datagram with this first byte is due.
// spec: T-4
pub const fn haste(first: u8) -> Haste {
    match first & 15 {
        INPUT | SOUND => Haste::Urgent,
        FEEDBACK | CLOSE_FEEDBACK | CURSOR => Haste::Along,
        _ => Haste::Ordinary,
    }
}

/// The whole counter nearest to `expected` whose low half is `low`.
// spec: D-7
pub const fn expand_seq(expected: u64, low: u16) -> u64 {
    let diff = low.wrapping_sub((expected & 0xffff) as u16) as i16;
    expected.saturating_add_signed(diff as i64)
}

impl Datagram {
    /// Writes the datagram that is number `seq` of its sender.
    // spec: D-5
    pub fn encode(&self, seq: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.push(0);
        out.extend_from_slice(&((seq & 0xffff) as u16).to_le_bytes());
        let kind = match self {
            Self::Shard(s) => s.encode(&mut out),
            Self::Feedback(f) => f.encode(&mut out),
            Self::Input(b) => b.encode(&mut out),
            Self::Cursor(c) => {
                out.signed(c.at.x);
                out.signed(c.at.y);
                out.varint(u64::from(c.shape));
                CURSOR | if c.visible { VISIBLE } else { 0 }
            }
            Self::Padding(n) => {
                out.resize(out.len() + n, 0);
                PADDING
            }
            Self::Sound(s) => SOUND | s.encode(&mut out),
        };
        if let Some(first) = out.first_mut() {
            *first = kind;
        }
        out
    }

    /// The name of what a datagram carries, by its first byte; for counting, never for decisions.
    pub fn kind_name(bytes: &[u8]) -> &'static str {
        match bytes.first().map(|kind| kind & 0x0f) {
            Some(SHARD) => "picture",
            Some(FEEDBACK | CLOSE_FEEDBACK) => "feedback",
            Some(INPUT) => "input",
            Some(CURSOR) => "cursor",
            Some(PADDING) => "padding",
            Some(SOUND) => "sound",
            _ => "unknown",
        }
    }

    /// Reads a datagram: the low half of its number, and what it says.
    // spec: D-5, D-29, F-2
    pub fn decode(bytes: &[u8]) -> Result<(u16, Self), Fault> {
        let mut r = Reader::new(bytes);
        let (kind, seq) = (r.u8()?, r.u16()?);
        let flags = kind & 0xf0;
        let datagram = match kind & 0x0f {
            SHARD => Self::Shard(Shard::decode(flags, &mut r)?),
            FEEDBACK => Self::Feedback(Feedback::decode(flags, false, &mut r)?),
            CLOSE_FEEDBACK => Self::Feedback(Feedback::decode(flags, true, &mut r)?),
            INPUT => Self::Input(InputBatch::decode(flags, &mut r)?),
            // spec: D-26
            CURSOR => Self::Cursor(CursorState {
                at: Point::new(r.signed()?, r.signed()?),
                shape: r.var()?,
                visible: flags & VISIBLE != 0,
            }),
            // spec: D-27
            PADDING => Self::Padding(r.rest().len()),
            SOUND => Self::Sound(SoundPacket::decode(flags, &mut r)?),
            _ => return Err(Fault::UnknownDatagram),
        };
        Ok((seq, datagram))
    }
}

impl Shard {
    /// The most bytes a shard's header takes, the datagram's own included.
    // spec: D-28
    pub const HEADER: usize = 3 + 4 + 4 + 4 + 4 + 3 + 4;

    fn encode(&self, out: &mut Vec<u8>) -> u8 {
        out.varint(u64::from(self.surface.0));
        out.varint(u64::from(self.epoch.0));
        out.varint(u64::from(self.id.0));
        out.varint(u64::from(self.id.0.saturating_sub(self.base.0)));
        let mut kind = SHARD;
        if self.data != 1 || self.parity != 0 {
            kind |= SPLIT;
            out.extend_from_slice(&[self.index, self.data, self.parity]);
            out.varint(u64::from(self.total));
        }
        for (is, flag) in [(self.has_size, SIZE), (self.has_journey, JOURNEY), (self.last, LAST)] {
            if is {
                kind |= flag;
            }
        }
        out.extend_from_slice(&self.payload);
        kind
    }

    // spec: D-9, D-10, D-11, D-12
    fn decode(flags: u8, r: &mut Reader<'_>) -> Result<Self, Fault> {
        let surface = SurfaceId(r.var()?);
        let epoch = Epoch(r.var()?);
        let id: u32 = r.var()?;
        let back: u32 = r.var()?;
        if epoch.0 == 0 {
            return Err(Fault::BadEpoch);
        }
        let base = match id.checked_sub(back) {
            Some(base) if back > 0 => UpdateId(base),
            _ => return Err(Fault::BadBase),
        };
        let [index, data, parity] = if flags & SPLIT != 0 { r.array()? } else { [0, 1, 0] };
        let total = if flags & SPLIT != 0 { r.var()? } else { 0 };
        let shards = data.checked_add(parity).ok_or(Fault::BadShard)?;
        // One data shard without parity is written without SPLIT, and only so.
        let alone = flags & SPLIT != 0 && shards == 1;
        if alone || data == 0 || data > MAX_DATA_SHARDS || shards > MAX_SHARDS || index >= shards {
            return Err(Fault::BadShard);
        }
        Ok(Self {
            surface,
            epoch,
            id: UpdateId(id),
            base,
            has_size: flags & SIZE != 0,
            has_journey: flags & JOURNEY != 0,
            last: flags & LAST != 0,
            index,
            data,
            parity,
            total,
            payload: r.rest().to_vec(),
        })
    }
}

const BUTTONS: [Button; 5] = [Button::Left, Button::Right, Button::Middle, Button::Back, Button::Forward];

impl InputBatch {
    fn encode(&self, out: &mut Vec<u8>) -> u8 {
        out.extend_from_slice(&self.sent.to_le_bytes());
        out.varint(u64::from(self.first.0));
        out.varint(u64::from(self.first.0.saturating_sub(self.floor.0)));
        let events = self.events.get(..Self::MOST).unwrap_or(&self.events);
        out.varint(events.len() as u64);
        for (age, event) in events {
            out.varint(age.as_micros());
            encode_event(event, out);
        }
        let held = self.held.get(..Self::MOST_HELD).unwrap_or(&self.held);
        out.varint(held.len() as u64);
        for key in held {
            out.varint(u64::from(key.0));
        }
        out.push(
            BUTTONS.iter().enumerate().filter(|(_, b)| self.buttons.contains(b)).fold(0, |bits, (i, _)| bits | 1 << i),
        );
        if self.fingers.is_empty() && !self.pen {
            return INPUT;
        }
        let fingers = (0..MAX_FINGERS).filter(|finger| self.fingers.contains(finger));
        let contacts = fingers.fold(if self.pen { PEN_NEAR } else { 0 }, |bits, finger| bits | 1 << finger);
        out.extend_from_slice(&contacts.to_le_bytes());
        INPUT | CONTACTS
    }

    // spec: D-23, D-25, D-34
    fn decode(flags: u8, r: &mut Reader<'_>) -> Result<Self, Fault> {
        let (sent, first): (u32, u32) = (r.u32()?, r.var()?);
        let floor = first.checked_sub(r.var()?).ok_or(Fault::InputOutOfOrder)?;
        let mut batch = Self { sent, floor: InputSeq(floor), first: InputSeq(first), ..Self::default() };
        for _ in 0..r.count(Self::MOST)? {
            batch.events.push((Span::micros(r.varint()?), decode_event(r)?));
        }
        for _ in 0..r.count(Self::MOST_HELD)? {
            batch.held.push(key(r.var()?)?);
        }
        let bits = r.u8()?;
        if usize::from(bits) >= 1 << BUTTONS.len() {
            return Err(Fault::BadInput);
        }
        batch.buttons = BUTTONS.into_iter().enumerate().filter(|(i, _)| bits & 1 << i != 0).map(|(_, b)| b).collect();
        if flags & CONTACTS != 0 {
            let bits = r.u16()?;
            if bits & !PEN_NEAR >= 1 << MAX_FINGERS {
                return Err(Fault::BadInput);
            }
            batch.fingers = (0..MAX_FINGERS).filter(|finger| bits & 1 << finger != 0).collect();
            batch.pen = bits & PEN_NEAR != 0;
        }
        Ok(batch)
    }
}

/// The bit above the fingers' in what touches.
const PEN_NEAR: u16 = 1 << 15;

/// How event 13 says its phase, above the finger's four bits.
const PHASES: [TouchPhase; 4] = [TouchPhase::Down, TouchPhase::Move, TouchPhase::Up, TouchPhase::Cancel];

// The bits of event 14.
const TOUCHING: u8 = 1;
const ERASER: u8 = 2;
const NEAR: u8 = 4;
const BARREL: u8 = 3;

fn key(code: u16) -> Result<KeyCode, Fault> {
    if code == 0 || code > KeyCode::MAX { Err(Fault::BadKeyCode) } else { Ok(KeyCode(code)) }
}

// spec: D-33
fn meaning(sym: u32) -> Result<Meaning, Fault> {
    if sym == 0 || sym > Meaning::MAX { Err(Fault::BadInput) } else { Ok(Meaning(sym)) }
}

fn encode_event(event: &InputEvent, out: &mut Vec<u8>) {
    match event {
        InputEvent::Key { code, action } => {
            out.push(match action {
                KeyMove::Down => 1,
                KeyMove::Up => 2,
                KeyMove::Repeat => 3,
            });
            out.varint(u64::from(code.0));
        }
        InputEvent::Press { code, means } => {
            out.push(12);
            out.varint(u64::from(code.0));
            out.varint(u64::from(means.0));
        }
        InputEvent::Text(text) => {
            out.push(4);
            out.text(text, MAX_TEXT);
        }
        InputEvent::PointerTo(p) => {
            out.push(5);
            out.signed(p.x);
            out.signed(p.y);
        }
        InputEvent::PointerBy { dx, dy } => {
            out.push(6);
            out.signed(*dx);
            out.signed(*dy);
        }
        InputEvent::Button { button, down } => {
            out.push(if *down { 7 } else { 8 });
            out.push(BUTTONS.iter().position(|b| b == button).unwrap_or(0) as u8);
        }
        InputEvent::Wheel { x, y } => {
            out.push(9);
            out.signed(*x);
            out.signed(*y);
        }
        InputEvent::Focus { caps, num } => {
            out.push(10);
            out.push(u8::from(*caps) | u8::from(*num) << 1);
        }
        InputEvent::Blur => out.push(11),
        InputEvent::Touch { finger, phase, at, pressure } => {
            out.push(13);
            let phase = PHASES.iter().position(|p| p == phase).unwrap_or(0) as u8;
            out.push(finger & 15 | phase << 4);
            out.signed(at.x);
            out.signed(at.y);
            out.extend_from_slice(&pressure.to_le_bytes());
        }
        InputEvent::Pen(pen) => {
            out.push(14);
            let flag = |is: bool, bit: u8| if is { bit } else { 0 };
            let state = flag(pen.touching, TOUCHING) | flag(pen.eraser, ERASER) | flag(pen.near, NEAR);
            out.push(state | (pen.buttons & Pen::BUTTONS) << BARREL);
            out.signed(pen.at.x);
            out.signed(pen.at.y);
            out.extend_from_slice(&pen.pressure.to_le_bytes());
            out.extend_from_slice(&[pen.tilt.0.cast_unsigned(), pen.tilt.1.cast_unsigned()]);
        }
    }
}

// spec: D-34
fn decode_touch(r: &mut Reader<'_>, near: impl Fn(i32) -> i32) -> Result<InputEvent, Fault> {
    let bits = r.u8()?;
    let (finger, phase) = (bits & 15, PHASES.get(usize::from(bits >> 4)));
    let &phase = phase.filter(|_| finger < MAX_FINGERS).ok_or(Fault::BadInput)?;
    let at = Point::new(near(r.signed()?), near(r.signed()?));
    Ok(InputEvent::Touch { finger, phase, at, pressure: r.u16()? })
}

// spec: D-35
fn decode_pen(r: &mut Reader<'_>, near: impl Fn(i32) -> i32) -> Result<InputEvent, Fault> {
    let bits = r.u8()?;
    let pen = Pen {
        at: Point::new(near(r.signed()?), near(r.signed()?)),
        pressure: r.u16()?,
        tilt: (r.u8()?.cast_signed(), r.u8()?.cast_signed()),
        touching: bits & TOUCHING != 0,
        eraser: bits & ERASER != 0,
        buttons: bits >> BARREL & Pen::BUTTONS,
        near: bits & NEAR != 0,
    };
    let unknown = bits >> BARREL & !Pen::BUTTONS != 0;
    let leans = |degrees: i8| degrees.unsigned_abs() <= Pen::MAX_TILT.unsigned_abs();
    if unknown || !leans(pen.tilt.0) || !leans(pen.tilt.1) || !pen.is_possible() {
        return Err(Fault::BadInput);
    }
    Ok(InputEvent::Pen(pen))
}

// spec: D-24, D-25
fn decode_event(r: &mut Reader<'_>) -> Result<InputEvent, Fault> {
    // Places and turns past any real screen or wheel are cut, so that sums later cannot overflow.
    let near = |v: i32| v.clamp(-(MAX_SIDE as i32) * 4, MAX_SIDE as i32 * 4);
    Ok(match r.u8()? {
        1 => InputEvent::Key { code: key(r.var()?)?, action: KeyMove::Down },
        2 => InputEvent::Key { code: key(r.var()?)?, action: KeyMove::Up },
        3 => InputEvent::Key { code: key(r.var()?)?, action: KeyMove::Repeat },
        4 => InputEvent::Text(r.text(MAX_TEXT)?.into()),
        5 => InputEvent::PointerTo(Point::new(near(r.signed()?), near(r.signed()?))),
        6 => InputEvent::PointerBy { dx: near(r.signed()?), dy: near(r.signed()?) },
        n @ (7 | 8) => {
            InputEvent::Button { button: *BUTTONS.get(usize::from(r.u8()?)).ok_or(Fault::BadInput)?, down: n == 7 }
        }
        9 => InputEvent::Wheel { x: near(r.signed()?), y: near(r.signed()?) },
        10 => match r.u8()? {
            bits @ 0..=3 => InputEvent::Focus { caps: bits & 1 != 0, num: bits & 2 != 0 },
            _ => return Err(Fault::BadInput),
        },
        11 => InputEvent::Blur,
        12 => InputEvent::Press { code: key(r.var()?)?, means: meaning(r.var()?)? },
        13 => decode_touch(r, near)?,
        14 => decode_pen(r, near)?,
        _ => return Err(Fault::BadInput),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PEN: Pen = Pen {
        at: Point::new(-7, 2_000),
        pressure: 40_000,
        tilt: (-90, 45),
        touching: true,
        eraser: true,
        buttons: 2,
        near: true,
    };

    fn touch(finger: u8, phase: TouchPhase) -> InputEvent {
        InputEvent::Touch { finger, phase, at: Point::new(3, -3), pressure: 77 }
    }

    fn round_trip(d: &Datagram) {
        assert_eq!(Datagram::decode(&d.encode(0x1_2345)), Ok((0x2345, d.clone())));
    }

    // spec: D-5
    #[test]
    fn every_kind_round_trips() {
        round_trip(&Datagram::Shard(Shard {
            epoch: Epoch(1),
            id: UpdateId(500),
            base: UpdateId(499),
            last: true,
            data: 1,
            payload: vec![1, 2, 3],
            ..Shard::default()
        }));
        round_trip(&Datagram::Shard(Shard {
            surface: SurfaceId(3),
            epoch: Epoch(900),
            id: UpdateId(70_000),
            base: UpdateId(2),
            has_size: true,
            has_journey: true,
            last: false,
            index: 6,
            data: 5,
            parity: 2,
            total: 5_500,
            payload: vec![7; 1100],
        }));
        round_trip(&Datagram::Input(InputBatch {
            sent: 5,
            floor: InputSeq(8),
            first: InputSeq(10),
            events: vec![
                (Span::ZERO, InputEvent::Key { code: KeyCode(30), action: KeyMove::Down }),
                (Span::ZERO, InputEvent::Key { code: KeyCode(30), action: KeyMove::Repeat }),
                (Span::micros(9), InputEvent::Press { code: KeyCode(18), means: Meaning(0x0100_20ac) }),
                (Span::micros(9), InputEvent::Text("ä€".into())),
                (Span::micros(8), InputEvent::PointerTo(Point::new(-4, 1079))),
                (Span::micros(7), InputEvent::PointerBy { dx: 3, dy: -3 }),
                (Span::micros(6), InputEvent::Button { button: Button::Back, down: true }),
                (Span::micros(5), InputEvent::Button { button: Button::Left, down: false }),
                (Span::micros(4), InputEvent::Wheel { x: 0, y: -120 }),
                (Span::micros(3), InputEvent::Focus { caps: true, num: false }),
                (Span::micros(2), InputEvent::Blur),
                (Span::micros(1), touch(9, TouchPhase::Cancel)),
                (Span::micros(1), InputEvent::Pen(PEN)),
                (Span::ZERO, InputEvent::Pen(Pen { pressure: 0, touching: false, buttons: 0, near: false, ..PEN })),
            ],
            held: vec![KeyCode(42)],
            buttons: vec![Button::Back],
            fingers: vec![0, 9],
            pen: true,
        }));
        round_trip(&Datagram::Cursor(CursorState { at: Point::new(5, -6), shape: 9, visible: true }));
        round_trip(&Datagram::Padding(1100));
    }

    // spec: D-28
    #[test]
    fn a_one_packet_update_has_a_header_of_at_most_twelve_bytes() {
        let shard = Shard {
            epoch: Epoch(1),
            id: UpdateId(1 << 20),
            base: UpdateId((1 << 20) - 1),
            data: 1,
            ..Shard::default()
        };
        assert!(Datagram::Shard(shard).encode(0).len() <= 12);
    }

    // spec: D-4, D-10, D-12, D-25, D-29, D-33
    #[test]
    fn each_fault_has_its_bytes() {
        let shard = |body: &[u8], flags: u8| [&[SHARD | flags, 0, 0], body].concat();
        for (bytes, fault) in [
            (vec![], Fault::Truncated),
            (vec![0x0f, 0, 0], Fault::UnknownDatagram),
            (shard(&[0, 0, 1, 1], 0), Fault::BadEpoch),
            (shard(&[0, 1, 1, 0], 0), Fault::BadBase),
            (shard(&[0, 1, 1, 2], 0), Fault::BadBase),
            (shard(&[0, 1, 1, 1, 2, 2, 0, 9], SPLIT), Fault::BadShard),
            (shard(&[0, 1, 1, 1, 0, 0, 0, 9], SPLIT), Fault::BadShard),
            (shard(&[0, 1, 1, 1, 0, 1, 0, 9], SPLIT), Fault::BadShard),
            (shard(&[0, 1, 1, 1, 0, 200, 200, 9], SPLIT), Fault::BadShard),
            (vec![INPUT, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0], Fault::BadKeyCode),
            (vec![INPUT, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 77], Fault::BadInput),
            (vec![INPUT, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 12, 30, 0], Fault::BadInput),
            (vec![INPUT, 0, 0, 1, 0, 0, 0, 1, 0, 33], Fault::ListTooLong),
            (vec![INPUT, 0, 0, 1, 0, 0, 0, 1, 2], Fault::InputOutOfOrder),
        ] {
            assert_eq!(Datagram::decode(&bytes), Err(fault), "{bytes:?}");
        }
    }

    // spec: D-34, D-35
    #[test]
    fn fingers_and_pens_that_cannot_be_are_refused() {
        let one = |event: &[u8], contacts: &[u8]| {
            let flag = if contacts.is_empty() { 0 } else { CONTACTS };
            [&[INPUT | flag, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0], event, &[0, 0], contacts].concat()
        };
        let pen = |bits: u8, pressure: u8, x: i8, y: i8| {
            [14, bits, 2, 4, pressure, 0, x.cast_unsigned(), y.cast_unsigned()].to_vec()
        };
        for event in [vec![13, 0x39, 2, 4, 0, 0], pen(0x1f, 9, 90, -90), pen(NEAR, 0, 0, 0), pen(ERASER, 0, 0, 0)] {
            assert!(Datagram::decode(&one(&event, &[0xff, 0x83])).is_ok(), "{event:?}");
        }
        let contacts = |bits: [u8; 2]| one(&[11], &bits);
        for bytes in [
            one(&[13, 0x0a, 2, 4, 0, 0], &[]),
            one(&[13, 0x40, 2, 4, 0, 0], &[]),
            one(&pen(0x20 | NEAR, 0, 0, 0), &[]),
            one(&pen(NEAR, 0, 91, 0), &[]),
            one(&pen(NEAR, 0, 0, -91), &[]),
            one(&pen(NEAR, 0, -128, 0), &[]),
            one(&pen(NEAR, 1, 0, 0), &[]),
            one(&pen(TOUCHING, 1, 0, 0), &[]),
            one(&pen(1 << BARREL, 0, 0, 0), &[]),
            contacts([0, 4]),
            contacts([0, 0x40]),
        ] {
            assert_eq!(Datagram::decode(&bytes), Err(Fault::BadInput), "{bytes:?}");
        }
        assert_eq!(Datagram::decode(&contacts([0, 0])[..15]), Err(Fault::Truncated));
        assert_eq!(Datagram::decode(&one(&[13, 0, 2, 4], &[])[..15]), Err(Fault::Truncated));
    }

    // spec: D-7
    #[test]
    fn sequence_numbers_expand_across_the_wrap() {
        for seq in [0u64, 5, 65_534, 65_536, 200_000] {
            for off in [-300i64, -1, 0, 1, 300] {
                let Some(expected) = seq.checked_add_signed(off) else { continue };
                assert_eq!(expand_seq(expected, (seq & 0xffff) as u16), seq);
            }
        }
    }

    proptest! {
        // spec: F-1
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((seq, d)) = Datagram::decode(&bytes) {
                // What was understood can be said again and is understood the same.
                prop_assert_eq!(Datagram::decode(&d.encode(u64::from(seq))), Ok((seq, d)));
            }
        }
    }
}
