//! `telepane-bench codec`: recordings through the real encoder and decoder, nothing else between them.
//!
//! Bytes are exact and repeatable; CPU is this thread's. After every job the decoder must hold what the encoder says was
//! sent, and every tile that the encoder calls exact must show the source's pixels: otherwise the run ends with an
//! error. With `--rate` a virtual clock ticks every thirtieth of a second, each job may spend what the link carries in
//! that time, and what is left goes on in the next job with the newest pixels. With `--rtt` confirmations come late.
//! The first frame is coded without a limit and stands apart. With `--film` what moves becomes film by the host's own
//! rules, and exact once it rests; with `--baseline` too it is held against openh264 at the same quality ([`equal`]).

mod baseline;
mod equal;
mod play;
mod tables;

use crate::machine;
use crate::recording::Reader;
use anyhow::{Context, Result};
use clap::Args;
use play::{Play, Played};
use std::path::PathBuf;

/// `telepane-bench codec`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Recordings.
    #[arg(long, value_name = "FILE.seq", num_args = 1.., required = true)]
    pub seq: Vec<PathBuf>,
    /// What the link carries: none is no limit, 20M are 20 Mbit/s.
    #[arg(long, value_name = "BITRATE", default_value = "none", value_parser = parse_rate)]
    pub rate: Rate,
    /// Confirmations come so late, milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub rtt: u32,
    /// The longest slice.
    #[arg(long, value_name = "BYTES", default_value_t = 9600, value_parser = clap::value_parser!(u64).range(64..=1_048_576))]
    pub slice: u64,
    /// At most so many frames of each recording.
    #[arg(long, value_name = "N", default_value_t = u32::MAX)]
    pub frames: u32,
    /// Let what moves become film, where the host would.
    #[arg(long)]
    pub film: bool,
    /// Beside it, in the same run: palette, zlib and JPEG tiles as in Tight, zstd tiles, and the whole frame as H.264; with
    /// --film also H.264 at the film's own quality.
    #[arg(long)]
    pub baseline: bool,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Write the tables here too, as Markdown.
    #[arg(long, value_name = "FILE.md")]
    pub out: Option<PathBuf>,
    /// Draw bytes over frames here.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

/// Bits in a second; none is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

/// Replays everything.
///
/// # Errors
/// When a file cannot be read or written, or the decoder does not show what it must.
pub fn run(options: &Options) -> Result<()> {
    let load = machine::load();
    let mut all = Vec::new();
    for path in &options.seq {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        all.push(replay(options, path, name).with_context(|| path.display().to_string())?);
    }
    let tables = tables::markdown(&all, options, load);
    if options.json {
        println!("{:#}", tables::json(&all, options, load));
    } else {
        print!("{tables}");
    }
    if let Some(out) = &options.out {
        std::fs::write(out, tables).with_context(|| format!("{} cannot be written", out.display()))?;
    }
    if let Some(out) = &options.plot {
        std::fs::write(out, tables::svg(&all)).with_context(|| format!("{} cannot be written", out.display()))?;
    }
    Ok(())
}

