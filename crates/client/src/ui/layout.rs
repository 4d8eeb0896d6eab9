//! Where the host's picture lies in the window, and what a pixel of one is in the other.
//!
//! All arithmetic is on whole numbers, so that the picture, the damage and the pointer agree on every pixel. When the
//! sizes are equal, every scaling shows the host's pixels as they are from (0, 0).

use telepane_model::{Desk, Point, Rect, Size, Surf, View};

/// How the picture is fitted into the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scaling {
    /// Pixel for pixel, centred; a picture larger than the window is fitted.
    OneToOne,
    /// As large as it can be with its proportions kept.
    #[default]
    Fit,
    /// By the largest whole factor that fits, centred; a picture larger than the window is fitted.
    Integer,
}

/// How pixels get from the picture to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// One to one.
    Copy,
    /// Every pixel becomes a block of this side.
    Repeat(u32),
    /// Resampled.
    Filter,
}

/// Where the picture lies in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    desk: Size<Surf>,
    /// What of the desktop is shown.
    part: Rect<Surf>,
    picture: Rect<View>,
}

impl Layout {
    /// Places a picture of size `desk` in a window of size `view`; `None` when either has no area.
    pub fn new(scaling: Scaling, desk: Size<Surf>, view: Size<View>) -> Option<Self> {
        Self::of_part(scaling, desk, desk.rect(), view)
    }

    /// The same for a part of it, one monitor for example; `None` when nothing of that is on the desktop.
    pub fn of_part(scaling: Scaling, desk: Size<Surf>, part: Rect<Surf>, view: Size<View>) -> Option<Self> {
        let part = part.intersect(desk.rect());
        let shown = part.size();
        if !desk.is_valid() || !shown.is_valid() || !view.is_valid() {
            return None;
        }
        let whole = (view.w / shown.w).min(view.h / shown.h);
        let (w, h) = match scaling {
            Scaling::OneToOne if whole >= 1 => (shown.w, shown.h),
            Scaling::Integer if whole >= 1 => (shown.w * whole, shown.h * whole),
            _ => fit(shown, view),
        };
        let picture = Rect::new(((view.w - w) / 2) as i32, ((view.h - h) / 2) as i32, w, h);
        Some(Self { desk, part, picture })
    }

    /// The picture's rectangle in the window; the rest is black.
    pub const fn picture(&self) -> Rect<View> {
        self.picture
    }

    pub(super) const fn desk(&self) -> Size<Surf> {
        self.desk
    }

    /// What of the desktop is shown; it has pixels.
    pub const fn part(&self) -> Rect<Surf> {
        self.part
    }

    pub(super) const fn method(&self) -> Method {
        let (p, d) = (self.picture, self.part);
        if p.w == d.w && p.h == d.h {
            Method::Copy
        } else if p.w % d.w == 0 && p.h % d.h == 0 && p.w / d.w == p.h / d.h {
            Method::Repeat(p.w / d.w)
        } else {
            Method::Filter
        }
    }

    /// The desktop pixel under a place in the window, the nearest one when the place is beside the picture.
    pub fn to_desk(&self, x: f64, y: f64) -> Point<Desk> {
        Point::new(
            self.part.x + axis_to_desk(x, self.picture.x, self.picture.w, self.part.w),
            self.part.y + axis_to_desk(y, self.picture.y, self.picture.h, self.part.h),
        )
    }

    /// Every pixel of the window that depends on a pixel of `rect`.
    pub fn to_view(&self, rect: Rect<Surf>) -> Rect<View> {
        let r = rect.intersect(self.part).offset(-self.part.x, -self.part.y);
        if r.is_empty() {
            return Rect::default();
        }
        let filter = self.method() == Method::Filter;
        let (x0, x1) = axis_to_view(r.x, r.right(), self.picture.w, self.part.w, filter);
        let (y0, y1) = axis_to_view(r.y, r.bottom(), self.picture.h, self.part.h, filter);
        Rect::between(x0, y0, x1, y1).offset(self.picture.x, self.picture.y).intersect(self.picture)
    }
}

/// The largest size with the proportions of `desk` that fits into `view`, at least one pixel each way.
fn fit(desk: Size<Surf>, view: Size<View>) -> (u32, u32) {
    let (dw, dh, vw, vh) = (u64::from(desk.w), u64::from(desk.h), u64::from(view.w), u64::from(view.h));
    let scaled = |side: u64, num: u64, den: u64| ((side * num + den / 2) / den).max(1) as u32;
    if vw * dh <= vh * dw { (view.w, scaled(dh, vw, dw).min(view.h)) } else { (scaled(dw, vh, dh).min(view.w), view.h) }
}

fn axis_to_desk(at: f64, origin: i32, shown: u32, desk: u32) -> i32 {
    // `as` saturates and maps NaN to zero. The middle of the window's pixel is what is mapped.
    let at = i64::from(at.floor() as i32) - i64::from(origin);
    let mapped = (2 * at + 1) * i64::from(desk) / (2 * i64::from(shown.max(1)));
    let mapped = if at < 0 { 0 } else { mapped };
    mapped.clamp(0, i64::from(desk) - 1) as i32
}

