//! What a fuzzer calls: any bytes, no panic, and what was coded comes back.

use crate::cache::TileCache;
use crate::{Decoder, Encoder, EncoderOptions};
use telepane_model::{Bytes, EncodeItem, EncodeJob, Pixels, Quality, Rect, Size, UpdateId, Version};

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
    let mut encoder = Encoder::new(size, EncoderOptions::default());
    let mut decoder = Decoder::new(size);
    let (mut base, mut first) = (UpdateId::BLANK, 1);
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
                let old = std::mem::replace(&mut encoder, Encoder::new(size, EncoderOptions::default()));
                encoder = Encoder::with_slots(size, EncoderOptions::default(), old.into_slots());
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
            slice_bytes: Bytes(slice_bytes),
        };
        let answer = encoder.encode(&job, &screen, Version(1)).expect("nothing after the base was confirmed");
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
