//! Amounts of data and rates of data, with their units in the type.

use crate::time::Span;
use core::fmt;
use core::ops::{Add, AddAssign};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `self - other`, or zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// A rate in bits per second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BitRate(u64);

impl BitRate {
    /// Nothing flows.
    pub const ZERO: Self = Self(0);

    /// `n` bits per second.
    pub const fn bps(n: u64) -> Self {
        Self(n)
    }

    /// `n` kilobits per second.
    pub const fn kbps(n: u64) -> Self {
        Self(n.saturating_mul(1_000))
    }

    /// `n` megabits per second.
    pub const fn mbps(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000))
    }

    /// Bits per second.
    pub const fn as_bps(self) -> u64 {
        self.0
    }

    /// How long `bytes` take at this rate; [`Span::MAX`] at rate zero.
    pub const fn time_for(self, bytes: Bytes) -> Span {
        if self.0 == 0 {
            return Span::MAX;
        }
        let micros = bytes.0 as u128 * 8_000_000 / self.0 as u128;
        Span::micros(if micros > u64::MAX as u128 { u64::MAX } else { micros as u64 })
    }

    /// How many bytes pass in `span` at this rate.
    pub const fn bytes_in(self, span: Span) -> Bytes {
        let bytes = self.0 as u128 * span.as_micros() as u128 / 8_000_000;
        Bytes(if bytes > u64::MAX as u128 { u64::MAX } else { bytes as u64 })
    }

    /// `self * num / den`, saturating; `den` zero counts as one.
    pub const fn scaled(self, num: u64, den: u64) -> Self {
        let den = if den == 0 { 1 } else { den };
        let wide = self.0 as u128 * num as u128 / den as u128;
        Self(if wide > u64::MAX as u128 { u64::MAX } else { wide as u64 })
    }
}

impl fmt::Debug for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}kbit/s", self.0 / 1_000)
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 10_000_000 => write!(f, "{}M", n / 1_000_000),
            n if n >= 10_000 => write!(f, "{}k", n / 1_000),
            n => write!(f, "{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_bytes_are_inverse() {
        let rate = BitRate::mbps(20);
        assert_eq!(rate.time_for(Bytes(300_000)), Span::millis(120));
        assert_eq!(rate.bytes_in(Span::millis(120)), Bytes(300_000));
        assert_eq!(BitRate::ZERO.time_for(Bytes(1)), Span::MAX);
    }
}
