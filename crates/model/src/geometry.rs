//! Points, sizes and rectangles that know which space they are in; spaces do not mix.

use core::fmt;
use core::marker::PhantomData;

/// A coordinate space's name.
pub trait Space: Copy + Clone + fmt::Debug + Eq + Ord + core::hash::Hash + Default + 'static {}

macro_rules! space {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name;
        impl Space for $name {}
    };
}
space!(/// The whole desktop of the host: all monitors, in physical pixels.
    Desk);
space!(/// One surface (a monitor, say), its top left corner at (0, 0), in physical pixels.
    Surf);
space!(/// The viewer's window, in its physical pixels.
    View);

/// The widest or highest surface there may be, in pixels.
pub const MAX_SIDE: u32 = 16_384;

/// A pixel's place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Point<S: Space> {
    /// Pixels from the left.
    pub x: i32,
    /// Pixels from the top.
    pub y: i32,
    space: PhantomData<S>,
}

impl<S: Space> Point<S> {
    /// The point at (`x`, `y`).
    pub const fn new(x: i32, y: i32) -> Self {
        Self { x, y, space: PhantomData }
    }
}

impl<S: Space> fmt::Debug for Point<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.x, self.y)
    }
}

/// A width and a height in pixels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size<S: Space> {
    /// Width in pixels.
    pub w: u32,
    /// Height in pixels.
    pub h: u32,
    space: PhantomData<S>,
}

impl<S: Space> Size<S> {
    /// A size of `w` by `h`.
    pub const fn new(w: u32, h: u32) -> Self {
        Self { w, h, space: PhantomData }
    }

    /// Pixels in all.
    pub const fn area(self) -> u64 {
        self.w as u64 * self.h as u64
    }

    /// The rectangle of this size at the origin.
    pub const fn rect(self) -> Rect<S> {
        Rect::new(0, 0, self.w, self.h)
    }

    /// Whether a surface may be this large: both sides from 1 to [`MAX_SIDE`].
    pub const fn is_valid(self) -> bool {
        self.w >= 1 && self.h >= 1 && self.w <= MAX_SIDE && self.h <= MAX_SIDE
    }
}

impl<S: Space> fmt::Debug for Size<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.w, self.h)
    }
}

impl<S: Space> fmt::Display for Size<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.w, self.h)
    }
}

/// A rectangle of whole pixels: `x..x+w`, `y..y+h`. Empty when a side is zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rect<S: Space> {
    /// Left edge.
    pub x: i32,
    /// Top edge.
    pub y: i32,
    /// Width in pixels.
    pub w: u32,
    /// Height in pixels.
    pub h: u32,
    space: PhantomData<S>,
}

impl<S: Space> Rect<S> {
    /// The rectangle with its top left corner at (`x`, `y`).
    pub const fn new(x: i32, y: i32, w: u32, h: u32) -> Self {
        Self { x, y, w, h, space: PhantomData }
    }

    /// The rectangle between two corners, the second one exclusive; empty if they are out of order.
    pub const fn between(x0: i32, y0: i32, x1: i32, y1: i32) -> Self {
        let w = if x1 > x0 { x1.abs_diff(x0) } else { 0 };
        let h = if y1 > y0 { y1.abs_diff(y0) } else { 0 };
        Self::new(x0, y0, w, h)
    }

    /// One past the right edge, saturating.
    pub const fn right(self) -> i32 {
        self.x.saturating_add_unsigned(self.w)
    }

    /// One past the bottom edge, saturating.
    pub const fn bottom(self) -> i32 {
        self.y.saturating_add_unsigned(self.h)
    }

    /// Whether it holds no pixel.
    pub const fn is_empty(self) -> bool {
        self.w == 0 || self.h == 0
    }

    /// Pixels in all.
    pub const fn area(self) -> u64 {
        self.w as u64 * self.h as u64
    }

    /// Its size.
    pub const fn size(self) -> Size<S> {
        Size::new(self.w, self.h)
    }

    /// What both have; empty if nothing.
    pub fn intersect(self, o: Self) -> Self {
        Self::between(self.x.max(o.x), self.y.max(o.y), self.right().min(o.right()), self.bottom().min(o.bottom()))
    }

    /// The smallest rectangle that holds both; an empty one adds nothing.
    pub fn union(self, o: Self) -> Self {
        if self.is_empty() {
            return o;
        }
        if o.is_empty() {
            return self;
        }
        Self::between(self.x.min(o.x), self.y.min(o.y), self.right().max(o.right()), self.bottom().max(o.bottom()))
    }

    /// Whether every pixel of `o` is in `self`.
    pub fn contains(self, o: Self) -> bool {
        o.is_empty() || self.intersect(o) == o
    }

    /// Whether the point is inside.
    pub fn holds(self, p: Point<S>) -> bool {
        p.x >= self.x && p.y >= self.y && p.x < self.right() && p.y < self.bottom()
    }

    /// The same rectangle moved by (`dx`, `dy`), saturating.
    pub const fn offset(self, dx: i32, dy: i32) -> Self {
        Self::new(self.x.saturating_add(dx), self.y.saturating_add(dy), self.w, self.h)
    }

    /// The same numbers in another space. Only for a named conversion that knows why it may.
    pub const fn cast<T: Space>(self) -> Rect<T> {
        Rect::new(self.x, self.y, self.w, self.h)
    }
}

impl<S: Space> fmt::Debug for Rect<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}+{}+{}", self.w, self.h, self.x, self.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type R = Rect<Surf>;

    #[test]
    fn intersection_and_union() {
        let (a, b) = (R::new(0, 0, 10, 10), R::new(5, 5, 10, 10));
        assert_eq!(a.intersect(b), R::new(5, 5, 5, 5));
        assert_eq!(a.union(b), R::new(0, 0, 15, 15));
        assert!(a.intersect(R::new(20, 0, 5, 5)).is_empty());
        assert_eq!(R::default().union(b), b);
    }

    #[test]
    fn extreme_corners_do_not_overflow() {
        let far = R::new(i32::MAX - 1, i32::MAX - 1, u32::MAX, u32::MAX);
        assert_eq!(far.right(), i32::MAX);
        assert!(far.intersect(R::new(0, 0, 5, 5)).is_empty());
        assert_eq!(R::between(i32::MIN, 0, i32::MAX, 1).w, u32::MAX);
    }
}
