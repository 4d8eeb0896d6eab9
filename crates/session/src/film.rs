//! Where the screen is in true motion: found by history and by what the pixels look like, never by an application's
//! name. Scrolling never counts, because what a move explains is no motion (`Ledger::on_coded`), and because the coder
//! looks at what is said to begin a film before it believes it.

use crate::ledger::{Ledger, Tile};
use telepane_model::{HostClock, JobId, Rect, Span, Stamp, Surf, TILE, TileClass};

/// The film region of a surface, if there is one.
#[derive(Debug, Default)]
pub struct Film {
    region: Option<Rect<Surf>>,
    last_change: Stamp<HostClock>,
    since: Stamp<HostClock>,
}

/// A tile is in motion after this many changes in close succession (`research/codec.md` §4: 5 of the last 12 frames).
const STREAK: u8 = 5;
/// The least number of tiles a film covers: below, exact coding is cheap enough.
const LEAST_TILES: usize = 6;
/// A large picture is film at its second change: the coder looks at it before it believes that
/// ([`telepane_model::EncodedSlices::no_film`]), and each frame that goes out as a picture before takes ten times as much.
const STREAK_LARGE: u8 = 2;
/// A picture is large from 0.1 Mpx on, which is what is not coded in passing (DESIGN §3.4).
const LARGE_TILES: usize = 25;
/// How many times as long as high a film is at most: the widest that are made are 2.4 to 1, and tiles stand beyond their edges.
const MOST_ASPECT: u32 = 3;
/// The region ends after this much rest.
const REST: Span = Span::millis(300);
/// The region changes at most this often (DESIGN §3.6).
const STEADY: Span = Span::secs(1);

impl Film {
    /// No film.
    pub const fn new() -> Self {
        Self { region: None, last_change: Stamp::ZERO, since: Stamp::ZERO }
    }

    /// The region, in whole tiles except at the surface's edges.
    pub const fn region(&self) -> Option<Rect<Surf>> {
        self.region
    }

    /// When the region ends if it stays at rest.
    pub fn ends_at(&self) -> Option<Stamp<HostClock>> {
        self.region.map(|_| self.last_change + REST)
    }

    /// Looks at the ledger after a capture touched `changed`.
    pub fn on_frame(&mut self, ledger: &Ledger, changed: Rect<Surf>, now: Stamp<HostClock>) {
        self.on_time(now);
        if let Some(region) = self.region {
            if !region.intersect(changed).is_empty() {
                self.last_change = now;
            }
            if now.since(self.since) < STEADY {
                return;
            }
        }
        let large = || find(ledger, STREAK_LARGE, LARGE_TILES, now).filter(|_| self.region.is_none());
        let found = find(ledger, STREAK, LEAST_TILES, now).or_else(large);
        if let Some(bounds) = found.filter(|bounds| self.region.is_none_or(|r| !r.contains(*bounds))) {
            debug_assert!(bounds.x % TILE as i32 == 0 && bounds.y % TILE as i32 == 0);
            (self.region, self.last_change, self.since) = (Some(bounds), now, now);
        }
    }

    /// The coder saw that `rect` is none.
    pub fn refuse(&mut self, rect: Rect<Surf>) {
        self.region = self.region.filter(|region| *region != rect);
    }

    /// Ends a region at rest.
    pub fn on_time(&mut self, now: Stamp<HostClock>) {
        if self.ends_at().is_some_and(|at| now >= at) {
            self.region = None;
        }
    }
}

