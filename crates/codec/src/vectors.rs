//! The golden vectors in `protocol-spec/vectors/codec-*`: what a second implementation must decode, bit for bit.
//!
//! A `.bin` holds slices, each behind its length as four little-endian bytes. Its `.txt` names the surface and, after
//! all slices, the pixels (blue, green, red in hexadecimal, row by row). `codec-faults.txt` holds one slice per fault.
//! With `TELEPANE_BLESS=1` the test writes the files anew instead of comparing. What passes through zstd or H.264 may be
//! coded differently by another version and is checked in decode direction only.

use crate::cache::{self, Run, Verb};
use crate::film::{FINEST, FilmEncoder};
use crate::picture::{Layer, PictureCoder, Planes, Step};
use crate::text::model::Model;
use crate::text::range::RangeEncoder;
use crate::text::rows::{Rows, View};
use crate::text::{Coded, FRESH, Lane, OLD, OPEN};
use crate::wire::{kind, put_op, put_rect};
use crate::{CodecFault, Decoder, exact, fill, shift};
use std::fmt::Write as _;
use std::path::PathBuf;
use telepane_model::{FilmScale, Pixels, Rect, Size, Surf, TileClass, Version};

struct Vector {
    name: &'static str,
    about: &'static str,
    size: Size<Surf>,
    slices: Vec<Vec<u8>>,
    /// Whether every version of the encoder must make the same bytes.
    fixed: bool,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../protocol-spec/vectors")).join(name)
}

fn op(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_op(&mut out, kind, payload);
    out
}

fn exact_op(method: u8, rects: &[Rect<Surf>], rest: &[u8]) -> Vec<u8> {
    let mut payload = vec![method, rects.len() as u8];
    rects.iter().for_each(|r| put_rect(&mut payload, *r));
    payload.extend_from_slice(rest);
    op(kind::EXACT, &payload)
}

/// A picture with an edge, a slope and some noise.
fn sample(size: Size<Surf>, shift: u32) -> Pixels {
    let mut p = Pixels::new(size);
    for y in 0..size.h {
        for x in 0..size.w {
            let n = (x + shift) * 7 + y * 3;
            p.fill(
                Rect::new(x as i32, y as i32, 1, 1),
                [n as u8, (n / 2) as u8, if x > y { 200 } else { (n % 11) as u8 }],
            );
        }
    }
    p
}

