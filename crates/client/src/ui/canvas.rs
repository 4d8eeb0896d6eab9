//! The window's pixels while they are drawn: rows of blue, green, red and an unused byte, as `softbuffer` and the
//! GPU's `Bgra8Unorm` both take them on little-endian machines. Every drawing is clipped to a rectangle, so that a
//! damaged part can be painted alone.

use telepane_model::{Rect, Size, View};

/// A colour: blue, green, red.
pub(super) type Bgr = [u8; 3];

/// Pixels of the window to draw on.
///
/// INVARIANT: `data.len() == 4 * w * h`.
pub(super) struct Canvas<'a> {
    data: &'a mut [u8],
    size: Size<View>,
}

impl<'a> Canvas<'a> {
    /// Draws on `data`; `None` when it is too short for the size.
    pub(super) fn new(data: &'a mut [u8], size: Size<View>) -> Option<Self> {
        let len = usize::try_from(size.area().checked_mul(4)?).ok()?;
        Some(Self { data: data.get_mut(..len)?, size })
    }

    pub(super) const fn size(&self) -> Size<View> {
        self.size
    }

    /// The bytes of columns `x..x + w` of row `y`; empty when that is not inside.
    pub(super) fn row(&mut self, x: i32, y: i32, w: u32) -> &mut [u8] {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return &mut [] };
        let (width, w) = (self.size.w as usize, w as usize);
        if y >= self.size.h as usize || x.saturating_add(w) > width {
            return &mut [];
        }
        let start = (y * width + x) * 4;
        self.data.get_mut(start..start + w * 4).unwrap_or_default()
    }

    /// One colour in `rect`, clipped.
    pub(super) fn fill(&mut self, rect: Rect<View>, [b, g, r]: Bgr) {
        let rect = rect.intersect(self.size.rect());
        for y in rect.y..rect.bottom() {
            for px in self.row(rect.x, y, rect.w).chunks_exact_mut(4) {
                px.copy_from_slice(&[b, g, r, 0]);
            }
        }
    }

    /// Half the brightness in `rect`, clipped; rounds down.
    pub(super) fn dim(&mut self, rect: Rect<View>) {
        let rect = rect.intersect(self.size.rect());
        for y in rect.y..rect.bottom() {
            for byte in self.row(rect.x, y, rect.w) {
                *byte >>= 1;
            }
        }
    }

    /// Lays premultiplied blue, green, red, alpha over the pixel (`x`, `y`), if it is inside.
    pub(super) fn blend(&mut self, x: i32, y: i32, [b, g, r, a]: [u8; 4]) {
        if let [pb, pg, pr, _] = self.row(x, y, 1) {
            for (p, c) in [(pb, b), (pg, g), (pr, r)] {
                let under = (u16::from(*p) * (255 - u16::from(a)) + 127) / 255;
                *p = c.saturating_add(under as u8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_dim_and_blend_stay_inside() {
        let mut data = vec![200u8; 4 * 4 * 3];
        let mut c = Canvas::new(&mut data, Size::new(4, 3)).unwrap();
        c.fill(Rect::new(-2, 1, 4, 100), [101, 50, 1]);
        c.dim(Rect::new(1, 0, 1, 2));
        assert_eq!(c.row(0, 1, 1), &[101, 50, 1, 0]);
        assert_eq!(c.row(1, 1, 1), &[50, 25, 0, 0]);
        assert_eq!(c.row(1, 0, 1), &[100, 100, 100, 100]);
        assert_eq!(c.row(2, 1, 1), &[200, 200, 200, 200]);
        assert!(c.row(3, 0, 2).is_empty() && c.row(-1, 0, 1).is_empty() && c.row(0, 3, 1).is_empty());
        c.blend(0, 1, [0, 0, 0, 255]);
        c.blend(2, 1, [100, 0, 0, 128]);
        c.blend(9, 9, [1, 1, 1, 1]);
        assert_eq!(c.row(0, 1, 1), &[0, 0, 0, 0]);
        assert_eq!(c.row(2, 1, 1)[0], 200);
        assert!(Canvas::new(&mut [0; 10], Size::new(2, 2)).is_none());
    }
}