/// Where at least `least` tiles are moving pictures after `streak` changes in close succession.
fn find(ledger: &Ledger, streak: u8, least: usize, now: Stamp<HostClock>) -> Option<Rect<Surf>> {
    let grid = ledger.grid();
    let moving = |t: &Tile| t.streak >= streak && now.since(t.changed) < REST;
    let pictures = |t: &Tile| moving(t) && t.class == TileClass::Picture;
    let mut tiles: Vec<Rect<Surf>> = ledger.tiles_that(pictures).map(|(at, _)| grid.rect(at)).collect();
    if tiles.len() < least {
        return None;
    }
    // On a thin link the tiles nearest to the person are coded again and again while the rest of the film waits, and
    // nobody knows yet what is in it: what moves beside moving pictures, unseen, is taken for more of the same.
    let unseen = |t: &Tile| moving(t) && t.class != TileClass::Picture && t.unseen.saturating_add(1) >= streak.max(3);
    let mut waiting: Vec<Rect<Surf>> = ledger.tiles_that(unseen).map(|(at, _)| grid.rect(at)).collect();
    let mut from = 0;
    while let Some(known) = tiles.get(from).copied() {
        let beside = |r: &mut Rect<Surf>| touches(known, *r);
        tiles.extend(waiting.extract_if(.., beside));
        from += 1;
    }
    let bounds = tiles.iter().fold(Rect::default(), |a, r| a.union(*r));
    let covered: u64 = tiles.iter().map(|r| r.area()).sum();
    // A film fills its frame; scattered moving tiles do not make one, nor does what comes in at the edge of a scroll.
    let (long, short) = (bounds.w.max(bounds.h), bounds.w.min(bounds.h));
    (covered * 2 >= bounds.area() && long <= MOST_ASPECT * short).then_some(bounds)
}

/// When a film's next frame is coded: while what was coded before it still leaves, if that will have left by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilmPace {
    /// How long coding a frame took, smoothed; zero before the first.
    took: Span,
    /// How long coding the last one took.
    last: Span,
    /// The frame that is being coded beside everything else.
    coding: Option<Coding>,
    /// Bytes in slices of the frame of which not everything is.
    partly: Option<u64>,
    /// What that frame has in all; zero before its first slice.
    whole: u64,
    /// When a frame last was a train that measures the path.
    measured: Stamp<HostClock>,
}

/// A frame that is being coded beside everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Coding {
    /// The job that began it.
    job: JobId,
    since: Stamp<HostClock>,
    /// It is not wanted any more.
    void: bool,
}

/// Packets that make a frame a train by which the path is measured (`research/rate-control.md` §5.3).
const TRAIN: usize = 5;
/// A film leaves in two or three packets a frame, which tell nothing of the path. So often one leaves as a train.
const MEASURE: Span = Span::millis(500);

impl FilmPace {
    /// A frame is coded, and not all of it is in slices.
    pub const fn is_filming(&self) -> bool {
        self.partly.is_some()
    }

    /// A frame is being coded, and is not to be asked for before it is.
    pub const fn is_coding(&self) -> bool {
        self.coding.is_some()
    }

    /// Job `job` has begun a frame, which is being coded beside everything else; in the place of one that was coded, if there was one.
    pub fn on_begun(&mut self, job: JobId, since: Stamp<HostClock>) {
        self.partly = None;
        self.coding = self.coding.or(Some(Coding { job, since, void: false }));
    }

    /// The frame that job `job` began is coded. Answers whether it was waited for.
    pub fn on_filmed(&mut self, now: Stamp<HostClock>, job: JobId) -> bool {
        let Some(coding) = self.coding.take_if(|c| c.job == job) else { return false };
        if !coding.void {
            self.smooth(now.since(coding.since));
            (self.partly, self.whole) = (Some(0), 0);
        }
        true
    }

    /// How long coding the last frame took.
    pub const fn last_took(&self) -> Span {
        self.last
    }

    fn smooth(&mut self, took: Span) {
        self.last = took;
        self.took = if self.took == Span::ZERO { took } else { self.took.scaled(3, 4) + took.scaled(1, 4) };
    }

    /// How many of the frame's bytes the next job puts into slices. A slice at a time (`slice` bytes), so that what answers a person
    /// may go between; but the end that takes no longer to leave than the next frame takes to be coded, and a slice, is put into
    /// slices at once unless somebody is `typing`: then that frame is begun in time, and the path does not rest until it is coded.
    /// `coding` bytes keep the path busy for as long as coding takes, less what stands in its queue.
    // spec: H-8
    pub fn cut(&self, slice: u64, coding: u64, typing: bool) -> u64 {
        let left = self.partly.map_or(0, |so_far| self.whole.saturating_sub(so_far));
        if typing || left > coding.saturating_add(slice) { slice } else { slice.max(left) }
    }

