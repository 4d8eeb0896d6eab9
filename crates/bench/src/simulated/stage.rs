//! Invented desktops for the simulator: a part that moves on a beat, and what keys do.

use super::paint::{INK, LETTER, LINE, PAPER, Painter};
use std::sync::Arc;
use telepane_capture::synthetic::photo;
use telepane_model::{
    Damage, FrameFacts, FrameId, HostClock, InputEvent, KeyMove, Pixels, Rect, Region, Rng, Size, Stamp, Surf,
    SurfaceId,
};
use telepane_sim::Screen;
use telepane_sim::world::HOST_EPOCH;

/// The size of every desktop here (`DESIGN` §2).
pub const SIZE: Size<Surf> = Size::new(1920, 1080);

/// What is on a desktop and how it goes on. Times are microseconds of the world.
pub trait Script {
    /// Paints the first picture over everything.
    fn first(&mut self, p: &mut Pixels);
    /// When it changes next by itself.
    fn next_at(&self) -> Option<u64>;
    /// It is `now`, not before [`Script::next_at`].
    fn step(&mut self, now: u64, p: &mut Pixels, damage: &mut Region<Surf>);
    /// What a person did.
    fn input(&mut self, now: u64, event: &InputEvent, p: &mut Pixels, damage: &mut Region<Surf>);
}

/// A script on a screen.
pub struct Stage<S> {
    script: S,
    pixels: Arc<Pixels>,
    pending: Region<Surf>,
    fresh: bool,
    frame: FrameId,
}

impl<S: Script> Stage<S> {
    /// The desktop before anything has happened.
    pub fn new(mut script: S) -> Self {
        let mut pixels = Pixels::new(SIZE);
        script.first(&mut pixels);
        Self { script, pixels: Arc::new(pixels), pending: Region::new(), fresh: true, frame: FrameId(0) }
    }
}

fn world_time(now: Stamp<HostClock>) -> u64 {
    now.as_micros().saturating_sub(HOST_EPOCH)
}

impl<S: Script> Screen for Stage<S> {
    fn poll(&mut self, now: Stamp<HostClock>) -> Option<FrameFacts> {
        let at = world_time(now);
        while self.script.next_at().is_some_and(|next| next <= at) {
            self.script.step(at, Arc::make_mut(&mut self.pixels), &mut self.pending);
        }
        let damage = match std::mem::take(&mut self.fresh) {
            true => Damage::all(SIZE),
            false if self.pending.is_empty() => return None,
            false => Damage::exact(self.pending.clone()),
        };
        self.pending.clear();
        self.frame.0 += 1;
        Some(FrameFacts { id: self.frame, surface: SurfaceId(0), size: SIZE, captured: now, damage })
    }

    fn pixels(&self) -> Arc<Pixels> {
        self.pixels.clone()
    }

    fn next_at(&self) -> Option<Stamp<HostClock>> {
        self.script.next_at().map(|at| Stamp::from_micros(HOST_EPOCH + at))
    }

    fn input(&mut self, now: Stamp<HostClock>, event: &InputEvent) {
        self.script.input(world_time(now), event, Arc::make_mut(&mut self.pixels), &mut self.pending);
    }

    fn resize(&mut self, _size: Size<Surf>) {
        // These desktops have one size, as a monitor has; the viewer scales.
    }

    fn tell_again(&mut self) {
        self.fresh = true;
    }
}

/// What moves.
pub trait Part {
    /// Paints step 0 over everything.
    fn first(&mut self, p: &mut Pixels);
    /// Goes on to `step`; what changed.
    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Region<Surf>);
}

/// What a key press does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Turns a patch of 64 x 64 pixels.
    Patch,
    /// Writes a letter.
    Letter,
}

/// A part on a beat.
pub struct Show {
    part: Box<dyn Part>,
    from: u64,
    until: u64,
    hz: u64,
    step: u64,
    keys: Keys,
    typed: u32,
    painter: Painter,
}

impl Show {
    /// `part` goes on `hz` times a second from `from` to `until`, in milliseconds.
    pub fn new(part: impl Part + 'static, from: u64, until: u64, hz: u64, keys: Keys) -> Stage<Self> {
        let (from, until) = (from * 1_000, until * 1_000);
        Stage::new(Self { part: Box::new(part), from, until, hz, step: 0, keys, typed: 0, painter: Painter::new() })
    }

