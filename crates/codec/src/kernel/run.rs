//! How far a run goes: in one colour, or in step with another row.

use std::cmp::min;

/// How many values at the start of `line` are `value`.
#[inline]
pub fn one_colour(line: &[u32], value: u32) -> usize {
    // Most runs are short: the call is worth it for long ones only.
    let (head, rest) = line.split_at(min(line.len(), 8));
    if let Some(end) = head.iter().position(|v| *v != value) {
        return end;
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function requires.
        return head.len() + unsafe { one_colour_avx2(rest, value) };
    }
    head.len() + one_colour_scalar(rest, value)
}

/// How many values at the start of `a` and `b` are the same; the shorter one ends the search.
#[inline]
pub fn in_step(a: &[u32], b: &[u32]) -> usize {
    let len = min(a.len(), b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let ((head, a), (head_b, b)) = (a.split_at(min(len, 4)), b.split_at(min(len, 4)));
    if let Some(end) = head.iter().zip(head_b).position(|(a, b)| a != b) {
        return end;
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function requires.
        return head.len() + unsafe { in_step_avx2(a, b) };
    }
    head.len() + in_step_scalar(a, b)
}

/// The reference for [`one_colour`].
fn one_colour_scalar(line: &[u32], value: u32) -> usize {
    line.iter().position(|v| *v != value).unwrap_or(line.len())
}

/// The reference for [`in_step`].
fn in_step_scalar(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(min(a.len(), b.len()))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn one_colour_avx2(line: &[u32], value: u32) -> usize {
    use std::arch::x86_64::*;
    let want = _mm256_set1_epi32(value as i32);
    let (chunks, rest) = line.as_chunks::<8>();
    for (i, chunk) in chunks.iter().enumerate() {
        // SAFETY: the array holds 32 bytes, and the load needs no alignment.
        let got = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
        let equal = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(got, want))) as u32;
        if equal != 0xff {
            return i * 8 + (!equal).trailing_zeros() as usize;
        }
    }
    chunks.len() * 8 + one_colour_scalar(rest, value)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn in_step_avx2(a: &[u32], b: &[u32]) -> usize {
    use std::arch::x86_64::*;
    let load = |chunk: &[u32; 8]| {
        // SAFETY: the array holds 32 bytes, and the load needs no alignment.
        unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) }
    };
    let ((a, a_end), (b, b_end)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let equal = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(load(a), load(b)))) as u32;
        if equal != 0xff {
            return i * 8 + (!equal).trailing_zeros() as usize;
        }
    }
    a.len().min(b.len()) * 8 + in_step_scalar(a_end, b_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simd_agrees_with_scalar_everywhere() {
        for len in 0..60usize {
            for value in [0, 0x00ff_ffff, u32::MAX] {
                let a = vec![value; len];
                assert_eq!((one_colour(&a, value), in_step(&a, &a)), (len, len));
                for at in 0..len {
                    let mut b = a.clone();
                    b[at] ^= 1 << (at % 32);
                    if at + 3 < len {
                        b[at + 3] ^= 1;
                    }
                    assert_eq!(one_colour(&b, value), one_colour_scalar(&b, value));
                    assert_eq!((one_colour(&b, value), in_step(&a, &b)), (at, at));
                    assert_eq!(in_step(&a[..at], &b), at);
                }
            }
        }
    }
}