    /// Whether the end of the frame is put into slices although `unsent` bytes wait to be sent: with them it leaves in no more time
    /// than the next frame takes to be coded, and a slice. The others are as for [`FilmPace::cut`].
    // spec: H-8
    pub fn ends_ahead(&self, unsent: u64, slice: u64, coding: u64, typing: bool) -> bool {
        let left = self.partly.map_or(0, |so_far| self.whole.saturating_sub(so_far));
        !typing && left > 0 && left.saturating_add(unsent) <= coding.saturating_add(slice)
    }

    /// How long coding a frame takes, smoothed.
    pub const fn takes(&self) -> Span {
        self.took
    }

    /// Whether a frame may be coded now although what takes `unsent` to leave waits: it is gone when the frame is coded, so
    /// never more than one frame waits.
    // spec: H-8
    pub fn codes_ahead(&self, unsent: Span) -> bool {
        self.partly.is_none() && self.coding.is_none() && unsent < self.took
    }

    /// How many shards a frame's slice has at least: now and then enough to see whether the path still carries what it did.
    /// No filler is spent on that.
    // spec: H-6
    pub fn least_shards(&mut self, now: Stamp<HostClock>) -> usize {
        if now.since(self.measured) >= MEASURE {
            self.measured = now;
            return TRAIN;
        }
        1
    }

    /// A job for a frame took `took` and gave `bytes`; there is a `rest` of the frame. Answers the frame's bytes so far.
    pub fn on_coded(&mut self, took: Span, bytes: u64, rest: bool) -> u64 {
        let before = self.partly.take();
        if before.is_none() {
            self.smooth(took);
        }
        let all = before.unwrap_or(0) + bytes;
        self.partly = rest.then_some(all);
        all
    }

    /// The frame that is being put into slices has so many bytes in all.
    pub const fn on_whole(&mut self, bytes: u64) {
        self.whole = bytes;
    }

    /// The rest of the frame is not wanted any more.
    pub fn dropped(&mut self) {
        self.partly = None;
        if let Some(coding) = &mut self.coding {
            coding.void = true;
        }
    }
}

/// Whether two tiles have an edge in common.
fn touches(a: Rect<Surf>, b: Rect<Surf>) -> bool {
    let beside = (a.right() == b.x || b.right() == a.x) && a.y == b.y;
    let below = (a.bottom() == b.y || b.bottom() == a.y) && a.x == b.x;
    beside || below
}

#[cfg(test)]
mod tests {
    use super::*;
    use telepane_model::{EncodedSlices, Epoch, Quality, Size, TileState, Version};

    fn play(class: TileClass, gap: Span) -> (Film, Stamp<HostClock>) {
        let mut ledger = Ledger::new(Epoch(1), Size::new(640, 480), Version(1), Stamp::ZERO);
        let mut film = Film::new();
        let rect = Rect::new(64, 64, 320, 192);
        let mut now = Stamp::ZERO;
        for v in 2..10 {
            now += gap;
            let same = ledger.grid().touching(rect).map(|at| TileState {
                at,
                version: Version(v),
                quality: Quality::EXACT,
                class,
            });
            let done = EncodedSlices { same: same.collect(), ..EncodedSlices::default() };
            ledger.touch(&rect.into(), Version(v), now);
            film.on_frame(&ledger, rect, now);
            ledger.on_coded(&done);
        }
        (film, now)
    }

    #[test]
    fn a_picture_in_lasting_motion_is_film_until_it_rests() {
        let (mut film, now) = play(TileClass::Picture, Span::millis(33));
        assert_eq!(film.region(), Some(Rect::new(64, 64, 320, 192)));
        film.on_time(now + Span::millis(299));
        assert!(film.region().is_some());
        film.on_time(now + Span::millis(300));
        assert!(film.region().is_none());
    }

