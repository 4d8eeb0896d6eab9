//! Replays a recording (`.seq`) through encoder and decoder, asserts exactness, and prints bytes and CPU time.
//!
//! `cargo run --release -p telepane-codec --example corpus -- FILE.seq… [--json] [--film X,Y,W,H|auto] [--slice BYTES]
//! [--frames N]`; `auto` takes what changes first, rounded out to 64 px.
//! Times are of this thread's CPU: diff (full scan), encode, decode, in milliseconds.

use std::fs::File;
use std::io::Read;
use telepane_codec::{Decoder, Encoder, EncoderOptions, diff};
use telepane_model::{Bytes, EncodeItem, EncodeJob, Pixels, Quality, Rect, Region, Size, Surf, UpdateId, Version};

type Failure = Box<dyn std::error::Error>;

/// A recording's frames, one after the other.
struct Recording {
    data: Vec<u8>,
    at: usize,
    left: u32,
    screen: Pixels,
}

impl Recording {
    fn open(path: &str) -> Result<Self, Failure> {
        let mut data = Vec::new();
        File::open(path)?.read_to_end(&mut data)?;
        if data.get(..4) != Some(b"SEQ2") {
            return Err("not a SEQ2 recording".into());
        }
        let mut new = Self { data, at: 4, left: 0, screen: Pixels::default() };
        let (w, h) = (new.u32()?, new.u32()?);
        new.left = new.u32()?;
        new.screen = Pixels::new(Size::new(w, h));
        Ok(new)
    }

    fn u32(&mut self) -> Result<u32, Failure> {
        let bytes = self.data.get(self.at..self.at + 4).ok_or("recording cut short")?;
        self.at += 4;
        Ok(u32::from_le_bytes(bytes.try_into()?))
    }

    /// Makes `screen` the next frame; false at the end.
    fn next(&mut self) -> Result<bool, Failure> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let (_ms, kind, len) = (self.u32()?, self.u32()?, self.u32()? as usize);
        let packed = self.data.get(self.at..self.at + len).ok_or("recording cut short")?;
        self.at += len;
        let pixels = zstd::bulk::decompress(packed, self.screen.data().len())?;
        for (old, new) in self.screen.data_mut().iter_mut().zip(&pixels) {
            *old = if kind == 0 { *old ^ new } else { *new };
        }
        Ok(true)
    }
}

/// This thread's CPU time in milliseconds.
fn cpu_ms() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}

fn timed<T>(spent: &mut Vec<f64>, work: impl FnOnce() -> T) -> T {
    let start = cpu_ms();
    let result = work();
    spent.push(cpu_ms() - start);
    result
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

fn mean(all: &[f64]) -> f64 {
    all.iter().sum::<f64>() / all.len().max(1) as f64
}

fn psnr(a: &Pixels, b: &Pixels, rect: Rect<Surf>) -> f64 {
    let luma = |p: &[u8]| 0.0722 * f64::from(p[0]) + 0.7152 * f64::from(p[1]) + 0.2126 * f64::from(p[2]);
    let rows = a.rows(rect).zip(b.rows(rect));
    let sum: f64 = rows
        .flat_map(|(a, b)| a.chunks_exact(4).zip(b.chunks_exact(4)))
        .map(|(a, b)| (luma(a) - luma(b)).powi(2))
        .sum();
    10.0 * (255.0 * 255.0 / (sum / rect.area() as f64).max(1e-9)).log10()
}

fn main() -> Result<(), Failure> {
    let (mut files, mut json, mut film, mut slice_bytes, mut frames) = (Vec::new(), false, None, 9600, u64::MAX);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match &arg[..] {
            "--json" => json = true,
            "--frames" => frames = args.next().ok_or("--frames N")?.parse()?,
            "--slice" => slice_bytes = args.next().ok_or("--slice BYTES")?.parse()?,
            "--film" => {
                let text = args.next().ok_or("--film X,Y,W,H")?;
                if text == "auto" {
                    film = Some(Rect::default());
                    continue;
                }
                let n: Vec<u32> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
                let [x, y, w, h] = n[..] else { return Err("--film X,Y,W,H".into()) };
                film = Some(Rect::new(x as i32, y as i32, w, h));
            }
            _ => files.push(arg),
        }
    }
    for file in files {
        replay(&file, json, film, slice_bytes, frames)?;
    }
    Ok(())
}

