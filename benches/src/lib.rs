//! The kernels and coders alone, on small pictures that are the same every time.
//!
//! One list of workloads has two readers: `cargo bench -p telepane-benches` times them with criterion, and the program
//! `counted` runs one under callgrind, whose instruction counts `cargo xtask counts` holds against
//! `benches/instructions.json`. Text comes from the recordings beside this, pictures and noise are invented.

use std::path::Path;
use telepane_capture::replay::Replay;
use telepane_capture::synthetic::photo;
use telepane_capture::{Event, Source};
use telepane_codec::picture::{Layer, PictureCoder, PictureDecoder, Step};
use telepane_codec::{Decoder, Encoder, EncoderOptions, diff, kernel};
use telepane_model::{
    Bytes, EncodeItem, EncodeJob, Epoch, Grid, JobId, Pixels, Quality, Rect, Region, Rng, Size, Stamp, Surf, SurfaceId,
    UpdateId, Version,
};

/// What is done once; what it gives depends on everything it did, so that nothing is left out.
pub type Job = Box<dyn FnOnce() -> u64>;

/// A workload.
pub struct Workload {
    /// In tables and baselines.
    pub name: &'static str,
    /// Pixels, or bytes where there are none.
    pub units: u64,
    /// Makes what it needs; the job is what counts.
    pub prepare: Box<dyn Fn() -> Job>,
}

/// All of them. Nothing is made before it is needed: under callgrind that would take most of the time.
pub fn all() -> Vec<Workload> {
    let mut all = vec![scan(), scattered(), scrolled(), colours(), parity()];
    for (name, recording, frames) in
        [("dragged window moved", "drag-crop.seq", [6, 7]), ("other window searched", "switch-crop.seq", [0, 1])]
    {
        all.push(changed(name, recording, frames));
    }
    for (coded, decoded, size, make) in [
        ("web text coded", "web text decoded", WEB, web as fn() -> Pixels),
        ("code coded", "code decoded", CODE, code),
        ("sheet coded", "sheet decoded", SHEET, sheet),
        ("picture coded", "picture decoded", PICTURE, picture),
        ("noise coded", "noise decoded", NOISE, || noise(NOISE)),
    ] {
        all.extend(coder(coded, decoded, size, make));
    }
    all.extend(layers());
    all
}

const WEB: Size<Surf> = Size::new(480, 256);
const CODE: Size<Surf> = Size::new(512, 256);
const SHEET: Size<Surf> = Size::new(512, 256);
const PICTURE: Size<Surf> = Size::new(256, 256);
const NOISE: Size<Surf> = Size::new(160, 128);
const FRAME: Size<Surf> = Size::new(1024, 512);
const SCREEN: Size<Surf> = Size::new(640, 360);

fn web() -> Pixels {
    recorded("news-crop.seq", 0, WEB)
}

fn code() -> Pixels {
    recorded("editor_dark-crop.seq", 0, CODE)
}

fn sheet() -> Pixels {
    recorded("sheet-crop.seq", 0, SHEET)
}

fn picture() -> Pixels {
    photo(PICTURE, 1)
}

/// Two equal frames are compared.
fn scan() -> Workload {
    let prepare = || -> Job {
        let a = plain();
        let b = a.clone();
        Box::new(move || diff(&a, &b, &a.size().rect().into()).area())
    };
    Workload { name: "equal frames compared", units: FRAME.area(), prepare: Box::new(prepare) }
}

/// Two frames are compared that differ here and there.
fn scattered() -> Workload {
    let prepare = || -> Job {
        let a = plain();
        let (mut b, mut rng) = (a.clone(), Rng::new(8));
        for _ in 0..40 {
            b.fill(Rect::new(rng.below(1_000) as i32, rng.below(500) as i32, 9, 7), [1, 2, 3]);
        }
        Box::new(move || {
            let region: Region<Surf> = diff(&a, &b, &a.size().rect().into());
            region.area() + region.rects().len() as u64
        })
    };
    Workload { name: "unlike frames compared", units: FRAME.area(), prepare: Box::new(prepare) }
}

/// A page that went up is found to be a move.
fn scrolled() -> Workload {
    let prepare = || -> Job {
        let (before, size) = (web(), WEB);
        let mut after = before.clone();
        after.paste(&before.crop(Rect::new(0, 27, size.w, size.h - 27)), 0, 0);
        change(&before, after)
    };
    Workload { name: "scrolled page moved", units: WEB.area(), prepare: Box::new(prepare) }
}

