//! Derives the text model's trained state from recordings: for each bin the start that costs least.
//!
//! `cargo run --release -p telepane-codec --example train -- OUT.bin FILE.seq…` codes the recordings, notes what each bin
//! of the model decided after a reset (at the first frame and again every fourth, as after a rebase), and seeks for each
//! bin the probability and the trust that would have coded all of that in the fewest bits. What a bin decides does not
//! depend on probabilities, so one pass is enough. Train on some recordings and judge on others
//! (`--example corpus`) before believing in a gain.

use std::fs::File;
use std::io::Read;
use telepane_codec::text::model::Model;
use telepane_codec::text::range::{BINS, Bin, Bins, Coder, LEAST, SETTLED, SHARES};
use telepane_codec::text::rows::{Rows, View};
use telepane_codec::text::{OLD, OPEN, TextOp};
use telepane_codec::wire::{Reader, kind, next_op, put_op};
use telepane_codec::{Decoder, Encoder, EncoderOptions};
use telepane_model::{Bytes, EncodeItem, EncodeJob, Pixels, Quality, Size, UpdateId, Version};

type Failure = Box<dyn std::error::Error>;

/// Decisions of a bin after a reset that are looked at; later ones depend on its start no more.
const LOOKED_AT: usize = 160;
/// Frames from one reset to the next, and the frames looked at.
const RESET: u64 = 4;

/// Notes what bins decide.
struct Recorder {
    /// For each bin the decisions since the last reset.
    now: Vec<Vec<u8>>,
    /// For each bin those of all runs before.
    runs: Vec<Vec<Vec<u8>>>,
}

impl Coder for Recorder {
    const ENCODES: bool = true;

    fn bit(&mut self, _: &mut Bins, at: usize, bit: u32) -> u32 {
        let decisions = &mut self.now[at & (BINS - 1)];
        if decisions.len() < LOOKED_AT {
            decisions.push(bit as u8);
        }
        bit
    }

    fn even(&mut self, bit: u32) -> u32 {
        bit
    }
}

impl Recorder {
    fn reset(&mut self) {
        for (now, runs) in self.now.iter_mut().zip(&mut self.runs) {
            if !now.is_empty() {
                runs.push(std::mem::take(now));
            }
        }
    }
}

/// The bits that these runs cost from a start.
fn cost(runs: &[Vec<u8>], start: Bin) -> f64 {
    let bits = |p: u32| -(f64::from(p) / 65_536.0).log2();
    let mut sum = 0.0;
    for run in runs {
        let (mut p, mut n) = (u32::from(start.p), start.n);
        for bit in run {
            let share = u32::from(SHARES[usize::from(n)]);
            sum += bits(if *bit == 0 { p } else { 65_536 - p });
            p = if *bit == 0 { p + (((65_536 - p) * share) >> 16) } else { p - ((p * share) >> 16) };
            p = p.clamp(u32::from(LEAST), 65_536 - u32::from(LEAST));
            n = (n + 1).min(SETTLED);
        }
    }
    sum
}

fn best(runs: &[Vec<u8>]) -> u16 {
    // Half-known: as if every bin had also once decided each way, so that few decisions give little trust.
    let with_doubt: Vec<Vec<u8>> = runs.iter().cloned().chain([vec![0, 1], vec![1, 0]]).collect();
    let mut least = (f64::MAX, 0);
    for step in 0..48 {
        let odds = (f64::from(step) - 23.5) / 3.4;
        let p = ((4096.0 / (1.0 + (-odds).exp())) as u16).clamp(8, 4088);
        for half in 0..16 {
            let sum = cost(&with_doubt, Bin { p: p << 4 | 8, n: 2 * half });
            if sum < least.0 {
                least = (sum, p << 4 | half);
            }
        }
    }
    least.1
}

fn watch(path: &str, recorder: &mut Recorder) -> Result<(), Failure> {
    let mut data = Vec::new();
    File::open(path)?.read_to_end(&mut data)?;
    let u32_at = |at: usize| data.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let (size, frames) = (Size::new(u32_at(4), u32_at(8)), u32_at(12));
    let (mut screen, mut at) = (Pixels::new(size), 16);
    let (mut encoder, mut decoder) =
        (Encoder::new(size, EncoderOptions { wide: false, ..EncoderOptions::default() }), Decoder::new(size));
    let (mut model, mut rows, mut base, mut changed) = (Model::new(false), Rows::default(), UpdateId::BLANK, 0u64);
    for frame in 0..frames {
        let (kind_of, len) = (u32_at(at + 4), u32_at(at + 8) as usize);
        let packed = data.get(at + 12..at + 12 + len).ok_or("recording cut short")?;
        at += 12 + len;
        let pixels = zstd::bulk::decompress(packed, screen.data().len())?;
        let old = screen.data_mut().iter_mut().zip(&pixels);
        old.for_each(|(old, new)| *old = if kind_of == 0 { *old ^ new } else { *new });
        let version = Version(u64::from(frame) + 1);
        let job = EncodeJob {
            id: Default::default(),
            surface: Default::default(),
            epoch: Default::default(),
            size,
            base,
            first: base.next(),
            items: vec![EncodeItem { rect: size.rect(), version, quality: Quality::EXACT }],
            max_bytes: Bytes(u64::MAX),
            film_bytes: Bytes(u64::MAX),
            film_scale: Default::default(),
            slice_bytes: Bytes(9600),
            pictures: Default::default(),
            anew: false,
        };
        let answer = encoder.encode(&job, &screen, version)?;
        if answer.slices.is_empty() {
            continue;
        }
        if changed.is_multiple_of(RESET) {
            recorder.reset();
            model.reset();
        }
        changed += 1;
        for slice in &answer.slices {
            base = slice.id;
            let mut ops = Reader::new(&slice.bytes);
            while !ops.is_empty() {
                let (kind_of, payload) = next_op(&mut ops)?;
                let mut held = (kind_of == kind::TEXT).then(|| decoder.pixels().clone());
                let mut one = Vec::new();
                put_op(&mut one, kind_of, payload);
                decoder.apply(&one)?;
                let Some(held) = &mut held else { continue };
                let op = TextOp::parse(payload, u64::MAX, size)?;
                for rect in op.rects() {
                    let view = View { rect: *rect, open: op.flags() & OPEN != 0, old: op.flags() & OLD != 0 };
                    rows.begin(&view, held);
                    for y in rect.y..rect.bottom() {
                        rows.code(recorder, &mut model, &view, y, held, Some(decoder.pixels()));
                    }
                    held.copy_from(decoder.pixels(), *rect);
                }
            }
        }
        encoder.confirm(base);
    }
    recorder.reset();
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let out = args.next().ok_or("train OUT.bin FILE.seq…")?;
    let mut recorder = Recorder { now: vec![Vec::new(); BINS], runs: vec![Vec::new(); BINS] };
    for path in args {
        watch(&path, &mut recorder)?;
        eprintln!("{path}");
    }
    let bytes: Vec<u8> = recorder.runs.iter().flat_map(|runs| best(runs).to_le_bytes()).collect();
    let used = recorder.runs.iter().filter(|r| !r.is_empty()).count();
    eprintln!("{used} of {BINS} bins were used");
    Ok(std::fs::write(out, bytes)?)
}
