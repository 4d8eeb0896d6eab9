//! The wavelet coder alone, on photographs: bytes for each pixel, decibels and CPU time of each layer, beside EXACT (median
//! and zstd) and a copy of the pixels in the same run; and the making of its tables.
//!
//! `cargo run --release -p telepane-codec --example pictures -- FILE… [--rounds N] [--only STEP]`: files are PPM (P6), or
//! recordings as `FILE.seq@FRAME` or `FILE.seq@FRAME,X,Y,W,H`. With `--train OUT.rs` the tokens of all steps are counted over
//! the files, and the tables written. Times are this thread's CPU, medians of the rounds. With
//! `--link BITRATE` the whole encoder shows each file as new over such a link. With `--only` one step runs, for an
//! instruction count: `valgrind --tool=callgrind --toggle-collect='*pictures::measured*'`.

use std::fmt::Write as _;
use telepane_codec::exact::{ExactCoder, ExactDecoder};
use telepane_codec::picture::{Census, Layer, PictureCoder, PictureDecoder, Step};
use telepane_codec::{Decoder, Encoder, EncoderOptions};
use telepane_model::{
    Bytes, EncodeItem, EncodeJob, Grid, Pixels, Quality, Rect, Size, Surf, TileClass, UpdateId, Version,
};

type Failure = Box<dyn std::error::Error>;

/// The steps that an encoder takes.
const STEPS: [(Option<Layer>, Layer); 8] = [
    (None, Layer::Preview),
    (None, Layer::First),
    (None, Layer::Exact),
    (Some(Layer::Preview), Layer::First),
    (Some(Layer::First), Layer::Fine),
    (Some(Layer::First), Layer::Exact),
    (Some(Layer::Fine), Layer::Exact),
    (Some(Layer::Preview), Layer::Exact),
];