/// A recorded screen changes: what went elsewhere in it is searched for and moved, the rest is coded.
fn changed(name: &'static str, recording: &'static str, frames: [usize; 2]) -> Workload {
    let prepare = move || -> Job {
        let [before, after] = frames.map(|n| recorded(recording, n, SCREEN));
        change(&before, after)
    };
    Workload { name, units: SCREEN.area(), prepare: Box::new(prepare) }
}

/// The job that codes `after` for a viewer that holds `before`.
fn change(before: &Pixels, after: Pixels) -> Job {
    let mut encoder = Encoder::new(before.size(), EncoderOptions::default());
    let base = UpdateId(encode(&mut encoder, before, UpdateId::BLANK, 1).len() as u32);
    encoder.confirm(base);
    Box::new(move || encode(&mut encoder, &after, base, 2).iter().map(|s| s.len() as u64).sum())
}

/// Film's planes become pixels.
fn colours() -> Workload {
    let (w, h) = (640_usize, 64_usize);
    let prepare = move || -> Job {
        let mut rng = Rng::new(3);
        let mut plane = |len: usize| (0..len).map(|_| rng.below(256) as u8).collect::<Vec<u8>>();
        let (luma, blue, red) = (plane(w * h), plane(w * h / 2), plane(w * h / 2));
        let mut out = vec![0_u8; w * h * 4];
        Box::new(move || {
            for y in 0..h {
                let half = y * w / 2..(y + 1) * w / 2;
                let row = &mut out[y * w * 4..(y + 1) * w * 4];
                kernel::yuv::to_bgrx(&luma[y * w..(y + 1) * w], &blue[half.clone()], &red[half], row);
            }
            out.iter().map(|b| u64::from(*b)).step_by(997).sum()
        })
    };
    Workload { name: "film to pixels", units: (w * h) as u64, prepare: Box::new(prepare) }
}

/// Two parity shards for eight.
fn parity() -> Workload {
    let prepare = || -> Job {
        let mut rng = Rng::new(4);
        let data: Vec<Vec<u8>> = (0..8).map(|_| (0..1_150).map(|_| rng.below(256) as u8).collect()).collect();
        Box::new(move || telepane_protocol::fec::parity(&data, 2).iter().flatten().map(|b| u64::from(*b)).sum())
    };
    Workload { name: "parity of 8 shards", units: 8 * 1_150, prepare: Box::new(prepare) }
}

/// A picture that was never there is coded, and decoded.
fn coder(coded: &'static str, decoded: &'static str, size: Size<Surf>, make: fn() -> Pixels) -> [Workload; 2] {
    let code = move || -> Job {
        let (pixels, mut encoder) = (make(), Encoder::new(size, EncoderOptions::default()));
        Box::new(move || encode(&mut encoder, &pixels, UpdateId::BLANK, 1).iter().map(|s| s.len() as u64).sum())
    };
    let decode = move || -> Job {
        let mut encoder = Encoder::new(size, EncoderOptions::default());
        let slices = encode(&mut encoder, &make(), UpdateId::BLANK, 1);
        let mut decoder = Decoder::new(size);
        Box::new(move || slices.iter().map(|s| decoder.apply(s).map_or(0, |a| a.changed.area())).sum())
    };
    [
        Workload { name: coded, units: size.area(), prepare: Box::new(code) },
        Workload { name: decoded, units: size.area(), prepare: Box::new(decode) },
    ]
}

/// A picture's first view, and all that it needs to be exact: what an encoder with less room than that sends.
fn layers() -> [Workload; 2] {
    let code = || -> Job {
        let (pixels, mut coder) = (picture(), PictureCoder::default());
        Box::new(move || code_layers(&mut coder, &pixels).iter().map(|op| op.len() as u64).sum())
    };
    let decode = || -> Job {
        let ops = code_layers(&mut PictureCoder::default(), &picture());
        let (mut decoder, mut shown) = (PictureDecoder::default(), Pixels::new(PICTURE));
        Box::new(move || {
            ops.iter().map(|op| decoder.apply(op, u64::MAX, &mut shown).map_or(0, |r| r.len() as u64)).sum()
        })
    };
    [
        Workload { name: "layers coded", units: PICTURE.area(), prepare: Box::new(code) },
        Workload { name: "layers decoded", units: PICTURE.area(), prepare: Box::new(decode) },
    ]
}

