//! Bounded reading and writing of the wire's primitive fields.
//!
//! Integers are little endian; `varint` is QUIC's variable-length integer (RFC 9000 §16): the two top bits of the
//! first byte say 1, 2, 4 or 8 bytes, most significant first.

use crate::fault::Fault;

/// The largest value a varint holds.
pub const MAX_VARINT: u64 = (1 << 62) - 1;

/// Reads fields from the front of a slice.
// spec: D-1
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What has not been read.
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Whether everything has been read.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(Fault::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[b]| b)
    }

    /// Two bytes, little endian.
    pub fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, little endian.
    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    /// A varint.
    // spec: D-2
    pub fn varint(&mut self) -> Result<u64, Fault> {
        let first = *self.0.first().ok_or(Fault::Truncated)?;
        let len = 1usize << (first >> 6);
        let bytes = self.bytes(len)?;
        let mut value = u64::from(first & 0x3f);
        for b in bytes.iter().skip(1) {
            value = value << 8 | u64::from(*b);
        }
        Ok(value)
    }

    /// A varint that must fit `T`.
    pub fn var<T: TryFrom<u64>>(&mut self) -> Result<T, Fault> {
        T::try_from(self.varint()?).map_err(|_| Fault::NumberTooLarge)
    }

    /// A varint in zigzag form that must fit an `i32`.
    // spec: D-3
    pub fn signed(&mut self) -> Result<i32, Fault> {
        Ok(unzigzag(self.var()?))
    }

    /// A count that may be at most `most`.
    // spec: D-4, F-1
    pub fn count(&mut self, most: usize) -> Result<usize, Fault> {
        let n: usize = self.var()?;
        if n > most { Err(Fault::ListTooLong) } else { Ok(n) }
    }

    /// Text with a varint length of at most `most` bytes.
    // spec: D-4
    pub fn text(&mut self, most: usize) -> Result<&'a str, Fault> {
        let n: usize = self.var()?;
        if n > most {
            return Err(Fault::TextTooLong);
        }
        core::str::from_utf8(self.bytes(n)?).map_err(|_| Fault::TextNotUtf8)
    }
}

/// Zigzag form: small numbers of either sign are small ones.
// spec: D-3
pub(crate) const fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

/// What [`zigzag`] was made of.
pub(crate) const fn unzigzag(z: u32) -> i32 {
    (z >> 1).cast_signed() ^ -(z & 1).cast_signed()
}

/// Writes fields to the end of a buffer.
pub trait Put {
    /// A varint; values past [`MAX_VARINT`] are cut to it.
    fn varint(&mut self, value: u64);
    /// An `i32` in zigzag form.
    fn signed(&mut self, value: i32);
    /// Text with its length; cut at a character boundary to `most` bytes.
    fn text(&mut self, text: &str, most: usize);
}

impl Put for Vec<u8> {
    fn varint(&mut self, value: u64) {
        let v = value.min(MAX_VARINT);
        match v {
            0..=0x3f => self.push(v as u8),
            0x40..=0x3fff => self.extend_from_slice(&((v as u16) | 0x4000).to_be_bytes()),
            0x4000..=0x3fff_ffff => self.extend_from_slice(&((v as u32) | 0x8000_0000).to_be_bytes()),
            _ => self.extend_from_slice(&(v | 0xc000_0000_0000_0000).to_be_bytes()),
        }
    }

    fn signed(&mut self, value: i32) {
        self.varint(u64::from(zigzag(value)));
    }

    fn text(&mut self, text: &str, most: usize) {
        let mut end = text.len().min(most);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.varint(end as u64);
        self.extend_from_slice(&text.as_bytes()[..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // spec: D-2
    #[test]
    fn varints_as_in_rfc_9000() {
        // The examples of RFC 9000 appendix A.1.
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(Reader::new(bytes).varint(), Ok(value));
        }
    }

    proptest! {
        // spec: D-2, D-3
        #[test]
        fn numbers_round_trip(v in 0..=MAX_VARINT, s in any::<i32>()) {
            let mut out = Vec::new();
            out.varint(v);
            out.signed(s);
            let mut r = Reader::new(&out);
            prop_assert_eq!(r.varint(), Ok(v));
            prop_assert_eq!(r.signed(), Ok(s));
            prop_assert!(r.is_empty());
        }
    }
}
