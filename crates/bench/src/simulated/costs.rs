//! What work costs on a machine: measured here, kept in `benches/costs.json`, used as virtual time by every scenario.
//!
//! Scenes are coded and decoded alone, on this thread, in its own processor time; each is played several times and every
//! job counts with its least time, so that a busy machine shows little. The coder tells which stage it is in, so each
//! coder's price is its own time by what drives it ([`Prices`]); the decoder's prices are solved scene by scene. What
//! the table then says of each scene is printed beside what was measured.

use super::stage::{Burst, Film, Fresh, Keys, Photo, SIZE, Scroll, Show, Switch};
use crate::{clock, machine};
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::path::Path;
use telepane_codec::{Decoder, Encoder, EncoderOptions, Stage, diff};
use telepane_model::{
    Bytes, EncodeItem, EncodeJob, EncodedSlices, Epoch, HostClock, InputEvent, JobId, KeyCode, KeyMove, Pixels,
    Quality, Rect, Span, Stamp, Surf, SurfaceId, UpdateId, Version,
};
use telepane_sim::world::HOST_EPOCH;
use telepane_sim::{CostTable, Prices, Screen, Work};

/// The committed table, as text.
const COMMITTED: &str = include_str!("../../../../benches/costs.json");

/// From a present wish to the screen: softbuffer takes 0.05 to 2 ms by damage (`DESIGN` §3.8).
const PRESENT_US: u64 = 300;

/// The figures of one side, as the file names them.
const PRICES: [&str; 6] = ["base", "per_mpx", "text_per_mpx", "picture_per_kb", "exact_per_kb", "film_per_mpx"];

/// What the host pays for a frame of film beside coding it, which happens on a core of its own.
const FILM_SHOWN: &str = "film_show_per_mpx";

/// The committed table.
///
/// # Errors
/// When the file lacks a figure.
pub fn committed() -> Result<CostTable> {
    let value: Value = serde_json::from_str(COMMITTED)?;
    let figure = |side: &str, name: &str| {
        let us = value["microseconds"][side][name].as_u64();
        Ok::<_, anyhow::Error>(Span::micros(us.with_context(|| format!("benches/costs.json has no {side}.{name}"))?))
    };
    let prices = |side: &str| {
        let mut all = [Span::ZERO; 6];
        for (out, name) in all.iter_mut().zip(PRICES) {
            *out = figure(side, name)?;
        }
        let [base, per_mpx, text_per_mpx, picture_per_kb, exact_per_kb, film_per_mpx] = all;
        Ok::<_, anyhow::Error>(Prices { base, per_mpx, text_per_mpx, picture_per_kb, exact_per_kb, film_per_mpx })
    };
    Ok(CostTable {
        capture_base: figure("capture", "base")?,
        capture_per_mpx: figure("capture", "per_mpx")?,
        encode: prices("encode")?,
        film_show_per_mpx: figure("encode", FILM_SHOWN)?,
        decode: prices("decode")?,
        present: Span::micros(PRESENT_US),
    })
}

/// A job's figures: processor time in microseconds, and what was done.
#[derive(Clone, Copy, Debug, Default)]
struct Job {
    /// Pixels that changed on the screen, only in the first job of a frame.
    changed: u64,
    capture: u64,
    /// Looking, text, pictures, putting film into slices, coding film.
    stages: [u64; 5],
    decode: u64,
    slices: u64,
    coded: Work,
    decoded: Work,
}

impl Job {
    /// The lesser time of each part; what was done is the same every time.
    fn least(&mut self, other: &Self) {
        self.capture = self.capture.min(other.capture);
        self.decode = self.decode.min(other.decode);
        for (mine, other) in self.stages.iter_mut().zip(other.stages) {
            *mine = other.min(*mine);
        }
    }
}

/// A scene's jobs together.
struct Sum {
    name: &'static str,
    jobs: f64,
    slices: f64,
    capture: f64,
    changed: f64,
    stages: [f64; 5],
    decode: f64,
    coded: Work,
    decoded: Work,
}

