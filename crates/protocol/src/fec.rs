//! Forward error correction as arithmetic: parity pieces from data pieces, and missing data pieces from what came.
//!
//! A Cauchy code over GF(2^8) (polynomial 0x11d): parity piece *j* is the sum over the data pieces *i* of
//! `1 / ((8 + j) xor i)` times the piece, byte by byte. Every square part of a Cauchy matrix can be inverted, so any
//! `data` pieces of a slice are enough. At most eight of each kind exist, so the whole code is two tables of 256 bytes
//! and fits the specification; codes for thousands of shards bring megabytes of tables (`protocol-spec/decisions/`).

use crate::{Fault, MAX_DATA_SHARDS, MAX_SHARDS};

/// The length of all pieces but the last of a body of `total` bytes in `data` pieces; parity pieces have it too.
// spec: D-16
pub const fn piece_len(total: usize, data: usize) -> usize {
    if data == 0 { 0 } else { total.div_ceil(data) }
}

/// `parity` pieces for these data pieces, each as long as the first; shorter ones count as filled up with zeros.
// spec: D-32
pub fn parity(data: &[Vec<u8>], parity: usize) -> Vec<Vec<u8>> {
    let len = data.first().map_or(0, Vec::len);
    (0..parity)
        .map(|j| {
            let mut out = vec![0; len];
            for (i, piece) in data.iter().enumerate() {
                add_scaled(&mut out, piece, factor(j, i));
            }
            out
        })
        .collect()
}

/// The whole body of `total` bytes from `data` pieces and parity pieces, of which any may be missing. `None` while too
/// few are here.
///
/// # Errors
/// [`Fault::BadShard`] when a piece has not the length it must have.
// spec: D-16, D-32
pub fn body(shards: &[Option<Vec<u8>>], data: usize, total: usize) -> Result<Option<Vec<u8>>, Fault> {
    let parity = shards.len().checked_sub(data).ok_or(Fault::BadShard)?;
    if data == 0 || data > usize::from(MAX_DATA_SHARDS) || shards.len() > usize::from(MAX_SHARDS) {
        return Err(Fault::BadShard);
    }
    let len = piece_len(total, data);
    let last = total.checked_sub(len * (data - 1)).ok_or(Fault::BadShard)?;
    for (i, piece) in shards.iter().enumerate() {
        let right = if i + 1 == data { last } else { len };
        if piece.as_ref().is_some_and(|p| p.len() != right) {
            return Err(Fault::BadShard);
        }
    }
    let (own, spare) = shards.split_at(data);
    let missing: Vec<usize> = (0..data).filter(|i| own.get(*i).is_none_or(Option::is_none)).collect();
    let rows: Vec<usize> =
        (0..parity).filter(|j| spare.get(*j).is_some_and(Option::is_some)).take(missing.len()).collect();
    if rows.len() < missing.len() {
        return Ok(None);
    }
    // What the parity pieces say of the missing ones: each less what the present ones put in.
    let mut sums: Vec<Vec<u8>> = Vec::with_capacity(rows.len());
    let mut matrix: Vec<Vec<u8>> = Vec::with_capacity(rows.len());
    for j in &rows {
        let mut sum = spare.get(*j).cloned().flatten().unwrap_or_default();
        for (i, piece) in own.iter().enumerate() {
            if let Some(piece) = piece {
                add_scaled(&mut sum, piece, factor(*j, i));
            }
        }
        sums.push(sum);
        matrix.push(missing.iter().map(|i| factor(*j, *i)).collect());
    }
    if !solve(&mut matrix, &mut sums) {
        return Err(Fault::BadShard);
    }
    let mut body = Vec::with_capacity(total);
    let mut solved = sums.into_iter();
    for piece in own {
        match piece {
            Some(piece) => body.extend_from_slice(piece),
            None => body.extend(solved.next().unwrap_or_default()),
        }
    }
    // A last piece that was missing came back with the zeros it was filled up with.
    body.truncate(total);
    Ok(Some(body))
}

/// Gauss and Jordan over the field; false if the matrix has no inverse, which a part of a Cauchy matrix has.
fn solve(matrix: &mut [Vec<u8>], sums: &mut [Vec<u8>]) -> bool {
    for column in 0..matrix.len() {
        let at = |m: &[Vec<u8>], row: usize| m.get(row).and_then(|r| r.get(column)).copied().unwrap_or(0);
        let Some(pivot) = (column..matrix.len()).find(|row| at(matrix, *row) != 0) else { return false };
        matrix.swap(column, pivot);
        sums.swap(column, pivot);
        let inverse = invert(at(matrix, column));
        if let (Some(row), Some(sum)) = (matrix.get_mut(column), sums.get_mut(column)) {
            row.iter_mut().for_each(|v| *v = multiply(*v, inverse));
            sum.iter_mut().for_each(|v| *v = multiply(*v, inverse));
        }
        for other in 0..matrix.len() {
            let by = at(matrix, other);
            if other == column || by == 0 {
                continue;
            }
            let (row, sum) =
                (matrix.get(column).cloned().unwrap_or_default(), sums.get(column).cloned().unwrap_or_default());
            if let (Some(r), Some(s)) = (matrix.get_mut(other), sums.get_mut(other)) {
                add_scaled(r, &row, by);
                add_scaled(s, &sum, by);
            }
        }
    }
    true
}

