//! The coders against each other: random screens, jobs, losses and rebases.
//!
//! What must hold always: the decoder, fed every slice of the chain in order, holds exactly what the encoder says was
//! sent; when nothing is left and nothing is film, that is the newest screen; no slice is longer than it may be.

use crate::{Decoder, Encoder, EncoderOptions, fuzzing};
use proptest::prelude::*;
use telepane_model::{
    Bytes, EncodeItem, EncodeJob, EncodedSlices, Grid, Pixels, Quality, Rect, Rng, Size, Surf, TileClass, UpdateId,
    Version,
};

#[test]
fn both_sides_can_move_between_threads() {
    fn sendable<T: Send + 'static>() {}
    sendable::<Encoder>();
    sendable::<Decoder>();
}

/// A screen and a viewer to try them on.
struct Bench {
    encoder: Encoder,
    screen: Pixels,
    next: u32,
    version: u64,
}

impl Bench {
    fn new(size: Size<Surf>) -> Self {
        Self { encoder: Encoder::new(size, EncoderOptions::default()), screen: Pixels::new(size), next: 1, version: 0 }
    }

    fn job(&mut self, base: UpdateId, items: Vec<EncodeItem>, max: u64, slice: u64) -> EncodeJob {
        EncodeJob {
            base,
            first: UpdateId(self.next),
            size: self.screen.size(),
            items,
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

    fn encode(&mut self, base: UpdateId, items: Vec<EncodeItem>, max: u64, slice: u64) -> EncodedSlices {
        self.version += 1;
        let job = self.job(base, items, max, slice);
        let answer = self.encoder.encode(&job, &self.screen, Version(self.version)).unwrap();
        let mut chain = base;
        for s in &answer.slices {
            assert!(s.bytes.len() as u64 <= slice, "{} of {slice}", s.bytes.len());
            assert_eq!((s.id, s.base), (UpdateId(self.next), chain));
            chain = s.id;
            self.next += 1;
        }
        answer
    }

    fn all(&self) -> Vec<EncodeItem> {
        vec![item(self.screen.size().rect(), Quality::EXACT)]
    }
}

fn item(rect: Rect<Surf>, quality: Quality) -> EncodeItem {
    EncodeItem { rect, version: Version(0), quality }
}

/// Changes the screen as desktops do: text, noise, gradients, fills, scrolls, drags.
fn change(p: &mut Pixels, rng: &mut Rng) {
    let size = p.size();
    let any = |rng: &mut Rng| {
        let (x, y) = (rng.below(size.w as u64) as i32, rng.below(size.h as u64) as i32);
        Rect::new(x, y, 1 + rng.below(size.w as u64) as u32, 1 + rng.below(size.h as u64) as u32).intersect(size.rect())
    };
    let r = any(rng);
    match rng.below(7) {
        0 => p.fill(r, [rng.next_u64() as u8, rng.next_u64() as u8, 3]),
        1 | 2 => {
            for _ in 0..r.area() / 20 {
                let v = (rng.below(9) * 28) as u8;
                let (x, y) = (r.x + rng.below(r.w as u64) as i32, r.y + rng.below(r.h as u64) as i32);
                p.fill(Rect::new(x, y, 1 + rng.below(4) as u32, 1 + rng.below(2) as u32).intersect(r), [v, v, v]);
            }
        }
        3 => {
            for y in r.y..r.bottom() {
                for px in p.row_mut(r.x as u32, y as u32, r.w).chunks_exact_mut(4) {
                    px[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]);
                }
            }
        }
        4 => {
            for y in r.y..r.bottom() {
                for (x, px) in p.row_mut(r.x as u32, y as u32, r.w).chunks_exact_mut(4).enumerate() {
                    px[..3].copy_from_slice(&[x as u8, y as u8, (x as i32 + y) as u8 / 2]);
                }
            }
        }
        5 => {
            let cut = p.crop(r);
            p.paste(&cut, r.x, r.y - 1 - rng.below(40) as i32);
        }
        _ => {
            let cut = p.crop(r);
            p.paste(&cut, r.x + rng.below(60) as i32 - 30, r.y + rng.below(60) as i32 - 30);
        }
    }
}

fn size_of(rng: &mut Rng) -> Size<Surf> {
    match rng.below(4) {
        0 => Size::new(1 + rng.below(70) as u32, 1 + rng.below(70) as u32),
        1 => Size::new(64, 64),
        _ => Size::new(150 + rng.below(300) as u32, 100 + rng.below(250) as u32),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Slices that are told of while the next one is coded are those of the answer, bytes, tiles and all; the last one is
    /// never told; and the answer is what it is without anybody who listens.
    #[test]
    fn slices_are_told_as_they_are_answered(seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let size = size_of(&mut rng);
        let (mut bench, mut twin) = (Bench::new(size), Bench::new(size));
        let mut decoder = Decoder::new(size);
        let mut base = UpdateId::BLANK;
        for version in 1..12 {
            (0..1 + rng.below(3)).for_each(|_| change(&mut bench.screen, &mut rng));
            twin.screen = bench.screen.clone();
            let slice = [64, 200, 1200, 9600][rng.below(4) as usize];
            let max = [0, 700, 5000, 1 << 30][rng.below(4) as usize];
            let items = bench.all();
            let mut job = bench.job(base, items, max, slice);
            job.anew = rng.below(8) == 0;
            if rng.below(8) == 0 {
                job.items.insert(0, item(Rect::new(0, 0, 64, 64).intersect(size.rect()), Quality::FILM));
            }
            let mut told = Vec::new();
            let screen = &bench.screen;
            let answer = bench.encoder.encode_by_slices(&job, screen, Version(version), &mut |s| told.push(s.clone()));
            let answer = answer.unwrap();
            prop_assert_eq!(&answer, &twin.encoder.encode(&job, screen, Version(version)).unwrap());
            prop_assert_eq!(&told[..], &answer.slices[..told.len()]);
            prop_assert!(told.is_empty() || told.len() < answer.slices.len());
            let tells = !job.anew && job.items.iter().all(|i| i.quality == Quality::EXACT);
            prop_assert_eq!(told.len(), if tells { answer.slices.len().saturating_sub(1) } else { 0 });
            bench.next = answer.slices.last().map_or(bench.next, |s| s.id.0 + 1);
            // Sometimes the viewer stays at one of them.
            let many = if rng.below(4) == 0 { rng.below(answer.slices.len() as u64 + 1) } else { u64::MAX };
            for s in told.iter().chain(&answer.slices[told.len()..]).take(many as usize) {
                decoder.apply(&s.bytes).unwrap();
                base = s.id;
            }
            prop_assert!(base < UpdateId(bench.next - 1) || decoder.pixels() == bench.encoder.sent());
        }
    }

    /// Random screens, budgets, confirmations, losses of k slices and rebases.
    // spec: C-9 C-10 C-11 C-70
    #[test]
    fn the_decoder_holds_what_was_sent(seed in any::<u64>(), film in any::<bool>()) {
        let mut rng = Rng::new(seed);
        let size = size_of(&mut rng);
        let mut bench = Bench::new(size);
        let mut decoder = Decoder::new(size);
        let mut base = UpdateId::BLANK;
        let mut coarse = std::collections::BTreeSet::new();
        for _ in 0..12 {
            (0..1 + rng.below(3)).for_each(|_| change(&mut bench.screen, &mut rng));
            let mut items = bench.all();
            let mut filmed = false;
            if film && rng.below(2) == 0 {
                let w = 64 * (1 + rng.below(3)) as u32;
                items.insert(0, item(Rect::new(64, 64, w, 64).intersect(size.rect()), Quality::FILM));
                filmed = true;
            }
            if rng.below(3) == 0 {
                items.insert(0, item(Rect::new(rng.below(90) as i32 - 20, 5, 60, 60), Quality::EXACT));
            }
            let slice = [64, 200, 1200, 9600][rng.below(4) as usize];
            let max = [0, 700, 5000, 1 << 30][rng.below(4) as usize];
            let answer = bench.encode(base, items, max, slice);
            let state = bench.encoder.sent().clone();
            // Some of the slices arrive; after the first that does not, none does, and the viewer gives up.
            let lost = rng.below(4) == 0;
            let arriving = if lost { rng.below(answer.slices.len() as u64 + 1) as usize } else { answer.slices.len() };
            for s in &answer.slices[..arriving] {
                let before = decoder.pixels().clone();
                let applied = decoder.apply(&s.bytes).unwrap();
                let mut untouched = telepane_model::Region::from(size.rect());
                applied.changed.rects().iter().for_each(|r| untouched.subtract(*r));
                for r in untouched.rects() {
                    prop_assert!(decoder.pixels().same(&before, *r));
                }
                base = s.id;
                for t in &s.tiles {
                    if t.quality.is_layer() {
                        prop_assert_eq!(t.class, TileClass::Picture);
                        coarse.insert(t.at);
                    } else {
                        coarse.remove(&t.at);
                    }
                }
            }
            if arriving == answer.slices.len() {
                prop_assert!(*decoder.pixels() == state);
                if answer.left.is_empty() && !filmed {
                    // What is not exact yet is a picture that shows one of its layers, in this job or since an earlier one.
                    let grid = Grid::new(size);
                    let differ = grid.all().filter(|at| !state.same(&bench.screen, grid.rect(*at)));
                    for at in differ {
                        prop_assert!(coarse.contains(&at));
                    }
                }
                check_states(&answer, &state, &bench.screen);
            }
            if rng.below(2) == 0 {
                bench.encoder.confirm(base);
                prop_assert!(bench.encoder.oldest_base() <= base);
            }
        }
        // At last everything is wanted exactly, and must be.
        let items = bench.all();
        for s in bench.encode(base, items, 1 << 30, 9600).slices {
            decoder.apply(&s.bytes).unwrap();
        }
        prop_assert!(*decoder.pixels() == bench.screen);
    }

    /// Mutations of valid slices and plain noise: any result, no panic.
    #[test]
    fn hostile_bytes_never_panic(seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let mut bench = Bench::new(Size::new(200, 150));
        (0..4).for_each(|_| change(&mut bench.screen, &mut rng));
        let items = bench.all();
        let mut slices = bench.encode(UpdateId::BLANK, items, 1 << 30, 9600).slices;
        change(&mut bench.screen, &mut rng);
        let mut items = bench.all();
        items.insert(0, item(Rect::new(0, 0, 128, 64), Quality::FILM));
        let base = slices.last().map_or(UpdateId::BLANK, |s| s.id);
        slices.extend(bench.encode(base, items, 1 << 30, 9600).slices);
        let mut decoder = Decoder::new(bench.screen.size());
        for s in slices {
            for _ in 0..6 {
                let mut bytes = s.bytes.clone();
                for _ in 0..1 + rng.below(4) {
                    let at = rng.below(bytes.len() as u64) as usize;
                    let near = at.min(rng.below(24) as usize);
                    match rng.below(4) {
                        0 => bytes[near] = rng.next_u64() as u8,
                        1 => bytes[at] ^= 1 << rng.below(8),
                        2 => bytes.truncate(at.max(1)),
                        _ => bytes.insert(near, rng.next_u64() as u8),
                    }
                }
                let _ = decoder.apply(&bytes);
            }
            let noise: Vec<u8> = (0..rng.below(80)).map(|_| rng.next_u64() as u8).collect();
            let _ = decoder.apply(&noise);
            fuzzing::decode(&noise);
        }
        let noise: Vec<u8> = (0..200).map(|_| rng.next_u64() as u8).collect();
        fuzzing::roundtrip(&noise);
    }
}

/// What the answer says of each tile is true of the pixels; the last word on a tile counts.
fn check_states(answer: &EncodedSlices, sent: &Pixels, newest: &Pixels) {
    let grid = Grid::new(sent.size());
    let mut last = std::collections::BTreeMap::new();
    for t in answer.same.iter().chain(answer.slices.iter().flat_map(|s| &s.tiles)) {
        last.insert(t.at, *t);
    }
    for (at, t) in last {
        let exact = sent.same(newest, grid.rect(at));
        assert_eq!(t.quality == Quality::EXACT, exact, "{at:?}");
        // A frame of film may have been coded for an earlier job.
        let earlier = t.quality == Quality::FILM && t.version < answer.version;
        assert!(t.version == answer.version || earlier);
    }
}

#[test]
fn a_typed_glyph_is_small_and_nothing_else_is_listed() {
    let mut rng = Rng::new(5);
    let mut bench = Bench::new(Size::new(1920, 1080));
    bench.screen.fill(bench.screen.size().rect(), [255, 255, 255]);
    let items = bench.all();
    let answer = bench.encode(UpdateId::BLANK, items, 1 << 30, 9600);
    let base = answer.slices.last().unwrap().id;
    for _ in 0..60 {
        let v = (rng.below(12) * 20) as u8;
        bench.screen.fill(Rect::new(710 + rng.below(9) as i32, 330 + rng.below(13) as i32, 1, 1), [v, v, v]);
    }
    let answer = bench.encode(base, vec![item(Rect::new(704, 320, 64, 64), Quality::EXACT)], 1 << 30, 9600);
    assert_eq!(answer.slices.len(), 1);
    assert!(answer.slices[0].bytes.len() <= 150, "{}", answer.slices[0].bytes.len());
    assert_eq!(answer.slices[0].tiles.len(), 1);
    assert!(answer.left.is_empty() && answer.same.is_empty());
    // Undoing one glyph holds its box, not frames.
    bench.encoder.confirm(base);
    assert!(bench.encoder.kept() < Bytes(2000), "{:?}", bench.encoder.kept());
}

#[test]
fn a_scroll_is_a_move() {
    let mut rng = Rng::new(6);
    let mut bench = Bench::new(Size::new(800, 600));
    bench.screen.fill(bench.screen.size().rect(), [255, 255, 255]);
    for _ in 0..9000 {
        let v = (rng.below(12) * 20) as u8;
        let (x, y) = (rng.below(800) as i32, rng.below(600) as i32);
        bench.screen.fill(Rect::new(x, y, 3, 2), [v, v, v]);
    }
    let items = bench.all();
    let full = bench.encode(UpdateId::BLANK, items.clone(), 1 << 30, 9600);
    let base = full.slices.last().unwrap().id;
    let page = bench.screen.crop(Rect::new(100, 100, 500, 400));
    bench.screen.paste(&page, 100, 63);
    bench.screen.fill(Rect::new(100, 463, 500, 37), [250, 240, 230]);
    let answer = bench.encode(base, items.clone(), 1 << 30, 9600);
    assert!(answer.moved.iter().any(|m| (m.dx, m.dy) == (0, -37) && m.to.area() > 150_000), "{:?}", answer.moved);
    let bytes = |a: &EncodedSlices| a.slices.iter().map(|s| s.bytes.len()).sum::<usize>();
    assert!(bytes(&answer) * 15 < bytes(&full), "{} {}", bytes(&answer), bytes(&full));
    // A rebase over the move gives the same pixels.
    let mut decoder = Decoder::new(bench.screen.size());
    full.slices.iter().for_each(|s| drop(decoder.apply(&s.bytes).unwrap()));
    let again = bench.encode(base, items, 1 << 30, 9600);
    again.slices.iter().for_each(|s| drop(decoder.apply(&s.bytes).unwrap()));
    assert!(*decoder.pixels() == bench.screen);
}

#[test]
fn a_base_that_is_gone_is_said_and_nothing_changes() {
    let mut bench = Bench::new(Size::new(100, 100));
    bench.screen.fill(Rect::new(3, 3, 50, 50), [1, 2, 3]);
    let items = bench.all();
    let base = bench.encode(UpdateId::BLANK, items.clone(), 1 << 30, 9600).slices.last().unwrap().id;
    bench.encoder.confirm(base);
    let sent = bench.encoder.sent().clone();
    for gone in [UpdateId::BLANK, UpdateId(99)] {
        let job = bench.job(gone, items.clone(), 1 << 30, 9600);
        let error = bench.encoder.encode(&job, &bench.screen, Version(9)).unwrap_err();
        assert_eq!(error.base, gone);
    }
    assert!(*bench.encoder.sent() == sent);
}

#[test]
fn budgets_leave_the_rest_and_a_hopeless_slice_leaves_all() {
    let mut rng = Rng::new(3);
    let mut bench = Bench::new(Size::new(640, 480));
    for px in bench.screen.data_mut().chunks_exact_mut(4) {
        px[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]);
    }
    let items = bench.all();
    let none = bench.encode(UpdateId::BLANK, items.clone(), 1 << 30, 20);
    assert!(none.slices.is_empty() && none.left == [bench.screen.size().rect()]);
    let some = bench.encode(UpdateId::BLANK, items.clone(), 30_000, 9600);
    let bytes: usize = some.slices.iter().map(|s| s.bytes.len()).sum();
    assert!((20_000..=30_000).contains(&bytes), "{bytes}");
    assert!(!some.left.is_empty());
    let one = bench.encode(UpdateId::BLANK, items, 0, 9600);
    assert_eq!(one.slices.len(), 1);
    assert!(one.slices[0].bytes.len() <= 300);
}

#[test]
fn the_way_back_is_bounded() {
    let mut rng = Rng::new(3);
    let size = Size::new(640, 480);
    let mut bench = Bench::new(size);
    bench.encoder = Encoder::new(size, EncoderOptions { undo_limit: Bytes(3_000_000), ..EncoderOptions::default() });
    let mut base = UpdateId::BLANK;
    for _ in 0..6 {
        for px in bench.screen.data_mut().chunks_exact_mut(4) {
            px[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]);
        }
        let items = bench.all();
        base = bench.encode(base, items, 1 << 30, 9600).slices.last().unwrap().id;
        assert!(bench.encoder.kept() <= Bytes(3_000_000));
    }
    assert!(bench.encoder.oldest_base() > UpdateId(300));
}
