//! A film beside openh264 at the same quality: the bytes and the CPU of one bit rate say nothing of a coder whose quality differs.
//!
//! Of each frame that was coded with film its region and what was shown of it are known. The same frames go through openh264 at
//! such a bit rate that its luma in the same regions is as good as ours, which is sought by halving: once as whole screens,
//! as a video tool has them, and once as the regions alone. What each side is charged with are the frames with film,
//! ours with everything else that changed in them.

use super::play::squares;
use crate::clock::cpu_ms;
use crate::recording::Reader;
use crate::summary::Samples;
use anyhow::{Context, Result};
use std::path::Path;
use telepane_codec::colour::{to_bgrx, to_i420};
use telepane_codec::h264::{H264Decoder, H264Encoder, I420};
use telepane_model::{Pixels, Rect, Surf};

/// One frame with film, as it was shown.
#[derive(Clone, Copy, Debug)]
pub struct Filmed {
    /// Which frame of those that differ from the one before, from 1.
    pub version: u64,
    /// Where film was.
    pub rect: Rect<Surf>,
    /// The sum of its luma's squared differences.
    pub squares: f64,
    /// Bytes of everything in the frame.
    pub bytes: u64,
    /// CPU in milliseconds.
    pub encode_ms: f64,
}

/// One way's figures.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its name.
    pub name: &'static str,
    /// The bit rate that was found.
    pub rate: Option<u64>,
    /// Bytes of each frame.
    pub bytes: Samples,
    /// CPU of each frame in milliseconds.
    pub encode: Samples,
    /// Luma in the regions over all frames, decibels.
    pub db: f64,
}

/// Rates between which the right one is sought, bits a second: those that openh264 takes.
const RATES: (u64, u64) = (100_000, 60_000_000);
/// Halvings at most: they leave under three parts in a hundred between the two last rates.
const HALVINGS: usize = 8;
/// As good as ours: so much above at most, decibels.
const NEAR: f64 = 0.05;

/// Our figures and openh264's, whole and in the region alone; nothing where there was no film.
///
/// # Errors
/// When the recording cannot be read again.
pub fn compare(path: &Path, filmed: &[Filmed]) -> Result<Vec<Side>> {
    let Some(first) = filmed.first() else { return Ok(Vec::new()) };
    let ours = ours(filmed);
    let whole = Reader::open(path)?.size().rect();
    let region = even(filmed.iter().fold(first.rect, |all, f| all.union(f.rect)));
    let mut sides = vec![ours];
    for (name, area) in [("h264 whole", whole), ("h264 region", region)] {
        if area.w % 2 == 0 && area.h % 2 == 0 && whole.contains(area) {
            let side = search(sides[0].db, &mut |rate| code(path, filmed, area, rate))?;
            sides.push(Side { name, ..side });
        }
    }
    Ok(sides)
}

fn ours(filmed: &[Filmed]) -> Side {
    let (squares, area) = filmed.iter().fold((0.0, 0), |(s, a), f| (s + f.squares, a + f.rect.area()));
    Side {
        name: "ours",
        rate: None,
        bytes: Samples(filmed.iter().map(|f| f.bytes as f64).collect()),
        encode: Samples(filmed.iter().map(|f| f.encode_ms).collect()),
        db: decibels(squares, area),
    }
}

/// The least rate that is found to be as good as `db`, or the greatest where none is.
fn search(db: f64, at: &mut dyn FnMut(u64) -> Result<Side>) -> Result<Side> {
    let (mut low, mut high) = RATES;
    let mut best = at(high)?;
    for _ in 0..HALVINGS {
        if best.db < db || best.db - db <= NEAR {
            break;
        }
        // Quality goes by the logarithm of the rate.
        let middle = ((low as f64) * (high as f64)).sqrt() as u64;
        let side = at(middle)?;
        if side.db >= db {
            (high, best) = (middle, side);
        } else {
            low = middle;
        }
    }
    Ok(best)
}