    /// The region after each of four frames 33 ms apart, of a picture of `tiles` by `tiles` tiles that `done` answers for.
    fn begins(tiles: u32, done: impl Fn(&mut EncodedSlices)) -> Vec<bool> {
        let mut ledger = Ledger::new(Epoch(1), Size::new(1280, 960), Version(1), Stamp::ZERO);
        let (mut film, rect) = (Film::new(), Rect::new(64, 64, tiles * 64, tiles * 64));
        let frames = 2..6u64;
        { frames }
            .map(|v| {
                let now = Stamp::ZERO + Span::millis(1_000 + 33 * v);
                ledger.touch(&rect.into(), Version(v), now);
                film.on_frame(&ledger, rect, now);
                let (version, quality, class) = (Version(v), Quality::EXACT, TileClass::Picture);
                let same = ledger.grid().touching(rect).map(|at| TileState { at, version, quality, class });
                let mut answer = EncodedSlices { same: same.collect(), ..EncodedSlices::default() };
                if film.region().is_some() {
                    done(&mut answer);
                }
                ledger.on_coded(&answer);
                answer.no_film.iter().for_each(|r| film.refuse(*r));
                film.region() == Some(rect)
            })
            .collect()
    }

    #[test]
    fn a_large_picture_is_film_at_its_second_change_unless_the_coder_says_no() {
        assert_eq!(begins(5, |_| {}), [false, true, true, true]);
        assert_eq!(begins(4, |_| {}), [false; 4], "a small one takes longer");
        let rect = Rect::new(64, 64, 320, 320);
        assert_eq!(begins(5, |done| done.no_film.push(rect)), [false; 4]);
    }

    #[test]
    fn what_moved_is_no_change_of_a_picture() {
        let mut ledger = Ledger::new(Epoch(1), Size::new(1280, 960), Version(1), Stamp::ZERO);
        let (mut film, rect) = (Film::new(), Rect::new(64, 64, 640, 640));
        for v in 2..20u64 {
            let now = Stamp::ZERO + Span::millis(1_000 + 16 * v);
            ledger.touch(&rect.into(), Version(v), now);
            film.on_frame(&ledger, rect, now);
            let (version, quality, class) = (Version(v), Quality::EXACT, TileClass::Picture);
            let same = ledger.grid().touching(rect).map(|at| TileState { at, version, quality, class });
            let moved = vec![telepane_model::Move { to: rect, dx: 0, dy: -20 }];
            ledger.on_coded(&EncodedSlices { same: same.collect(), moved, ..EncodedSlices::default() });
            assert_eq!(film.region(), None);
        }
    }

    /// A film of which only the upper rows are ever coded, and what else moves.
    fn starved(class: TileClass, elsewhere: Rect<Surf>) -> Option<Rect<Surf>> {
        let mut ledger = Ledger::new(Epoch(1), Size::new(1280, 960), Version(1), Stamp::ZERO);
        let mut film = Film::new();
        let (whole, seen) = (Rect::new(64, 64, 640, 384), Rect::new(64, 64, 640, 128));
        for v in 2..10 {
            let now = Stamp::ZERO + Span::millis(33 * v);
            ledger.touch(&whole.into(), Version(v), now);
            ledger.touch(&elsewhere.into(), Version(v), now);
            film.on_frame(&ledger, whole, now);
            let same = ledger.grid().touching(seen).map(|at| TileState {
                at,
                version: Version(v),
                quality: Quality::EXACT,
                class,
            });
            ledger.on_coded(&EncodedSlices { same: same.collect(), ..EncodedSlices::default() });
        }
        film.region()
    }

    #[test]
    fn a_film_that_a_thin_link_starves_is_found_whole() {
        let apart = Rect::new(64, 640, 640, 128);
        assert_eq!(starved(TileClass::Picture, apart), Some(Rect::new(64, 64, 640, 384)));
        assert_eq!(starved(TileClass::Text, apart), None, "unseen tiles alone are no film");
    }

