//! Replays a recording (`.seq`) through encoder and decoder, asserts exactness, and prints bytes and CPU time.
//!
//! `cargo run --release -p telepane-codec --example corpus -- FILE.seq… [--json] [--film X,Y,W,H|auto] [--slice BYTES]
//! [--frames N] [--each] [--share BYTES] [--no-cache] [--switch]`; `auto` takes what changes first, rounded out to 64 px; `--each` prints every
//! frame; `--share` plays the film region of the recording forth and back for ten seconds with so many bytes for each
//! frame, beside openh264 alone on the same pictures in the same run. Under `valgrind --tool=callgrind`, `callgrind_annotate
//! --inclusive=yes` tells the instructions of both (`telepane_codes`, `openh264_codes`, `to_i420`).
//! `--no-cache` leaves the tile cache out; `--switch` takes the first frames of the recordings as windows and raises them
//! in turn, four rounds, in jobs of 20 ms at 20 Mbit/s; bytes are those of the slices, and with what datagrams add.
//! The first frame is coded five times from the start; its times are medians.
//! Times are of this thread's CPU: diff (full scan), encode, decode, in milliseconds.

use std::fs::File;
use std::io::Read;
use telepane_codec::colour::{to_bgrx, to_i420};
use telepane_codec::h264::{H264Decoder, H264Encoder, I420};
use telepane_codec::{BaseGone, Decoder, Encoder, EncoderOptions, diff, film};
use telepane_model::{
    Bytes, EncodeItem, EncodeJob, EncodedSlices, Pixels, Quality, Rect, Region, Size, Surf, UpdateId, Version,
};

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
    let (mut each, mut share, mut options, mut switch) = (false, None, EncoderOptions::default(), false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match &arg[..] {
            "--json" => json = true,
            "--each" => each = true,
            "--no-cache" => options.cache = Bytes(0),
            "--switch" => switch = true,
            "--share" => share = Some(args.next().ok_or("--share BYTES")?.parse()?),
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
    if switch {
        return raise(&files, options);
    }
    for file in files {
        match share {
            Some(share) => play(&file, film, share)?,
            None => replay(&file, json, film, (slice_bytes, options), frames, each)?,
        }
    }
    Ok(())
}

/// Raises the first pictures of `files` in turn, in jobs as a session orders them.
fn raise(files: &[String], options: EncoderOptions) -> Result<(), Failure> {
    let mut windows = Vec::new();
    for file in files {
        let mut recording = Recording::open(file)?;
        recording.next()?;
        windows.push(recording.screen);
    }
    let size = windows.first().ok_or("which files?")?.size();
    let (mut encoder, mut decoder) = (Encoder::new(size, options), Decoder::new(size));
    let (mut base, mut version) = (UpdateId::BLANK, 0);
    for round in 0..4 {
        for (file, screen) in files.iter().zip(&windows) {
            let (mut codes, mut decodes, mut bytes, mut packets) = (vec![], vec![], 0, 0);
            while decoder.pixels() != screen {
                version += 1;
                let job = EncodeJob {
                    id: Default::default(),
                    surface: Default::default(),
                    epoch: Default::default(),
                    size,
                    base,
                    first: base.next(),
                    items: vec![EncodeItem { rect: size.rect(), version: Version(version), quality: Quality::EXACT }],
                    max_bytes: Bytes(50_000),
                    film_bytes: Bytes(50_000),
                    film_scale: Default::default(),
                    slice_bytes: Bytes(9_000),
                    pictures: Default::default(),
                    anew: false,
                };
                let answer = timed(&mut codes, || encoder.encode(&job, screen, Version(version)))?;
                timed(&mut decodes, || answer.slices.iter().try_for_each(|s| decoder.apply(&s.bytes).map(drop)))?;
                for slice in &answer.slices {
                    bytes += slice.bytes.len();
                    packets += slice.bytes.len().div_ceil(1100);
                    base = slice.id;
                }
                encoder.confirm(base);
                assert!(decoder.pixels() == encoder.sent(), "the decoder differs from what was sent");
            }
            println!(
                "round {round} {:18} {bytes:8} B, {packets:4} datagrams, {:8} B on the wire | code {:6.2} decode {:6.2} ms",
                file.rsplit('/').next().unwrap_or(file),
                // A datagram's own header, QUIC's, UDP's and IP's.
                bytes + packets * (12 + 51),
                codes.iter().sum::<f64>(),
                decodes.iter().sum::<f64>(),
            );
        }
    }
    println!("host knows {} slots' names, viewer keeps {:?}", decoder.cache().hashes().len(), decoder.cache().kept());
    Ok(())
}

/// What changes between the first two frames that differ, rounded out to tiles.
fn region(before: &Pixels, now: &Pixels) -> Rect<Surf> {
    let all = now.size().rect();
    rounded(diff(before, now, &all.into()).bounds(), all)
}

/// `r` rounded out to 64 px, inside `all`.
fn rounded(r: Rect<Surf>, all: Rect<Surf>) -> Rect<Surf> {
    Rect::between(r.x & !63, r.y & !63, (r.right() + 63) & !63, (r.bottom() + 63) & !63).intersect(all)
}

/// What our host does for a frame of film. Stands apart, so that callgrind tells its instructions.
#[inline(never)]
fn telepane_codes(
    encoder: &mut Encoder,
    job: &EncodeJob,
    now: &Pixels,
    version: Version,
) -> Result<EncodedSlices, BaseGone> {
    encoder.encode(job, now, version)
}

/// What nobody can do without, besides the colours.
#[inline(never)]
fn openh264_codes(alone: &mut H264Encoder, picture: &mut I420, key: bool, data: &mut Vec<u8>) -> bool {
    alone.encode(picture, key, data)
}

/// Plays a film for ten seconds, forth and back: through the coders with `share` bytes a frame, and through openh264
/// alone at the same rate.
fn play(file: &str, film: Option<Rect<Surf>>, share: u64) -> Result<(), Failure> {
    let mut recording = Recording::open(file)?;
    let mut frames: Vec<Pixels> = Vec::new();
    while recording.next()? {
        if frames.last() != Some(&recording.screen) {
            frames.push(recording.screen.clone());
        }
    }
    let [first, second, ..] = &frames[..] else { return Err("no film".into()) };
    let (size, rect) = (first.size(), film.filter(|r| !r.is_empty()).unwrap_or_else(|| region(first, second)));
    let (mut encoder, mut decoder) = (Encoder::new(size, EncoderOptions::default()), Decoder::new(size));
    let mut alone =
        H264Encoder::new(rect.w, rect.h, share * 240, 30.0, (film::FINEST, 51)).ok_or("openh264 refuses")?;
    let mut shown = H264Decoder::new().ok_or("openh264 refuses")?;
    let (mut padded, mut picture, mut screen) = (Vec::new(), I420::default(), Pixels::new(size));
    let (mut codes, mut decodes, mut codes_alone, mut bytes, mut bytes_alone) =
        (vec![], vec![], vec![], vec![], vec![]);
    let (mut base, mut quality, mut quality_alone) = (UpdateId::BLANK, vec![], vec![]);
    let turn = 2 * frames.len() - 2;
    for n in 0..300 {
        let at = n % turn;
        let now = &frames[if at < frames.len() { at } else { turn - at }];
        let version = Version(n as u64 + 1);
        let job = EncodeJob {
            id: Default::default(),
            surface: Default::default(),
            epoch: Default::default(),
            size,
            base,
            first: base.next(),
            items: vec![EncodeItem { rect, version, quality: Quality::FILM }],
            max_bytes: Bytes(share),
            film_bytes: Bytes(share),
            film_scale: Default::default(),
            slice_bytes: Bytes(9600),
            pictures: Default::default(),
            anew: false,
        };
        let answer = timed(&mut codes, || telepane_codes(&mut encoder, &job, now, version))?;
        timed(&mut decodes, || answer.slices.iter().try_for_each(|s| decoder.apply(&s.bytes).map(drop)))?;
        assert!(decoder.pixels() == encoder.sent(), "frame {n}: the decoder differs from what was sent");
        base = answer.slices.last().map_or(base, |s| s.id);
        encoder.confirm(base);
        bytes.push(answer.slices.iter().map(|s| s.bytes.len() as f64).sum::<f64>());
        quality.push(psnr(decoder.pixels(), now, rect));
        // The sum of what nobody can do without: colours, encoding, and showing it as the viewer will.
        let mut data = Vec::new();
        timed(&mut codes_alone, || {
            to_i420(now, rect, &mut padded, &mut picture);
            openh264_codes(&mut alone, &mut picture, n == 0, &mut data)
        });
        bytes_alone.push(data.len() as f64);
        if let Some(p) = shown.decode(&data) {
            to_bgrx(&p, rect, &mut screen);
        }
        quality_alone.push(psnr(&screen, now, rect));
    }
    // Bytes of each second, against its share; the first second holds the key frame and stands apart.
    let seconds = |bytes: &[f64]| {
        let mut all: Vec<f64> = bytes[30..].windows(30).map(|w| w.iter().sum::<f64>() / (30 * share) as f64).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    for (name, bytes, codes, quality) in
        [("telepane", &bytes, &codes, &quality), ("openh264 alone", &bytes_alone, &codes_alone, &quality_alone)]
    {
        let (mut p, windows) = (codes[1..].to_vec(), seconds(bytes));
        p.sort_by(f64::total_cmp);
        println!(
            "{name:14} {rect:?} share {share} B: P frame {:.2} ms (p95 {:.2}), key {:.0} B; a second takes {:.2} / {:.2} / {:.2} \
             of its share (p5/p50/p95), first second {:.2}; {:.2} dB, largest P {:.2} of share",
            at(&p, 50),
            at(&p, 95),
            bytes[0],
            at(&windows, 5),
            at(&windows, 50),
            at(&windows, 95),
            bytes[..30].iter().sum::<f64>() / (30 * share) as f64,
            mean(quality),
            bytes[1..].iter().fold(0.0f64, |a, b| a.max(*b)) / share as f64,
        );
    }
    decodes.sort_by(f64::total_cmp);
    println!("decode and show: {:.2} ms", at(&decodes, 50));
    Ok(())
}

fn replay(
    file: &str,
    json: bool,
    mut film: Option<Rect<Surf>>,
    (slice_bytes, options): (u64, EncoderOptions),
    most: u64,
    each: bool,
) -> Result<(), Failure> {
    let mut recording = Recording::open(file)?;
    let size = recording.screen.size();
    let (mut encoder, mut decoder) = (Encoder::new(size, options), Decoder::new(size));
    let (mut base, mut frame, mut before) = (UpdateId::BLANK, 0u64, Pixels::new(size));
    let (mut scans, mut compares) = (vec![], vec![]);
    let (mut diffs, mut codes, mut decodes, mut bytes, mut quality) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut first_bytes, mut moves, mut slices) = (0, 0, 0);
    let (mut first_codes, mut first_decodes) = (vec![], vec![]);
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
            film = Some(rounded(changed.bounds(), size.rect()));
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
            film_bytes: Bytes(if film.is_some() { 25_000 } else { u64::MAX }),
            film_scale: Default::default(),
            slice_bytes: Bytes(slice_bytes),
            pictures: Default::default(),
            anew: false,
        };
        if frame == 1 {
            // Codes are not kept beyond this: the median of several beginnings is.
            for _ in 0..5 {
                let (mut encoder, mut decoder) = (Encoder::new(size, options), Decoder::new(size));
                let answer = timed(&mut first_codes, || encoder.encode(&job, now, version))?;
                timed(&mut first_decodes, || answer.slices.iter().try_for_each(|s| decoder.apply(&s.bytes).map(drop)))?;
            }
        }
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
            codes.clear();
            decodes.clear();
        } else {
            if each {
                let (code, decode) = (codes.last().unwrap_or(&0.0), decodes.last().unwrap_or(&0.0));
                println!("{frame} {total} B {code:.2}/{decode:.2} ms {} moves", answer.moved.len());
            }
            bytes.push(total as f64);
            moves += answer.moved.len();
        }
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    let total: f64 = bytes.iter().sum();
    let frames = bytes.len();
    let firsts = [&mut first_codes, &mut first_decodes];
    for list in [&mut scans, &mut compares, &mut diffs, &mut codes, &mut decodes, &mut bytes].into_iter().chain(firsts)
    {
        list.sort_by(f64::total_cmp);
    }
    let first_ms = (at(&first_codes, 50), at(&first_decodes, 50));
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