/// Everything up to the first frame with film, and then those with film, by openh264.
fn code(path: &Path, filmed: &[Filmed], area: Rect<Surf>, rate: u64) -> Result<Side> {
    let mut reader = Reader::open(path)?;
    let mut encoder = H264Encoder::new(area.w, area.h, rate, 30.0, (1, 51)).context("openh264 refuses the size")?;
    let mut decoder = H264Decoder::new().context("openh264 refuses to decode")?;
    let (mut picture, mut padded) = (I420::default(), Vec::new());
    let mut before = Pixels::new(reader.size());
    let mut shown = before.clone();
    let mut side = Side { name: "", rate: Some(rate), bytes: Samples::default(), encode: Samples::default(), db: 0.0 };
    let (mut sum, mut all) = (0.0, 0);
    let (mut version, mut key) = (0, true);
    let mut next = filmed.iter().peekable();
    let begin = filmed.first().map_or(0, |f| f.version);
    let whole = area == reader.size().rect();
    while let Some(film) = next.peek()
        && let Some((_, frame)) = reader.next_frame()?
    {
        if version > 0 && frame.same(&before, frame.size().rect()) {
            continue;
        }
        before.copy_from(frame, frame.size().rect());
        version += 1;
        let counts = film.version == version;
        // A region is not known before it is film; a whole screen is.
        if !counts && (version > begin || !whole) {
            continue;
        }
        let start = cpu_ms();
        to_i420(frame, area, &mut padded, &mut picture);
        let mut data = Vec::new();
        encoder.encode(&mut picture, key, &mut data);
        let ms = cpu_ms() - start;
        key = false;
        if let Some(decoded) = decoder.decode(&data) {
            to_bgrx(&decoded, area, &mut shown);
        }
        if counts {
            side.bytes.0.push(data.len() as f64);
            side.encode.0.push(ms);
            sum += squares(&shown, frame, film.rect);
            all += film.rect.area();
            next.next();
        }
    }
    side.db = decibels(sum, all);
    Ok(side)
}

/// Rounded out to even sides and places.
fn even(rect: Rect<Surf>) -> Rect<Surf> {
    let (x, y) = (rect.x & !1, rect.y & !1);
    let (right, bottom) = ((rect.right() + 1) & !1, (rect.bottom() + 1) & !1);
    Rect::new(x, y, (right - x) as u32, (bottom - y) as u32)
}

fn decibels(squares: f64, area: u64) -> f64 {
    10.0 * (255.0 * 255.0 / (squares / area.max(1) as f64).max(1e-9)).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Writer;
    use telepane_model::{Rng, Size};

    #[test]
    fn the_rate_that_is_as_good_is_found() {
        let side = |rate: u64| Side {
            name: "",
            rate: Some(rate),
            bytes: Samples::default(),
            encode: Samples::default(),
            // 3 dB for each doubling of the rate; 40 dB at 4 Mbit/s.
            db: 40.0 + 3.0 * (rate as f64 / 4e6).log2(),
        };
        let mut asked = 0;
        let found = search(40.0, &mut |rate| {
            asked += 1;
            Ok(side(rate))
        });
        let found = found.unwrap();
        assert!((4_000_000..4_150_000).contains(&found.rate.unwrap()), "{found:?}");
        assert!(found.db >= 40.0 && asked <= HALVINGS + 1, "{asked}");
        // Out of reach: the best there is, and its quality tells.
        assert_eq!(search(90.0, &mut |rate| Ok(side(rate))).unwrap().rate, Some(RATES.1));
    }

    /// A moving pattern with grain in a still screen: at the same quality the region alone is never dearer than the whole
    /// screen by more than the search leaves open, and only the frames that are named are charged.
    #[test]
    fn the_same_frames_are_coded_as_well() {
        let path = std::env::temp_dir().join(format!("telepane-equal-{}.seq", std::process::id()));
        let (size, rect) = (Size::new(192, 128), Rect::new(64, 32, 64, 64));
        let mut writer = Writer::create(&path, size, 1).unwrap();
        let (mut rng, mut screen) = (Rng::new(3), Pixels::new(size));
        for n in 0..10_i32 {
            for y in rect.y..rect.bottom() {
                for px in screen.row_mut(rect.x as u32, y as u32, rect.w).chunks_exact_mut(4) {
                    px[..3].fill((60 + y * 2 + n * 5 + rng.below(9) as i32) as u8);
                }
            }
            writer.frame(n as u32 * 33, &screen).unwrap();
        }
        writer.finish().unwrap();
        // 36 dB.
        let filmed = |version| Filmed { version, rect, squares: 16.3 * 4096.0, bytes: 900, encode_ms: 1.0 };
        let filmed: Vec<_> = (4..=9).filter(|v| *v != 7).map(filmed).collect();
        let sides = compare(&path, &filmed).unwrap();
        std::fs::remove_file(&path).unwrap();
        let [ours, whole, region] = &sides[..] else { panic!("{sides:?}") };
        assert!((ours.db - 36.0).abs() < 0.1, "{ours:?}");
        for side in [whole, region] {
            assert_eq!((side.bytes.0.len(), side.encode.0.len()), (5, 5), "{side:?}");
            assert!(side.db >= ours.db && side.rate.unwrap() < RATES.1, "{side:?}");
        }
        assert!(compare(&path, &[]).unwrap().is_empty());
    }
}
