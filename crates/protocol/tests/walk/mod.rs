//! Reads bytes a second time, field by field, from the specification's tables alone (`datagrams.md`, `control.md`), and
//! says of each field where it stands, its bytes, its name and its value. It shares no code with the crate, so that a
//! mistake in the crate's reader does not repeat itself here.

use std::fmt::{Display, Write};

/// Walks over bytes and writes down what it sees.
pub struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    out: String,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, out: String::new() }
    }

    fn note(&mut self, from: usize, name: &str, value: impl Display) {
        let taken = &self.bytes[from..self.at];
        let shown: String = taken.iter().take(10).map(|b| format!("{b:02x} ")).collect();
        let more = if taken.len() > 10 { format!(".. {} bytes", taken.len()) } else { String::new() };
        let bytes = format!("{shown}{more}");
        let line = format!("{from:5}  {:<30}  {name} = {value}", bytes.trim_end());
        writeln!(self.out, "{}", line.trim_end()).unwrap();
    }

    fn take(&mut self, n: usize) -> &'a [u8] {
        let part = &self.bytes[self.at..self.at + n];
        self.at += n;
        part
    }

    fn u8(&mut self, name: &str) -> u8 {
        let from = self.at;
        let v = self.take(1)[0];
        self.note(from, name, v);
        v
    }

    /// Two's complement.
    fn i8(&mut self, name: &str) {
        let from = self.at;
        let v = i16::from(self.take(1)[0]);
        self.note(from, name, if v > 127 { v - 256 } else { v });
    }

    /// Little endian.
    fn u16(&mut self, name: &str) -> u16 {
        let from = self.at;
        let b = self.take(2);
        let v = u16::from(b[1]) << 8 | u16::from(b[0]);
        self.note(from, name, v);
        v
    }

    /// Little endian.
    fn u24(&mut self, name: &str) -> u32 {
        let from = self.at;
        let v = self.take(3).iter().rev().fold(0, |v, b| v << 8 | u32::from(*b));
        self.note(from, name, v);
        v
    }

    fn u32(&mut self, name: &str) -> u32 {
        let from = self.at;
        let v = self.take(4).iter().rev().fold(0, |v, b| v << 8 | u32::from(*b));
        self.note(from, name, v);
        v
    }

    fn raw_varint(&mut self) -> u64 {
        let first = self.take(1)[0];
        let more = match first >> 6 {
            0 => 0,
            1 => 1,
            2 => 3,
            _ => 7,
        };
        let rest = self.take(more);
        rest.iter().fold(u64::from(first & 63), |v, b| v * 256 + u64::from(*b))
    }

    fn varint(&mut self, name: &str) -> u64 {
        let from = self.at;
        let v = self.raw_varint();
        self.note(from, name, v);
        v
    }

    fn signed(&mut self, name: &str) -> i64 {
        let from = self.at;
        let v = self.raw_varint() as i64;
        let v = if v % 2 == 0 { v / 2 } else { -(v + 1) / 2 };
        self.note(from, name, v);
        v
    }

    fn text(&mut self, name: &str) {
        let from = self.at;
        let n = self.raw_varint() as usize;
        let text = String::from_utf8(self.take(n).to_vec()).unwrap();
        self.note(from, name, format!("{text:?}"));
    }

    fn blob(&mut self, name: &str, n: usize) {
        let from = self.at;
        self.take(n);
        self.note(from, name, format!("{n} bytes"));
    }

    fn rest(&mut self, name: &str) {
        self.blob(name, self.bytes.len() - self.at);
    }

    fn end(self) -> String {
        assert_eq!(self.at, self.bytes.len(), "every byte has a meaning:\n{}", self.out);
        self.out
    }
}

