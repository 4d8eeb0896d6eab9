//! The classifier on recordings: how many tiles it calls pictures, and what it costs on a full frame.
//!
//! `cargo run --release -p telepane-codec --example classes -- FILE.seq…` classifies every whole tile of every frame, prints how
//! many were called pictures and where the first stands, and this thread's CPU for all tiles of one frame in ms: median and
//! 95th percentile over the frames, for each megapixel too.

use std::fs::File;
use std::io::Read;
use telepane_codec::classify::classify;
use telepane_codec::exact::ExactCoder;
use telepane_model::{Grid, Pixels, Size, TileClass};

type Failure = Box<dyn std::error::Error>;

fn cpu_ms() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}

fn main() -> Result<(), Failure> {
    for path in std::env::args().skip(1) {
        let mut data = Vec::new();
        File::open(&path)?.read_to_end(&mut data)?;
        let u32_at = |at: usize| data.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut screen = Pixels::new(Size::new(u32_at(4), u32_at(8)));
        let (grid, mut coder) = (Grid::new(screen.size()), ExactCoder::default());
        let (mut at, mut tiles, mut pictures, mut first, mut times) = (16, 0u64, 0u64, None, Vec::new());
        for frame in 0..u32_at(12) {
            let (kind, len) = (u32_at(at + 4), u32_at(at + 8) as usize);
            let packed = data.get(at + 12..at + 12 + len).ok_or("recording cut short")?;
            let pixels = zstd::bulk::decompress(packed, screen.data().len())?;
            at += 12 + len;
            for (old, new) in screen.data_mut().iter_mut().zip(&pixels) {
                *old = if kind == 0 { *old ^ new } else { *new };
            }
            let start = cpu_ms();
            for tile in grid.all() {
                tiles += 1;
                if classify(&screen, grid.rect(tile), &mut coder) == TileClass::Picture {
                    pictures += 1;
                    first.get_or_insert((frame, grid.rect(tile)));
                }
            }
            times.push(cpu_ms() - start);
        }
        times.sort_by(f64::total_cmp);
        let of = |percent: usize| times.get((times.len() * percent).div_ceil(100).max(1) - 1).copied().unwrap_or(0.0);
        let mpx = screen.size().area() as f64 / 1e6;
        let name = path.rsplit('/').next().unwrap_or(&path);
        println!(
            "{name:22} {pictures} of {tiles} tiles called pictures{}; a frame of {mpx:.2} Mpx takes {:.2} ms (p95 {:.2}), {:.2} ms/Mpx",
            first.map_or(String::new(), |(frame, rect)| format!(" (first: frame {frame}, {rect:?})")),
            of(50),
            of(95),
            of(50) / mpx
        );
    }
    Ok(())
}
