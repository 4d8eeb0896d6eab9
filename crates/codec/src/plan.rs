//! What a job comes down to: the pieces of work, in the order of urgency.
//!
//! Tiles that differ become boxes; boxes in one colour become fills, neighbours of one kind become runs of up to four
//! tiles, so that prediction and zstd see more at once. Within an item film goes first, lest the exact edges around it
//! starve it, and then fills: they cost next to nothing.

use crate::classify::classify;
use crate::diff::stack;
use crate::exact::ExactCoder;
use crate::fill;
use crate::picture::{Layer, Step};
use std::collections::{BTreeMap, VecDeque};
use telepane_model::{Pixels, Rect, Surf, TILE, TileAt, TileClass};

/// The widest run in pixels. Wider ones gain little and settle their tiles later.
const RUN: u32 = 4 * TILE;

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Tiles, in row order, that the viewer holds in these slots.
    Cached(Vec<Rect<Surf>>, Vec<u16>),
    /// Rectangles in one colour.
    Fill([u8; 3], Vec<Rect<Surf>>),
    /// A rectangle to code exactly.
    Area(Rect<Surf>, TileClass),
    /// A tile's part of a picture, and its next layer.
    Picture(Rect<Surf>, Step),
    /// A film region's next frame.
    Film(Rect<Surf>),
}

impl Work {
    /// Whether it makes finer what is shown already.
    pub fn refines(&self) -> bool {
        matches!(self, Self::Picture(_, step) if step.from.is_some())
    }

    /// What of a picture that shows a layer is to be made exact.
    pub const fn finishes(&self) -> Option<Rect<Surf>> {
        match self {
            Self::Picture(rect, Step { from: Some(_), to: Layer::Exact, .. }) => Some(*rect),
            _ => None,
        }
    }

    /// Its rectangles.
    pub fn rects(&self) -> &[Rect<Surf>] {
        match self {
            Self::Fill(_, rects) | Self::Cached(rects, _) => rects,
            Self::Area(rect, _) | Self::Picture(rect, _) | Self::Film(rect) => core::slice::from_ref(rect),
        }
    }
}

/// A tile that differs: where, inside which box, and for which item of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirty {
    /// The item's number in the job.
    pub item: usize,
    /// The tile.
    pub at: TileAt,
    /// What differs in it.
    pub bbox: Rect<Surf>,
}

/// Turns tiles that differ into work; `films` are the film regions with their items' numbers. `saw` hears of every
/// tile's class. Both lists are in the order of the items.
pub fn plan(
    newest: &Pixels,
    dirty: &[Dirty],
    films: &[(usize, Rect<Surf>)],
    coder: &mut ExactCoder,
    mut saw: impl FnMut(TileAt, TileClass),
) -> VecDeque<Work> {
    let mut queue = VecDeque::new();
    let mut films = films.iter().peekable();
    for group in dirty.chunk_by(|a, b| a.item == b.item) {
        let item = group.first().map_or(0, |d| d.item);
        while let Some((_, rect)) = films.next_if(|(f, _)| *f <= item) {
            queue.push_back(Work::Film(*rect));
        }
        let mut fills: BTreeMap<[u8; 3], Vec<Rect<Surf>>> = BTreeMap::new();
        let mut areas: Vec<(Rect<Surf>, TileClass)> = Vec::new();
        for d in group {
            if let Some(colour) = fill::solid(newest, d.bbox) {
                saw(d.at, TileClass::Text);
                let rects = fills.entry(colour).or_default();
                match rects.last_mut() {
                    Some(r) if r.right() == d.bbox.x && r.y == d.bbox.y && r.h == d.bbox.h => r.w += d.bbox.w,
                    _ => rects.push(d.bbox),
                }
                continue;
            }
            let class = classify(newest, d.bbox, coder);
            saw(d.at, class);
            if let Some((run, of)) = areas.last_mut() {
                let union = run.union(d.bbox);
                let tile = TILE as i32;
                let beside = run.y / tile == d.bbox.y / tile && (run.right() - 1) / tile + 1 == d.bbox.x / tile;
                if *of == class && beside && union.w <= RUN && union.area() * 8 <= (run.area() + d.bbox.area()) * 9 {
                    *run = union;
                    continue;
                }
            }
            areas.push((d.bbox, class));
        }
        queue.extend(fills.into_iter().map(|(colour, mut rects)| {
            stack(&mut rects);
            Work::Fill(colour, rects)
        }));
        queue.extend(areas.into_iter().map(|(rect, class)| Work::Area(rect, class)));
    }
    queue.extend(films.map(|(_, rect)| Work::Film(*rect)));
    queue
}

/// Cuts `rect` in two, the first with about `share`/256 of it: at a tile edge, else by rows, else by columns. A single
/// pixel is not cut.
pub fn cut(rect: Rect<Surf>, share: u64) -> Option<(Rect<Surf>, Rect<Surf>)> {
    let tile = TILE as i32;
    let edge = (rect.x / tile + 1) * tile;
    let part = |side: u32| (u64::from(side) * share / 256).clamp(1, u64::from(side - 1)) as i32;
    if edge < rect.right() {
        let x = edge + (rect.right() - edge) / tile / 2 * tile;
        let x = if x < rect.right() { x } else { edge };
        return Some((
            Rect::between(rect.x, rect.y, x, rect.bottom()),
            Rect::between(x, rect.y, rect.right(), rect.bottom()),
        ));
    }
    if rect.h > 1 {
        let y = rect.y + part(rect.h);
        return Some((
            Rect::between(rect.x, rect.y, rect.right(), y),
            Rect::between(rect.x, y, rect.right(), rect.bottom()),
        ));
    }
    if rect.w > 1 {
        let x = rect.x + part(rect.w);
        return Some((
            Rect::between(rect.x, rect.y, x, rect.bottom()),
            Rect::between(x, rect.y, rect.right(), rect.bottom()),
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{Grid, Rng, Size};

    #[test]
    fn a_cut_covers_the_rect_and_both_parts_shrink() {
        let mut rng = Rng::new(1);
        for _ in 0..2000 {
            let r = Rect::new(
                rng.below(200) as i32,
                rng.below(200) as i32,
                1 + rng.below(300) as u32,
                1 + rng.below(64) as u32,
            );
            match cut(r, rng.below(300)) {
                Some((a, b)) => {
                    assert!(!a.is_empty() && !b.is_empty());
                    assert_eq!((a.union(b), a.area() + b.area()), (r, r.area()));
                }
                None => assert_eq!(r.area(), 1),
            }
        }
    }

    #[test]
    fn a_cleared_screen_is_one_fill() {
        let size = Size::new(1920, 1080);
        let mut newest = Pixels::new(size);
        newest.fill(size.rect(), [5, 6, 7]);
        let grid = Grid::new(size);
        let dirty: Vec<_> = grid.all().map(|at| Dirty { item: 0, at, bbox: grid.rect(at) }).collect();
        let mut seen = 0;
        let queue = plan(&newest, &dirty, &[(1, size.rect())], &mut ExactCoder::default(), |_, _| seen += 1);
        assert_eq!(queue, [Work::Fill([5, 6, 7], vec![size.rect()]), Work::Film(size.rect())]);
        assert_eq!(seen, grid.count());
        let queue = plan(&newest, &dirty, &[(0, size.rect())], &mut ExactCoder::default(), |_, _| {});
        assert_eq!(queue, [Work::Film(size.rect()), Work::Fill([5, 6, 7], vec![size.rect()])]);
    }
}
