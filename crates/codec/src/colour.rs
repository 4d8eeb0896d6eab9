//! Colours of film: BGRX to I420 and back, BT.709, full range.
//!
//! The way to I420 is the encoder's own business and may be any (dcv-color-primitives has it in SIMD). The way back is
//! part of the format, exact in every bit, because the host must know what the viewer shows: later exact slices leave
//! out what is right already. Chroma is repeated, not interpolated.

use crate::h264::{I420, Picture};
use crate::kernel::yuv;
use dcv_color_primitives::{ColorSpace, ImageFormat, PixelFormat, convert_image};
use telepane_model::{Pixels, Rect, Surf};

/// Converts `rect`, which lies inside `pixels`, to a picture whose sides are rounded up to even; the last column and
/// row are repeated. False if the conversion is refused, which it is not for any size.
pub fn to_i420(pixels: &Pixels, rect: Rect<Surf>, padded: &mut Vec<u8>, out: &mut I420) -> bool {
    let (w, h) = (rect.w.next_multiple_of(2), rect.h.next_multiple_of(2));
    out.resize(w, h);
    let stride = pixels.stride();
    let (source, stride) = if (w, h) == (rect.w, rect.h) {
        let start = rect.y as usize * stride + rect.x as usize * 4;
        (pixels.data().get(start..).unwrap_or(&[]), stride)
    } else {
        padded.clear();
        for row in pixels.rows(rect) {
            padded.extend_from_slice(row);
            if w != rect.w {
                padded.extend_from_slice(row.last_chunk::<4>().unwrap_or(&[0; 4]));
            }
        }
        if h != rect.h {
            let last = padded.len().saturating_sub(w as usize * 4);
            padded.extend_from_within(last..);
        }
        (&padded[..], w as usize * 4)
    };
    let from = ImageFormat { pixel_format: PixelFormat::Bgra, color_space: ColorSpace::Rgb, num_planes: 1 };
    let to = ImageFormat { pixel_format: PixelFormat::I420, color_space: ColorSpace::Bt709FR, num_planes: 3 };
    let strides = [w as usize, w as usize / 2, w as usize / 2];
    let mut planes = [&mut out.y[..], &mut out.u[..], &mut out.v[..]];
    convert_image(w, h, &from, Some(&[stride]), &[source], &to, Some(&strides), &mut planes).is_ok()
}

/// Writes a picture to `rect`, which lies inside `pixels` and is at most as large.
// spec: C-69
pub fn to_bgrx(picture: &Picture<'_>, rect: Rect<Surf>, pixels: &mut Pixels) {
    let [luma, blue, red] = picture.planes;
    let row_of = |plane: &[u8], y: usize, stride: usize, w: usize| -> core::ops::Range<usize> {
        let start = (y * stride).min(plane.len());
        start..(start + w).min(plane.len())
    };
    for y in 0..rect.h as usize {
        let (w, cw) = (rect.w as usize, rect.w.div_ceil(2) as usize);
        let luma = &luma[row_of(luma, y, picture.strides[0], w)];
        let blue = &blue[row_of(blue, y / 2, picture.strides[1], cw)];
        let red = &red[row_of(red, y / 2, picture.strides[1], cw)];
        let out = pixels.row_mut(rect.x as u32, rect.y as u32 + y as u32, rect.w);
        yuv::to_bgrx(luma, blue, red, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::Size;

    fn as_picture(p: &I420) -> Picture<'_> {
        Picture { w: p.w, h: p.h, planes: [&p.y, &p.u, &p.v], strides: [p.w as usize, p.w as usize / 2] }
    }

    #[test]
    fn greys_and_primaries_survive_in_any_size() {
        for (w, h) in [(64, 32), (63, 31), (18, 17), (16, 16)] {
            for colour in [[0, 0, 0], [255, 255, 255], [90, 90, 90], [0, 0, 255], [0, 255, 0], [255, 0, 0]] {
                let rect = Rect::new(3, 2, w, h);
                let mut p = Pixels::new(Size::new(80, 40));
                p.fill(rect, colour);
                let mut i420 = I420::default();
                assert!(to_i420(&p, rect, &mut Vec::new(), &mut i420));
                assert_eq!((i420.w % 2, i420.h % 2), (0, 0));
                let mut q = Pixels::new(p.size());
                to_bgrx(&as_picture(&i420), rect, &mut q);
                for (x, y) in [(3, 2), (2 + w, 1 + h)] {
                    let got = q.get(x, y).unwrap();
                    for (a, b) in got.iter().zip(colour) {
                        assert!(a.abs_diff(b) <= 2, "{got:?} {colour:?}");
                    }
                }
                assert_eq!(q.get(3 + w, 2), Some([0, 0, 0]));
            }
        }
    }

    // spec: C-69
    #[test]
    fn the_way_back_is_exact() {
        let mut i420 = I420::default();
        i420.resize(2, 2);
        for (yuv, bgr) in [
            ([128u8, 128, 128], [128u8, 128, 128]),
            ([54, 99, 255], [0, 0, 254]),
            ([182, 30, 12], [0, 255, 0]),
            ([18, 255, 116], [254, 0, 0]),
            ([255, 0, 255], [17, 220, 255]),
        ] {
            i420.y.fill(yuv[0]);
            i420.u.fill(yuv[1]);
            i420.v.fill(yuv[2]);
            let mut p = Pixels::new(Size::new(2, 2));
            to_bgrx(&as_picture(&i420), p.size().rect(), &mut p);
            assert_eq!(p.get(1, 1), Some(bgr), "{yuv:?}");
        }
    }
}
