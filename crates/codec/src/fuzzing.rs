//! What a fuzzer calls: any bytes, no panic, and what was coded comes back.

use crate::cache::TileCache;
use crate::picture::{Layer, PictureCoder, PictureDecoder, Planes, Step};
use crate::text::{Coded, Lane, OPEN, TextOp};
use crate::{Decoder, Encoder, EncoderOptions};
use telepane_model::{Bytes, EncodeItem, EncodeJob, FilmScale, Grid, Pixels, Quality, Rect, Size, UpdateId, Version};

/// Slices from a stranger: `bytes` are cut into up to eight slices, applied to one small surface.
pub fn decode(bytes: &[u8]) {
    // Few slots, so that a fuzzer finds their end.
    let mut decoder = Decoder::with_cache(Size::new(160, 100), TileCache::new(Bytes(64 << 14)));
    let mut rest = bytes;
    for _ in 0..8 {
        let Some((len, tail)) = rest.split_first() else { break };
        // A length byte of 255 takes everything that is left.
        let len = if *len == 255 { tail.len() } else { (*len as usize).min(tail.len()) };
        let (slice, tail) = tail.split_at(len);
        let _ = decoder.apply(slice);
        rest = tail;
    }
    let _ = Decoder::new(Size::new(160, 100)).apply(bytes);
}

/// Screens drawn from `bytes`, coded under budgets from `bytes`, with losses and rebases from `bytes`: the decoder
/// must hold exactly what the encoder says was sent. Panics if not.
pub fn roundtrip(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let mut next = || bytes.next().map(u32::from);
    let (Some(w), Some(h)) = (next(), next()) else { return };
    let size = Size::new(w + 1, h + 1);
    let mut screen = Pixels::new(size);
    let mut behind = screen.clone();
    // Film is coded at once, or beside everything else for as long as the bytes say.
    let options = EncoderOptions { film_apart: w % 2 == 1, ..EncoderOptions::default() };
    let mut encoder = Encoder::new(size, options);
    let mut decoder = Decoder::new(size);
    let (mut base, mut first) = (UpdateId::BLANK, 1);
    let mut filming = None;
    while let (Some(op), Some(x), Some(y), Some(side), Some(seed)) = (next(), next(), next(), next(), next()) {
        let rect = Rect::new(x as i32, y as i32, side + 1, side / 2 + 1);
        match op % 4 {
            0 => screen.fill(rect, [seed as u8, op as u8, 7]),
            1 => {
                let cut = screen.crop(rect);
                screen.paste(&cut, x as i32 - (seed % 32) as i32, y as i32 - (op / 4) as i32);
            }
            kind => {
                let mut state = seed + 1;
                let r = rect.intersect(size.rect());
                for row in r.y..r.bottom() {
                    for px in screen.row_mut(r.x as u32, row as u32, r.w).chunks_exact_mut(4) {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let v = (state >> 24) as u8;
                        let colour = if kind == 2 { [v, v / 2, v ^ 3] } else { [v & 0xe0; 3] };
                        px[..3].copy_from_slice(&colour);
                    }
                }
            }
        }
        match seed {
            // Another window is raised, and this one comes back some time.
            200..=229 => std::mem::swap(&mut screen, &mut behind),
            // The next epoch: what was applied last may not be known to be.
            230..=239 => {
                let old = std::mem::replace(&mut encoder, Encoder::new(size, options));
                encoder = Encoder::with_slots(size, options, old.into_slots());
                filming = None;
                decoder = Decoder::with_cache(size, decoder.take_cache());
                (base, first) = (UpdateId::BLANK, 1);
            }
            240..=249 => encoder.confirm(base),
            _ => {}
        }
        let quality = if seed & 1 == 0 { Quality::FILM } else { Quality::EXACT };
        let film = EncodeItem { rect: Rect::new(0, 0, 64, 64), version: Version(0), quality };
        let rest = EncodeItem { rect: size.rect(), version: Version(0), quality: Quality::EXACT };
        let slice_bytes = 64 + u64::from(op) * 16;
        let job = EncodeJob {
            id: Default::default(),
            surface: Default::default(),
            epoch: Default::default(),
            size,
            base,
            first: UpdateId(first),
            items: vec![film, rest],
            max_bytes: Bytes(u64::from(side) * 64),
            film_bytes: Bytes(u64::from(side) * 64),
            film_scale: [FilmScale::Full, FilmScale::ThreeQuarters, FilmScale::Half][seed as usize / 2 % 3],
            slice_bytes: Bytes(slice_bytes),
            pictures: Default::default(),
            anew: false,
        };
        encoder.refit(&job);
        let answer = encoder.encode(&job, &screen, Version(1)).expect("nothing after the base was confirmed");
        if let Some(task) = encoder.take_film() {
            assert!(answer.awaits && filming.is_none(), "one frame at a time");
            filming = Some((task, screen.clone()));
        }
        if seed % 3 != 0
            && let Some((mut task, pixels)) = filming.take()
        {
            task.run(&pixels);
            encoder.on_film(task);
        }
        first += answer.slices.len() as u32;
        let arrive = if seed % 5 == 0 { x as usize % (answer.slices.len() + 1) } else { answer.slices.len() };
        for slice in answer.slices.iter().take(arrive) {
            assert!(slice.bytes.len() as u64 <= slice_bytes, "a slice is longer than it may be");
            decoder.apply(&slice.bytes).expect("our own slice");
            base = slice.id;
        }
        if arrive == answer.slices.len() {
            assert!(decoder.pixels() == encoder.sent(), "the decoder holds something else than was sent");
        }
    }
}

