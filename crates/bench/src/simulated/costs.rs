//! What work costs on a machine: measured here, kept in `benches/costs.json`, used as virtual time by every scenario.
//!
//! Scenes are coded and decoded alone, on this thread, in its own processor time, so that a busy machine does not show;
//! medians over the frames of a scene. A letter gives the base; a scrolled window and a window of new text, which have
//! the same area and unlike bytes, give the price of a megapixel and of a kilobyte; film has a price of its own.

use super::stage::{Film, Fresh, Keys, SIZE, Scroll, Show};
use crate::{clock, machine};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use telepane_codec::{Decoder, Encoder, EncoderOptions, diff};
use telepane_model::{
    Bytes, EncodeItem, EncodeJob, Epoch, HostClock, InputEvent, JobId, KeyCode, KeyMove, Pixels, Quality, Span, Stamp,
    SurfaceId, UpdateId, Version,
};
use telepane_sim::world::HOST_EPOCH;
use telepane_sim::{CostTable, Screen};

/// The committed table, as text.
const COMMITTED: &str = include_str!("../../../../benches/costs.json");

/// From a present wish to the screen: softbuffer takes 0.05 to 2 ms by damage (`DESIGN` §3.8).
const PRESENT_US: u64 = 300;

const FIELDS: [&str; 10] = [
    "capture_base",
    "capture_per_mpx",
    "encode_base",
    "encode_per_mpx",
    "encode_per_kb",
    "film_encode_per_mpx",
    "decode_base",
    "decode_per_mpx",
    "decode_per_kb",
    "film_decode_per_mpx",
];

/// The committed table.
///
/// # Errors
/// When the file lacks a figure.
pub fn committed() -> Result<CostTable> {
    let value: Value = serde_json::from_str(COMMITTED)?;
    let mut us = [Span::ZERO; 10];
    for (out, name) in us.iter_mut().zip(FIELDS) {
        let figure = value["microseconds"][name].as_u64();
        *out = Span::micros(figure.with_context(|| format!("benches/costs.json has no {name}"))?);
    }
    let [cb, cm, eb, em, ek, fe, db, dm, dk, fd] = us;
    Ok(CostTable {
        capture_base: cb,
        capture_per_mpx: cm,
        encode_base: eb,
        encode_per_mpx: em,
        encode_per_kb: ek,
        film_encode_per_mpx: fe,
        decode_base: db,
        decode_per_mpx: dm,
        decode_per_kb: dk,
        film_decode_per_mpx: fd,
        present: Span::micros(PRESENT_US),
    })
}

/// Medians of a scene's frames.
#[derive(Clone, Copy, Debug, Default)]
struct Scene {
    mpx: f64,
    kb: f64,
    capture: f64,
    encode: f64,
    decode: f64,
}

