//! zstd with small bounds: one frame, without its magic number, into exactly as many bytes as are expected.
//!
//! The magic number's four bytes say nothing here, and a typed glyph feels them. The frame's header is checked before
//! the decoder sees it: no dictionary, no checksum, a window of at most 128 KiB (`protocol-spec/codec.md` C-46).

use crate::fault::CodecFault;
use crate::wire::limits;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{self, CParameter};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Packs bodies.
pub struct Packer {
    zstd: Option<Compressor<'static>>,
}

impl Packer {
    /// At this level. None of it is fatal: without zstd bodies are stored.
    pub fn new(level: i32) -> Self {
        let make = || -> std::io::Result<Compressor<'static>> {
            let mut zstd = Compressor::new(level)?;
            zstd.set_parameter(CParameter::WindowLog(limits::ZSTD_WINDOW_LOG))?;
            zstd.set_parameter(CParameter::ChecksumFlag(false))?;
            zstd.set_parameter(CParameter::DictIdFlag(false))?;
            Ok(zstd)
        };
        Self { zstd: make().ok() }
    }

    /// Packs `body` into `out`, replacing what was there; false if that gives no gain.
    // spec: C-46
    pub fn pack(&mut self, body: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        let Some(zstd) = &mut self.zstd else { return false };
        out.reserve(zstd_safe::compress_bound(body.len()));
        if zstd.compress_to_buffer(body, out).is_err() || !out.starts_with(&MAGIC) {
            return false;
        }
        out.drain(..MAGIC.len());
        out.len() < body.len()
    }
}

/// Unpacks bodies.
#[derive(Default)]
pub struct Unpacker {
    zstd: Decompressor<'static>,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Unpacker {
    /// Unpacks a body that must give exactly `len` bytes. `len` comes from checked rectangles, never from the wire
    /// alone.
    // spec: C-46
    pub fn unpack(&mut self, packed: &[u8], len: usize) -> Result<&[u8], CodecFault> {
        check_header(packed)?;
        self.input.clear();
        self.input.extend_from_slice(&MAGIC);
        self.input.extend_from_slice(packed);
        match zstd_safe::find_frame_compressed_size(&self.input) {
            Ok(n) if n == self.input.len() => {}
            _ => return Err(CodecFault::ZstdFrame),
        }
        if self.output.len() < len {
            self.output.resize(len, 0);
        }
        let out = self.output.get_mut(..len).ok_or(CodecFault::ZstdSize)?;
        match self.zstd.decompress_to_buffer(&self.input, out) {
            Ok(n) if n == len => Ok(&self.output[..len]),
            Ok(_) => Err(CodecFault::ZstdSize),
            Err(_) => Err(CodecFault::ZstdFrame),
        }
    }
}

/// Checks a frame header (RFC 8878 §3.1.1.1) that follows where the magic number would stand.
fn check_header(frame: &[u8]) -> Result<(), CodecFault> {
    let descriptor = *frame.first().ok_or(CodecFault::ZstdFrame)?;
    let single_segment = descriptor & 0x20 != 0;
    // Reserved bit, checksum and dictionary id.
    if descriptor & 0b0000_1111 != 0 {
        return Err(CodecFault::ZstdFrame);
    }
    let window = if single_segment {
        let field = match descriptor >> 6 {
            0 => frame.get(1..2),
            1 => frame.get(1..3),
            2 => frame.get(1..5),
            _ => frame.get(1..9),
        };
        let field = field.ok_or(CodecFault::ZstdFrame)?;
        let size = field.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
        if field.len() == 2 { size + 256 } else { size }
    } else {
        let window = *frame.get(1).ok_or(CodecFault::ZstdFrame)?;
        let base = 1u64 << (10 + (window >> 3));
        base + base / 8 * u64::from(window & 7)
    };
    if window > 1 << limits::ZSTD_WINDOW_LOG {
        return Err(CodecFault::ZstdWindow);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    #[test]
    fn bodies_of_every_size_survive_and_wrong_sizes_do_not() {
        let mut unpacker = Unpacker::default();
        let mut out = Vec::new();
        for len in [40, 255, 256, 257, 65_791, 65_792, 131_072, 131_073, 900_000] {
            let body: Vec<u8> = (0..len).map(|i| (i / 7) as u8).collect();
            for level in [1, 3, -3] {
                assert!(Packer::new(level).pack(&body, &mut out), "{len}");
                assert_eq!(unpacker.unpack(&out, len), Ok(&body[..]));
            }
            assert!(unpacker.unpack(&out, len - 1).is_err());
            assert_eq!(unpacker.unpack(&out, len + 1), Err(CodecFault::ZstdSize));
            out.push(0);
            assert_eq!(unpacker.unpack(&out, len), Err(CodecFault::ZstdFrame));
        }
    }

    // spec: C-46
    #[test]
    fn large_windows_checksums_and_dictionaries_are_refused() {
        let body = vec![7u8; 400_000];
        let mut zstd = Compressor::new(1).unwrap();
        let frame = zstd.compress(&body).unwrap();
        assert_eq!(Unpacker::default().unpack(&frame[4..], body.len()), Err(CodecFault::ZstdWindow));
        zstd.set_parameter(CParameter::WindowLog(17)).unwrap();
        zstd.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
        let frame = zstd.compress(&body).unwrap();
        assert_eq!(Unpacker::default().unpack(&frame[4..], body.len()), Err(CodecFault::ZstdFrame));
        assert_eq!(Unpacker::default().unpack(&[], 0), Err(CodecFault::ZstdFrame));
    }

    #[test]
    fn garbage_is_refused_without_a_panic() {
        let mut rng = Rng::new(2);
        let mut unpacker = Unpacker::default();
        for _ in 0..3000 {
            let garbage: Vec<u8> = (0..rng.below(60)).map(|_| rng.next_u64() as u8).collect();
            let _ = unpacker.unpack(&garbage, rng.below(500) as usize);
        }
    }
}