fn axis_to_view(from: i32, to: i32, shown: u32, desk: u32, filter: bool) -> (i32, i32) {
    let (shown, desk) = (i64::from(shown), i64::from(desk));
    // The resampler's triangle reaches max(1, desk / shown) source pixels to each side.
    let reach = if filter { (desk + shown - 1) / shown + 1 } else { 0 };
    let from = (i64::from(from) - reach).max(0);
    let to = (i64::from(to) + reach).min(desk);
    ((from * shown / desk) as i32, ((to * shown + desk - 1) / desk) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(scaling: Scaling, dw: u32, dh: u32, vw: u32, vh: u32) -> Layout {
        Layout::new(scaling, Size::new(dw, dh), Size::new(vw, vh)).unwrap()
    }

    #[test]
    fn equal_sizes_are_shown_as_they_are() {
        for s in [Scaling::OneToOne, Scaling::Fit, Scaling::Integer] {
            let l = layout(s, 640, 480, 640, 480);
            assert_eq!(l.picture(), Rect::new(0, 0, 640, 480));
            assert_eq!(l.method(), Method::Copy);
            assert_eq!(l.to_desk(123.0, 45.9), Point::new(123, 45));
        }
    }

    #[test]
    fn each_scaling_in_a_larger_and_a_smaller_window() {
        assert_eq!(layout(Scaling::OneToOne, 100, 50, 301, 200).picture(), Rect::new(100, 75, 100, 50));
        assert_eq!(layout(Scaling::Integer, 100, 50, 301, 200).picture(), Rect::new(0, 25, 300, 150));
        assert_eq!(layout(Scaling::Integer, 100, 50, 301, 200).method(), Method::Repeat(3));
        assert_eq!(layout(Scaling::Fit, 100, 50, 301, 200).picture(), Rect::new(0, 24, 301, 151));
        for s in [Scaling::OneToOne, Scaling::Fit, Scaling::Integer] {
            assert_eq!(layout(s, 100, 50, 50, 50).picture(), Rect::new(0, 12, 50, 25));
        }
        assert!(Layout::new(Scaling::Fit, Size::new(0, 5), Size::new(5, 5)).is_none());
        assert!(Layout::new(Scaling::Fit, Size::new(5, 5), Size::new(5, 0)).is_none());
        assert_eq!(layout(Scaling::Fit, 16384, 1, 10, 10).picture().h, 1);
    }

    #[test]
    fn a_pixel_goes_to_the_window_and_back() {
        for s in [Scaling::OneToOne, Scaling::Fit, Scaling::Integer] {
            for (dw, dh, vw, vh) in [(40, 30, 40, 30), (40, 30, 123, 99), (40, 30, 400, 31), (97, 61, 60, 50)] {
                let l = layout(s, dw, dh, vw, vh);
                let p = l.picture();
                // Back from the window's pixel: the desktop pixel found there must depend on it.
                for y in p.y..p.bottom() {
                    for x in p.x..p.right() {
                        let d = l.to_desk(f64::from(x), f64::from(y));
                        assert!(l.to_view(Rect::new(d.x, d.y, 1, 1)).holds(Point::new(x, y)), "{l:?} {x},{y}");
                    }
                }
                // And when nothing is made smaller, the middle of a desktop pixel comes back to it.
                if p.w >= dw && p.h >= dh {
                    for (x, y) in [(0, 0), (dw - 1, dh - 1), (dw / 2, dh / 3)] {
                        let vx = f64::from(p.x) + (f64::from(x) + 0.5) * f64::from(p.w) / f64::from(dw);
                        let vy = f64::from(p.y) + (f64::from(y) + 0.5) * f64::from(p.h) / f64::from(dh);
                        assert_eq!(l.to_desk(vx, vy), Point::new(x as i32, y as i32));
                    }
                }
            }
        }
    }

    #[test]
    fn a_part_of_the_desktop_is_shown_alone() {
        let (desk, part) = (Size::new(100, 80), Rect::new(40, 10, 50, 60));
        let of = |part, w, h| Layout::of_part(Scaling::Fit, desk, part, Size::new(w, h));
        let same = of(part, 50, 60).unwrap();
        assert_eq!((same.method(), same.to_desk(3.0, 4.0)), (Method::Copy, Point::new(43, 14)));
        assert_eq!(same.to_view(Rect::new(0, 0, 45, 80)), Rect::new(0, 0, 5, 60), "what lies beside it is not shown");
        assert_eq!(same.to_view(Rect::new(0, 0, 40, 80)), Rect::default());
        let twice = of(part, 100, 120).unwrap();
        assert_eq!((twice.method(), twice.to_desk(99.0, 119.0)), (Method::Repeat(2), Point::new(89, 69)));
        assert_eq!(of(Rect::new(90, 0, 50, 60), 10, 60).unwrap().part(), Rect::new(90, 0, 10, 60));
        assert_eq!(of(Rect::new(100, 0, 50, 60), 50, 60), None);
    }

    #[test]
    fn places_beside_the_picture_are_clamped() {
        let l = layout(Scaling::OneToOne, 100, 50, 300, 200);
        assert_eq!(l.to_desk(-1e9, 1e9), Point::new(0, 49));
        assert_eq!(l.to_desk(f64::NAN, 100.0), Point::new(0, 25));
        assert_eq!(l.to_desk(99.0, 75.0), Point::new(0, 0));
    }
}