fn open(name: &str) -> Result<Pixels, Failure> {
    if let Some((file, which)) = name.split_once('@') {
        let n: Vec<u32> = which.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let screen = frame(&std::fs::read(file)?, n.first().copied().unwrap_or(0))?;
        return Ok(match n[..] {
            [_, x, y, w, h] => screen.crop(Rect::new(x as i32, y as i32, w, h)),
            _ => screen,
        });
    }
    let data = std::fs::read(name)?;
    let (mut at, mut head) = (2, Vec::new());
    while head.len() < 3 {
        let end = data[at..].iter().skip_while(|b| b.is_ascii_whitespace()).take_while(|b| b.is_ascii_digit()).count();
        let start = at + data[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        head.push(std::str::from_utf8(&data[start..start + end])?.parse::<u32>()?);
        at = start + end;
    }
    let mut pixels = Pixels::new(Size::new(head[0], head[1]));
    for (to, from) in pixels.data_mut().chunks_exact_mut(4).zip(data[at + 1..].chunks_exact(3)) {
        to[..3].copy_from_slice(&[from[2], from[1], from[0]]);
    }
    Ok(pixels)
}

/// A frame of a recording (the format is described with the corpus).
fn frame(data: &[u8], number: u32) -> Result<Pixels, Failure> {
    let u32_at = |at: usize| -> Result<u32, Failure> {
        Ok(u32::from_le_bytes(data.get(at..at + 4).ok_or("cut short")?.try_into()?))
    };
    let mut screen = Pixels::new(Size::new(u32_at(4)?, u32_at(8)?));
    let mut at = 16;
    for _ in 0..=number {
        let (kind, len) = (u32_at(at + 4)?, u32_at(at + 8)? as usize);
        let pixels = zstd::bulk::decompress(&data[at + 12..at + 12 + len], screen.data().len())?;
        at += 12 + len;
        for (old, new) in screen.data_mut().iter_mut().zip(&pixels) {
            *old = if kind == 0 { *old ^ new } else { *new };
        }
    }
    Ok(screen)
}

/// This thread's CPU time in milliseconds.
fn cpu_ms() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

fn psnr(a: &Pixels, b: &Pixels) -> f64 {
    let sum: f64 = a.data().iter().zip(b.data()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 / (sum / (a.size().area() * 3) as f64)).log10()
}

/// Codes all of `newest` in ops of at most 32 tiles.
#[inline(never)]
fn measured_encode(coder: &mut PictureCoder, newest: &Pixels, sent: &mut Pixels, step: Step) -> Vec<Vec<u8>> {
    let mut ops = Vec::new();
    let tiles: Vec<_> = Grid::new(newest.size()).all().collect();
    for group in tiles.chunks(32) {
        coder.begin(step);
        for at in group {
            coder.push(newest, sent, Grid::new(newest.size()).rect(*at));
        }
        let mut op = Vec::new();
        coder.finish(&mut op);
        assert!(op.len() <= coder.expected());
        ops.push(op);
        if step.to != Layer::Exact {
            coder.show(sent);
        }
    }
    ops
}

#[inline(never)]
fn measured_decode(decoder: &mut PictureDecoder, ops: &[Vec<u8>], pixels: &mut Pixels) {
    for op in ops {
        decoder.apply(op, u64::MAX, pixels).expect("our own op");
    }
}

/// What the viewer shows after the layers up to `layer`.
fn shown(newest: &Pixels, layer: Option<Layer>) -> Pixels {
    let mut sent = Pixels::new(newest.size());
    let mut coder = PictureCoder::default();
    let mut at = None;
    for step in Layer::ALL.into_iter().filter(|l| Some(*l) <= layer && *l != Layer::Exact) {
        // The first view follows nothing when it is the first.
        let from = if step == Layer::First { None } else { at };
        measured_encode(&mut coder, newest, &mut sent, Step::new(from, step));
        at = Some(step);
    }
    sent
}

fn measure(name: &str, newest: &Pixels, rounds: usize, only: Option<usize>) {
    let area = newest.size().area() as f64;
    let mpx = area / 1e6;
    println!("{name}");
    let mut copies = Vec::new();
    for _ in 0..rounds {
        let mut to = Pixels::new(newest.size());
        to.data_mut().fill(1);
        let start = cpu_ms();
        to.data_mut().copy_from_slice(newest.data());
        copies.push((cpu_ms() - start) / mpx);
        std::hint::black_box(&to);
    }
    for (i, (from, to)) in STEPS.into_iter().enumerate() {
        if only.is_some_and(|o| o != i) {
            continue;
        }
        let before = shown(newest, from);
        let (mut coder, mut decoder) = (PictureCoder::default(), PictureDecoder::default());
        let (mut encode, mut decode, mut bytes, mut decibels) = (vec![], vec![], 0, 0.0);
        for _ in 0..rounds {
            let (mut sent, mut viewer) = (before.clone(), before.clone());
            let start = cpu_ms();
            let ops = measured_encode(&mut coder, newest, &mut sent, Step::new(from, to));
            let middle = cpu_ms();
            measured_decode(&mut decoder, &ops, &mut viewer);
            encode.push((middle - start) / mpx);
            decode.push((cpu_ms() - middle) / mpx);
            bytes = ops.iter().map(Vec::len).sum();
            decibels = psnr(&viewer, newest);
            assert!(viewer == if to == Layer::Exact { newest.clone() } else { sent }, "not what was sent");
        }
        println!(
            "  {from:?} -> {to:?}: {:.4} B/px, {decibels:.2} dB, {:.1} ms/Mpx coded, {:.1} decoded",
            bytes as f64 / area,
            median(encode),
            median(decode)
        );
    }
    if only.is_some() {
        return;
    }
    let (mut encode, mut decode, mut bytes) = (vec![], vec![], 0);
    for _ in 0..rounds {
        let (mut coder, mut decoder) = (ExactCoder::default(), ExactDecoder::default());
        let mut viewer = Pixels::new(newest.size());
        let whole = newest.size();
        let bands: Vec<Rect<Surf>> =
            (0..whole.h.div_ceil(64)).map(|y| Rect::new(0, y as i32 * 64, whole.w, 64.min(whole.h - y * 64))).collect();
        let start = cpu_ms();
        let ops: Vec<_> = bands.iter().map(|r| coder.code(newest, &[*r], TileClass::Picture).to_vec()).collect();
        let middle = cpu_ms();
        for op in &ops {
            decoder.apply(op, u64::MAX, &mut viewer).expect("our own op");
        }
        encode.push((middle - start) / mpx);
        decode.push((cpu_ms() - middle) / mpx);
        bytes = ops.iter().map(Vec::len).sum();
        assert!(viewer == *newest);
    }
    let (encode, decode) = (median(encode), median(decode));
    println!("  EXACT median+zstd: {:.4} B/px, {encode:.1} ms/Mpx coded, {decode:.1} decoded", bytes as f64 / area);
    println!("  beside: a copy takes {:.2} ms/Mpx", median(copies));
}

/// A photograph that is new on the screen, over a link of this rate: when all of it is seen, and when it is exact. Time is
/// bytes over rate; jobs are a sixtieth of a second, slices ten milliseconds.
fn link(name: &str, newest: &Pixels, rate: u64) -> Result<(), Failure> {
    let size = newest.size();
    let mut encoder = Encoder::new(size, EncoderOptions::default());
    let mut decoder = Decoder::new(size);
    let (mut base, mut bytes, mut seen, mut cpu) = (UpdateId::BLANK, 0u64, None, Vec::new());
    let mut pending = true;
    while pending {
        let job = EncodeJob {
            id: Default::default(),
            surface: Default::default(),
            epoch: Default::default(),
            size,
            base,
            first: base.next(),
            items: vec![EncodeItem { rect: size.rect(), version: Version(1), quality: Quality::EXACT }],
            max_bytes: Bytes(rate / 8 / 60),
            film_bytes: Bytes(rate / 8 / 60),
            film_scale: Default::default(),
            slice_bytes: Bytes((rate / 8 / 100).max(1200)),
            pictures: Default::default(),
            anew: false,
        };
        let start = cpu_ms();
        let answer = encoder.encode(&job, newest, Version(1))?;
        cpu.push(cpu_ms() - start);
        for slice in &answer.slices {
            decoder.apply(&slice.bytes)?;
            (base, bytes) = (slice.id, bytes + slice.bytes.len() as u64);
        }
        let decibels = psnr(decoder.pixels(), newest);
        if seen.is_none() && decibels >= 33.0 {
            seen = Some((bytes, decibels));
        }
        pending = !answer.slices.is_empty();
    }
    assert!(decoder.pixels() == newest);
    let (first, decibels) = seen.unwrap_or_default();
    let at = |bytes: u64| bytes as f64 * 8.0 / rate as f64;
    println!(
        "{name} at {rate} bit/s: seen ({decibels:.1} dB) after {first} B, {:.3} s; exact after {bytes} B ({:.4} B/px), {:.3} s; \
         a job codes in {:.1} ms (median)",
        at(first),
        bytes as f64 / size.area() as f64,
        at(bytes),
        median(cpu)
    );
    Ok(())
}

/// Frequencies that sum to 4096, each token that occurred more than rarely having one, and the literal always.
fn frequencies(counts: &[u64]) -> Vec<u32> {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    let mut all: Vec<u32> = counts
        .iter()
        .map(|n| {
            let share = *n as f64 / total * 4096.0;
            if share < 0.25 { 0 } else { (share.round() as u32).max(1) }
        })
        .collect();
    let last = all.len() - 1;
    all[last] = all[last].max(1);
    while all.iter().sum::<u32>() != 4096 {
        let more = all.iter().sum::<u32>() < 4096;
        let largest = (0..all.len()).max_by_key(|i| all[*i]).unwrap_or(0);
        all[largest] = if more { all[largest] + 1 } else { all[largest] - 1 };
    }
    all
}

/// What one op's worth of a picture counts: by context and token.
type Counts = Vec<[u64; 32]>;

fn added<'a>(all: impl Iterator<Item = &'a Counts>) -> Counts {
    let mut sum = vec![[0; 32]; 128];
    for counts in all {
        sum.iter_mut().flatten().zip(counts.iter().flatten()).for_each(|(a, b)| *a += b);
    }
    sum
}

