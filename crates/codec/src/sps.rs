//! Looks at an H.264 frame before openh264 does: only the kinds of NAL unit that our encoder makes, and parameter sets
//! that describe exactly the picture the op announced. openh264 allocates by these numbers.
//!
//! Syntax: ITU-T H.264 §7.3.1 and §7.3.2.1; constrained baseline has no chroma format in its sequence parameter set.

use crate::fault::CodecFault;

/// The most reference pictures a stream may ask for.
// spec: C-68
const REFERENCES: u32 = 4;
const BASELINE: u8 = 66;

/// Checks a frame in Annex B form whose picture must be `w` by `h` (even). A key frame carries a sequence parameter
/// set.
// spec: C-66 C-67 C-68
pub fn check(frame: &[u8], w: u32, h: u32, key: bool) -> Result<(), CodecFault> {
    let mut sets = 0;
    let mut pictures = 0;
    let mut units = 0;
    for nal in units_of(frame)? {
        units += 1;
        match nal.first().map(|b| b & 0x9f) {
            Some(7) => {
                check_sps(nal, w, h)?;
                sets += 1;
            }
            // Picture parameter set.
            Some(8) => {}
            // Coded slice of a key picture, or of another.
            Some(5) => pictures += 1,
            Some(1) if !key => pictures += 1,
            _ => return Err(CodecFault::FilmStream),
        }
    }
    // One slice a picture; a key frame's parameter sets stand before it.
    if pictures != 1 || units > 8 || (key && sets == 0) {
        return Err(CodecFault::FilmStream);
    }
    Ok(())
}

/// The NAL units between start codes.
fn units_of(frame: &[u8]) -> Result<impl Iterator<Item = &[u8]>, CodecFault> {
    if !frame.starts_with(&[0, 0, 1]) && !frame.starts_with(&[0, 0, 0, 1]) {
        return Err(CodecFault::FilmStream);
    }
    let mut rest = frame;
    let next = |from: &[u8]| from.windows(3).position(|w| w == [0, 0, 1]);
    Ok(core::iter::from_fn(move || {
        let start = next(rest)? + 3;
        let body = rest.get(start..)?;
        let end = next(body).unwrap_or(body.len());
        rest = body.get(end..)?;
        body.get(..end)
    }))
}

fn check_sps(nal: &[u8], w: u32, h: u32) -> Result<(), CodecFault> {
    // What is read stands in the first bytes; picture order counts of type 1 could make it long and are not used.
    let mut bytes = Vec::with_capacity(64);
    for b in nal.iter().skip(1).take(64) {
        if *b == 3 && bytes.ends_with(&[0, 0]) {
            continue;
        }
        bytes.push(*b);
    }
    let mut bits = Bits { bytes: &bytes, at: 0 };
    let fault = CodecFault::FilmStream;
    let profile = bits.read(8).ok_or(fault)? as u8;
    let constraints = bits.read(8).ok_or(fault)?;
    bits.read(8).ok_or(fault)?;
    if profile != BASELINE || constraints & 0x40 == 0 {
        return Err(fault);
    }
    bits.golomb().ok_or(fault)?;
    bits.golomb().ok_or(fault)?;
    match bits.golomb().ok_or(fault)? {
        0 => drop(bits.golomb().ok_or(fault)?),
        2 => {}
        _ => return Err(fault),
    }
    let references = bits.golomb().ok_or(fault)?;
    bits.read(1).ok_or(fault)?;
    let (cols, rows) = (bits.golomb().ok_or(fault)?, bits.golomb().ok_or(fault)?);
    let frames_only = bits.read(1).ok_or(fault)?;
    bits.read(1).ok_or(fault)?;
    let mut crop = [0u32; 4];
    if bits.read(1).ok_or(fault)? == 1 {
        for side in &mut crop {
            *side = bits.golomb().ok_or(fault)?;
        }
    }
    if frames_only != 1 || references > REFERENCES {
        return Err(fault);
    }
    let side = |blocks: u32, a: u32, b: u32| {
        let whole = u64::from(blocks) * 16 + 16;
        whole.checked_sub(2 * (u64::from(a) + u64::from(b)))
    };
    let tight = cols + 1 == w.div_ceil(16) && rows + 1 == h.div_ceil(16);
    let [left, right, top, bottom] = crop;
    if tight && side(cols, left, right) == Some(w.into()) && side(rows, top, bottom) == Some(h.into()) {
        Ok(())
    } else {
        Err(CodecFault::FilmSize)
    }
}

