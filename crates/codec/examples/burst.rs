//! A full window of new text: what the coder costs before the first slice, and until the last.
//!
//! `cargo run --release -p telepane-codec --example burst -- FILE.seq… [--rounds N]`: the first frames of the recordings are
//! windows; each is raised over the one before, which the viewer holds, and no cache knows it. In one job, and in jobs
//! of 41,667 and 9,600 bytes (a sixtieth of a second at 20 Mbit/s, and one slice). Printed are bytes, jobs, this thread's CPU
//! until the first slice of the first job could go, of its stages, and of all jobs: medians over the rounds, ms.

use std::fs::File;
use std::io::Read;
use telepane_codec::{Decoder, Encoder, EncoderOptions, Stage};
use telepane_model::{Bytes, EncodeItem, EncodeJob, Pixels, Quality, Size, UpdateId, Version};

type Failure = Box<dyn std::error::Error>;

const STAGES: [(Stage, &str); 6] = [
    (Stage::Compare, "compare"),
    (Stage::Move, "move"),
    (Stage::Cache, "cache"),
    (Stage::Plan, "plan"),
    (Stage::Text, "text"),
    (Stage::Picture, "picture"),
];

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

fn first_frame(path: &str) -> Result<Pixels, Failure> {
    let mut data = Vec::new();
    File::open(path)?.read_to_end(&mut data)?;
    let u32_at = |at: usize| data.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let size = Size::new(u32_at(4), u32_at(8));
    let packed = data.get(28..28 + u32_at(24) as usize).ok_or("recording cut short")?;
    let pixels = zstd::bulk::decompress(packed, size.area() as usize * 4)?;
    Ok(Pixels::from_bgrx(size, pixels).ok_or("a frame has another size")?)
}

/// What one raising of a window took.
#[derive(Default)]
struct Raised {
    bytes: usize,
    jobs: u32,
    first: f64,
    all: f64,
    stages: [f64; STAGES.len()],
}

/// Brings the viewer from `before` to `now` in jobs of at most `most` bytes.
fn raise(before: &Pixels, now: &Pixels, most: u64) -> Result<Raised, Failure> {
    let (mut encoder, mut decoder) = (Encoder::new(now.size(), EncoderOptions::default()), Decoder::new(now.size()));
    let (mut base, mut raised) = (UpdateId::BLANK, Raised::default());
    for (version, pixels) in [(1, before), (2, now)] {
        loop {
            let job = EncodeJob {
                id: Default::default(),
                surface: Default::default(),
                epoch: Default::default(),
                size: now.size(),
                base,
                first: base.next(),
                items: vec![EncodeItem { rect: now.size().rect(), version: Version(version), quality: Quality::EXACT }],
                max_bytes: Bytes(if version == 1 { u64::MAX } else { most }),
                film_bytes: Bytes(if version == 1 { u64::MAX } else { most }),
                film_scale: Default::default(),
                slice_bytes: Bytes(9_600),
                pictures: Default::default(),
                anew: false,
            };
            let mut marks = Vec::new();
            let start = cpu_ms();
            let answer =
                encoder.encode_watched(&job, pixels, Version(version), &mut |stage| marks.push((stage, cpu_ms())))?;
            let end = cpu_ms();
            for slice in &answer.slices {
                decoder.apply(&slice.bytes)?;
                base = slice.id;
            }
            if version == 2 && !answer.slices.is_empty() {
                raised.jobs += 1;
                raised.all += end - start;
                raised.bytes += answer.slices.iter().map(|s| s.bytes.len()).sum::<usize>();
                if raised.jobs == 1 {
                    // Until the first slice of a job can go, the job has to be done.
                    raised.first = end - start;
                    let ends = marks.iter().skip(1).map(|(_, at)| *at).chain([end]);
                    for ((stage, from), to) in marks.iter().zip(ends) {
                        let at = STAGES.iter().position(|(s, _)| s == stage);
                        at.into_iter().for_each(|i| raised.stages[i] += to - from);
                    }
                }
            }
            if answer.slices.is_empty() {
                break;
            }
        }
        encoder.confirm(base);
        assert!(decoder.pixels() == pixels, "not exact");
    }
    Ok(raised)
}

fn main() -> Result<(), Failure> {
    let (mut rounds, mut files) = (5, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--rounds" {
            rounds = args.next().ok_or("--rounds N")?.parse()?;
        } else {
            files.push(arg);
        }
    }
    let mut windows = vec![Pixels::new(Size::new(1920, 1080))];
    for file in &files {
        windows.push(first_frame(file)?);
    }
    for (pair, file) in windows.windows(2).zip(&files) {
        println!("{}", file.rsplit('/').next().unwrap_or(file));
        for most in [u64::MAX, 41_667, 9_600] {
            let all: Vec<Raised> = (0..rounds).map(|_| raise(&pair[0], &pair[1], most)).collect::<Result<_, _>>()?;
            let Some(one) = all.first() else { continue };
            let of = |f: &dyn Fn(&Raised) -> f64| median(all.iter().map(f).collect());
            let stages: Vec<String> = STAGES
                .iter()
                .enumerate()
                .map(|(i, (_, name))| format!("{name} {:.2}", of(&|r: &Raised| r.stages[i])))
                .collect();
            println!(
                "  {:>6} B in {:>2} jobs of {}: first job {:.2} ms ({}), all {:.2} ms",
                one.bytes,
                one.jobs,
                if most == u64::MAX { "any size".into() } else { format!("{most} B") },
                of(&|r| r.first),
                stages.join(", "),
                of(&|r| r.all)
            );
        }
    }
    Ok(())
}