/// What never or hardly occurred goes as it does in all pictures, or as what is likest it: the same class, one step further.
fn smoothed(mut rows: Counts, all: &Counts) -> Counts {
    for i in 0..rows.len() {
        rows[i].iter_mut().zip(all[i]).for_each(|(a, b)| *a += b.div_ceil(64));
        if rows[i].iter().sum::<u64>() < 500 {
            let near = if (16..96).contains(&i) { rows[i - 16] } else { rows[i.saturating_sub(3)] };
            rows[i].iter_mut().zip(near).for_each(|(a, b)| *a += b.div_ceil(16));
        }
    }
    rows
}

/// Counts all steps over the files, and parts what was counted in two, so that each op is short by the set it goes by; the
/// second set begins with the last file.
fn train(files: &[String], out: &str) -> Result<(), Failure> {
    let mut ops: Vec<(Counts, usize)> = Vec::new();
    for (number, name) in files.iter().enumerate() {
        let newest = open(name)?;
        let tiles: Vec<_> = Grid::new(newest.size()).all().collect();
        let befores: Vec<_> = STEPS.iter().map(|(from, _)| shown(&newest, *from)).collect();
        for group in tiles.chunks(32) {
            let mut census = Census::default();
            for ((from, to), before) in STEPS.into_iter().zip(&befores) {
                for at in group {
                    census.count(&newest, before, Grid::new(newest.size()).rect(*at), Step::new(from, to));
                }
            }
            ops.push((census.counts, usize::from(number + 1 == files.len())));
        }
    }
    let all = added(ops.iter().map(|(counts, _)| counts));
    let mut sets = Vec::new();
    for _ in 0..8 {
        sets = [0, 1].map(|set| smoothed(added(ops.iter().filter(|(_, s)| *s == set).map(|(c, _)| c)), &all)).to_vec();
        let bits = sets.iter().map(|rows| {
            let row = |row: &[u64; 32]| -> [f64; 32] {
                let total = row.iter().sum::<u64>() as f64 + 1.0;
                row.map(|n| (total / (n as f64 + 0.02)).log2())
            };
            rows.iter().map(row).collect::<Vec<_>>()
        });
        let bits: Vec<_> = bits.collect();
        for (counts, set) in &mut ops {
            let cost = |set: usize| -> f64 {
                counts.iter().flatten().zip(bits[set].iter().flatten()).map(|(n, bits)| *n as f64 * bits).sum()
            };
            *set = usize::from(cost(1) < cost(0));
        }
    }
    println!("{} of {} parts by the second set", ops.iter().filter(|(_, s)| *s == 1).count(), ops.len());
    let mut text = String::from(
        "//! The static probabilities of the PICTURE op, in 1/4096, by context and token.\n//!\n//! Counted over photographs in \
         all steps that the encoder takes; `examples/pictures.rs --train` makes this file. They\n//! are part of the \
         format: `protocol-spec/tables/picture.txt` has the same numbers.\n\n/// Sets of probabilities: the second for what is \
         noise more than edges.\npub const SETS: usize = 2;\n/// Contexts.\npub const CONTEXTS: usize = 128;\n/// \
         Tokens.\npub const TOKENS: usize = 32;\n\n/// How likely each token is.\n// spec: C-127\n#[rustfmt::skip]\npub static \
         FREQUENCIES: [[[u16; TOKENS]; CONTEXTS]; SETS] = [[\n",
    );
    for (i, rows) in sets.iter().enumerate() {
        text.push_str(if i > 0 { "], [\n" } else { "" });
        for row in rows {
            let row: Vec<_> = frequencies(row).iter().map(u32::to_string).collect();
            writeln!(text, "    [{}],", row.join(", "))?;
        }
    }
    text.push_str("]];\n");
    std::fs::write(out, text)?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let (mut files, mut rounds, mut only, mut tables, mut rate) = (Vec::new(), 5, None, None, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match &arg[..] {
            "--rounds" => rounds = args.next().ok_or("--rounds N")?.parse()?,
            "--link" => rate = Some(args.next().ok_or("--link BITRATE")?.parse()?),
            "--only" => only = Some(args.next().ok_or("--only STEP")?.parse()?),
            "--train" => tables = Some(args.next().ok_or("--train OUT.rs")?),
            _ => files.push(arg),
        }
    }
    if let Some(out) = tables {
        return train(&files, &out);
    }
    for name in &files {
        match rate {
            Some(rate) => link(name, &open(name)?, rate)?,
            None => measure(name, &open(name)?, rounds, only),
        }
    }
    Ok(())
}