/// A datagram.
pub fn datagram(bytes: &[u8]) -> String {
    let mut w = Walk::new(bytes);
    let kind = w.u8("kind and flags");
    w.u16("seq");
    let flag = |bit: u8| kind & bit != 0;
    match kind & 15 {
        1 => {
            w.varint("surface");
            w.varint("epoch");
            w.varint("id");
            w.varint("back to the base");
            if flag(0x80) {
                w.u8("index");
                w.u8("data shards");
                w.u8("parity shards");
                w.varint("total bytes");
            }
            w.rest("piece of the body");
        }
        kind @ (2 | 7) => {
            w.varint("newest");
            w.u32("arrived");
            w.varint("hold, us");
            w.varint(if kind == 7 { "missing" } else { "received" });
            for _ in 0..w.varint("earlier arrivals") {
                if kind == 7 {
                    if w.varint("  step") % 2 == 1 {
                        w.varint("  numbers between");
                    }
                    continue;
                }
                w.varint("  numbers between");
                w.signed("  earlier by, us");
            }
            let surfaces = if flag(0x10) { w.varint("surfaces") } else { 0 };
            if surfaces > 0 {
                for _ in 0..surfaces {
                    w.varint("  surface");
                    w.varint("  epoch");
                    w.varint("  applied");
                    w.varint("  gave up through");
                    w.varint("  queue, us");
                }
            }
            if flag(0x20) {
                w.varint("input done");
                w.varint("input dropped");
            }
            if flag(0x40) {
                for _ in 0..surfaces {
                    w.varint("unshown");
                }
            }
        }
        3 => input(&mut w, flag(0x10)),
        4 => {
            w.signed("x");
            w.signed("y");
            w.varint("shape");
        }
        5 => w.rest("padding"),
        6 => {
            w.u32("number");
            w.u32("captured");
            if flag(0x20) {
                for _ in 0..w.u8("copies") {
                    let n = w.varint("  length") as usize;
                    w.blob("  frame before", n);
                }
            }
            w.rest("frame");
        }
        other => panic!("no kind {other}"),
    }
    w.end()
}

fn input(w: &mut Walk<'_>, contacts: bool) {
    w.u32("sent");
    w.varint("first");
    w.varint("first minus floor");
    for _ in 0..w.varint("events") {
        w.varint("  age, us");
        match w.u8("  event") {
            1..=3 => {
                w.varint("    key code");
            }
            4 => w.text("    text"),
            5 | 6 | 9 => {
                w.signed("    x");
                w.signed("    y");
            }
            7 | 8 => {
                w.u8("    button");
            }
            10 => {
                w.u8("    locks");
            }
            11 => {}
            12 => {
                w.varint("    key code");
                w.varint("    keysym");
            }
            13 => {
                w.u8("    finger and phase");
                w.signed("    x");
                w.signed("    y");
                w.u16("    pressure");
            }
            14 => {
                w.u8("    state");
                w.signed("    x");
                w.signed("    y");
                w.u16("    pressure");
                w.i8("    leans right, degrees");
                w.i8("    leans towards the hand, degrees");
            }
            other => panic!("no event {other}"),
        }
    }
    for _ in 0..w.varint("keys held") {
        w.varint("  key code");
    }
    w.u8("buttons held");
    if contacts {
        w.u16("fingers that touch, pen near");
    }
}

/// A slice's body whose shards had these flags.
pub fn body(bytes: &[u8], size: bool, journey: bool) -> String {
    let mut w = Walk::new(bytes);
    if size {
        w.varint("width");
        w.varint("height");
    }
    if journey {
        w.u32("encoded");
        w.u24("sent after encoded, us");
        w.varint("planned before encoded, us");
        w.varint("captured before planned, us");
        if w.varint("input") != 0 {
            w.varint("injected before captured, us");
        }
    }
    w.rest("ops");
    w.end()
}

