//! One row of film back to BGRX, exact in every bit (`protocol-spec/codec.md` C-69).
//!
//! The products fit 16 by 16 bits, so `pmaddwd` gives them whole; saturating packs limit to 0..255 like the reference.

/// 1.5748, 0.187324, 0.468124 and 1.8556 (ITU-R BT.709-6) in 1/16384.
// spec: C-69
const R_V: i32 = 25_802;
const G_U: i32 = 3_069;
const G_V: i32 = 7_670;
const B_U: i32 = 30_402;
const HALF: i32 = 1 << 13;

/// Writes a row of BGRX pixels from a row of luma and the row of chroma beside it, of which each sample serves two
/// pixels. The shortest of the four ends the row.
// spec: C-69
pub fn to_bgrx(luma: &[u8], blue: &[u8], red: &[u8], out: &mut [u8]) {
    let n = luma.len().min(out.len() / 4).min(blue.len().min(red.len()) * 2);
    let (luma, out) = (&luma[..n], &mut out[..n * 4]);
    let (blue, red) = (&blue[..n.div_ceil(2)], &red[..n.div_ceil(2)]);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function requires.
        return unsafe { to_bgrx_avx2(luma, blue, red, out) };
    }
    to_bgrx_scalar(luma, blue, red, out);
}

/// The reference for [`to_bgrx`].
fn to_bgrx_scalar(luma: &[u8], blue: &[u8], red: &[u8], out: &mut [u8]) {
    let pairs = out.chunks_mut(8).zip(luma.chunks(2)).zip(blue.iter().zip(red));
    for ((px, luma), (u, v)) in pairs {
        let (u, v) = (i32::from(*u) - 128, i32::from(*v) - 128);
        let add = [B_U * u + HALF, HALF - G_U * u - G_V * v, R_V * v + HALF];
        for (px, luma) in px.chunks_exact_mut(4).zip(luma) {
            let y = i32::from(*luma) << 14;
            let value = |add: i32| ((y + add) >> 14).clamp(0, 255) as u8;
            px.copy_from_slice(&[value(add[0]), value(add[1]), value(add[2]), 0]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn to_bgrx_avx2(luma: &[u8], blue: &[u8], red: &[u8], out: &mut [u8]) {
    use std::arch::x86_64::*;
    // Two 16-bit factors for pmaddwd, the even one below.
    let pair = |even: i32, odd: i32| _mm256_set1_epi32((odd << 16) | (even & 0xffff));
    let (to_b, to_g, to_r) = (pair(1 << 14, B_U), pair(-G_U, -G_V), pair(1 << 14, R_V));
    let half = _mm256_set1_epi32(HALF);
    let (middle, zero, most) = (_mm256_set1_epi16(128), _mm256_setzero_si256(), _mm256_set1_epi16(255));
    let limit = |v| _mm256_min_epi16(_mm256_max_epi16(v, zero), most);
    // Both halves of 16 sums to 16 bits; unpack and pack keep the same order within each half register.
    let down = |lo, hi| {
        let (lo, hi) = (_mm256_add_epi32(lo, half), _mm256_add_epi32(hi, half));
        limit(_mm256_packs_epi32(_mm256_srai_epi32::<14>(lo), _mm256_srai_epi32::<14>(hi)))
    };
    let twice = |chroma: &[u8; 8]| {
        // SAFETY: the array holds the 8 bytes that are read.
        let c = unsafe { _mm_loadl_epi64(chroma.as_ptr().cast()) };
        _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(c, c)), middle)
    };
    let done = luma.len() / 16;
    let lines = luma.as_chunks::<16>().0.iter().zip(out.as_chunks_mut::<64>().0);
    for ((y, px), (u, v)) in lines.zip(blue.as_chunks::<8>().0.iter().zip(red.as_chunks::<8>().0)) {
        // SAFETY: the array holds the 16 bytes that are read.
        let y = _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(y.as_ptr().cast()) });
        let (u, v) = (twice(u), twice(v));
        let with = |chroma, by| {
            let lo = _mm256_madd_epi16(_mm256_unpacklo_epi16(y, chroma), by);
            down(lo, _mm256_madd_epi16(_mm256_unpackhi_epi16(y, chroma), by))
        };
        let b = with(u, to_b);
        let r = with(v, to_r);
        let luma_lo = _mm256_slli_epi32::<14>(_mm256_unpacklo_epi16(y, zero));
        let luma_hi = _mm256_slli_epi32::<14>(_mm256_unpackhi_epi16(y, zero));
        let g = down(
            _mm256_add_epi32(luma_lo, _mm256_madd_epi16(_mm256_unpacklo_epi16(u, v), to_g)),
            _mm256_add_epi32(luma_hi, _mm256_madd_epi16(_mm256_unpackhi_epi16(u, v), to_g)),
        );
        let bg = _mm256_or_si256(b, _mm256_slli_epi16::<8>(g));
        let (lo, hi) = (_mm256_unpacklo_epi16(bg, r), _mm256_unpackhi_epi16(bg, r));
        let (first, second) = px.split_at_mut(32);
        // SAFETY: both halves hold the 32 bytes that are written.
        unsafe {
            _mm256_storeu_si256(first.as_mut_ptr().cast(), _mm256_permute2x128_si256::<0x20>(lo, hi));
            _mm256_storeu_si256(second.as_mut_ptr().cast(), _mm256_permute2x128_si256::<0x31>(lo, hi));
        }
    }
    to_bgrx_scalar(&luma[done * 16..], &blue[done * 8..], &red[done * 8..], &mut out[done * 64..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    // spec: C-69
    #[test]
    fn simd_agrees_with_scalar_for_every_sample_and_length() {
        // Every pair of chroma samples with extreme and random luma.
        let mut rng = Rng::new(4);
        for u in 0..=255u8 {
            let luma: Vec<u8> = (0..512).map(|i| [0, 255, rng.next_u64() as u8][i % 3]).collect();
            let (blue, red) = (vec![u; 256], (0..=255).collect::<Vec<u8>>());
            let (mut got, mut want) = (vec![9; 2048], vec![9; 2048]);
            to_bgrx(&luma, &blue, &red, &mut got);
            to_bgrx_scalar(&luma, &blue, &red, &mut want);
            assert!(got == want, "{u}");
        }
        for n in 0..70usize {
            let row: Vec<u8> = (0..n).map(|_| rng.next_u64() as u8).collect();
            let (mut got, mut want) = (vec![9; n * 4], vec![9; n * 4]);
            to_bgrx(&row, &row[..n.div_ceil(2)], &row[n / 2..], &mut got);
            to_bgrx_scalar(&row, &row[..n.div_ceil(2)], &row[n / 2..], &mut want);
            assert_eq!(got, want);
            // Rows that are too short end it.
            to_bgrx(&row, &row[..n / 3], &row, &mut got);
        }
    }
}
