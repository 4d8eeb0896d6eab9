//! Other ways to code the same frames, in the same run: what the figures of this machine can be held against.
//!
//! *tight*: tiles of 64 px as in VNC's Tight, colours by palette and zlib (one stream, level 1) where there are at most
//! 255, else JPEG of quality 80. *zstd*: the tiles' colours by zstd, level 1. *h264*: the whole frame through openh264 as
//! a video tool would. Tiles hold only the box of what differs.

use super::play::squares;
use crate::clock::cpu_ms;
use crate::summary::Samples;
use flate2::{Compress, Compression, FlushCompress};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use telepane_codec::colour::{to_bgrx, to_i420};
use telepane_codec::diff::boxes;
use telepane_codec::h264::{H264Decoder, H264Encoder, I420};
use telepane_model::{Pixels, Rect, Size, Surf};

/// One other way's figures; the first frame is not in them.
#[derive(Debug, Default)]
pub struct Baseline {
    /// Its name.
    pub name: &'static str,
    /// Bytes of each frame.
    pub bytes: Samples,
    /// CPU of each frame in milliseconds.
    pub encode: Samples,
    /// Luma over all frames, where it is lossy.
    pub db: Option<f64>,
}

/// All of them at work.
pub struct Baselines {
    zlib: Compress,
    film: Option<(H264Encoder, H264Decoder)>,
    picture: I420,
    padded: Vec<u8>,
    shown: Pixels,
    squares: f64,
    area: u64,
    all: [Baseline; 3],
}

impl Baselines {
    /// Before the first frame; H.264 gets `rate` bits a second, or 20 Mbit/s.
    pub fn new(size: Size<Surf>, rate: Option<u64>) -> Self {
        let even = size.w.is_multiple_of(2) && size.h.is_multiple_of(2);
        let film = H264Encoder::new(size.w, size.h, rate.unwrap_or(20_000_000), 30.0, (1, 51)).zip(H264Decoder::new());
        Self {
            zlib: Compress::new(Compression::new(1), true),
            film: film.filter(|_| even),
            picture: I420::default(),
            padded: Vec::new(),
            shown: Pixels::new(size),
            squares: 0.0,
            area: 0,
            all: ["tight", "zstd", "h264"].map(|name| Baseline { name, ..Baseline::default() }),
        }
    }

    /// The next frame after `before`.
    pub fn frame(&mut self, before: &Pixels, now: &Pixels, first: bool) {
        let mut tiles = Vec::new();
        boxes(before, now, now.size().rect(), |_, r| tiles.push(r));
        let start = cpu_ms();
        let tight: usize = tiles.iter().map(|r| self.tight(now, *r)).sum();
        let middle = cpu_ms();
        let packed: usize =
            tiles.iter().map(|r| zstd::bulk::compress(&colours(now, *r), 1).map_or(0, |p| p.len())).sum();
        let end = cpu_ms();
        let film = self.film(now, first);
        let figures = [(tight, middle - start), (packed, end - middle), (film, cpu_ms() - end)];
        if first {
            (self.squares, self.area) = (0.0, 0);
            return;
        }
        for (of, (bytes, ms)) in self.all.iter_mut().zip(figures) {
            of.bytes.0.push(bytes as f64);
            of.encode.0.push(ms);
        }
        // Outside the CPU figure: what a viewer would see.
        self.squares += squares(&self.shown, now, now.size().rect());
        self.area += now.size().area();
    }

    /// The figures.
    pub fn finish(mut self) -> Vec<Baseline> {
        if self.film.is_some() && self.area > 0 {
            self.all[2].db = Some(10.0 * (255.0 * 255.0 / (self.squares / self.area as f64).max(1e-9)).log10());
        }
        let film = self.film.is_some();
        self.all.into_iter().filter(|b| film || b.name != "h264").collect()
    }

    fn tight(&mut self, now: &Pixels, rect: Rect<Surf>) -> usize {
        let rgb = colours(now, rect);
        let (mut palette, mut indices): (Vec<&[u8]>, Vec<u8>) = (Vec::new(), Vec::with_capacity(rgb.len() / 3));
        for px in rgb.chunks_exact(3) {
            let at = palette.iter().rposition(|p| *p == px).unwrap_or_else(|| {
                palette.push(px);
                palette.len() - 1
            });
            indices.push(at as u8);
            if palette.len() > 255 {
                let mut out = Vec::new();
                let done =
                    JpegEncoder::new_with_quality(&mut out, 80).encode(&rgb, rect.w, rect.h, ExtendedColorType::Rgb8);
                return done.map_or(0, |()| out.len() + 12);
            }
        }
        let mut out = Vec::with_capacity(indices.len() + 128);
        let done = self.zlib.compress_vec(&indices, &mut out, FlushCompress::Sync);
        // 12 bytes of rectangle header, then the palette.
        done.map_or(0, |_| out.len() + 12 + palette.len() * 3)
    }

    fn film(&mut self, now: &Pixels, first: bool) -> usize {
        let Some((encoder, decoder)) = &mut self.film else { return 0 };
        let (rect, mut data) = (now.size().rect(), Vec::new());
        to_i420(now, rect, &mut self.padded, &mut self.picture);
        encoder.encode(&mut self.picture, first, &mut data);
        if let Some(picture) = decoder.decode(&data) {
            to_bgrx(&picture, rect, &mut self.shown);
        }
        data.len()
    }
}

/// Red, green and blue of each pixel.
fn colours(pixels: &Pixels, rect: Rect<Surf>) -> Vec<u8> {
    pixels.rows(rect).flat_map(|row| row.chunks_exact(4)).flat_map(|px| [px[2], px[1], px[0]]).collect()
}