/// A control message without its frame.
pub fn control(bytes: &[u8]) -> String {
    let mut w = Walk::new(bytes);
    match w.varint("kind") {
        1 => {
            w.varint("oldest version");
            w.varint("newest version");
            for _ in 0..w.varint("capabilities") {
                w.varint("  number");
                w.varint("  value");
            }
            w.text("agent");
        }
        2 => {
            let n = w.varint("length") as usize;
            w.blob("authentication message", n);
        }
        3 => {
            w.blob("session", 16);
            w.varint("width wanted");
            w.varint("height wanted");
            w.varint("scale, percent");
            for _ in 0..w.varint("surfaces held") {
                w.varint("  surface");
                w.varint("  epoch");
                w.varint("  applied");
                w.varint("  through");
            }
        }
        4 => {
            w.varint("version");
            w.blob("session", 16);
            w.u8("flags");
            w.varint("now, us");
            w.text("host");
        }
        5 | 14 => {
            w.u8("reason");
            w.text("text");
        }
        6 => {
            w.varint("width");
            w.varint("height");
            w.varint("scale, percent");
        }
        7 => {
            w.varint("surface");
            w.varint("epoch");
        }
        8 => {
            w.varint("id");
            let (width, height) = (w.varint("width"), w.varint("height"));
            w.varint("hotspot x");
            w.varint("hotspot y");
            let mut left = width * height;
            while left > 0 {
                let count = w.varint("count");
                let pixels = count / 2;
                w.blob("  pixels", 4 * if count.is_multiple_of(2) { 1 } else { pixels as usize });
                left -= pixels;
            }
        }
        9 => {
            w.varint("serial");
            w.varint("formats");
        }
        10 => {
            w.varint("serial");
            w.varint("id");
        }
        11 => {
            w.varint("id");
            w.u8("last");
            let n = w.varint("length") as usize;
            w.blob("bytes", n);
        }
        12 => {
            w.varint("id");
        }
        13 => w.text("text"),
        16 | 17 | 46 => {
            w.u8("flags");
        }
        20 => {
            w.varint("pipe");
            w.varint("upto");
        }
        21 => {}
        kind @ 22..=30 => file(&mut w, kind),
        45 => {
            w.varint("surface");
            w.varint("epoch");
            w.varint("applied");
            for _ in 0..w.varint("tiles") {
                w.varint("  tiles passed over");
                w.blob("  hash", 8);
            }
        }
        15 => {
            w.varint("first");
            for _ in 0..w.varint("names") {
                w.blob("  name", 16);
            }
        }
        31 => {
            w.varint("serial");
            w.varint("formats");
            w.varint("flags");
        }
        32 => {
            w.varint("serial");
            w.varint("id");
            w.varint("flags");
            w.u8("format");
        }
        33 => {
            w.varint("id");
            w.varint("size");
        }
        34 => {
            w.varint("id");
        }
        40 | 41 => {
            for _ in 0..w.varint("knobs") {
                w.varint("  number");
                w.varint("  value");
            }
        }
        50 => {
            w.u8("why");
            w.varint("within, s");
        }
        51 => {
            w.u8("state");
        }
        52 => {
            w.u8("flags");
        }
        53 => {
            for _ in 0..w.varint("people") {
                w.u8("  flags");
                w.text("  name");
                w.text("  user");
            }
        }
        54 => {
            w.text("zone");
            w.text("locale");
        }
        60 | 61 => {
            for _ in 0..w.varint("monitors") {
                for name in ["  x", "  y", "  width", "  height", "  scale, percent", "  refresh, in 1000 s"] {
                    w.varint(name);
                }
                w.u8("  flags");
                w.text("  name");
            }
        }
        62 => {
            w.signed("x");
            w.signed("y");
        }
        other => panic!("no kind {other}"),
    }
    w.end()
}

fn file(w: &mut Walk<'_>, kind: u64) {
    w.varint("id");
    match kind {
        22 => {
            w.text("path");
            w.varint("held");
            w.varint("size");
            w.varint("modified, us");
        }
        23 => {
            w.varint("offset");
            w.varint("size");
            w.varint("modified, us");
            w.u8("flags");
        }
        24 => {
            w.text("path");
            w.varint("size");
            w.varint("modified, us");
            w.u8("flags");
        }
        25 => {
            w.varint("offset");
        }
        26 => w.blob("sha-256", 32),
        27 => {
            w.u8("outcome");
            w.text("text");
        }
        29 => {
            w.u8("flags");
            for _ in 0..w.varint("entries") {
                w.u8("  kind");
                w.varint("  size");
                w.varint("  modified, us");
                w.text("  name");
            }
        }
        _ => w.text("path"),
    }
}

/// A chunk of the bulk lane.
pub fn chunk(bytes: &[u8]) -> String {
    let mut w = Walk::new(bytes);
    w.u16("seq");
    w.u8("flags");
    w.varint("pipe");
    w.varint("offset");
    w.rest("bytes");
    w.end()
}

/// A WebSocket's message (`websocket.md`): the lane, then what it carries.
pub fn carried(bytes: &[u8]) -> String {
    let mut w = Walk::new(bytes);
    let Some(lane) = bytes.first() else { return w.end() };
    let (lane, name) = match lane {
        0 => (0, "datagram"),
        1 => (1, "control message"),
        2 => (2, "chunk"),
        3 => (3, "end"),
        other => (*other, "of a later version"),
    };
    w.u8(&format!("lane ({name})"));
    if lane == 3 {
        let from = w.at;
        let code = w.take(4).iter().fold(0, |v: u32, b| v << 8 | u32::from(*b));
        w.note(from, "code", format!("{code:#06x}"));
    }
    w.rest(name);
    w.end()
}
