//! A block of pixels in memory.

use crate::geometry::{Rect, Size, Surf};
use alloc::vec;
use alloc::vec::Vec;

/// Pixels in rows without padding, 4 bytes each: blue, green, red, and one byte that means nothing and is kept 0.
/// Values are 8-bit sRGB.
///
/// INVARIANT: `data.len() == 4 * w * h`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Pixels {
    size: Size<Surf>,
    data: Vec<u8>,
}

impl Pixels {
    /// All black.
    pub fn new(size: Size<Surf>) -> Self {
        Self { size, data: vec![0; size.area() as usize * 4] }
    }

    /// Takes `data` as the pixels, if its length fits the size.
    pub fn from_bgrx(size: Size<Surf>, data: Vec<u8>) -> Option<Self> {
        (data.len() as u64 == size.area() * 4).then_some(Self { size, data })
    }

    /// Width and height.
    pub const fn size(&self) -> Size<Surf> {
        self.size
    }

    /// Bytes from one row to the next.
    pub const fn stride(&self) -> usize {
        self.size.w as usize * 4
    }

    /// All rows.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// All rows, to write to.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// The bytes of columns `x..x + w` in row `y`; empty when that is not inside.
    pub fn row(&self, x: u32, y: u32, w: u32) -> &[u8] {
        self.span(x, y, w).map_or(&[], |s| &self.data[s])
    }

    /// The same to write to.
    pub fn row_mut(&mut self, x: u32, y: u32, w: u32) -> &mut [u8] {
        match self.span(x, y, w) {
            Some(s) => &mut self.data[s],
            None => &mut [],
        }
    }

    /// The rows of `rect` clipped to the block, top to bottom.
    pub fn rows(&self, rect: Rect<Surf>) -> impl Iterator<Item = &[u8]> {
        let r = rect.intersect(self.size.rect());
        (r.y..r.bottom()).map(move |y| self.row(r.x as u32, y as u32, r.w))
    }

    /// Copies `rect` (clipped to both) from the same place in `from`.
    pub fn copy_from(&mut self, from: &Self, rect: Rect<Surf>) {
        let r = rect.intersect(self.size.rect()).intersect(from.size.rect());
        for y in r.y..r.bottom() {
            self.row_mut(r.x as u32, y as u32, r.w).copy_from_slice(from.row(r.x as u32, y as u32, r.w));
        }
    }

    /// Copies the block `from` to the place whose top left corner is (`x`, `y`), clipped.
    pub fn paste(&mut self, from: &Self, x: i32, y: i32) {
        let r = from.size.rect().offset(x, y).intersect(self.size.rect());
        for row in r.y..r.bottom() {
            let source = from.row((r.x - x) as u32, (row - y) as u32, r.w);
            self.row_mut(r.x as u32, row as u32, r.w).copy_from_slice(source);
        }
    }

    /// A copy of `rect`, clipped.
    pub fn crop(&self, rect: Rect<Surf>) -> Self {
        let r = rect.intersect(self.size.rect());
        let mut data = Vec::with_capacity(r.area() as usize * 4);
        for row in self.rows(r) {
            data.extend_from_slice(row);
        }
        Self { size: r.size(), data }
    }

    /// Fills `rect`, clipped, with one colour (blue, green, red).
    pub fn fill(&mut self, rect: Rect<Surf>, [b, g, r]: [u8; 3]) {
        let rect = rect.intersect(self.size.rect());
        for y in rect.y..rect.bottom() {
            for px in self.row_mut(rect.x as u32, y as u32, rect.w).chunks_exact_mut(4) {
                px.copy_from_slice(&[b, g, r, 0]);
            }
        }
    }

    /// One pixel (blue, green, red), if it is inside.
    pub fn get(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        match self.row(x, y, 1) {
            [b, g, r, _] => Some([*b, *g, *r]),
            _ => None,
        }
    }

    /// Whether `rect`, clipped to both, holds the same colours in both blocks.
    pub fn same(&self, other: &Self, rect: Rect<Surf>) -> bool {
        self.rows(rect).eq(other.rows(rect))
    }

    fn span(&self, x: u32, y: u32, w: u32) -> Option<core::ops::Range<usize>> {
        if w == 0 || y >= self.size.h || x.checked_add(w)? > self.size.w {
            return None;
        }
        let start = (y as usize * self.size.w as usize + x as usize) * 4;
        Some(start..start + w as usize * 4)
    }
}

impl core::fmt::Debug for Pixels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Pixels({})", self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_is_touched() {
        let mut p = Pixels::new(Size::new(4, 3));
        p.fill(Rect::new(-5, -5, 100, 7), [1, 2, 3]);
        assert_eq!(p.get(3, 1), Some([1, 2, 3]));
        assert_eq!(p.get(3, 2), Some([0, 0, 0]));
        assert_eq!(p.get(4, 0), None);
        assert!(p.row(2, 0, 3).is_empty());
        assert!(p.row(u32::MAX, 0, 2).is_empty());
    }

    #[test]
    fn crop_and_paste_are_inverse() {
        let mut p = Pixels::new(Size::new(8, 8));
        p.fill(Rect::new(2, 2, 3, 3), [9, 8, 7]);
        let cut = p.crop(Rect::new(1, 1, 5, 5));
        let mut q = Pixels::new(Size::new(8, 8));
        q.paste(&cut, 1, 1);
        assert_eq!(p, q);
        q.paste(&cut, -3, 6);
        assert_eq!(q.size(), p.size());
    }
}