fn vectors() -> Vec<Vector> {
    let small = Size::new(9, 5);
    let a = fill::payload([0x10, 0x20, 0x30], &[Rect::new(1, 0, 3, 2), Rect::new(8, 4, 1, 1)]);
    let b = fill::payload([0xff, 0, 0x80], &[Rect::new(0, 2, 9, 1)]);
    let base = op(kind::FILL, &a).into_iter().chain(op(kind::FILL, &b)).collect::<Vec<_>>();
    let one = |name, about, slices| Vector { name, about, size: small, slices, fixed: true };
    let row = [Rect::new(0, 0, 9, 1)];
    let median: Vec<u8> = (0..27).map(|n| n * 5).collect();
    let two = [Rect::new(0, 0, 2, 2), Rect::new(7, 3, 2, 2)];
    let mut all = vec![
        one("empty", "a slice without ops changes nothing (C-1)", vec![vec![]]),
        one("fill", "two FILL ops, one with two rectangles (C-20)", vec![base.clone()]),
        one(
            "move-down",
            "a MOVE that overlaps its source (C-30, C-31)",
            vec![base.clone(), op(kind::MOVE, &shift::payload(0, 1, &[Rect::new(0, 1, 9, 3)]))],
        ),
        one(
            "move-two",
            "a MOVE with two rectangles, one after the other (C-32)",
            vec![
                base.clone(),
                op(kind::MOVE, &shift::payload(-2, -1, &[Rect::new(0, 0, 4, 2), Rect::new(0, 1, 4, 2)])),
            ],
        ),
        one(
            "unknown-op",
            "an op of unknown kind between two known ones (C-7)",
            vec![[op(kind::FILL, &a), op(99, b"later"), op(kind::FILL, &b)].concat()],
        ),
        one("median-row", "EXACT, stored residuals, one row (C-50, C-51)", vec![exact_op(0, &row, &median)]),
        one(
            "median-two",
            "EXACT, stored residuals, two rectangles (C-43, C-50, C-51)",
            vec![exact_op(0, &two, &median[..24])],
        ),
        one(
            "packed-1bit",
            "EXACT, two colours packed (C-52, C-54)",
            vec![exact_op(1, &row, &[1, 1, 2, 3, 4, 5, 6, 0b1010_0110, 0b1000_0000])],
        ),
        one(
            "packed-2bit",
            "EXACT, three greys packed (C-52, C-54)",
            vec![exact_op(0x41, &row, &[2, 0, 0x80, 0xff, 0b00_01_10_00, 0b01_10_00_01, 0b10_00_00_00])],
        ),
        one(
            "packed-4bit",
            "EXACT, five greys packed (C-52, C-54)",
            vec![exact_op(0x41, &row, &[4, 0, 50, 100, 150, 200, 0x01, 0x23, 0x43, 0x21, 0x00])],
        ),
        one(
            "bytes",
            "EXACT, symbols of a byte each (C-52)",
            vec![exact_op(2, &row, &[1, 9, 8, 7, 1, 2, 3, 0, 1, 0, 1, 1, 0, 0, 0, 1])],
        ),
    ];
    let run = |tile, slot, count| Run { tile, slot, count };
    let cache_op = |verb, runs: &[Run]| op(kind::CACHE, &cache::payload(verb, runs));
    let paint = |colour, rect| op(kind::FILL, &fill::payload(colour, &[rect]));
    all.push(Vector {
        name: "cache",
        about: "CACHE: three tiles are put in two runs, overwritten, and drawn again, one of them elsewhere (C-142 to C-144)",
        size: Size::new(130, 66),
        slices: vec![
            [
                paint([1, 2, 3], Rect::new(3, 5, 50, 50)),
                paint([4, 5, 6], Rect::new(70, 60, 60, 6)),
                cache_op(Verb::Put, &[run(0, 700, 2), run(5, 9, 1)]),
            ]
            .concat(),
            [
                paint([7, 8, 9], Rect::new(0, 0, 130, 66)),
                cache_op(Verb::Ref, &[run(0, 701, 1), run(1, 700, 1), run(5, 9, 1)]),
            ]
            .concat(),
        ],
        fixed: true,
    });
    let size = Size::new(40, 24);
    let picture = sample(size, 0);
    let text = {
        let mut p = Pixels::new(size);
        (0..60).for_each(|i| p.fill(Rect::new(i * 7 % 37, i * 5 % 23, 2, 1), [(i % 5 * 40) as u8; 3]));
        p
    };
    for (name, pixels, class) in
        [("zstd-median", &picture, TileClass::Picture), ("zstd-palette", &text, TileClass::Text)]
    {
        let payload = exact::ExactCoder::default().code(pixels, &[size.rect()], class).to_vec();
        let about = "EXACT as the encoder makes it, with a zstd body (C-46)";
        all.push(Vector { name, about, size, slices: vec![op(kind::EXACT, &payload)], fixed: false });
    }
    all.push(text_vector(false, size, &picture, &text));
    all.push(text_vector(true, size, &picture, &text));
    all.extend(pictures());
    let rect = Rect::new(3, 2, 33, 17);
    let mut film = FilmEncoder::new(FINEST);
    let mut slices = Vec::new();
    for n in 0..3u32 {
        let mut frame = film.code(&sample(size, n), Version(n.into()), (rect, FilmScale::Full), 8_333).unwrap();
        while frame.left() > 0 {
            let mut slice = Vec::new();
            frame.put_fragment(&mut slice, 200);
            slices.push(slice);
        }
    }
    let about = "three FILM frames of odd size in fragments (C-60 to C-69)";
    all.push(Vector { name: "film", about, size, slices, fixed: false });
    let (size, rect) = (Size::new(60, 44), Rect::new(3, 2, 51, 37));
    let mut slices = Vec::new();
    for (n, scale) in [FilmScale::ThreeQuarters, FilmScale::ThreeQuarters, FilmScale::Half].into_iter().enumerate() {
        let mut frame = film.code(&sample(size, n as u32), Version(n as u64), (rect, scale), 8_333).unwrap();
        let mut slice = Vec::new();
        frame.put_fragment(&mut slice, usize::MAX);
        slices.push(slice);
    }
    let about = "two FILM frames in three quarters of their size, one in half of it (C-180 to C-182)";
    all.push(Vector { name: "film-small", about, size, slices, fixed: false });
    all
}

