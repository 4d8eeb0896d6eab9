//! Painting a part of the window: black, the picture by the layout's method, the veil's dimming, the panels, and the
//! software pointer where the platform cannot draw one.
//!
//! Painting is a pure function of the scene: any part may be painted at any time and comes out the same.

use super::canvas::{Bgr, Canvas};
use super::composing::Composing;
use super::layout::{Layout, Method};
use super::panel::Panel;
use super::scale::Resampler;
use telepane_model::{CursorShape, Pixels, Point, Rect, View};

/// Everything the window shows.
pub(super) struct Scene<'a> {
    /// The picture and where it lies.
    pub(super) picture: Option<(&'a Pixels, Layout)>,
    /// Half brightness.
    pub(super) dim: bool,
    /// Frames over it.
    pub(super) marks: &'a [(Rect<View>, Bgr)],
    /// Boxes over it.
    pub(super) panels: &'a [Panel],
    /// What an input method composes.
    pub(super) composing: Option<&'a Composing>,
    /// A pointer drawn here because the platform refused it, and where it points.
    pub(super) pointer: Option<(&'a CursorShape, Point<View>)>,
}

/// The rectangle a software pointer covers.
pub(super) fn pointer_rect(shape: &CursorShape, at: Point<View>) -> Rect<View> {
    let (x, y) = (at.x.saturating_sub(shape.hot_x.into()), at.y.saturating_sub(shape.hot_y.into()));
    Rect::new(x, y, shape.w.into(), shape.h.into())
}

/// Paints `rect` of the window. `resampler` is kept from paint to paint for its tables.
pub(super) fn paint(canvas: &mut Canvas<'_>, rect: Rect<View>, scene: &Scene<'_>, resampler: &mut Option<Resampler>) {
    let rect = rect.intersect(canvas.size().rect());
    if rect.is_empty() {
        return;
    }
    match scene.picture {
        Some((pixels, layout)) if pixels.size() == layout.desk() => {
            let shown = layout.picture();
            if !shown.contains(rect) {
                canvas.fill(rect, [0; 3]);
            }
            let part = rect.intersect(shown);
            match layout.method() {
                Method::Copy => copy(canvas, part, pixels, layout),
                Method::Repeat(k) => repeat(canvas, part, pixels, layout, k),
                Method::Filter => {
                    if resampler.as_ref().is_none_or(|r| r.layout() != layout) {
                        *resampler = Some(Resampler::new(layout));
                    }
                    if let Some(r) = resampler {
                        r.paint(canvas, part, pixels);
                    }
                }
            }
            if scene.dim {
                canvas.dim(part);
            }
        }
        _ => canvas.fill(rect, [0; 3]),
    }
    for (mark, colour) in scene.marks {
        frame(canvas, rect, *mark, *colour);
    }
    for panel in scene.panels {
        panel.paint(canvas, rect);
    }
    if let Some(composing) = scene.composing {
        composing.paint(canvas, rect);
    }
    if let Some((shape, at)) = scene.pointer {
        draw_pointer(canvas, rect, shape, at);
    }
}

/// A frame of two pixels inside `mark`.
fn frame(canvas: &mut Canvas<'_>, clip: Rect<View>, mark: Rect<View>, colour: Bgr) {
    let (t, m) = (2i32, mark);
    let sides = [
        Rect::between(m.x, m.y, m.right(), (m.y + t).min(m.bottom())),
        Rect::between(m.x, (m.bottom() - t).max(m.y), m.right(), m.bottom()),
        Rect::between(m.x, m.y, (m.x + t).min(m.right()), m.bottom()),
        Rect::between((m.right() - t).max(m.x), m.y, m.right(), m.bottom()),
    ];
    sides.into_iter().for_each(|side| canvas.fill(side.intersect(clip), colour));
}

fn copy(canvas: &mut Canvas<'_>, part: Rect<View>, from: &Pixels, layout: Layout) {
    let (shown, of) = (layout.picture(), layout.part());
    for y in part.y..part.bottom() {
        let source = from.row((of.x + part.x - shown.x) as u32, (of.y + y - shown.y) as u32, part.w);
        let target = canvas.row(part.x, y, part.w);
        if source.len() == target.len() {
            target.copy_from_slice(source);
        }
    }
}

fn repeat(canvas: &mut Canvas<'_>, part: Rect<View>, from: &Pixels, layout: Layout, k: u32) {
    let (shown, of) = (layout.picture(), layout.part());
    for y in part.y..part.bottom() {
        let source = from.row(of.x as u32, of.y as u32 + (y - shown.y) as u32 / k, of.w);
        let first = (part.x - shown.x) as u32;
        for (i, px) in (first..).zip(canvas.row(part.x, y, part.w).chunks_exact_mut(4)) {
            let at = (i / k) as usize * 4;
            if let Some(colour) = source.get(at..at + 4) {
                px.copy_from_slice(colour);
            }
        }
    }
}

fn draw_pointer(canvas: &mut Canvas<'_>, clip: Rect<View>, shape: &CursorShape, at: Point<View>) {
    let whole = pointer_rect(shape, at);
    let part = whole.intersect(clip);
    for y in part.y..part.bottom() {
        for x in part.x..part.right() {
            let index = ((y - whole.y) as usize * usize::from(shape.w) + (x - whole.x) as usize) * 4;
            if let Some([b, g, r, a]) = shape.bgra.get(index..index + 4) {
                canvas.blend(x, y, [*b, *g, *r, *a]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Scaling;
    use super::*;
    use telepane_model::Size;

    fn picture() -> Pixels {
        let mut p = Pixels::new(Size::new(6, 4));
        for y in 0..4 {
            for x in 0..6 {
                p.fill(Rect::new(x, y, 1, 1), [x as u8 * 40, y as u8 * 60, 100]);
            }
        }
        p
    }

    fn painted(scaling: Scaling, view: Size<View>, dim: bool) -> Vec<u8> {
        let p = picture();
        let layout = Layout::new(scaling, p.size(), view).unwrap();
        let scene = Scene { picture: Some((&p, layout)), dim, marks: &[], panels: &[], composing: None, pointer: None };
        let mut data = vec![9; view.area() as usize * 4];
        let mut canvas = Canvas::new(&mut data, view).unwrap();
        paint(&mut canvas, view.rect(), &scene, &mut None);
        data
    }

    #[test]
    fn equal_sizes_give_equal_bytes() {
        assert_eq!(painted(Scaling::Fit, Size::new(6, 4), false), picture().data());
    }

    #[test]
    fn a_part_has_the_bytes_of_its_place() {
        let (p, part) = (picture(), Rect::new(2, 1, 3, 2));
        for (k, scaling) in [(1, Scaling::OneToOne), (3, Scaling::Integer)] {
            let view = Size::new(3 * k, 2 * k);
            let layout = Layout::of_part(scaling, p.size(), part, view).unwrap();
            let scene = Scene {
                picture: Some((&p, layout)),
                dim: false,
                marks: &[],
                panels: &[],
                composing: None,
                pointer: None,
            };
            let mut data = vec![9; view.area() as usize * 4];
            paint(&mut Canvas::new(&mut data, view).unwrap(), view.rect(), &scene, &mut None);
            for (i, px) in data.chunks_exact(4).enumerate() {
                let (x, y) = (i as u32 % view.w, i as u32 / view.w);
                assert_eq!(px[..3], p.get(2 + x / k, 1 + y / k).unwrap(), "{x},{y} at {k}");
            }
        }
    }

    #[test]
    fn dimming_halves_the_picture_only() {
        let data = painted(Scaling::OneToOne, Size::new(8, 4), true);
        for (i, px) in data.chunks_exact(4).enumerate() {
            let (x, y) = (i as u32 % 8, i as u32 / 8);
            let want = x.checked_sub(1).and_then(|x| picture().get(x, y)).unwrap_or_default().map(|c| c / 2);
            assert_eq!(px[..3], want, "{x},{y}");
        }
    }

    #[test]
    fn integer_scaling_repeats_exactly() {
        let data = painted(Scaling::Integer, Size::new(20, 13), false);
        for (i, px) in data.chunks_exact(4).enumerate() {
            let (x, y) = (i as i32 % 20 - 1, i as i32 / 20);
            let inside = (0..18).contains(&x) && (0..12).contains(&y);
            let want = if inside { picture().get(x as u32 / 3, y as u32 / 3).unwrap() } else { [0; 3] };
            assert_eq!(px[..3], want, "{x},{y}");
        }
    }

    #[test]
    fn a_mark_is_a_frame() {
        let view = Size::new(8, 8);
        let mut data = vec![0; 256];
        let mut canvas = Canvas::new(&mut data, view).unwrap();
        let marks = [(Rect::new(1, 1, 6, 5), [9, 9, 9]), (Rect::new(7, 7, 1, 1), [9, 9, 9])];
        let scene = Scene { picture: None, dim: false, marks: &marks, panels: &[], composing: None, pointer: None };
        paint(&mut canvas, view.rect(), &scene, &mut None);
        assert_eq!(data.chunks_exact(4).filter(|p| p[0] == 9).count(), 6 * 5 - 2 + 1);
    }

    #[test]
    fn a_software_pointer_is_clipped() {
        let shape = CursorShape { id: 1, w: 2, h: 2, hot_x: 1, hot_y: 1, bgra: vec![255; 16] };
        let view = Size::new(4, 4);
        let mut data = vec![0; 64];
        let mut canvas = Canvas::new(&mut data, view).unwrap();
        let scene = Scene {
            picture: None,
            dim: false,
            marks: &[],
            panels: &[],
            composing: None,
            pointer: Some((&shape, Point::new(0, 0))),
        };
        paint(&mut canvas, view.rect(), &scene, &mut None);
        assert_eq!(data.iter().filter(|b| **b == 255).count(), 3);
        assert_eq!(data[..3], [255; 3]);
    }
}
