//! What to code next: a pure function of the ledger, the film region and the time.

use crate::film::Film;
use crate::ledger::{Ledger, Tile};
use telepane_model::geometry::Surf;
use telepane_model::{EncodeItem, HostClock, PictureBounds, Point, Quality, Rect, Span, Stamp, TILE};

/// A tile coded as film is refined to exact after this much rest (DESIGN §3.5).
pub const FILM_REST: Span = Span::millis(300);
/// What changes so soon after input and is no larger answers it; as much is coded without a hop (DESIGN §3.4).
const ECHO_PIXELS: u64 = 100_000;

/// What is wanted now, most urgent first, and when to ask again although nothing happened.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Plan {
    /// The film region's next frame.
    pub film: Option<EncodeItem>,
    /// What is not shown as it should be.
    pub exact: Vec<EncodeItem>,
    /// Pictures of which a coarse layer is shown.
    pub finer: Vec<EncodeItem>,
    /// When a resting region becomes due for refinement.
    pub refine_at: Option<Stamp<HostClock>>,
}

impl Plan {
    /// Everything, most urgent first. Text outside a film is small; coding it after the film keeps it within the same
    /// budget.
    pub fn items(&self) -> Vec<EncodeItem> {
        self.film.iter().chain(&self.exact).chain(&self.finer).copied().collect()
    }

    /// What answers the person's hands beside a film, if it is small enough to be nothing else: it does not wait until a
    /// frame of the film is coded.
    pub fn echo(&self) -> Option<&[EncodeItem]> {
        let area: u64 = self.exact.iter().map(|i| i.rect.area()).sum();
        (self.film.is_some() && (1..=ECHO_PIXELS).contains(&area)).then_some(&self.exact)
    }
}

/// Everything the viewer is behind in: stale tiles exactly, the film region as film, rested film exactly, and behind them all
/// pictures that show a coarser layer than `pictures` ends with. Nearest to `focus` (where the person works) first.
pub fn plan(ledger: &Ledger, film: &Film, pictures: PictureBounds, focus: Point<Surf>, now: Stamp<HostClock>) -> Plan {
    let mut plan = Plan::default();
    let mut film_due = false;
    let region = film.region();
    let mut run: Option<EncodeItem> = None;
    let mut exact = Vec::new();
    // Pictures that show a coarse layer of what is wanted: refined behind everything that is not shown at all.
    let mut layers = Vec::new();
    for (at, tile) in ledger.tiles_that(|t| !Ledger::is_settled(t)) {
        let rect = ledger.grid().rect(at);
        let wanted = if region.is_some_and(|r| r.contains(rect)) {
            // Inside the film region nothing is refined while it runs; when it ends, the region is gone.
            film_due |= Ledger::is_stale(tile);
            None
        } else if !Ledger::is_stale(tile) && tile.held.quality.is_layer() {
            if tile.held.quality < pictures.last {
                layers.push(EncodeItem { rect, version: tile.held.version, quality: Quality::EXACT });
            }
            None
        } else {
            exact_wanted(tile, rect, now, &mut plan.refine_at)
        };
        let Some(dirty) = wanted else { continue };
        // Tiles that are dirty over their whole height join their left neighbour.
        let item = EncodeItem { rect: dirty, version: tile.wanted, quality: Quality::EXACT };
        run = Some(match run.take() {
            Some(left) if joins(left.rect, dirty) => {
                EncodeItem { rect: left.rect.union(dirty), version: left.version.max(item.version), ..item }
            }
            Some(left) => {
                exact.push(left);
                item
            }
            None => item,
        });
    }
    exact.extend(run);
    exact.sort_by_key(|i| distance(i.rect, focus));
    if let (true, Some(rect)) = (film_due, region) {
        let version = ledger.grid().touching(rect).filter_map(|at| ledger.tile(at)).map(|t| t.wanted).max();
        plan.film = version.map(|version| EncodeItem { rect, version, quality: Quality::FILM });
    }
    plan.exact = exact;
    layers.sort_by_key(|i| distance(i.rect, focus));
    plan.finer = layers;
    if let Some(ends) = film.ends_at() {
        plan.refine_at = Some(plan.refine_at.map_or(ends, |at| at.min(ends)));
    }
    plan
}

/// Tiles that the viewer does not show as it was sent them, at most `most`. In a film they wait for its end.
// spec: H-71
pub fn anew(ledger: &Ledger, film: &Film, most: usize) -> Vec<EncodeItem> {
    let filmed = |rect| film.region().is_some_and(|r| r.contains(rect));
    let doubted = ledger.doubted().map(|(at, t)| (ledger.grid().rect(at), t.wanted));
    let items = doubted.filter(|(rect, _)| !filmed(*rect));
    items.take(most).map(|(rect, version)| EncodeItem { rect, version, quality: Quality::EXACT }).collect()
}