    // spec: H-8
    #[test]
    fn a_frame_is_coded_ahead_by_as_much_as_coding_takes() {
        let mut pace = FilmPace::default();
        assert!(!pace.codes_ahead(Span::ZERO), "nobody knows yet how long it takes");
        assert_eq!(pace.on_coded(Span::millis(8), 9_000, true), 9_000);
        assert!(pace.is_filming() && !pace.codes_ahead(Span::ZERO));
        // The rest of the frame costs nothing and tells nothing.
        assert_eq!(pace.on_coded(Span::micros(50), 1_000, false), 10_000);
        assert!(!pace.is_filming() && pace.codes_ahead(Span::millis(7)) && !pace.codes_ahead(Span::millis(8)));
        let at = |ms: u64| Stamp::ZERO + Span::millis(ms);
        let trains = [500, 533, 999, 1_000].map(|ms| pace.least_shards(at(ms)));
        assert_eq!(trains, [TRAIN, 1, 1, TRAIN]);
        pace.on_coded(Span::millis(4), 5_000, true);
        pace.dropped();
        assert_eq!(pace.on_coded(Span::millis(7), 100, false), 100);
        assert!(pace.codes_ahead(Span::millis(6)));
    }

    // spec: H-8
    #[test]
    fn the_end_of_a_frame_is_cut_at_once_unless_somebody_types() {
        let mut pace = FilmPace::default();
        assert_eq!(pace.cut(20, 50, false), 20, "nothing is known of the frame");
        pace.on_begun(JobId(1), Stamp::ZERO);
        assert!(pace.on_filmed(Stamp::ZERO + Span::millis(25), JobId(1)));
        assert_eq!(pace.cut(20, 50, false), 20);
        pace.on_coded(Span::micros(90), 20, true);
        pace.on_whole(100);
        assert_eq!(
            pace.cut(20, 50, false),
            20,
            "80 are left, and the next frame is not to be begun before a slice has gone"
        );
        assert_eq!((pace.cut(20, 60, false), pace.cut(20, 0, false)), (80, 20));
        assert!(pace.ends_ahead(10, 20, 70, false), "what waits is gone first");
        assert!(!pace.ends_ahead(11, 20, 70, false) && !pace.ends_ahead(10, 20, 70, true));
        pace.on_coded(Span::micros(90), 35, true);
        assert_eq!((pace.cut(20, 50, false), pace.cut(20, 50, true)), (45, 20));
        assert_eq!(pace.cut(60, 50, false), 60);
        assert_eq!(pace.takes(), Span::millis(25));
        pace.on_coded(Span::micros(90), 45, false);
        assert!(!pace.ends_ahead(0, 20, 70, false), "nothing is left");
    }

    // spec: H-8
    #[test]
    fn a_frame_that_is_coded_elsewhere_is_waited_for_and_never_two() {
        let at = |ms: u64| Stamp::ZERO + Span::millis(ms);
        let mut pace = FilmPace::default();
        pace.on_coded(Span::millis(10), 3_000, false);
        pace.on_begun(JobId(4), at(100));
        pace.on_begun(JobId(5), at(105));
        assert!(pace.is_coding() && !pace.is_filming() && !pace.codes_ahead(Span::ZERO));
        assert!(!pace.on_filmed(at(110), JobId(5)) && pace.is_coding(), "the first is the one");
        assert!(pace.on_filmed(at(114), JobId(4)) && pace.is_filming() && !pace.is_coding());
        assert_eq!(pace.on_coded(Span::micros(90), 3_000, false), 3_000);
        assert!(
            pace.codes_ahead(Span::micros(10_900)) && !pace.codes_ahead(Span::millis(11)),
            "3/4 of 10 and 1/4 of 14"
        );
        pace.on_begun(JobId(6), at(200));
        pace.dropped();
        assert!(pace.is_coding(), "it has to come back");
        assert!(pace.on_filmed(at(214), JobId(6)) && !pace.is_filming());
    }

    #[test]
    fn text_and_slow_shows_are_no_film() {
        assert_eq!(play(TileClass::Text, Span::millis(33)).0.region(), None);
        assert_eq!(play(TileClass::Picture, Span::millis(500)).0.region(), None);
    }
}
