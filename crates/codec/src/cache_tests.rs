//! The tile cache of both sides against each other: windows that come back, losses, rebases, epochs, agents that know
//! nothing.

use crate::wire::{Reader, kind, next_op};
use crate::{Decoder, Encoder, EncoderOptions, SlotMap, TileCache};
use proptest::prelude::*;
use telepane_model::{
    Bytes, EncodeItem, EncodeJob, EncodedSlices, Pixels, Quality, Rect, Rng, Size, Surf, UpdateId, Version,
};

fn job(size: Size<Surf>, base: UpdateId, first: u32, (max, slice): (u64, u64)) -> EncodeJob {
    EncodeJob {
        base,
        first: UpdateId(first),
        size,
        items: vec![EncodeItem { rect: size.rect(), version: Version(0), quality: Quality::EXACT }],
        max_bytes: Bytes(max),
        film_bytes: Bytes(max),
        film_scale: Default::default(),
        slice_bytes: Bytes(slice),
        pictures: Default::default(),
        anew: false,
        id: Default::default(),
        surface: Default::default(),
        epoch: Default::default(),
    }
}

/// A window full of text, or something like it, in its own colours.
fn window(size: Size<Surf>, seed: u64) -> Pixels {
    let mut rng = Rng::new(seed);
    let mut p = Pixels::new(size);
    p.fill(size.rect(), [250 - seed as u8 * 3, 250, 245]);
    for line in 0..size.h / 18 {
        for _ in 0..size.w / 10 {
            let v = (rng.below(7) * 20) as u8;
            let at = (rng.below(u64::from(size.w) * 3 / 4) as i32, (line * 18) as i32 + 3 + rng.below(11) as i32);
            p.fill(Rect::new(at.0, at.1, 1 + rng.below(6) as u32, 1 + rng.below(3) as u32), [v, v / 2, v]);
        }
    }
    p
}

/// Both ends, and the bytes of what was sent last.
struct Pair {
    encoder: Encoder,
    decoder: Decoder,
    base: UpdateId,
    next: u32,
}

impl Pair {
    fn new(size: Size<Surf>, options: EncoderOptions) -> Self {
        let decoder = Decoder::with_cache(size, TileCache::new(options.cache));
        Self { encoder: Encoder::new(size, options), decoder, base: UpdateId::BLANK, next: 1 }
    }

    fn code(&mut self, screen: &Pixels, limits: (u64, u64)) -> EncodedSlices {
        let job = job(screen.size(), self.base, self.next, limits);
        let answer = self.encoder.encode(&job, screen, Version(u64::from(self.next))).unwrap();
        self.next += answer.slices.len() as u32;
        answer
    }

    fn apply(&mut self, answer: &EncodedSlices, count: usize) {
        for slice in answer.slices.iter().take(count) {
            self.decoder.apply(&slice.bytes).unwrap();
            self.base = slice.id;
        }
    }

    /// Shows `screen`; the bytes it took.
    fn show(&mut self, screen: &Pixels) -> usize {
        let answer = self.code(screen, (1 << 30, 9_000));
        self.apply(&answer, usize::MAX);
        assert!(self.decoder.pixels() == self.encoder.sent() && self.encoder.sent() == screen);
        answer.slices.iter().map(|s| s.bytes.len()).sum()
    }
}

fn kinds(answer: &EncodedSlices) -> Vec<u8> {
    let mut kinds = Vec::new();
    for slice in &answer.slices {
        let mut ops = Reader::new(&slice.bytes);
        while !ops.is_empty() {
            kinds.push(next_op(&mut ops).unwrap().0);
        }
    }
    kinds
}

// spec: C-140 C-150
#[test]
fn a_window_that_comes_back_costs_next_to_nothing() {
    let size = Size::new(1920, 1080);
    let (a, b) = (window(size, 1), window(size, 2));
    let mut pair = Pair::new(size, EncoderOptions::default());
    let first = (pair.show(&a), pair.show(&b));
    let again = [pair.show(&a), pair.show(&b), pair.show(&a)];
    println!("first {first:?}, again {again:?}");
    assert!(first.1 > 20_000);
    // Of the first way back, the bytes that keep the other window.
    assert!(again.iter().all(|n| *n < 1_000), "{again:?}");
}

// spec: C-140
#[test]
fn typing_keeps_nothing_and_a_scroll_keeps_nothing() {
    let size = Size::new(640, 480);
    let mut screen = window(size, 1);
    let mut pair = Pair::new(size, EncoderOptions::default());
    pair.show(&screen);
    screen.fill(Rect::new(100, 100, 9, 12), [1, 2, 3]);
    let answer = pair.code(&screen, (1 << 30, 9_000));
    assert!(!kinds(&answer).contains(&kind::CACHE));
    pair.apply(&answer, usize::MAX);
    let page = screen.crop(Rect::new(0, 31, 640, 449));
    screen.paste(&page, 0, 0);
    let answer = pair.code(&screen, (1 << 30, 9_000));
    assert!(kinds(&answer).contains(&kind::MOVE) && !kinds(&answer).contains(&kind::CACHE), "{:?}", kinds(&answer));
}