/// Measures, prints, and writes the table to `to` if asked.
///
/// # Errors
/// When the codec refuses a scene, or the file cannot be written.
pub fn run(to: Option<&Path>) -> Result<()> {
    let letter = scene(Show::still(1, Keys::Letter), 60, Quality::EXACT, true)?;
    let scroll = scene(Show::new(Scroll::new(2), 1, 60_000, 30, Keys::Patch), 40, Quality::EXACT, false)?;
    let fresh = scene(Show::new(Fresh(3), 1, 60_000, 30, Keys::Patch), 20, Quality::EXACT, false)?;
    let film = scene(Show::new(Film::hd(4), 1, 60_000, 30, Keys::Patch), 60, Quality::FILM, false)?;
    println!("| scene | Mpx | kB | capture us | encode us | decode us |\n|---|---|---|---|---|---|");
    for (name, s) in [("letter", letter), ("scroll", scroll), ("new window", fresh), ("film", film)] {
        let Scene { mpx, kb, capture, encode, decode } = s;
        println!("| {name} | {mpx:.4} | {kb:.1} | {capture:.0} | {encode:.0} | {decode:.0} |");
    }
    ensure!(fresh.kb > 4.0 * scroll.kb, "a new window must take more than a scrolled one");
    // Two windows of one size: what the one takes longer is its kilobytes.
    let split = |a: f64, b: f64, base: f64| {
        let per_kb = ((b - a) / (fresh.kb - scroll.kb)).max(0.0);
        (((a - base - per_kb * scroll.kb) / scroll.mpx).max(0.0), per_kb)
    };
    let (encode_mpx, encode_kb) = split(scroll.encode, fresh.encode, letter.encode);
    let (decode_mpx, decode_kb) = split(scroll.decode, fresh.decode, letter.decode);
    let figures = [
        letter.capture,
        (scroll.capture - letter.capture).max(0.0) / scroll.mpx,
        letter.encode,
        encode_mpx,
        encode_kb,
        (film.encode - letter.encode).max(0.0) / film.mpx,
        letter.decode,
        decode_mpx,
        decode_kb,
        (film.decode - letter.decode).max(0.0) / film.mpx,
    ];
    let table: serde_json::Map<String, Value> =
        FIELDS.iter().zip(figures).map(|(n, v)| ((*n).to_owned(), json!(v.round() as u64))).collect();
    let all = json!({ "command": "cargo xtask bench costs --write benches/costs.json", "date": clock::today(),
        "machine": machine::describe(), "clock": "the thread's processor time", "microseconds": table });
    let text = serde_json::to_string_pretty(&all)? + "\n";
    println!("\n{text}");
    if let Some(path) = to {
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn scene(mut screen: impl Screen, frames: u64, quality: Quality, presses: bool) -> Result<Scene> {
    let (mut encoder, mut decoder) = (Encoder::new(SIZE, EncoderOptions::default()), Decoder::new(SIZE));
    let mut base = UpdateId::BLANK;
    let (mut before, mut rows) = (Pixels::new(SIZE), Vec::new());
    for n in 0..=frames {
        let now: Stamp<HostClock> = Stamp::from_micros(HOST_EPOCH + 1_000 + n * 33_334);
        if presses {
            screen.input(now, &InputEvent::Key { code: KeyCode(16 + n as u16 % 26), action: KeyMove::Down });
        }
        let Some(facts) = screen.poll(now) else { continue };
        let pixels = screen.pixels();
        let mut copy = before.clone();
        let start = processor_us();
        // As a desk reads: what changed is copied out of the server's memory, and compared.
        facts.damage.changed.rects().iter().for_each(|r| copy.copy_from(&pixels, *r));
        let changed = diff(&before, &copy, &facts.damage.changed);
        let capture = processor_us() - start;
        before = copy;
        let quality = if n == 0 { Quality::EXACT } else { quality };
        let version = Version(n + 1);
        let rects = if quality == Quality::FILM { vec![changed.bounds()] } else { changed.rects().to_vec() };
        let job = EncodeJob {
            id: JobId(n + 1),
            surface: SurfaceId(0),
            epoch: Epoch(1),
            size: SIZE,
            base,
            first: base.next(),
            items: rects.into_iter().map(|rect| EncodeItem { rect, version, quality }).collect(),
            // Film at 6 Mbit/s and 30 frames a second, which is what the design allows it.
            max_bytes: Bytes(if quality == Quality::FILM { 25_000 } else { 64 << 20 }),
            slice_bytes: Bytes(64 << 10),
            pictures: Default::default(),
        };
        let start = processor_us();
        let done = encoder.encode(&job, &pixels, version)?;
        let encode = processor_us() - start;
        let mut bytes = 0;
        let start = processor_us();
        for slice in &done.slices {
            decoder.apply(&slice.bytes)?;
            bytes += slice.bytes.len();
            base = slice.id;
        }
        let decode = processor_us() - start;
        encoder.confirm(base);
        // The first frame fills the screen, and the second the caches.
        if n > 1 {
            let mpx = job.items.iter().map(|i| i.rect.area()).sum::<u64>() as f64 / 1e6;
            rows.push([mpx, bytes as f64 / 1e3, capture as f64, encode as f64, decode as f64]);
        }
    }
    let median = |i: usize| {
        let mut column: Vec<f64> = rows.iter().map(|r| r[i]).collect();
        column.sort_by(f64::total_cmp);
        column.get(column.len() / 2).copied().unwrap_or(0.0)
    };
    Ok(Scene { mpx: median(0), kb: median(1), capture: median(2), encode: median(3), decode: median(4) })
}

/// This thread's processor time in microseconds.
fn processor_us() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the result; every Linux has the clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
    t.tv_sec as u64 * 1_000_000 + t.tv_nsec as u64 / 1_000
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_table_is_whole() {
        let table = super::committed().unwrap();
        assert!(table.encode(1_000_000, 0, 0) > table.encode(0, 0, 0));
    }
}