impl Sum {
    fn of(name: &'static str, jobs: &[Job]) -> Self {
        let total = |f: &dyn Fn(&Job) -> u64| jobs.iter().map(f).sum::<u64>() as f64;
        let work = |f: &dyn Fn(&Job) -> Work| {
            jobs.iter().map(f).fold(Work::default(), |a, b| Work {
                pixels: a.pixels + b.pixels,
                text: a.text + b.text,
                picture: a.picture + b.picture,
                exact: a.exact + b.exact,
                film: a.film + b.film,
            })
        };
        Self {
            name,
            jobs: jobs.len() as f64,
            slices: total(&|j| j.slices),
            capture: total(&|j| j.capture),
            changed: total(&|j| j.changed) / 1e6,
            stages: [0, 1, 2, 3, 4].map(|i| total(&|j| j.stages[i])),
            decode: total(&|j| j.decode),
            coded: work(&|j| j.coded),
            decoded: work(&|j| j.decoded),
        }
    }

    fn encode(&self) -> f64 {
        self.stages.iter().sum()
    }
}

/// Measures, prints, and writes the table to `to` if asked. Each scene is played `times` times.
///
/// # Errors
/// When the codec refuses a scene, or the file cannot be written.
pub fn run(to: Option<&Path>, times: u32) -> Result<()> {
    let still = |keys| move || Box::new(Show::still(1, keys)) as Box<dyn Screen>;
    let moving = |make: fn() -> Box<dyn Screen>| make;
    let letter = scene("letter", 60, Kind::Typed, times, &still(Keys::Letter))?;
    let scroll = scene("scroll", 30, Kind::Exact, times, &moving(|| show(Scroll::new(2))))?;
    let fresh = scene("new window", 12, Kind::Exact, times, &moving(|| show(Fresh(3))))?;
    let again = scene("window again", 12, Kind::Exact, times, &moving(|| show(Switch::new(4))))?;
    let photo = scene("photo, 50 kB a job", 2, Kind::Parts, times, &moving(|| show(Photo(5))))?;
    let noise = scene("noise", 4, Kind::Exact, times, &moving(|| show(Burst(6))))?;
    let film = scene("film", 40, Kind::Film, times, &moving(|| show(Film::hd(7))))?;
    let mpx = |pixels: u64| pixels as f64 / 1e6;
    let kb = |bytes: u64| bytes as f64 / 1e3;

    let mut encode = [0.0; 6];
    encode[0] = letter.stages[0] / letter.jobs;
    // What looking takes beyond a small job's, over everything that is looked at.
    let looking = [&scroll, &fresh, &again, &photo, &noise];
    let looked: f64 = looking.iter().map(|s| mpx(s.coded.pixels)).sum();
    let look: f64 = looking.iter().map(|s| (s.stages[0] - encode[0] * s.jobs).max(0.0)).sum();
    encode[1] = look / looked;
    encode[2] = (letter.stages[1] + scroll.stages[1] + fresh.stages[1])
        / mpx(letter.coded.text + scroll.coded.text + fresh.coded.text);
    encode[3] = photo.stages[2] / kb(photo.coded.picture);
    encode[4] = (noise.stages[2] + noise.stages[1]) / kb(noise.coded.exact);
    encode[5] = film.stages[4] / mpx(film.coded.film);
    let film_shown = film.stages[3] / mpx(film.coded.film);

    // Two scenes of one size, of which one has much more text: pixels written, and pixels of text.
    let mut decode = [0.0; 6];
    for _ in 0..4 {
        let base = ((letter.decode - decode[2] * mpx(letter.decoded.text)) / letter.slices).max(1.0);
        let net = |s: &Sum| s.decode - base * s.slices;
        let (a, b) = (mpx(scroll.decoded.pixels), mpx(scroll.decoded.text));
        let (c, d) = (mpx(fresh.decoded.pixels), mpx(fresh.decoded.text));
        let pixels = ((net(&scroll) * d - net(&fresh) * b) / (a * d - c * b)).max(0.0);
        let text = ((net(&fresh) - pixels * c) / d).max(0.0);
        (decode[0], decode[1], decode[2]) = (base, pixels, text);
    }
    let [base, pixels, ..] = decode;
    let net = |s: &Sum| (s.decode - base * s.slices - pixels * mpx(s.decoded.pixels)).max(0.0);
    let (picture, exact) = (net(&photo) / kb(photo.decoded.picture), net(&noise) / kb(noise.decoded.exact));
    let film_price = (film.decode - base * film.slices) / mpx(film.decoded.film);
    (decode[3], decode[4], decode[5]) = (picture, exact, film_price);
    ensure!([encode, decode].iter().flatten().all(|v| v.is_finite()), "a scene did not use the coder it is for");

    let capture = [
        letter.capture / letter.jobs,
        (scroll.capture + fresh.capture - letter.capture / letter.jobs * (scroll.jobs + fresh.jobs)).max(0.0)
            / (scroll.changed + fresh.changed),
    ];
    let side = |figures: &[f64]| -> Map<String, Value> {
        PRICES.iter().zip(figures).map(|(n, v)| ((*n).to_owned(), json!(v.round() as u64))).collect()
    };
    let mut encoding = side(&encode);
    encoding.insert(FILM_SHOWN.to_owned(), json!(film_shown.round() as u64));
    let all = json!({ "command": "cargo xtask bench costs --write benches/costs.json", "date": clock::today(),
        "machine": machine::describe(), "load": machine::load(),
        "clock": "the thread's processor time; of each job the least of so many", "times": times,
        "microseconds": { "capture": side(&capture), "encode": encoding, "decode": side(&decode) } });

    println!(
        "| scene | jobs | Mpx | text Mpx | picture kB | exact kB | film Mpx | coded ms, by the table | decoded ms, by the table |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let shown = |w: &Work| film_shown * mpx(w.film) / 1e3;
    let priced = |p: &[f64; 6], n: f64, w: &Work| {
        let drivers = [n, mpx(w.pixels), mpx(w.text), kb(w.picture), kb(w.exact), mpx(w.film)];
        p.iter().zip(drivers).map(|(price, n)| price * n).sum::<f64>() / 1e3
    };
    for s in [&letter, &scroll, &fresh, &again, &photo, &noise, &film] {
        println!(
            "| {} | {} | {:.2} | {:.2} | {:.0} | {:.0} | {:.1} | {:.1}, {:.1} | {:.1}, {:.1} |",
            s.name,
            s.jobs,
            mpx(s.coded.pixels),
            mpx(s.coded.text),
            kb(s.coded.picture),
            kb(s.coded.exact),
            mpx(s.coded.film),
            s.encode() / 1e3,
            priced(&encode, s.jobs, &s.coded) + shown(&s.coded),
            s.decode / 1e3,
            priced(&decode, s.slices, &s.decoded),
        );
    }
    let text = serde_json::to_string_pretty(&all)? + "\n";
    println!("\n{text}");
    if let Some(path) = to {
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn show(part: impl super::stage::Part + 'static) -> Box<dyn Screen> {
    Box::new(Show::new(part, 1, 60_000, 30, Keys::Patch))
}

/// How a scene is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A key before each frame; exact at once.
    Typed,
    /// Exact at once.
    Exact,
    /// 50 kB at a time, which is what 20 Mbit/s carry in a job's 20 ms, until exact.
    Parts,
    /// As film.
    Film,
}

fn scene(name: &'static str, frames: u64, kind: Kind, times: u32, make: &dyn Fn() -> Box<dyn Screen>) -> Result<Sum> {
    let mut least = play(&mut *make(), frames, kind)?;
    for _ in 1..times {
        let jobs = play(&mut *make(), frames, kind)?;
        ensure!(jobs.len() == least.len(), "{name} is not the same twice");
        least.iter_mut().zip(&jobs).for_each(|(a, b)| a.least(b));
    }
    Ok(Sum::of(name, &least))
}

fn play(screen: &mut dyn Screen, frames: u64, kind: Kind) -> Result<Vec<Job>> {
    let (mut encoder, mut decoder) =
        (Encoder::new(SIZE, EncoderOptions { film_apart: true, ..EncoderOptions::default() }), Decoder::new(SIZE));
    let mut base = UpdateId::BLANK;
    let (mut before, mut rows, mut count) = (Pixels::new(SIZE), Vec::new(), 0);
    // The first frame fills the screen, and the second the caches.
    for n in 0..frames + 2 {
        let now: Stamp<HostClock> = Stamp::from_micros(HOST_EPOCH + 1_000 + n * 33_334);
        if kind == Kind::Typed {
            screen.input(now, &InputEvent::Key { code: KeyCode(16 + n as u16 % 26), action: KeyMove::Down });
        }
        let Some(facts) = screen.poll(now) else { continue };
        let pixels = screen.pixels();
        let mut copy = before.clone();
        let start = processor_us();
        // As a desk reads: what changed is copied out of the server's memory, and compared.
        facts.damage.changed.rects().iter().for_each(|r| copy.copy_from(&pixels, *r));
        let changed = diff(&before, &copy, &facts.damage.changed);
        let mut job = Job { capture: processor_us() - start, changed: changed.area(), ..Job::default() };
        before = copy;
        let film = kind == Kind::Film && n > 0;
        let mut rects = if film { vec![changed.bounds()] } else { changed.rects().to_vec() };
        let version = Version(n + 1);
        while !rects.is_empty() {
            count += 1;
            let kind = if kind == Kind::Film && !film { Kind::Exact } else { kind };
            let wish = wish(JobId(count), base, rects, version, kind);
            code(&wish, &pixels, &mut encoder, &mut decoder, &mut job)?;
            base = UpdateId(base.0 + job.slices as u32);
            encoder.confirm(base);
            if n > 1 {
                rows.push(job);
            }
            job = Job::default();
            rects = if film { Vec::new() } else { diff(decoder.pixels(), &pixels, &changed).rects().to_vec() };
            ensure!(count < 1_000, "a scene is not exact after {count} jobs");
        }
    }
    Ok(rows)
}

fn wish(id: JobId, base: UpdateId, rects: Vec<Rect<Surf>>, version: Version, kind: Kind) -> EncodeJob {
    let quality = if kind == Kind::Film { Quality::FILM } else { Quality::EXACT };
    EncodeJob {
        id,
        surface: SurfaceId(0),
        epoch: Epoch(1),
        size: SIZE,
        base,
        first: base.next(),
        items: rects.into_iter().map(|rect| EncodeItem { rect, version, quality }).collect(),
        max_bytes: Bytes(match kind {
            // Film at 6 Mbit/s and 30 frames a second, which is what the design allows it.
            Kind::Film => 25_000,
            Kind::Parts => 50_000,
            Kind::Typed | Kind::Exact => 64 << 20,
        }),
        film_bytes: Bytes(25_000),
        film_scale: Default::default(),
        slice_bytes: Bytes(9_000),
        pictures: Default::default(),
        anew: false,
    }
}

/// Codes a job and decodes it, with each part's time.
fn code(wish: &EncodeJob, pixels: &Pixels, encoder: &mut Encoder, decoder: &mut Decoder, job: &mut Job) -> Result<()> {
    let film = wish.items[0].quality == Quality::FILM;
    let mut done = encode(wish, pixels, encoder, job)?;
    if let Some(mut task) = encoder.take_film() {
        let start = processor_us();
        task.run(pixels);
        job.stages[4] += processor_us() - start;
        encoder.on_film(task);
        // What stands beside the film at its edges was coded meanwhile.
        let before = done.slices.len() as u32;
        let again =
            EncodeJob { base: UpdateId(wish.base.0 + before), first: UpdateId(wish.first.0 + before), ..wish.clone() };
        let film = encode(&again, pixels, encoder, job)?;
        done.slices.extend(film.slices);
    }
    job.coded = Work::of_job(wish, &done.slices);
    if film {
        job.coded.film = wish.items[0].rect.area();
    }
    job.slices = done.slices.len() as u64;
    let mut changed = Vec::new();
    let start = processor_us();
    for slice in &done.slices {
        changed.push(decoder.apply(&slice.bytes)?.changed.area());
    }
    job.decode = processor_us() - start;
    for (slice, pixels) in done.slices.iter().zip(changed) {
        let work = Work::of_slice(&slice.bytes, SIZE, pixels, film.then_some(pixels));
        let all = &mut job.decoded;
        (all.pixels, all.film) = (all.pixels + work.pixels, all.film + work.film);
        (all.text, all.picture, all.exact) = (all.text + work.text, all.picture + work.picture, all.exact + work.exact);
    }
    Ok(())
}

/// Has a job coded, with each stage's time.
fn encode(wish: &EncodeJob, pixels: &Pixels, encoder: &mut Encoder, job: &mut Job) -> Result<EncodedSlices> {
    let (mut stage, mut since) = (0, processor_us());
    let done = encoder.encode_watched(wish, pixels, wish.items[0].version, &mut |entered| {
        let now = processor_us();
        job.stages[stage] += now - since;
        (stage, since) = (
            match entered {
                Stage::Compare | Stage::Move | Stage::Cache | Stage::Plan => 0,
                Stage::Text => 1,
                Stage::Picture => 2,
                Stage::Film => 3,
            },
            now,
        );
    })?;
    job.stages[stage] += processor_us() - since;
    Ok(done)
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
    use super::*;

    #[test]
    fn the_committed_table_is_whole() {
        let table = committed().unwrap();
        let text = Work { text: 1_000_000, ..Work::default() };
        for side in [table.encode, table.decode] {
            assert!(side.of(&text) > side.base + Span::millis(2), "text is dear: {side:?}");
        }
    }
}