// spec: V-5 C-7
#[test]
fn an_op_that_the_viewer_lacks_is_not_sent() {
    let size = Size::new(640, 480);
    let (a, b) = (window(size, 1), window(size, 2));
    let without = |kind: u8| EncoderOptions { ops: kind::CODED & !(1 << kind), ..EncoderOptions::default() };
    let none = EncoderOptions { cache: Bytes(16_383), ..EncoderOptions::default() };
    for options in [without(kind::CACHE), none] {
        let mut pair = Pair::new(size, options);
        for screen in [&a, &b, &a] {
            let answer = pair.code(screen, (1 << 30, 9_000));
            assert!(!kinds(&answer).contains(&kind::CACHE));
            pair.apply(&answer, usize::MAX);
        }
    }
    for (options, film) in [(without(kind::FILM), false), (EncoderOptions::default(), true)] {
        let mut encoder = Encoder::new(size, options);
        let mut wanted = job(size, UpdateId::BLANK, 1, (1 << 30, 9_000));
        wanted.items[0] = EncodeItem { rect: Rect::new(0, 0, 128, 128), version: Version(0), quality: Quality::FILM };
        let answer = encoder.encode(&wanted, &a, Version(1)).unwrap();
        assert_eq!(kinds(&answer).contains(&kind::FILM), film);
        assert!(answer.left.is_empty(), "without film it is coded exactly");
    }
}

// spec: V-5
#[test]
fn a_slice_changes_no_more_pixels_than_the_viewer_said() {
    let size = Size::new(800, 600);
    let most = 70_000;
    let mut pair = Pair::new(size, EncoderOptions { slice_pixels: most, ..EncoderOptions::default() });
    let mut flat = Pixels::new(size);
    flat.fill(size.rect(), [9, 8, 7]);
    let text = window(size, 3);
    let mut moved = text.clone();
    moved.paste(&text.crop(Rect::new(0, 50, 800, 550)), 0, 0);
    for screen in [&flat, &text, &moved, &flat, &text, &flat] {
        let answer = pair.code(screen, (1 << 30, 60_000));
        for slice in &answer.slices {
            let applied = pair.decoder.apply(&slice.bytes).unwrap();
            assert!(applied.changed.area() <= most, "{}", applied.changed.area());
            pair.base = slice.id;
        }
        assert!(pair.decoder.pixels() == screen);
    }
}

// spec: C-152 C-154
#[test]
fn an_agent_that_knows_nothing_believes_what_was_kept() {
    let size = Size::new(1280, 720);
    let (a, b) = (window(size, 1), window(size, 2));
    let mut pair = Pair::new(size, EncoderOptions::default());
    for screen in [&a, &b, &a] {
        pair.show(screen);
    }
    let mut anew = Pair::new(size, EncoderOptions::default());
    anew.decoder = Decoder::with_cache(size, pair.decoder.take_cache());
    let hashes = anew.decoder.cache().hashes();
    for (n, part) in hashes.chunks(1000).enumerate() {
        anew.encoder.offer(n as u32 * 1000, part);
    }
    let bytes = anew.show(&a);
    assert!(bytes < 3_000, "{bytes}");
    // A viewer that lies sees the wrong picture, and nothing else happens.
    let mut liar = Pair::new(size, EncoderOptions::default());
    liar.encoder.offer(0, &hashes);
    let answer = liar.code(&a, (1 << 30, 9_000));
    assert!(liar.decoder.apply(&answer.slices[0].bytes).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Windows come and go; slices are lost, states returned to, epochs and agents begin anew; few slots or many.
    // spec: C-10 C-153
    #[test]
    fn what_the_viewer_keeps_is_what_the_host_believes(seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let sizes = [Size::new(300, 200), Size::new(333, 140)];
        let mut size = sizes[0];
        let slots = [3, 12, 40, 4096][rng.below(4) as usize];
        let options = EncoderOptions { cache: Bytes(slots << 14), ..EncoderOptions::default() };
        let mut pair = Pair::new(size, options);
        let mut windows: Vec<_> = (0..4).map(|n| window(Size::new(340, 210), n + 1)).collect();
        for _ in 0..14 {
            let n = rng.below(4) as usize;
            if rng.below(3) == 0 {
                let at = Rect::new(rng.below(250) as i32, rng.below(150) as i32, 90, 30);
                windows[n].fill(at, [rng.next_u64() as u8, 1, 2]);
            }
            let screen = windows[n].crop(size.rect());
            let limits = ([0, 700, 5000, 1 << 30][rng.below(4) as usize], [64, 300, 9000][rng.below(3) as usize]);
            let answer = pair.code(&screen, limits);
            let all = answer.slices.len();
            let count = if rng.below(3) == 0 { rng.below(all as u64 + 1) as usize } else { all };
            pair.apply(&answer, count);
            if count == all {
                prop_assert!(pair.decoder.pixels() == pair.encoder.sent());
            }
            if rng.below(2) == 0 {
                pair.encoder.confirm(pair.base);
            }
            match rng.below(6) {
                0 => {
                    // A new epoch, perhaps of another size; what was applied and not confirmed is in doubt.
                    size = sizes[rng.below(2) as usize];
                    let old = std::mem::replace(&mut pair.encoder, Encoder::new(size, options));
                    pair.encoder = Encoder::with_slots(size, options, old.into_slots());
                    pair.decoder = Decoder::with_cache(size, pair.decoder.take_cache());
                    (pair.base, pair.next) = (UpdateId::BLANK, 1);
                }
                1 => {
                    // Another agent, which is told what is kept, in part too late.
                    let hashes = pair.decoder.cache().hashes();
                    pair.encoder = Encoder::with_slots(size, options, SlotMap::new(options.cache));
                    pair.decoder = Decoder::with_cache(size, pair.decoder.take_cache());
                    (pair.base, pair.next) = (UpdateId::BLANK, 1);
                    let cut = rng.below(hashes.len() as u64 + 1) as usize;
                    pair.encoder.offer(0, &hashes[..cut]);
                    let answer = pair.code(&windows[0].crop(size.rect()), (5_000, 300));
                    pair.apply(&answer, usize::MAX);
                    pair.encoder.offer(cut as u32, &hashes[cut..]);
                }
                _ => {}
            }
        }
        let screen = windows[1].crop(size.rect());
        pair.show(&screen);
    }
}