/// A chain of TEXT ops: alone, open, with what was there, again from the start, in another lane.
fn text_vector(wide: bool, size: Size<Surf>, picture: &Pixels, text: &Pixels) -> Vector {
    let mut held = Pixels::new(size);
    let mut lanes = [Lane::new(wide), Lane::new(wide)];
    let (left, right) = (Rect::new(0, 0, 23, 24), Rect::new(23, 3, 17, 19));
    let mut slices = Vec::new();
    for (flags, newest, rects) in [
        (0, text, &[left, right][..]),
        (OPEN, picture, &[Rect::new(5, 5, 5, 3), Rect::new(10, 5, 6, 2)]),
        (OPEN | OLD, text, &[Rect::new(2, 3, 33, 12)]),
        (1, picture, &[Rect::new(30, 20, 4, 4)]),
        (FRESH | OPEN | OLD, picture, &[Rect::new(30, 18, 5, 4), Rect::new(0, 0, 1, 1)]),
        (1, text, &[Rect::new(1, 1, 38, 22)]),
    ] {
        let lane = &mut lanes[usize::from(flags & 3)];
        let mut op = lane.begin(flags);
        for rect in rects {
            assert_eq!(lane.encode(&mut op, newest, &held, *rect, 9600), Coded::Whole);
            held.copy_from(newest, *rect);
        }
        slices.push(self::op(kind::TEXT, lane.finish(&op)));
    }
    let (name, about) = match wide {
        false => ("text", "TEXT with every flag, two lanes, several rectangles (C-80 to C-99)"),
        true => ("text-wide", "TEXT with every flag in wide models (C-156 to C-158)"),
    };
    Vector { name, about, size, slices, fixed: true }
}

/// Layers after one another, also with planes apart, over cells of every kind of size.
fn pictures() -> Vec<Vector> {
    let size = Size::new(70, 40);
    let newest = sample(size, 3);
    let cells = [Rect::new(1, 0, 63, 40), Rect::new(64, 0, 6, 33)];
    let layers = |set: usize, steps: &[Step]| {
        let (mut coder, mut sent) = (PictureCoder::default(), Pixels::new(size));
        let mut slices = Vec::new();
        for step in steps {
            coder.begin_by(*step, set);
            cells.iter().for_each(|r| assert!(coder.push(&newest, &sent, *r)));
            let mut payload = Vec::new();
            coder.finish(&mut payload);
            coder.show(&mut sent);
            slices.push(op(kind::PICTURE, &payload));
        }
        slices
    };
    let luma = Step { planes: Planes::LUMA, ..Step::new(Some(Layer::Fine), Layer::Exact) };
    let all = [
        ("picture-first", "PICTURE, the first view (C-110 to C-129)", 0, vec![Step::new(None, Layer::First)]),
        ("picture-exact", "PICTURE, exact at once (C-110 to C-129)", 0, vec![Step::new(None, Layer::Exact)]),
        (
            "picture-second",
            "PICTURE by the second set of probabilities (C-111, C-127)",
            1,
            vec![Step::new(None, Layer::First), Step::new(Some(Layer::First), Layer::Exact)],
        ),
        (
            "picture-layers",
            "PICTURE, layer by layer, at last luma alone and then all planes (C-111, C-112, C-120, C-122)",
            0,
            vec![
                Step::new(None, Layer::Preview),
                Step::new(Some(Layer::Preview), Layer::First),
                Step::new(Some(Layer::First), Layer::Fine),
                luma,
                Step::new(Some(Layer::Fine), Layer::Exact),
            ],
        ),
    ];
    all.into_iter()
        .map(|(name, about, set, steps)| Vector { name, about, size, slices: layers(set, &steps), fixed: true })
        .collect()
}