    /// A page on which nothing moves.
    pub fn still(seed: u64, keys: Keys) -> Stage<Self> {
        Self::new(Page(seed), 0, 0, 1, keys)
    }
}

impl Script for Show {
    fn first(&mut self, p: &mut Pixels) {
        self.part.first(p);
    }

    fn next_at(&self) -> Option<u64> {
        let at = self.from + self.step * 1_000_000 / self.hz;
        (at < self.until).then_some(at)
    }

    fn step(&mut self, _now: u64, p: &mut Pixels, damage: &mut Region<Surf>) {
        self.step += 1;
        self.part.go(self.step, p, damage);
    }

    fn input(&mut self, _now: u64, event: &InputEvent, p: &mut Pixels, damage: &mut Region<Surf>) {
        let InputEvent::Key { code, action: KeyMove::Down } = event else { return };
        self.typed += 1;
        match self.keys {
            Keys::Patch => {
                let colour = if self.typed.is_multiple_of(2) { [0x30, 0x24, 0x18] } else { [0x60, 0xd8, 0xf0] };
                p.fill(PATCH, colour);
                damage.add(PATCH);
            }
            Keys::Letter => {
                let (column, row) = (self.typed % 96, self.typed / 96 % 40);
                let c = char::from(b'a' + (code.0 % 26) as u8);
                let (x, y) = ((18 + column * LETTER) as i32, ((2 + row) * LINE) as i32);
                damage.add(self.painter.letter(p, c, x, y, INK, PAPER));
            }
        }
    }
}

/// Outside of the film, inside every desktop.
const PATCH: Rect<Surf> = Rect::new(32, 960, 64, 64);

/// A page of text, the left half of it free for typing.
struct Page(u64);

impl Part for Page {
    fn first(&mut self, p: &mut Pixels) {
        p.fill(SIZE.rect(), PAPER);
        Painter::new().page(p, self.0, 0, Rect::new(960, 0, 960, 1080));
    }

    fn go(&mut self, _step: u64, _p: &mut Pixels, _damage: &mut Region<Surf>) {}
}

/// A full window of text that moves up by 54 pixels a step.
pub struct Scroll {
    seed: u64,
    painter: Painter,
}

impl Scroll {
    /// Its text follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, painter: Painter::new() }
    }
}

impl Part for Scroll {
    fn first(&mut self, p: &mut Pixels) {
        self.painter.page(p, self.seed, 0, SIZE.rect());
    }

    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Region<Surf>) {
        let rows = u64::from(SIZE.h / LINE);
        self.painter.scroll(p, self.seed, rows + (step - 1) * 3, 3, SIZE.rect());
        damage.add(SIZE.rect());
    }
}

/// A window with text, dragged over a photograph.
pub struct Drag {
    background: Pixels,
    window: Pixels,
    at: (i32, i32),
}

impl Drag {
    /// Photograph and text follow from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut window = Pixels::new(Size::new(774, 540));
        window.fill(window.size().rect(), [120, 80, 50]);
        Painter::new().page(&mut window, seed, 0, Rect::new(2, 36, 770, 502));
        Self { background: photo(SIZE, seed), window, at: (0, 0) }
    }

    /// Back and forth with two periods that share no factor, slowing at the turns.
    fn place(&self, step: u64) -> (i32, i32) {
        let swing = |period: u64, room: u32| {
            let (t, half) = (step % period, period / 2);
            let up = if t < half { t } else { period - t };
            (u64::from(room) * up * up * (3 * half - 2 * up) / (half * half * half)) as i32
        };
        (swing(330, SIZE.w - self.window.size().w), swing(206, SIZE.h - self.window.size().h))
    }
}

impl Part for Drag {
    fn first(&mut self, p: &mut Pixels) {
        p.paste(&self.background, 0, 0);
        p.paste(&self.window, 0, 0);
    }

    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Region<Surf>) {
        let to = self.place(step);
        let place = |at: (i32, i32)| self.window.size().rect().offset(at.0, at.1);
        p.copy_from(&self.background, place(self.at));
        p.paste(&self.window, to.0, to.1);
        damage.add(place(self.at));
        damage.add(place(to));
        self.at = to;
    }
}

/// A film in a window: a camera that pans over a photograph with grain, a disc before it, a cut every 150 frames.
pub struct Film {
    frame: Rect<Surf>,
    world: Pixels,
    disc: Pixels,
    seed: u64,
    page: bool,
}