fn code_layers(coder: &mut PictureCoder, pixels: &Pixels) -> [Vec<u8>; 2] {
    let (mut sent, grid) = (Pixels::new(pixels.size()), Grid::new(pixels.size()));
    [Step::new(None, Layer::First), Step::new(Some(Layer::First), Layer::Exact)].map(|step| {
        let mut op = Vec::new();
        coder.begin(step);
        assert!(grid.all().all(|at| coder.push(pixels, &sent, grid.rect(at))), "all of it goes into one op");
        coder.finish(&mut op);
        if step.to != Layer::Exact {
            coder.show(&mut sent);
        }
        op
    })
}

/// Codes all of `pixels` exactly against `base`; the slices.
fn encode(encoder: &mut Encoder, pixels: &Pixels, base: UpdateId, version: u64) -> Vec<Vec<u8>> {
    let version = Version(version);
    let job = EncodeJob {
        id: JobId(version.0),
        surface: SurfaceId(0),
        epoch: Epoch(1),
        size: pixels.size(),
        base,
        first: base.next(),
        items: vec![EncodeItem { rect: pixels.size().rect(), version, quality: Quality::EXACT }],
        max_bytes: Bytes(64 << 20),
        film_bytes: Bytes(64 << 20),
        film_scale: Default::default(),
        slice_bytes: Bytes(9_000),
        pictures: Default::default(),
        anew: false,
    };
    let done = encoder.encode(&job, pixels, version);
    done.map_or_else(|_| Vec::new(), |done| done.slices.into_iter().map(|s| s.bytes).collect())
}

/// Frame `n` of a recording in this folder, from 0 on, its upper left part of this size.
#[expect(clippy::expect_used, reason = "a bench without its recording measures nothing")]
fn recorded(name: &str, n: usize, size: Size<Surf>) -> Pixels {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings").join(name);
    let mut replay = Replay::open(&path, false).expect("the recording is committed");
    // Its times begin somewhere in the first seconds; frames are 16 ms apart at least.
    let times = (0..3_000).map(|n| Stamp::from_micros(n * 10_000));
    let mut frames = times.filter(|now| matches!(replay.poll(*now), Ok(Some(Event::Frame(_)))));
    assert!(frames.nth(n).is_some(), "{name} has no frame {n} within thirty seconds");
    replay.pixels().crop(size.rect())
}

/// A frame that is quickly made.
fn plain() -> Pixels {
    let mut pixels = Pixels::new(FRAME);
    (0..32).for_each(|i| pixels.fill(Rect::new(i * 32, 0, 32, FRAME.h), [i as u8, 7 * i as u8, 90]));
    pixels
}

fn noise(size: Size<Surf>) -> Pixels {
    let (mut pixels, mut rng) = (Pixels::new(size), Rng::new(2));
    for y in 0..size.h {
        for px in pixels.row_mut(0, y, size.w).chunks_exact_mut(4) {
            px[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]);
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_codec::wire::{Reader, kind, next_op};

    #[test]
    fn layers_become_exact() {
        let (mut decoder, mut shown) = (PictureDecoder::default(), Pixels::new(PICTURE));
        for op in code_layers(&mut PictureCoder::default(), &picture()) {
            decoder.apply(&op, u64::MAX, &mut shown).unwrap();
        }
        assert!(shown == picture());
    }

    /// Code and a sheet must be coded as text, or the counts of the text coder are another's. (Most of the page of the web is a
    /// photograph.)
    #[test]
    fn text_is_coded_as_text() {
        for (make, size) in [(code as fn() -> Pixels, CODE), (sheet, SHEET)] {
            let mut bytes = [0_usize; 2];
            for slice in encode(&mut Encoder::new(size, EncoderOptions::default()), &make(), UpdateId::BLANK, 1) {
                let mut rest = Reader::new(&slice);
                while !rest.is_empty() {
                    let (kind, payload) = next_op(&mut rest).unwrap();
                    bytes[usize::from(kind == kind::TEXT)] += payload.len();
                }
            }
            assert!(bytes[1] > bytes[0], "{bytes:?} bytes of other ops and of TEXT");
        }
    }

    /// A coder that refused its job would count as very quick.
    #[test]
    fn every_workload_does_something() {
        for w in all() {
            let did = (w.prepare)()();
            assert!(did > 0 || w.name == "equal frames compared", "{} did nothing", w.name);
        }
    }
}
