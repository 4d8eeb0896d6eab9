//! The scenes that move by themselves: each is a function of size, seed and step number.

use super::font::{CELL_H, CELL_W, line};
use super::paint::{mix, photo, text_line};
use telepane_model::{Pixels, Rect, Size, Surf};

const PAPER: [u8; 3] = [250, 250, 250];
const INK: [u8; 3] = [40, 32, 32];
const CODE: [u8; 3] = [160, 60, 20];

/// How far the text goes in one step: not a whole tile, not a whole cell.
const SCROLL_STEP: u32 = 24;

/// A scene: paints the difference between the step it shows and a later one, and says where.
pub(super) trait Scene: Send {
    /// Paints step 0 over everything.
    fn first(&mut self, p: &mut Pixels);
    /// Goes on to `step`; adds what may have changed to `damage`.
    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Vec<Rect<Surf>>);
}

/// A page of text that moves up under a fixed title.
pub(super) struct Scroll {
    seed: u64,
    window: Rect<Surf>,
    top: u64,
}

impl Scroll {
    pub(super) fn new(size: Size<Surf>, seed: u64) -> Self {
        let bar = 2 * CELL_H;
        Self { seed, window: Rect::new(0, bar as i32, size.w, size.h.saturating_sub(bar)), top: 0 }
    }

    /// Paints the rows `from..to` of the window: the text stands at `top` pixels from its start.
    fn rows(&self, p: &mut Pixels, from: u32, to: u32) {
        let w = self.window;
        p.fill(Rect::new(w.x, w.y + from as i32, w.w, to - from), PAPER);
        let columns = (w.w / CELL_W) as usize;
        let cell = u64::from(CELL_H);
        for number in (self.top + u64::from(from)) / cell..=(self.top + u64::from(to)) / cell {
            let y = (number * cell) as i64 - self.top as i64 + i64::from(w.y);
            let text = text_line(self.seed, number, columns);
            let ink = if mix(self.seed, number).is_multiple_of(5) { CODE } else { INK };
            // Only the rows asked for: what lies outside is drawn into a strip and cut.
            let mut strip = Pixels::new(Size::new(w.w, CELL_H));
            strip.fill(strip.size().rect(), PAPER);
            line(&mut strip, 0, 0, &text, ink, PAPER);
            let (top, bottom) = (i64::from(w.y) + i64::from(from), i64::from(w.y) + i64::from(to));
            for row in 0..i64::from(CELL_H) {
                if (top..bottom).contains(&(y + row)) {
                    p.row_mut(w.x as u32, (y + row) as u32, w.w).copy_from_slice(strip.row(0, row as u32, w.w));
                }
            }
        }
    }
}

impl Scene for Scroll {
    fn first(&mut self, p: &mut Pixels) {
        p.fill(p.size().rect(), [90, 70, 60]);
        line(p, 8, 8, "scroll - telepane", [255; 3], [90, 70, 60]);
        self.top = 0;
        self.rows(p, 0, self.window.h);
    }

    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Vec<Rect<Surf>>) {
        let top = step * u64::from(SCROLL_STEP);
        let by = u32::try_from(top.saturating_sub(self.top)).unwrap_or(u32::MAX);
        self.top = top;
        let w = self.window;
        if by < w.h {
            let stride = p.stride();
            let start = w.y as usize * stride;
            let from = start + by as usize * stride;
            let end = start + w.h as usize * stride;
            p.data_mut().copy_within(from..end, start);
            self.rows(p, w.h - by, w.h);
        } else {
            self.rows(p, 0, w.h);
        }
        damage.push(w);
    }
}

/// A window with text that is dragged over a photograph.
pub(super) struct Drag {
    background: Pixels,
    window: Pixels,
    at: (i32, i32),
}

impl Drag {
    pub(super) fn new(size: Size<Surf>, seed: u64) -> Self {
        let inner = Size::new((size.w * 2 / 5).max(1), (size.h / 2).max(1));
        let mut window = Pixels::new(inner);
        window.fill(inner.rect(), PAPER);
        window.fill(Rect::new(0, 0, inner.w, 2 * CELL_H), [120, 80, 50]);
        line(&mut window, 8, 8, "drag me", [255; 3], [120, 80, 50]);
        let columns = (inner.w / CELL_W).saturating_sub(2) as usize;
        for row in 0..(inner.h / CELL_H).saturating_sub(3) {
            let text = text_line(seed, u64::from(row), columns);
            line(&mut window, 8, ((row + 2) * CELL_H + 8) as i32, &text, INK, PAPER);
        }
        Self { background: photo(size, seed), window, at: (0, 0) }
    }

    /// Where the window is: back and forth with two speeds that share no factor, slowing at the turns.
    fn place(&self, step: u64) -> (i32, i32) {
        let room = |outer: u32, inner: u32| u64::from(outer.saturating_sub(inner));
        let (size, win) = (self.background.size(), self.window.size());
        let swing = |period: u64, room: u64| {
            let t = step % period;
            let half = period / 2;
            let up = if t < half { t } else { period - t };
            // Smoothstep, in whole numbers.
            (room * up * up * (3 * half - 2 * up) / (half * half * half)) as i32
        };
        (swing(330, room(size.w, win.w)), swing(206, room(size.h, win.h)))
    }
}