fn add_scaled(to: &mut [u8], from: &[u8], by: u8) {
    for (to, from) in to.iter_mut().zip(from) {
        *to ^= multiply(*from, by);
    }
}

/// What data piece `i` counts for in parity piece `j`.
fn factor(j: usize, i: usize) -> u8 {
    invert((8 + j) as u8 ^ i as u8)
}

fn multiply(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    let sum = usize::from(at(&TABLES.log, usize::from(a))) + usize::from(at(&TABLES.log, usize::from(b)));
    at(&TABLES.exp, sum % 255)
}

fn invert(a: u8) -> u8 {
    if a == 0 { 0 } else { at(&TABLES.exp, (255 - usize::from(at(&TABLES.log, usize::from(a)))) % 255) }
}

fn at(table: &[u8; 256], i: usize) -> u8 {
    table.get(i).copied().unwrap_or(0)
}

struct Tables {
    exp: [u8; 256],
    log: [u8; 256],
}

/// Powers of 2 and their exponents; 2 generates the field of this polynomial.
static TABLES: Tables = tables();

#[expect(clippy::indexing_slicing, reason = "evaluated when compiled; a wrong index would not compile")]
const fn tables() -> Tables {
    let mut t = Tables { exp: [0; 256], log: [0; 256] };
    let (mut value, mut i) = (1u16, 0usize);
    while i < 255 {
        t.exp[i] = value as u8;
        t.log[value as usize] = i as u8;
        value <<= 1;
        if value & 0x100 != 0 {
            value ^= 0x11d;
        }
        i += 1;
    }
    t
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Rng;

    fn cut(body: &[u8], data: usize) -> Vec<Vec<u8>> {
        body.chunks(piece_len(body.len(), data).max(1)).map(<[u8]>::to_vec).collect()
    }

    /// The product by definition: shift, add, reduce.
    fn slowly(a: u8, b: u8) -> u8 {
        let mut sum = 0u16;
        for bit in 0..8 {
            if b >> bit & 1 == 1 {
                sum ^= u16::from(a) << bit;
            }
        }
        (8..16).rev().fold(sum, |s, bit| if s >> bit & 1 == 1 { s ^ 0x11d << (bit - 8) } else { s }) as u8
    }

    #[test]
    fn products_and_inverses_are_the_fields() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                assert_eq!(multiply(a, b), slowly(a, b), "{a} {b}");
            }
            assert_eq!(multiply(a, invert(a)), u8::from(a != 0));
        }
    }

    // spec: D-32
    #[test]
    fn any_pieces_that_are_enough_give_the_body_back() {
        let mut rng = Rng::new(3);
        for round in 0..400 {
            let data = 1 + round % 8;
            let total = data * (1 + rng.below(60) as usize) - rng.below(data as u64).min(data as u64 - 1) as usize;
            let body_in: Vec<u8> = (0..total).map(|_| rng.next_u64() as u8).collect();
            let pieces = cut(&body_in, data);
            if pieces.len() != data {
                continue;
            }
            let spare = 1 + rng.below(8) as usize;
            let mut shards: Vec<Option<Vec<u8>>> = pieces.iter().cloned().map(Some).collect();
            shards.extend(parity(&pieces, spare).into_iter().map(Some));
            let mut left = shards.len();
            while left > data {
                let at = rng.below(shards.len() as u64) as usize;
                left -= usize::from(shards[at].take().is_some());
            }
            assert_eq!(body(&shards, data, total), Ok(Some(body_in)), "{data} {spare} {total}");
            if let Some(at) = shards.iter().position(Option::is_some) {
                shards[at] = None;
                assert_eq!(body(&shards, data, total), Ok(None));
            }
        }
    }

    // spec: D-32, F-1
    #[test]
    fn pieces_of_a_wrong_length_are_refused() {
        let good = vec![Some(vec![1; 4]), Some(vec![2; 3]), Some(vec![3; 4])];
        assert!(matches!(body(&good, 2, 7), Ok(Some(_))));
        for (at, len) in [(0, 3), (1, 4), (2, 5), (2, 0)] {
            let mut bad = good.clone();
            bad[at] = Some(vec![9; len]);
            assert_eq!(body(&bad, 2, 7), Err(Fault::BadShard), "{at} {len}");
        }
        assert_eq!(body(&good, 2, usize::MAX), Err(Fault::BadShard));
        assert_eq!(body(&good, 0, 7), Err(Fault::BadShard));
        assert_eq!(body(&good, 4, 7), Err(Fault::BadShard));
        assert_eq!(body(&vec![None; 17], 8, 7), Err(Fault::BadShard));
        // Pieces whose length leaves the last one less than nothing.
        assert_eq!(body(&vec![None; 9], 8, 9), Err(Fault::BadShard));
    }
}