fn replay(options: &Options, path: &std::path::Path, name: String) -> Result<Played> {
    let mut reader = Reader::open(path)?;
    let mut play = Play::new(name, reader.size(), options);
    let mut count = 0;
    while count < options.frames
        && let Some((ms, frame)) = reader.next_frame()?
    {
        play.frame(ms, frame)?;
        count += 1;
    }
    let mut played = play.finish()?;
    if options.baseline {
        played.equal = equal::compare(path, &played.filmed)?;
    }
    Ok(played)
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "none" {
        return Ok(Rate(None));
    }
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let rate = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    rate.filter(|r| (10_000..=10_000_000_000).contains(r))
        .map(|r| Rate(Some(r)))
        .ok_or_else(|| "give none, or a bit rate such as 20M or 800k".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Writer;
    use telepane_model::{Pixels, Rect, Size};

    #[test]
    fn rates_are_read_or_explained() {
        assert_eq!(parse_rate("none"), Ok(Rate(None)));
        assert_eq!(parse_rate("20M"), Ok(Rate(Some(20_000_000))));
        assert_eq!(parse_rate("800k"), Ok(Rate(Some(800_000))));
        for bad in ["", "M", "0", "-5M", "20X", "99999999999999999999M"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    fn options(rate: Option<u64>, rtt: u32) -> Options {
        Options {
            seq: vec![],
            rate: Rate(rate),
            rtt,
            slice: 9600,
            frames: u32::MAX,
            film: false,
            baseline: rtt == 0,
            json: false,
            out: None,
            plot: None,
        }
    }

    /// Pieces of real screens, which `benches/recordings/record.sh` made: every frame is shown exactly, also over a link
    /// that is too thin for it.
    #[test]
    fn recorded_screens_are_shown_exactly() {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/recordings"));
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == "seq"));
        files.sort();
        assert!(files.len() >= 5, "{files:?}");
        for file in files {
            for (rate, rtt) in [(None, 40), (Some(3_000_000), 100)] {
                let played = replay(&options(rate, rtt), &file, file.display().to_string()).unwrap();
                assert!(played.jobs() > 0 && played.total() > 0, "{}", file.display());
            }
        }
    }

    /// What scrolls, is typed, dragged or opened is no film, also where a thin link shows it late.
    #[test]
    fn no_recorded_screen_becomes_film() {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/recordings"));
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
        for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "seq")) {
            for (rate, rtt) in [(None, 40), (Some(3_000_000), 100)] {
                let options = Options { film: true, baseline: false, ..options(rate, rtt) };
                let played = replay(&options, file, file.display().to_string()).unwrap();
                assert_eq!(played.films(), 0, "{} at {rate:?}", file.display());
            }
        }
    }

    /// Text is exact at once because it is never taken for a picture.
    #[test]
    fn no_recorded_text_is_called_a_picture() {
        let mut coder = telepane_codec::exact::ExactCoder::default();
        let mut pictures = |name: &str| {
            let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/recordings"));
            let mut reader = Reader::open(&folder.join(name)).unwrap();
            let grid = telepane_model::Grid::new(reader.size());
            let mut count = 0;
            while let Some((_, frame)) = reader.next_frame().unwrap() {
                let class = |at| telepane_codec::classify::classify(frame, grid.rect(at), &mut coder);
                count += grid.all().map(class).filter(|c| *c == telepane_model::TileClass::Picture).count();
            }
            count
        };
        for text in ["editor_dark-crop.seq", "sheet-crop.seq", "subpixel-crop.seq"] {
            assert_eq!(pictures(text), 0, "{text}");
        }
        assert!(pictures("news-crop.seq") > 0, "photographs are");
    }

    /// What the reports say of a text that scrolls: all exact, late confirmations cost nothing, a thin link takes longer.
    #[test]
    fn a_recording_is_measured_and_verified() {
        let path = std::env::temp_dir().join(format!("telepane-codec-{}.seq", std::process::id()));
        let size = Size::new(320, 200);
        let mut writer = Writer::create(&path, size, 1).unwrap();
        let mut rng = telepane_model::Rng::new(5);
        let mut page = Pixels::new(Size::new(320, 600));
        for _ in 0..4000 {
            let (x, y) = (rng.below(320) as i32, rng.below(600) as i32);
            let v = rng.below(256) as u8;
            page.fill(Rect::new(x, y, 5, 2), [v, v / 2, 255 - v]);
        }
        for i in 0..8 {
            writer.frame(i * 33, &page.crop(Rect::new(0, i as i32 * 40, 320, 200))).unwrap();
        }
        writer.finish().unwrap();
        let played = |rate, rtt| replay(&options(rate, rtt), &path, "text".into()).unwrap();
        let (free, late, thin) = (played(None, 0), played(None, 100), played(Some(60_000), 0));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(free.jobs(), 7);
        assert_eq!(free.first_pass_share(), 1.0);
        assert_eq!(free.total(), late.total());
        assert!(free.moves() > 0 && free.total() > 0);
        // 250 bytes a tick do not hold a frame's text: the rest goes on in later jobs.
        assert!(thin.jobs() > 7 && thin.first_pass_share() < 1.0, "{} jobs", thin.jobs());
        assert_eq!(free.baselines().len(), 3);
        let all = [free, thin];
        let text = tables::markdown(&all, &options(None, 0), 0.0);
        assert!(text.contains("| text |") && text.contains("| all |") && tables::svg(&all).ends_with("</svg>\n"));
        assert!(tables::json(&all, &options(None, 0), 0.0)["sequences"][0]["total_bytes"].is_u64());
    }
}