/// How far the camera travels.
const TRAVEL: u32 = 512;

impl Film {
    /// In this place; over a page of text, or over whatever is there.
    pub fn new(seed: u64, frame: Rect<Surf>, page: bool) -> Self {
        let world = photo(Size::new(frame.w + TRAVEL, frame.h + TRAVEL), seed);
        let side = (frame.h / 4).max(16);
        Self { frame, world, disc: photo(Size::new(side, side), seed ^ 77), seed, page }
    }

    /// 1280 x 720 in the middle of a page.
    pub fn hd(seed: u64) -> Self {
        Self::new(seed, Rect::new(320, 180, 1280, 720), true)
    }

    /// Paints frame `step`.
    pub fn paint(&self, step: u64, p: &mut Pixels) {
        let (shot, t) = (step / 150, step % 150);
        let mut rng = Rng::new(self.seed ^ shot.wrapping_mul(0x9e37_79b9));
        let mut pan = || {
            let far = (t * (1 + rng.below(3))) as u32;
            if rng.below(2) == 0 { far } else { TRAVEL - far }
        };
        let (px, py, f) = (pan(), pan(), self.frame);
        let mut grain = Rng::new(step ^ 0x6772);
        for y in 0..f.h {
            let row = p.row_mut(f.x as u32, f.y as u32 + y, f.w);
            row.copy_from_slice(self.world.row(px, py + y, f.w));
            // A camera's noise, on every eighth pixel: without it every pan is a perfect copy.
            for px in row.chunks_exact_mut(32) {
                let n = grain.below(5) as u8;
                px[..3].iter_mut().for_each(|v| *v = v.saturating_add(n));
            }
        }
        let side = self.disc.size().w;
        let (rx, ry) = (u64::from(f.w - side), u64::from(f.h - side));
        let swing = |t: u64, room: u64| {
            let t = t % (2 * room.max(1));
            if t < room { t as i32 } else { (2 * room - t) as i32 }
        };
        p.paste(&self.disc, f.x + swing(step * 5, rx), f.y + swing(step * 3, ry));
    }
}

impl Part for Film {
    fn first(&mut self, p: &mut Pixels) {
        if self.page {
            Page(self.seed).first(p);
        }
        self.paint(0, p);
    }

    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Region<Surf>) {
        self.paint(step, p);
        damage.add(self.frame);
    }
}

/// Two full windows in turn.
pub struct Switch {
    seed: u64,
    painter: Painter,
}

impl Switch {
    /// Their text follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, painter: Painter::new() }
    }
}

impl Part for Switch {
    fn first(&mut self, p: &mut Pixels) {
        self.painter.page(p, self.seed, 0, SIZE.rect());
    }

    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Region<Surf>) {
        self.painter.page(p, self.seed ^ (step & 1), 0, SIZE.rect());
        damage.add(SIZE.rect());
    }
}

/// A full window of text that was never there before, at each step.
pub struct Fresh(pub u64);

impl Part for Fresh {
    fn first(&mut self, p: &mut Pixels) {
        Painter::new().page(p, self.0, 0, SIZE.rect());
    }

    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Region<Surf>) {
        Painter::new().page(p, self.0 ^ step << 20, 0, SIZE.rect());
        damage.add(SIZE.rect());
    }
}

/// A photograph over the whole screen, at the first step.
pub struct Photo(pub u64);

impl Part for Photo {
    fn first(&mut self, p: &mut Pixels) {
        Page(self.0).first(p);
    }

    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Region<Surf>) {
        p.paste(&photo(SIZE, self.0 ^ step), 0, 0);
        damage.add(SIZE.rect());
    }
}

/// 300 kB that nothing compresses: 320 x 312 pixels of noise, at each step anew.
pub struct Burst(pub u64);

impl Part for Burst {
    fn first(&mut self, p: &mut Pixels) {
        Page(self.0).first(p);
    }

    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Region<Surf>) {
        let mut rng = Rng::new(self.0 ^ step);
        let r = Rect::new(64, 128, 320, 312);
        for y in r.y..r.bottom() {
            for px in p.row_mut(r.x as u32, y as u32, r.w).chunks_exact_mut(4) {
                px[..3].copy_from_slice(&rng.next_u64().to_le_bytes()[..3]);
            }
        }
        damage.add(r);
    }
}