impl Scene for Drag {
    fn first(&mut self, p: &mut Pixels) {
        p.paste(&self.background, 0, 0);
        self.at = self.place(0);
        p.paste(&self.window, self.at.0, self.at.1);
    }

    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Vec<Rect<Surf>>) {
        let to = self.place(step);
        if to == self.at {
            return;
        }
        let rect = |at: (i32, i32)| self.window.size().rect().offset(at.0, at.1);
        let (old, new) = (rect(self.at), rect(to));
        p.copy_from(&self.background, old);
        p.paste(&self.window, to.0, to.1);
        damage.push(old);
        damage.push(new);
        self.at = to;
    }
}

/// A film in a window: a camera that pans over a photograph, discs before it, a cut every five seconds. The camera's sensor
/// adds grain, without which the pan would be a photograph that scrolls, to be coded as exact moves.
pub(super) struct Film {
    world: Pixels,
    discs: Vec<Pixels>,
    /// What the sensor adds to each byte of a pixel; a row begins anywhere.
    grain: Vec<[u8; 4]>,
    frame: Rect<Surf>,
    seed: u64,
}

/// The film's size where the surface has room for it.
const FILM: (u32, u32) = (1280, 720);
/// Frames between cuts.
const SHOT: u64 = 150;
/// How far the camera may travel in each direction, pixels.
const TRAVEL: u32 = 512;
/// Pixels of grain, and how much there is of it: 0 to 3 of 255.
const GRAIN: u64 = 1 << 16;
const GRAIN_MOST: u64 = 3;

impl Film {
    pub(super) fn new(size: Size<Surf>, seed: u64) -> Self {
        let (w, h) = (size.w.min(FILM.0), size.h.min(FILM.1));
        let frame = Rect::new(((size.w - w) / 2) as i32, ((size.h - h) / 2) as i32, w, h);
        let world = photo(Size::new(w + TRAVEL, h + TRAVEL), seed);
        let discs = (0..4).map(|i| photo(Size::new(60 + 40 * i, 60 + 40 * i), mix(seed, 50 + u64::from(i)))).collect();
        let grain = (0..GRAIN).map(|i| {
            let more = (mix(seed, 1 << 20 | i) % (GRAIN_MOST + 1)) as u8;
            [more, more, more, 0]
        });
        Self { world, discs, grain: grain.collect(), frame, seed }
    }

    /// What the sensor adds to the picture of this step.
    fn shoot(&self, step: u64, p: &mut Pixels) {
        let f = self.frame;
        for y in 0..f.h {
            let from = mix(self.seed ^ step, u64::from(y)) % (GRAIN - u64::from(f.w));
            let row = p.row_mut(f.x as u32, f.y as u32 + y, f.w).as_chunks_mut::<4>().0;
            for (px, more) in row.iter_mut().zip(self.grain.iter().skip(from as usize)) {
                px.iter_mut().zip(more).for_each(|(c, m)| *c = c.saturating_add(*m));
            }
        }
    }

    fn paint(&self, step: u64, p: &mut Pixels) {
        let (shot, t) = (step / SHOT, step % SHOT);
        let toss = |n: u64, below: u64| mix(self.seed, shot * 64 + n) % below.max(1);
        // One to three pixels a frame in each direction, within what the world has: 150 * 3 < TRAVEL.
        let pan = |n: u64| {
            let far = (t * (1 + toss(n, 3))) as u32;
            if toss(n + 1, 2) == 0 { far } else { TRAVEL - far }
        };
        let (px, py) = (pan(0), pan(2));
        let f = self.frame;
        for y in 0..f.h {
            p.row_mut(f.x as u32, f.y as u32 + y, f.w).copy_from_slice(self.world.row(px, py + y, f.w));
        }
        for (i, disc) in self.discs.iter().enumerate() {
            let side = disc.size().w;
            let go = |n: u64, room: u32| {
                let n = n + 8 * (i as u64 + 1);
                let room = u64::from(room.saturating_sub(side)).max(1);
                let way = (toss(n, room * 2) + t * (2 + toss(n + 1, 5))) % (room * 2);
                if way < room { way as i32 } else { (room * 2 - way) as i32 }
            };
            let (x, y) = (f.x + go(0, f.w), f.y + go(3, f.h));
            let r2 = (side * side / 4) as i32;
            for dy in 0..side as i32 {
                let from_middle = dy - side as i32 / 2;
                let half = ((r2 - from_middle * from_middle).max(0)).isqrt();
                let row = Rect::new(x + side as i32 / 2 - half, y + dy, 2 * half as u32, 1).intersect(f);
                if !row.is_empty() {
                    p.row_mut(row.x as u32, row.y as u32, row.w).copy_from_slice(disc.row(
                        (row.x - x) as u32,
                        dy as u32,
                        row.w,
                    ));
                }
            }
        }
        self.shoot(step, p);
    }
}

impl Scene for Film {
    fn first(&mut self, p: &mut Pixels) {
        p.fill(p.size().rect(), [48, 44, 40]);
        line(p, 8, 8, "film - telepane", [230; 3], [48, 44, 40]);
        self.paint(0, p);
    }

    fn go(&mut self, step: u64, p: &mut Pixels, damage: &mut Vec<Rect<Surf>>) {
        self.paint(step, p);
        damage.push(self.frame);
    }
}