/// The text coder alone. `bytes` as an op's payload on a surface with something on it: a fault, or pixels, and an op that
/// stands alone gives the same beside the framebuffer. Then as pixels, coded with flags and limits from `bytes`: they come
/// back. Panics if not.
pub fn text(bytes: &[u8]) {
    let size = Size::new(61, 43);
    let mut drawn = Pixels::new(size);
    for (px, byte) in drawn.data_mut().chunks_exact_mut(4).zip(bytes.iter().cycle()) {
        px[..3].copy_from_slice(&[byte & 0xf0, byte & 0xf0, byte & 0xf8]);
    }
    if let Ok(op) = TextOp::parse(bytes, 100_000, size) {
        let (mut one, mut two) = (drawn.clone(), drawn.clone());
        let applied = Lane::new(op.is_wide()).apply(&op, &mut one);
        if !op.is_open() && op.rects().len() == 1 {
            let apart = Lane::new(op.is_wide()).decode(&op, &two);
            assert_eq!(applied, apart.as_ref().map(|_| ()).map_err(|fault| *fault), "two verdicts on one op");
            for (rect, pixels) in apart.into_iter().flatten() {
                two.paste(&pixels, rect.x, rect.y);
            }
            assert!(applied.is_err() || one == two, "apart it decodes to something else");
        }
    }
    let mut shown = Pixels::new(size);
    let mut held = Pixels::new(size);
    let wide = bytes.first().is_some_and(|b| b % 2 == 1);
    let (mut here, mut there) = (Lane::new(wide), Lane::new(wide));
    for step in bytes.chunks(6).take(40) {
        let [flags, x, y, w, h, limit, ..] = *step else { break };
        let rect = Rect::new(i32::from(x % 61), i32::from(y % 43), u32::from(w % 61) + 1, u32::from(h % 43) + 1);
        let rect = rect.intersect(size.rect());
        let mut op = here.begin(flags & 0x18);
        let rows = match here.encode(&mut op, &drawn, &held, rect, usize::from(limit) * 16) {
            Coded::Whole => rect.h,
            Coded::Rows(rows) | Coded::Costly(rows) => rows,
        };
        held.copy_from(&drawn, Rect::new(rect.x, rect.y, rect.w, rows));
        if rows > 0 {
            let payload = here.finish(&op).to_vec();
            assert!(payload.len() <= usize::from(limit) * 16, "a text op is longer than it may be");
            let op = TextOp::parse(&payload, u64::MAX, size).expect("our own op");
            there.apply(&op, &mut shown).expect("our own op");
        }
        assert!(held == shown, "text does not come back");
        // What is drawn next differs, so that old pixels mean something.
        drawn.fill(Rect::new(rect.x, rect.y, 5, 3), [flags, flags, limit & OPEN]);
    }
}

/// A picture of pixels from `bytes`, taken through layers, planes and probabilities that `bytes` choose: the decoder must show what the
/// coder says, and the exact layer the pixels themselves. The rest of `bytes` is an op from a stranger.
pub fn picture(bytes: &[u8]) {
    let mut screen = Pixels::new(Size::new(80, 70));
    let _ = PictureDecoder::default().apply(bytes, u64::MAX, &mut screen);
    let Some(([x, y, w, h, steps], content)) = bytes.split_first_chunk::<5>() else { return };
    let size = screen.size();
    let whole = Rect::new(i32::from(x % 80), i32::from(y % 70), u32::from(w % 80) + 1, u32::from(h % 70) + 1);
    let rects: Vec<_> = Grid::new(size).all().map(|at| Grid::new(size).rect(at).intersect(whole)).collect();
    let mut newest = screen.clone();
    for (px, from) in
        newest.data_mut().chunks_exact_mut(4).zip(content.iter().cycle().zip(content.iter().skip(1).cycle()))
    {
        px[..3].copy_from_slice(&[*from.0, *from.1, from.0 ^ from.1]);
    }
    let (mut coder, mut viewer) = (PictureCoder::default(), screen.clone());
    let mut from = None;
    for (i, to) in Layer::ALL.into_iter().enumerate() {
        if steps >> i & 1 == 0 && to != Layer::Exact {
            continue;
        }
        for planes in if steps & 0x10 == 0 { vec![Planes::ALL] } else { vec![Planes::CHROMA, Planes::ALL] } {
            coder.begin_by(Step { from, to, planes }, usize::from(steps >> 5 & 1));
            rects.iter().filter(|r| !r.is_empty()).for_each(|r| assert!(coder.push(&newest, &screen, *r)));
            let (mut payload, expected) = (Vec::new(), coder.expected());
            coder.finish(&mut payload);
            assert!(payload.len() <= expected, "longer than expected");
            coder.show(&mut screen);
            PictureDecoder::default().apply(&payload, u64::MAX, &mut viewer).expect("our own op");
            if to != Layer::Exact || planes != Planes::ALL {
                assert!(viewer == screen, "the decoder holds something else than was sent");
            }
        }
        from = Some(to);
    }
    assert!(viewer.same(&newest, whole.intersect(size.rect())), "not exact");
}