fn describe(v: &Vector, pixels: &Pixels) -> String {
    let mut text = format!("# {}\nsurface {} {}\nslices {}\npixels\n", v.about, v.size.w, v.size.h, v.slices.len());
    for row in pixels.rows(v.size.rect()) {
        let row: Vec<String> = row.chunks_exact(4).map(|p| format!("{:02x}{:02x}{:02x}", p[0], p[1], p[2])).collect();
        writeln!(text, "{}", row.join(" ")).unwrap();
    }
    text
}

fn bless() -> bool {
    std::env::var_os("TELEPANE_BLESS").is_some_and(|v| v == "1")
}

// spec: C-30, C-32, C-40, C-41, C-50, C-52, C-54, C-55, C-60, C-64, C-180, C-182, C-114, C-116, C-120, C-121
#[test]
fn slices_decode_to_their_pixels() {
    for mut v in vectors() {
        let (bin, txt) = (file(&format!("codec-{}.bin", v.name)), file(&format!("codec-{}.txt", v.name)));
        if !bless() {
            let stored = std::fs::read(&bin).unwrap();
            let mut rest = &stored[..];
            let mut slices = Vec::new();
            while let Some((len, tail)) = rest.split_first_chunk::<4>() {
                let (slice, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
                slices.push(slice.to_vec());
                rest = tail;
            }
            assert!(!v.fixed || slices == v.slices, "{}: the encoder makes other bytes", v.name);
            v.slices = slices;
        }
        let mut decoder = Decoder::new(v.size);
        for slice in &v.slices {
            decoder.apply(slice).unwrap();
        }
        let text = describe(&v, decoder.pixels());
        if bless() {
            let with_length = |s: &Vec<u8>| [&(s.len() as u32).to_le_bytes()[..], s].concat();
            std::fs::write(bin, v.slices.iter().flat_map(with_length).collect::<Vec<u8>>()).unwrap();
            std::fs::write(txt, text).unwrap();
        } else {
            assert_eq!(text, std::fs::read_to_string(txt).unwrap(), "{}", v.name);
        }
    }
}

/// One slice for each fault, on a surface of 200x100.
fn faults() -> Vec<(CodecFault, Vec<u8>)> {
    use CodecFault::*;
    let whole = fill::payload([1, 2, 3], &[Rect::new(0, 0, 200, 100); 8]);
    let film = |flags: u8, rest: &[u8]| op(kind::FILM, &[&[0, flags], rest].concat());
    let key = |rect: Rect<Surf>, data: &[u8]| {
        let mut rest = vec![1];
        put_rect(&mut rest, rect);
        film(7, &[&rest[..], data].concat())
    };
    let region = Rect::new(0, 0, 32, 32);
    // Noise takes many decisions for each pixel; our encoder would not code it so.
    let noise = Rect::new(0, 0, 24, 24);
    let (mut pixels, mut rng) = (Pixels::new(Size::new(200, 100)), telepane_model::Rng::new(7));
    pixels.data_mut().chunks_exact_mut(4).for_each(|p| p[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]));
    let view = View { rect: noise, open: false, old: false };
    let (mut rows, mut model, mut coder) = (Rows::default(), Model::new(false), RangeEncoder::default());
    rows.begin(&view, &pixels);
    (0..24).for_each(|y| rows.code(&mut coder, &mut model, &view, y, &pixels, Some(&pixels)));
    let mut costly = vec![0, 1];
    put_rect(&mut costly, noise);
    costly.extend_from_slice(coder.finish());
    vec![
        (Truncated, vec![0, 5, 1, 2, 3]),
        (LongVarint, vec![0, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        (RectOutside, op(kind::FILL, &[1, 2, 3, 0xc7, 0x01, 0, 1, 0])),
        (RectCount, op(kind::FILL, &[1, 2, 3])),
        (AreaTooLarge, exact_op(0, &[Rect::new(0, 0, 200, 100); 27], &[])),
        (TooMuchWork, op(kind::FILL, &whole)),
        (MoveOutside, op(kind::MOVE, &shift::payload(1, 0, &[Rect::new(0, 0, 9, 9)]))),
        (MoveNowhere, op(kind::MOVE, &shift::payload(0, 0, &[Rect::new(0, 0, 9, 9)]))),
        (CacheVerb, op(kind::CACHE, &[2, 0, 0, 0])),
        (CacheRuns, op(kind::CACHE, &[1])),
        (CacheTile, op(kind::CACHE, &[0, 7, 1, 0])),
        (CacheSlot, op(kind::CACHE, &[0, 0, 0, 0x80, 0x40])),
        (CacheEmpty, op(kind::CACHE, &[1, 0, 0, 0])),
        (CacheSize, [op(kind::CACHE, &[0, 0, 0, 0]), op(kind::CACHE, &[1, 3, 0, 0])].concat()),
        (ExactMethod, exact_op(3, &[Rect::new(0, 0, 1, 1)], &[0, 0, 0])),
        (PaletteIndex, exact_op(0x42, &[Rect::new(0, 0, 1, 1)], &[0, 9, 1])),
        (BodySize, exact_op(0, &[Rect::new(0, 0, 1, 1)], &[0, 0, 0, 0])),
        (ZstdFrame, exact_op(0x80, &[Rect::new(0, 0, 1, 1)], &[0x04, 0, 0, 0])),
        (ZstdWindow, exact_op(0x80, &[Rect::new(0, 0, 1, 1)], &[0x00, 0x39, 1, 0, 0])),
        (ZstdSize, exact_op(0x80, &[Rect::new(0, 0, 1, 1)], &[0x20, 2, 0x11, 0, 0, 7, 7])),
        (TextFlags, op(kind::TEXT, &[0x40, 1, 0, 0, 0, 0])),
        (TextBudget, op(kind::TEXT, &costly)),
        (TextEnd, op(kind::TEXT, &[0, 1, 0, 0, 0xc7, 0x01, 99, 0xaa])),
        (PictureStep, op(kind::PICTURE, &[0x7e, 1, 0, 0, 0, 0, 8])),
        (PictureBody, op(kind::PICTURE, &[&[0x73, 1, 0, 0, 0, 0, 8][..], &[0; 16]].concat())),
        (FilmSlot, op(kind::FILM, &[4, 1])),
        (FilmFlags, film(8, &[])),
        (FilmOrder, film(2, &[0, 0, 1])),
        (FilmColour, film(5, &[0, 0, 0, 31, 31])),
        (FilmSize, key(Rect::new(0, 0, 15, 32), &[])),
        (CodecFault::FilmScale, film(9, &[1, 0, 0, 31, 31, 4])),
        (FilmStream, key(region, &[0, 0, 1, 0x65, 1, 2, 3])),
    ]
}

// spec: C-61, C-62, C-63
#[test]
fn every_fault_is_found_and_named() {
    let mut text = String::from("# fault name, then a slice for a black surface of 200x100 that must be refused so\n");
    for (fault, slice) in faults() {
        assert_eq!(Decoder::new(Size::new(200, 100)).apply(&slice), Err(fault));
        let hex: String = slice.iter().map(|b| format!("{b:02x}")).collect();
        writeln!(text, "{} {hex}", fault.name()).unwrap();
    }
    // Two need more bytes than a text file should hold; the modules' own tests make them.
    let long = [CodecFault::SliceTooLong, CodecFault::FilmTooLong];
    for fault in CodecFault::ALL.iter().filter(|f| !long.contains(f)) {
        assert!(faults().iter().any(|(f, _)| f == fault), "no vector for {fault:?}");
    }
    let path = file("codec-faults.txt");
    if bless() {
        std::fs::write(path, text).unwrap();
    } else {
        assert_eq!(text, std::fs::read_to_string(path).unwrap());
    }
}

// spec: C-65
#[test]
fn an_endless_film_frame_is_refused() {
    let mut decoder = Decoder::new(Size::new(200, 100));
    let mut first = vec![0, 1, 1];
    put_rect(&mut first, Rect::new(0, 0, 32, 32));
    assert!(decoder.apply(&op(kind::FILM, &first)).is_ok());
    let fragment = op(kind::FILM, &[&[0, 0][..], &vec![0; 1_000_000]].concat());
    let result = (0..5).map(|_| decoder.apply(&fragment).map(|_| ())).collect::<Vec<_>>();
    assert_eq!(result, [Ok(()), Ok(()), Ok(()), Ok(()), Err(CodecFault::FilmTooLong)]);
}
