//! Instants on two named clocks that cannot be subtracted from each other, and the one bridge between them.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Add, AddAssign, Sub};

/// A clock's name. A [`Stamp`] carries it in its type, so mixing clocks does not compile.
pub trait Clock: Copy + Clone + fmt::Debug + Eq + Ord + core::hash::Hash + Default + 'static {
    /// The name printed in front of a stamp.
    const NAME: &'static str;
}

/// The agent's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HostClock;
impl Clock for HostClock {
    const NAME: &'static str = "host";
}

/// The viewer's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ViewerClock;
impl Clock for ViewerClock {
    const NAME: &'static str = "viewer";
}

/// An instant: microseconds since an arbitrary epoch of the clock `C`. Arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp<C: Clock>(u64, PhantomData<C>);

impl<C: Clock> Stamp<C> {
    /// The epoch itself.
    pub const ZERO: Self = Self(0, PhantomData);

    /// An instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros, PhantomData)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The low 32 bits, as carried on the wire; [`Stamp::near`] restores the rest.
    pub const fn low32(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    /// The instant nearest to `self` whose low 32 bits are `low` (they wrap every 71.6 minutes).
    pub const fn near(self, low: u32) -> Self {
        let diff = low.wrapping_sub(self.low32()) as i32;
        Self(self.0.saturating_add_signed(diff as i64), PhantomData)
    }
}

impl<C: Clock> fmt::Debug for Stamp<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{:06}", C::NAME, self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl<C: Clock> Add<Span> for Stamp<C> {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0), PhantomData)
    }
}

impl<C: Clock> AddAssign<Span> for Stamp<C> {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl<C: Clock> Sub<Span> for Stamp<C> {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0), PhantomData)
    }
}

impl<C: Clock> Sub for Stamp<C> {
    type Output = Span;
    fn sub(self, earlier: Self) -> Span {
        self.since(earlier)
    }
}

/// A length of time in microseconds; never negative, saturating.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Longer than anything measured.
    pub const MAX: Self = Self(u64::MAX);

    /// `n` microseconds.
    pub const fn micros(n: u64) -> Self {
        Self(n)
    }

    /// `n` milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(n.saturating_mul(1_000))
    }

    /// `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000))
    }

    /// `s` seconds, rounded to the microsecond; negative and non-finite values become zero.
    pub fn from_secs_f64(s: f64) -> Self {
        // `as` saturates and maps NaN to zero, which is what is wanted here.
        Self((s * 1e6 + 0.5) as u64)
    }

    /// Whole microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Milliseconds, with fraction.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// Seconds, with fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// `self - other`, or zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `self * num / den`; `den` zero counts as one.
    pub const fn scaled(self, num: u64, den: u64) -> Self {
        let den = if den == 0 { 1 } else { den };
        let wide = self.0 as u128 * num as u128 / den as u128;
        Self(if wide > u64::MAX as u128 { u64::MAX } else { wide as u64 })
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}ms", self.0 / 1_000, self.0 % 1_000)
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// How far apart the two clocks are: `viewer = host + offset`, give or take `error`.
///
/// Made by `session` from feedback; every latency that spans both machines carries `error` with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMap {
    /// Viewer clock minus host clock, in microseconds.
    pub offset_us: i64,
    /// The most the offset can be wrong by.
    pub error: Span,
}

impl ClockMap {
    /// The viewer's clock at the host's instant `t`.
    pub const fn to_viewer(&self, t: Stamp<HostClock>) -> Stamp<ViewerClock> {
        Stamp::from_micros(t.as_micros().saturating_add_signed(self.offset_us))
    }

    /// The host's clock at the viewer's instant `t`.
    pub const fn to_host(&self, t: Stamp<ViewerClock>) -> Stamp<HostClock> {
        Stamp::from_micros(t.as_micros().saturating_add_signed(self.offset_us.saturating_neg()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type T = Stamp<HostClock>;

    #[test]
    fn subtraction_never_goes_below_zero() {
        assert_eq!(T::from_micros(5) - T::from_micros(9), Span::ZERO);
        assert_eq!(T::from_micros(5) - Span::millis(1), T::ZERO);
    }

    #[test]
    fn low_bits_are_restored_across_the_wrap() {
        for base in [0u64, 1 << 32, (1 << 32) - 5, (7 << 32) + 3] {
            for delta in [-2_000_000i64, -1, 0, 1, 2_000_000] {
                let Some(there) = base.checked_add_signed(delta) else {
                    continue;
                };
                let there = T::from_micros(there);
                assert_eq!(T::from_micros(base).near(there.low32()), there);
            }
        }
    }

    #[test]
    fn the_clock_map_goes_there_and_back() {
        let map = ClockMap { offset_us: -1_500, error: Span::micros(80) };
        let t = T::from_micros(1_000_000);
        assert_eq!(map.to_viewer(t).as_micros(), 998_500);
        assert_eq!(map.to_host(map.to_viewer(t)), t);
    }

    #[test]
    fn scaling_saturates() {
        assert_eq!(Span::MAX.scaled(3, 2), Span::MAX);
        assert_eq!(Span::millis(10).scaled(1, 0), Span::millis(10));
    }
}