/// Bits, most significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, n: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..n {
            let bit = self.bytes.get(self.at / 8)? >> (7 - self.at % 8) & 1;
            value = value << 1 | u32::from(bit);
            self.at += 1;
        }
        Some(value)
    }

    /// An unsigned Exp-Golomb number under 65536.
    fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > 15 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.read(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::{H264Encoder, I420};
    use telepane_model::Rng;

    fn key_frame(w: u32, h: u32) -> Vec<u8> {
        let mut picture = I420::default();
        picture.resize(w, h);
        let mut out = Vec::new();
        assert!(H264Encoder::new(w, h, 500_000, 30.0, (12, 51)).unwrap().encode(&mut picture, true, &mut out));
        out
    }

    // spec: C-66 C-67
    #[test]
    fn our_own_frames_pass_and_other_sizes_do_not() {
        for (w, h) in [(64, 64), (130, 66), (640, 272), (16, 16), (1922, 1080)] {
            let frame = key_frame(w, h);
            assert_eq!(check(&frame, w, h, true), Ok(()));
            assert_eq!(check(&frame, w + 2, h, true), Err(CodecFault::FilmSize));
            assert_eq!(check(&frame, w, h + 16, true), Err(CodecFault::FilmSize));
        }
    }

    // spec: C-67 C-68
    #[test]
    fn other_units_and_profiles_are_refused() {
        let mut frame = key_frame(64, 64);
        assert_eq!(check(&frame[..0], 64, 64, true), Err(CodecFault::FilmStream));
        assert_eq!(check(&frame[1..8], 64, 64, true), Err(CodecFault::FilmStream));
        let profile = frame.windows(3).position(|w| w == [0, 0, 1]).unwrap() + 4;
        frame[profile] = 100;
        assert_eq!(check(&frame, 64, 64, true), Err(CodecFault::FilmStream));
        frame[profile] = 66;
        frame[profile - 1] = 0x6f;
        assert_eq!(check(&frame, 64, 64, true), Err(CodecFault::FilmStream));
    }

    /// Parameters for a surface of 64x64 but for what is said.
    fn parameters(references: u32, cols: u32, rows: u32) -> Vec<u8> {
        let golomb = |value: u32| {
            let plus = format!("{:b}", value + 1);
            "0".repeat(plus.len() - 1) + &plus
        };
        // Baseline, constrained, level 3; no gaps in frame numbers; whole frames, nothing cropped; the end.
        let mut bits = "010000101100000000011110".to_owned();
        bits.extend([0, 0, 2, references].map(golomb));
        bits += "0";
        bits.extend([cols - 1, rows - 1].map(golomb));
        bits += "11001";
        bits += &"0".repeat(bits.len().next_multiple_of(8) - bits.len());
        let bytes = (0..bits.len()).step_by(8).map(|at| u8::from_str_radix(&bits[at..at + 8], 2).unwrap());
        std::iter::once(0x67).chain(bytes).collect()
    }

    // spec: C-67
    #[test]
    fn giant_counts_and_sizes_are_refused_before_the_decoder_sees_them() {
        assert_eq!(check_sps(&parameters(1, 4, 4), 64, 64), Ok(()));
        for references in [REFERENCES + 1, 16, 17, 65_000] {
            assert_eq!(check_sps(&parameters(references, 4, 4), 64, 64), Err(CodecFault::FilmStream), "{references}");
        }
        for (cols, rows) in [(5, 4), (4, 5), (1_024, 1_024), (65_000, 65_000), (4, 65_000)] {
            assert_eq!(check_sps(&parameters(1, cols, rows), 64, 64), Err(CodecFault::FilmSize), "{cols}x{rows}");
        }
    }

    #[test]
    fn mutations_never_panic() {
        let frame = key_frame(64, 64);
        let mut rng = Rng::new(1);
        for _ in 0..3000 {
            let mut f = frame.clone();
            let at = rng.below(f.len() as u64) as usize;
            f[at] = rng.next_u64() as u8;
            f.truncate(rng.below(40) as usize + 1);
            let _ = check(&f, 64, 64, true);
        }
    }
}