fn exact_wanted(
    tile: &Tile,
    rect: Rect<Surf>,
    now: Stamp<HostClock>,
    refine_at: &mut Option<Stamp<HostClock>>,
) -> Option<Rect<Surf>> {
    if Ledger::is_stale(tile) {
        // A tile that was film, or whose state is unknown, is coded whole.
        return Some(if tile.held.quality == Quality::EXACT || tile.held.version.0 == 0 { tile.dirty } else { rect });
    }
    if tile.held.quality == Quality::EXACT {
        return None;
    }
    let due = tile.changed + FILM_REST;
    if now >= due {
        return Some(rect);
    }
    *refine_at = Some(refine_at.map_or(due, |at| at.min(due)));
    None
}

fn joins(left: Rect<Surf>, right: Rect<Surf>) -> bool {
    left.right() == right.x && left.y == right.y && left.h == right.h
}

fn distance(rect: Rect<Surf>, focus: Point<Surf>) -> u64 {
    let outside = |p: i32, from: i32, to: i32| if p < from { from.abs_diff(p) } else { p.abs_diff(p.min(to)) };
    let (dx, dy) = (outside(focus.x, rect.x, rect.right()), outside(focus.y, rect.y, rect.bottom()));
    // In tiles, so that what is equally near keeps its reading order (the sort is stable).
    (u64::from(dx.max(dy))) / u64::from(TILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{EncodedSlices, Epoch, Region, Size, TileClass, TileState, Version};

    const ALL: PictureBounds =
        PictureBounds { least: Quality::PREVIEW, first: Quality::EXACT, last: Quality::EXACT, film: (0, 100) };

    fn settled(quality: Quality) -> Ledger {
        let mut l = Ledger::new(Epoch(1), Size::new(256, 192), Version(1), Stamp::ZERO);
        let same = l.grid().all().map(|at| TileState { at, version: Version(1), quality, class: TileClass::Text });
        let done = EncodedSlices { same: same.collect(), ..EncodedSlices::default() };
        l.on_coded(&done);
        l
    }

    fn rects(plan: &Plan) -> Vec<Rect<Surf>> {
        plan.items().iter().map(|i| i.rect).collect()
    }

    #[test]
    fn a_quiet_exact_screen_wants_nothing() {
        assert_eq!(plan(&settled(Quality::EXACT), &Film::new(), ALL, Point::default(), Stamp::ZERO), Plan::default());
    }

    #[test]
    fn only_the_dirty_part_is_wanted_and_whole_rows_join() {
        let mut l = settled(Quality::EXACT);
        let changed: Region<Surf> = [Rect::new(0, 64, 256, 64), Rect::new(70, 10, 5, 5)].into_iter().collect();
        l.touch(&changed, Version(2), Stamp::from_micros(1));
        let p = plan(&l, &Film::new(), ALL, Point::new(0, 100), Stamp::from_micros(2));
        assert_eq!(rects(&p), vec![Rect::new(0, 64, 256, 64), Rect::new(70, 10, 5, 5)]);
    }

    #[test]
    fn coarse_pictures_are_refined_at_once_behind_what_is_stale_nearest_first() {
        for quality in [Quality::PREVIEW, Quality::FIRST_VIEW, Quality::FINE] {
            let mut l = settled(quality);
            l.touch(&Rect::new(0, 130, 9, 9).into(), Version(2), Stamp::from_micros(1));
            let p = plan(&l, &Film::new(), ALL, Point::new(200, 10), Stamp::from_micros(2));
            let items = p.items();
            assert_eq!(items.len(), 12);
            assert_eq!((items[0].version, items[0].rect), (Version(2), Rect::new(0, 128, 64, 64)));
            // In tiles from the focus, equally near ones in reading order.
            assert_eq!(items[1].rect, Rect::new(128, 0, 64, 64));
            assert_eq!(items.last().map(|i| i.rect), Some(Rect::new(0, 64, 64, 64)));
            assert!(items.iter().skip(1).all(|i| i.version == Version(1) && i.quality == Quality::EXACT));
            assert_eq!(p.refine_at, None);
        }
    }

    #[test]
    fn film_that_rests_is_refined() {
        let l = settled(Quality::FILM);
        let p = plan(&l, &Film::new(), ALL, Point::default(), Stamp::from_micros(100_000));
        assert!(p.items().is_empty());
        assert_eq!(p.refine_at, Some(Stamp::from_micros(300_000)));
        let p = plan(&l, &Film::new(), ALL, Point::default(), Stamp::from_micros(300_000));
        assert_eq!(p.items().iter().map(|i| i.rect.area()).sum::<u64>(), 256 * 192);
    }
}
