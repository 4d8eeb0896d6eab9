//! A set of pixels as disjoint rectangles.

use crate::geometry::{Rect, Space};
use alloc::vec::Vec;

/// A set of pixels, kept as rectangles that do not overlap.
///
/// INVARIANT: no two rectangles share a pixel, and none is empty.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Region<S: Space> {
    rects: Vec<Rect<S>>,
}

impl<S: Space> Region<S> {
    /// No pixel.
    pub const fn new() -> Self {
        Self { rects: Vec::new() }
    }

    /// Takes rectangles that share no pixel as they are. That is the caller's promise, looked at in debug builds only;
    /// empty ones are left out. Costs nothing for each pair, unlike [`Region::add`].
    pub fn from_disjoint(mut rects: Vec<Rect<S>>) -> Self {
        rects.retain(|r| !r.is_empty());
        debug_assert!(
            rects.len() > 512
                || rects.iter().enumerate().all(|(i, a)| rects.iter().skip(i + 1).all(|b| a.intersect(*b).is_empty())),
            "rectangles overlap"
        );
        Self { rects }
    }

    /// Adds every pixel of `rect`.
    pub fn add(&mut self, rect: Rect<S>) {
        if rect.is_empty() || self.rects.iter().any(|r| r.contains(rect)) {
            return;
        }
        self.rects.retain(|r| !rect.contains(*r));
        let mut parts = alloc::vec![rect];
        for r in &self.rects {
            parts = parts.into_iter().flat_map(|p| minus(p, *r)).collect();
        }
        self.rects.extend(parts);
    }

    /// Adds every pixel of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for r in &other.rects {
            self.add(*r);
        }
    }

    /// Takes every pixel of `rect` away.
    pub fn subtract(&mut self, rect: Rect<S>) {
        self.rects = self.rects.iter().flat_map(|r| minus(*r, rect)).collect();
    }

    /// Keeps only what lies inside `bounds`.
    pub fn clip(&mut self, bounds: Rect<S>) {
        for r in &mut self.rects {
            *r = r.intersect(bounds);
        }
        self.rects.retain(|r| !r.is_empty());
    }

    /// Replaces the rectangles by their bounding box when there are more than `most`.
    pub fn simplify(&mut self, most: usize) {
        if self.rects.len() > most {
            let bounds = self.bounds();
            self.rects.clear();
            self.rects.push(bounds);
        }
    }

    /// Its rectangles, in no particular order.
    pub fn rects(&self) -> &[Rect<S>] {
        &self.rects
    }

    /// Whether it holds no pixel.
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// Pixels in all.
    pub fn area(&self) -> u64 {
        self.rects.iter().map(|r| r.area()).sum()
    }

    /// The smallest rectangle around it.
    pub fn bounds(&self) -> Rect<S> {
        self.rects.iter().fold(Rect::default(), |a, r| a.union(*r))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.rects.clear();
    }
}

impl<S: Space> From<Rect<S>> for Region<S> {
    fn from(rect: Rect<S>) -> Self {
        let mut region = Self::new();
        region.add(rect);
        region
    }
}

impl<S: Space> FromIterator<Rect<S>> for Region<S> {
    fn from_iter<I: IntoIterator<Item = Rect<S>>>(rects: I) -> Self {
        let rects: Vec<_> = rects.into_iter().filter(|r| !r.is_empty()).collect();
        if rects.len() > FEW {
            return Self { rects: banded(rects) };
        }
        let mut region = Self::new();
        for r in rects {
            region.add(r);
        }
        region
    }
}

/// Up to this many rectangles are added one by one, which keeps them whole where that is possible.
const FEW: usize = 8;

