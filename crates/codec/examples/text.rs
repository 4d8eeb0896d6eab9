//! What the text coder costs: the first frame of recordings, every text tile of it, beside zstd and memory copies.
//!
//! `cargo run --release -p telepane-codec --example text -- FILE.seq… [--once] [--narrow]` prints for each recording bytes for each
//! pixel, and this thread's CPU time in ms for each megapixel, encoding and decoding: medians of nine runs, with zstd level 1
//! of the same pixels and a copy of them in the same run. `--once` codes and decodes each once and nothing else, to be
//! counted by `valgrind --tool=callgrind --toggle-collect='*Lane*encode*'` (or `*Lane*apply*`).

use std::fs::File;
use std::io::Read;
use telepane_codec::classify::classify;
use telepane_codec::exact::ExactCoder;
use telepane_codec::text::{Coded, Lane, OPEN, TextOp};
use telepane_model::{Pixels, Rect, Size, Surf, TileClass};

type Failure = Box<dyn std::error::Error>;

/// Runs of four tiles, as the encoder's plan makes them.
const RUN: u32 = 256;

fn cpu_ms() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}

/// The median time of `work` on what `begin` makes, which is not counted.
fn median<T>(runs: usize, mut begin: impl FnMut() -> T, mut work: impl FnMut(&mut T)) -> f64 {
    let mut all: Vec<f64> = (0..runs)
        .map(|_| {
            let mut with = begin();
            let start = cpu_ms();
            work(&mut with);
            cpu_ms() - start
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all[runs / 2]
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

/// Codes all areas in slices of 9600 bytes.
fn encode(lane: &mut Lane, screen: &Pixels, areas: &[Rect<Surf>], held: &mut Pixels) -> Vec<Vec<u8>> {
    let mut slices = Vec::new();
    let mut op = lane.begin(OPEN);
    let mut queue: Vec<Rect<Surf>> = areas.iter().rev().copied().collect();
    while let Some(rect) = queue.pop() {
        let rows = match lane.encode(&mut op, screen, held, rect, 9600) {
            Coded::Whole => rect.h,
            Coded::Rows(rows) => {
                queue.push(Rect::between(rect.x, rect.y + rows as i32, rect.right(), rect.bottom()));
                rows
            }
            // A picture after all.
            Coded::Costly(rows) => rows,
        };
        held.copy_from(screen, Rect::new(rect.x, rect.y, rect.w, rows));
        if rows < rect.h {
            if !op.rects().is_empty() {
                slices.push(lane.finish(&op).to_vec());
            }
            op = lane.begin(OPEN);
        }
    }
    if !op.rects().is_empty() {
        slices.push(lane.finish(&op).to_vec());
    }
    slices
}

fn main() -> Result<(), Failure> {
    let (mut once, mut wide, mut files) = (false, true, Vec::new());
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--once" => once = true,
            "--narrow" => wide = false,
            _ => files.push(arg),
        }
    }
    let runs = if once { 1 } else { 9 };
    for file in files {
        let screen = first_frame(&file)?;
        let (size, mut coder) = (screen.size(), ExactCoder::default());
        let mut areas = Vec::new();
        for y in (0..size.h).step_by(64) {
            for x in (0..size.w).step_by(RUN as usize) {
                let rect = Rect::new(x as i32, y as i32, RUN, 64).intersect(size.rect());
                if classify(&screen, rect, &mut coder) == TileClass::Text {
                    areas.push(rect);
                }
            }
        }
        let pixels: u64 = areas.iter().map(|r| r.area()).sum();
        // Memory that was written before: fresh pages cost as much as coding.
        let black = || {
            let mut held = screen.clone();
            held.fill(size.rect(), [0, 0, 0]);
            (Lane::new(wide), held)
        };
        let mut slices = Vec::new();
        let encodes = median(runs, black, |(lane, held)| slices = encode(lane, &screen, &areas, held));
        let decodes = median(runs, black, |(lane, shown)| {
            for slice in &slices {
                let op = TextOp::parse(slice, u64::MAX, size).expect("our own op");
                lane.apply(&op, shown).expect("our own op");
            }
        });
        let bytes: usize = slices.iter().map(Vec::len).sum();
        let mpx = pixels as f64 / 1e6;
        let name = file.rsplit('/').next().unwrap_or(&file);
        print!("{name:18} {mpx:.2} Mpx {:.4} B/px", bytes as f64 / pixels as f64);
        if once {
            println!();
            continue;
        }
        let raw: Vec<u8> = areas.iter().flat_map(|r| screen.rows(*r)).flatten().copied().collect();
        let mut packed = Vec::new();
        let zips = median(3, || (), |()| packed = zstd::bulk::compress(&raw, 1).expect("memory"));
        let unzips = median(3, || (), |()| drop(zstd::bulk::decompress(&packed, raw.len())));
        let copies = median(5, || (), |()| drop(std::hint::black_box(raw.clone())));
        println!(
            " encode {:.2} decode {:.2} ms/Mpx | zstd-1 {:.4} B/px {:.2}/{:.2} ms/Mpx, copy {:.2}",
            encodes / mpx,
            decodes / mpx,
            packed.len() as f64 / pixels as f64,
            zips / mpx,
            unzips / mpx,
            copies / mpx
        );
    }
    Ok(())
}