fn replay(file: &str, json: bool, mut film: Option<Rect<Surf>>, slice_bytes: u64, most: u64) -> Result<(), Failure> {
    let mut recording = Recording::open(file)?;
    let size = recording.screen.size();
    let (mut encoder, mut decoder) = (Encoder::new(size, EncoderOptions::default()), Decoder::new(size));
    let (mut base, mut frame, mut before) = (UpdateId::BLANK, 0u64, Pixels::new(size));
    let (mut scans, mut compares) = (vec![], vec![]);
    let (mut diffs, mut codes, mut decodes, mut bytes, mut quality) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut first_bytes, mut first_ms, mut moves, mut slices) = (0, (0.0, 0.0), 0, 0);
    while frame < most && recording.next()? {
        let now = &recording.screen;
        let all: Region<Surf> = size.rect().into();
        let changed = timed(&mut diffs, || diff(&before, now, &all));
        before.copy_from(now, size.rect());
        // The bound of a full scan: comparing two frames that are equal.
        timed(&mut scans, || diff(&before, now, &all));
        timed(&mut compares, || assert!(before.data() == now.data()));
        if changed.is_empty() {
            continue;
        }
        frame += 1;
        let version = Version(frame);
        if frame > 1 && film.is_some_and(Rect::is_empty) {
            let r = changed.bounds();
            let (x, y) = (r.x & !63, r.y & !63);
            film = Some(Rect::between(x, y, (r.right() + 63) & !63, (r.bottom() + 63) & !63).intersect(size.rect()));
            eprintln!("film region {film:?}");
        }
        let mut items: Vec<EncodeItem> = Vec::new();
        items.extend(film.filter(|_| frame > 1).map(|rect| EncodeItem { rect, version, quality: Quality::FILM }));
        items.extend(changed.rects().iter().map(|r| EncodeItem { rect: *r, version, quality: Quality::EXACT }));
        let job = EncodeJob {
            id: Default::default(),
            surface: Default::default(),
            epoch: Default::default(),
            size,
            base,
            first: base.next(),
            items,
            max_bytes: Bytes(if film.is_some() { 25_000 } else { u64::MAX }),
            slice_bytes: Bytes(slice_bytes),
        };
        let answer = timed(&mut codes, || encoder.encode(&job, now, version))?;
        let mut total = 0;
        timed(&mut decodes, || -> Result<(), Failure> {
            for slice in &answer.slices {
                decoder.apply(&slice.bytes)?;
            }
            Ok(())
        })?;
        for slice in &answer.slices {
            base = slice.id;
            total += slice.bytes.len();
            assert!(slice.bytes.len() as u64 <= slice_bytes);
        }
        slices += answer.slices.len();
        encoder.confirm(base);
        assert!(decoder.pixels() == encoder.sent(), "frame {frame}: the decoder differs from what was sent");
        match film {
            Some(rect) => quality.push(psnr(decoder.pixels(), now, rect)),
            None => assert!(decoder.pixels() == now, "frame {frame} is not exact"),
        }
        if frame == 1 {
            first_bytes = total;
            first_ms = (codes.pop().unwrap_or(0.0), decodes.pop().unwrap_or(0.0));
        } else {
            bytes.push(total as f64);
            moves += answer.moved.len();
        }
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    let total: f64 = bytes.iter().sum();
    let frames = bytes.len();
    for list in [&mut scans, &mut compares, &mut diffs, &mut codes, &mut decodes, &mut bytes] {
        list.sort_by(f64::total_cmp);
    }
    let (e, d) = (&codes, &decodes);
    if json {
        println!(
            "{{\"file\":\"{name}\",\"frames\":{frames},\"first_bytes\":{first_bytes},\"first_encode_ms\":{:.2},\
             \"first_decode_ms\":{:.2},\"bytes_mean\":{:.0},\"bytes_p50\":{:.0},\"bytes_p95\":{:.0},\
             \"bytes_total\":{total:.0},\"slices\":{slices},\"moves\":{moves},\"diff_ms_p50\":{:.3},\"equal_ms_p50\":{:.3},\"memcmp_ms_p50\":{:.3},\
             \"encode_ms_mean\":{:.3},\"encode_ms_p50\":{:.3},\"encode_ms_p95\":{:.3},\"decode_ms_mean\":{:.3},\
             \"decode_ms_p95\":{:.3},\"luma_db_mean\":{:.2}}}",
            first_ms.0,
            first_ms.1,
            mean(&bytes),
            at(&bytes, 50),
            at(&bytes, 95),
            at(&diffs, 50),
            at(&scans, 50),
            at(&compares, 50),
            mean(e),
            at(e, 50),
            at(e, 95),
            mean(d),
            at(d, 95),
            mean(&quality),
        );
    } else {
        println!(
            "{name:18} first {:7.1} kB {:5.1}/{:5.1} ms | {frames:3} frames: mean {:7.0} p50 {:7.0} p95 {:7.0} B, \
             total {:7.1} kB | diff {:5.2} (equal {:.2}, memcmp {:.2}) enc {:6.2} (p50 {:5.2} p95 {:6.2}) dec {:5.2} ms | {moves} moves{}",
            first_bytes as f64 / 1e3,
            first_ms.0,
            first_ms.1,
            mean(&bytes),
            at(&bytes, 50),
            at(&bytes, 95),
            total / 1e3,
            at(&diffs, 50),
            at(&scans, 50),
            at(&compares, 50),
            mean(e),
            at(e, 50),
            at(e, 95),
            mean(d),
            if film.is_some() { format!(" {:.2} dB", mean(&quality)) } else { String::new() },
        );
    }
    Ok(())
}