/// The same pixels in bands between all upper and lower edges, each band's rectangles joined from left to right and
/// with the band above. Costs what the bands hold, not the square of the rectangles.
fn banded<S: Space>(mut rects: Vec<Rect<S>>) -> Vec<Rect<S>> {
    rects.sort_unstable_by_key(|r| (r.y, r.x));
    let mut edges: Vec<i32> = rects.iter().flat_map(|r| [r.y, r.bottom()]).collect();
    edges.sort_unstable();
    edges.dedup();
    let (mut out, mut live): (Vec<Rect<S>>, Vec<Rect<S>>) = (Vec::new(), Vec::new());
    let mut next = rects.into_iter().peekable();
    // Where the band above begins in `out`.
    let mut above = 0;
    for (top, bottom) in edges.iter().zip(edges.iter().skip(1)) {
        live.retain(|r| r.bottom() > *top);
        while let Some(r) = next.next_if(|r| r.y == *top) {
            live.push(r);
        }
        live.sort_unstable_by_key(|r| r.x);
        let start = out.len();
        for r in &live {
            let part = Rect::between(r.x, *top, r.right(), *bottom);
            match out.get_mut(start..).and_then(|band| band.last_mut()) {
                Some(last) if last.right() >= part.x => *last = last.union(part),
                _ => out.push(part),
            }
        }
        let (old, new) = out.split_at_mut(start);
        let old = old.get_mut(above..).unwrap_or(&mut []);
        let alike = old.len() == new.len()
            && old.iter().zip(new.iter()).all(|(a, b)| (a.x, a.w, a.bottom()) == (b.x, b.w, b.y));
        if alike && !old.is_empty() {
            old.iter_mut().zip(new.iter()).for_each(|(a, b)| *a = a.union(*b));
            out.truncate(start);
        } else {
            above = start;
        }
    }
    out
}

/// `a` without `b`: at most four rectangles.
fn minus<S: Space>(a: Rect<S>, b: Rect<S>) -> impl Iterator<Item = Rect<S>> {
    let cut = a.intersect(b);
    let parts = if cut.is_empty() {
        [a, Rect::default(), Rect::default(), Rect::default()]
    } else {
        [
            Rect::between(a.x, a.y, a.right(), cut.y),
            Rect::between(a.x, cut.bottom(), a.right(), a.bottom()),
            Rect::between(a.x, cut.y, cut.x, cut.bottom()),
            Rect::between(cut.right(), cut.y, a.right(), cut.bottom()),
        ]
    };
    parts.into_iter().filter(|r| !r.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Surf;
    use crate::rng::Rng;

    /// The region against a bitmap, over random additions and subtractions.
    #[test]
    fn agrees_with_a_bitmap() {
        let mut rng = Rng::new(7);
        for _ in 0..200 {
            let mut region = Region::<Surf>::new();
            let mut bits = [[false; 24]; 24];
            for _ in 0..12 {
                let (x, y) = (rng.below(20) as i32, rng.below(20) as i32);
                let r = Rect::new(x, y, rng.below(5) as u32, rng.below(5) as u32);
                let add = rng.below(3) > 0;
                if add {
                    region.add(r)
                } else {
                    region.subtract(r)
                }
                for row in bits.iter_mut().take(r.bottom() as usize).skip(y as usize) {
                    for bit in row.iter_mut().take(r.right() as usize).skip(x as usize) {
                        *bit = add;
                    }
                }
            }
            let set = bits.iter().flatten().filter(|b| **b).count() as u64;
            assert_eq!(region.area(), set);
            for (i, a) in region.rects().iter().enumerate() {
                for b in &region.rects()[i + 1..] {
                    assert!(a.intersect(*b).is_empty());
                }
            }
        }
    }

    /// Many rectangles at once make the same set as one after the other, without overlap.
    #[test]
    fn many_at_once_agree_with_one_by_one() {
        let mut rng = Rng::new(9);
        for n in 0..120 {
            let mut any = || {
                Rect::<Surf>::new(rng.below(40) as i32, rng.below(40) as i32, rng.below(12) as u32, rng.below(9) as u32)
            };
            let rects: Vec<_> = (0..n).map(|_| any()).collect();
            let all: Region<Surf> = rects.iter().copied().collect();
            let mut one_by_one = Region::new();
            rects.iter().for_each(|r| one_by_one.add(*r));
            let disjoint = Region::from_disjoint(all.rects().to_vec());
            assert_eq!(disjoint, all);
            assert_eq!(all.area(), one_by_one.area());
            let mut rest = one_by_one;
            all.rects().iter().for_each(|r| rest.subtract(*r));
            assert!(rest.is_empty());
        }
    }
}
