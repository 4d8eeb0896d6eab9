//! An office desktop: an editor, a browser, mail, a spreadsheet, menus over them, a panel with a clock, and now and then
//! a call with a small film. What a person does comes as input events, through the wire; only the caret, the clock and
//! the film move by themselves.

use super::paint::{Colour, INK, LETTER, LINE, PAPER, Painter};
use super::stage::{Film, SIZE, Script};
use telepane_capture::synthetic::photo;
use telepane_model::{Button, InputEvent, KeyMove, Pixels, Rect, Region, Rng, Size, Surf};

/// A window of the desktop; each fills it but for the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// A text that is written.
    Editor,
    /// Long pages, some with photographs.
    Web,
    /// A list of messages and the chosen one.
    Mail,
    /// Cells.
    Sheet,
}

/// Evdev codes of the keys that mean something here; letters are 16 to 50.
pub mod keys {
    /// The next four bring a window to the front.
    pub const FIRST_WINDOW: u16 = 59;
    /// Another page in the browser.
    pub const NEW_PAGE: u16 = 63;
    /// The next message or cell.
    pub const DOWN: u16 = 108;
    /// The cell to the right.
    pub const RIGHT: u16 = 106;
    /// A new line in the editor.
    pub const ENTER: u16 = 28;
}

const BLOCK: Rect<Surf> = Rect::new(0, 0, SIZE.w, 1056);
const PANEL: Rect<Surf> = Rect::new(0, 1056, SIZE.w, 24);
const WEB: Rect<Surf> = Rect::new(300, 54, 1320, 990);
const LIST: Rect<Surf> = Rect::new(0, 36, 600, 1008);
const MESSAGE: Rect<Surf> = Rect::new(620, 36, 1280, 1008);
const CALL: Rect<Surf> = Rect::new(1580, 20, 320, 180);
const MENU: Rect<Surf> = Rect::new(120, 36, 252, 396);
const PANEL_GREY: Colour = [0x50, 0x48, 0x40];
const CHOSEN: Colour = [0xd8, 0x90, 0x40];
const WHITE: Colour = [255; 3];
const GRID: Colour = [0xd0, 0xd0, 0xd0];
const CELL: (u32, u32) = (108, 24);
/// How long a caret is on, and off; toolkits stop after ten seconds without a key (GTK's defaults are 0.6 s and 10 s).
const BLINK: u64 = 600_000;
const BLINKS_FOR: u64 = 10_000_000;
/// A call's film, frames a second.
const CALL_HZ: u64 = 15;

/// The desktop.
pub struct Desk {
    seed: u64,
    painter: Painter,
    windows: Vec<Pixels>,
    front: Window,
    column: u32,
    row: u32,
    caret: Option<(u64, bool)>,
    caret_until: u64,
    web_line: u64,
    page: u64,
    message: u64,
    cell: (u32, u32),
    typed: u32,
    menu: Option<u32>,
    behind_menu: Pixels,
    minute: u64,
    film: Film,
    calls: Vec<(u64, u64)>,
    frame: u64,
}

impl Desk {
    /// A desktop on which calls take place at these times, in microseconds of the world.
    pub fn new(seed: u64, calls: Vec<(u64, u64)>) -> Self {
        Self {
            seed,
            painter: Painter::new(),
            windows: Vec::new(),
            front: Window::Editor,
            column: 0,
            row: 0,
            caret: None,
            caret_until: 0,
            web_line: 0,
            page: 0,
            message: 0,
            cell: (1, 1),
            typed: 0,
            menu: None,
            behind_menu: Pixels::default(),
            minute: 0,
            film: Film::new(seed ^ 0xca11, CALL, false),
            calls,
            frame: 0,
        }
    }

    fn bar(&self, p: &mut Pixels, title: &str, colour: Colour) {
        p.fill(BLOCK, PAPER);
        p.fill(Rect::new(0, 0, SIZE.w, 36), colour);
        self.painter.word(p, title, 12, 9, WHITE, colour);
        for (i, name) in ["file", "edit", "view", "tools", "help"].into_iter().enumerate() {
            self.painter.word(p, name, 240 + i as i32 * 72, 9, WHITE, colour);
        }
    }

    fn paint_window(&self, p: &mut Pixels, window: Window) {
        match window {
            Window::Editor => {
                self.bar(p, "report", [0x60, 0x50, 0x30]);
                self.painter.page(p, self.seed ^ 1, 0, Rect::new(160, 54, 1500, 30 * LINE));
            }
            Window::Web => {
                self.bar(p, "news", [0x30, 0x60, 0x50]);
                self.paint_page(p);
            }
            Window::Mail => {
                self.bar(p, "mail", [0x70, 0x30, 0x50]);
                self.painter.page(p, self.seed ^ 2, 0, LIST);
                self.painter.page(p, self.seed ^ 3, 0, MESSAGE);
            }
            Window::Sheet => {
                self.bar(p, "sheet", [0x38, 0x70, 0x38]);
                let mut rng = Rng::new(self.seed ^ 4);
                for row in 0..42 {
                    for column in 0..17 {
                        let r = cell_rect((column, row));
                        p.fill(r, GRID);
                        p.fill(Rect::new(r.x, r.y, r.w - 1, r.h - 1), PAPER);
                        if rng.below(3) > 0 {
                            let text = format!("{}", rng.below(100_000));
                            self.painter.word(p, &text, r.x + 8, r.y + 3, INK, PAPER);
                        }
                    }
                }
                self.frame_cell(p, self.cell, CHOSEN);
            }
        }
    }

    fn paint_page(&self, p: &mut Pixels) {
        self.painter.page(p, self.seed ^ 0x77eb ^ self.page << 8, 0, WEB);
        // Two photographs on every second page.
        if self.page.is_multiple_of(2) {
            for n in 0..2 {
                let picture = photo(Size::new(480, 320), self.seed ^ self.page ^ n << 40);
                p.paste(&picture, WEB.x + 60 + n as i32 * 620, WEB.y + 108);
            }
        }
    }

    fn frame_cell(&self, p: &mut Pixels, cell: (u32, u32), colour: Colour) -> Rect<Surf> {
        let r = cell_rect(cell);
        for edge in [
            Rect::new(r.x, r.y, r.w, 2),
            Rect::new(r.x, r.y, 2, r.h),
            Rect::new(r.x, r.bottom() - 2, r.w, 2),
            Rect::new(r.right() - 2, r.y, 2, r.h),
        ] {
            p.fill(edge, colour);
        }
        r
    }

    fn caret_rect(&self) -> Rect<Surf> {
        Rect::new((160 + self.column * LETTER) as i32, (54 + (30 + self.row) * LINE) as i32, 2, LINE)
    }

    fn set_caret(&mut self, now: u64, on: bool, p: &mut Pixels, damage: &mut Region<Surf>) {
        let r = self.caret_rect();
        p.fill(r, if on { INK } else { PAPER });
        damage.add(r);
        self.caret = (now < self.caret_until).then_some((now + BLINK, on));
    }

    fn write(&mut self, now: u64, c: char, p: &mut Pixels, damage: &mut Region<Surf>) {
        self.caret_until = now + BLINKS_FOR;
        self.set_caret(now, false, p, damage);
        let at = self.caret_rect();
        if c != '\n' {
            damage.add(self.painter.letter(p, c, at.x, at.y, INK, PAPER));
            self.column += 1;
        }
        if c == '\n' || self.column > 150 {
            self.column = 0;
            self.row += 1;
            if self.row > 20 {
                // The text goes up by half a screen.
                let body = Rect::new(160, 54, 1500, 54 * LINE);
                let below = Rect::new(body.x, body.y + 12 * LINE as i32, body.w, body.h - 12 * LINE);
                let kept = p.crop(below);
                p.paste(&kept, body.x, body.y);
                p.fill(Rect::new(body.x, body.bottom() - 12 * LINE as i32, body.w, 12 * LINE), PAPER);
                damage.add(body);
                self.row -= 12;
            }
        }
        self.set_caret(now, true, p, damage);
    }

    fn close_menu(&mut self, p: &mut Pixels, damage: &mut Region<Surf>) {
        if self.menu.take().is_some() {
            p.paste(&self.behind_menu, MENU.x, MENU.y);
            damage.add(MENU);
        }
    }

    fn item(&self, p: &mut Pixels, item: u32, chosen: bool) -> Rect<Surf> {
        let paper = if chosen { CHOSEN } else { [0xf8; 3] };
        let r = Rect::new(MENU.x + 2, MENU.y + 2 + (item * 28) as i32, MENU.w - 4, 28);
        p.fill(r, paper);
        let mut rng = Rng::new(self.seed ^ u64::from(item));
        let word: String = (0..6 + rng.below(10)).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
        self.painter.word(p, &word, r.x + 30, r.y + 5, if chosen { WHITE } else { INK }, paper);
        r
    }

    fn on_key(&mut self, now: u64, code: u16, p: &mut Pixels, damage: &mut Region<Surf>) {
        match (code, self.front) {
            (keys::FIRST_WINDOW..keys::NEW_PAGE, _) => {
                self.close_menu(p, damage);
                let to =
                    [Window::Editor, Window::Web, Window::Mail, Window::Sheet][usize::from(code - keys::FIRST_WINDOW)];
                if to != self.front {
                    self.windows[self.front as usize] = p.crop(BLOCK);
                    p.paste(&self.windows[to as usize], 0, 0);
                    damage.add(BLOCK);
                    self.front = to;
                    self.caret = None;
                }
            }
            (keys::NEW_PAGE, Window::Web) => {
                self.page += 1;
                self.web_line = 0;
                self.paint_page(p);
                damage.add(WEB);
            }
            (keys::DOWN, Window::Mail) => {
                let old = Rect::new(LIST.x, LIST.y + (self.message % 56 * u64::from(LINE)) as i32, 4, LINE);
                p.fill(old, PAPER);
                self.message += 1;
                let new = Rect::new(LIST.x, LIST.y + (self.message % 56 * u64::from(LINE)) as i32, 4, LINE);
                p.fill(new, CHOSEN);
                self.painter.page(p, self.seed ^ 0x6d61 ^ self.message << 8, 0, MESSAGE);
                [old, new, MESSAGE].into_iter().for_each(|r| damage.add(r));
            }
            (keys::DOWN | keys::RIGHT, Window::Sheet) => {
                self.typed = 0;
                damage.add(self.frame_cell(p, self.cell, PAPER));
                let (c, r) = self.cell;
                self.cell = if code == keys::DOWN { (c, (r + 1) % 40) } else { ((c + 1) % 16, r) };
                damage.add(self.frame_cell(p, self.cell, CHOSEN));
            }
            (16..=50, Window::Sheet) => {
                let r = cell_rect(self.cell);
                let c = char::from(b'0' + (code % 10) as u8);
                let x = r.x + 8 + (self.typed % 10 * LETTER) as i32;
                self.typed += 1;
                damage.add(self.painter.letter(p, c, x, r.y + 3, INK, PAPER));
            }
            (keys::ENTER, Window::Editor) => self.write(now, '\n', p, damage),
            (16..=50, Window::Editor) => {
                let c = if code == 50 { ' ' } else { char::from(b'a' + (code % 26) as u8) };
                self.write(now, c, p, damage);
            }
            _ => {}
        }
    }

    fn call_at(&self) -> Option<u64> {
        let next = self.frame * 1_000_000 / CALL_HZ;
        self.calls.iter().find(|(_, until)| next < *until).map(|(from, _)| next.max(*from))
    }
}

fn cell_rect((column, row): (u32, u32)) -> Rect<Surf> {
    Rect::new((24 + column * CELL.0) as i32, (36 + row * CELL.1) as i32, CELL.0, CELL.1)
}

impl Script for Desk {
    fn first(&mut self, p: &mut Pixels) {
        for window in [Window::Editor, Window::Web, Window::Mail, Window::Sheet] {
            self.paint_window(p, window);
            self.windows.push(p.crop(BLOCK));
        }
        p.paste(&self.windows[0], 0, 0);
        p.fill(PANEL, PANEL_GREY);
        for (i, name) in ["report", "news", "mail", "sheet"].into_iter().enumerate() {
            self.painter.word(p, name, 24 + i as i32 * 180, PANEL.y + 3, WHITE, PANEL_GREY);
        }
    }

    fn next_at(&self) -> Option<u64> {
        let minute = (self.minute + 1) * 60_000_000;
        [Some(minute), self.caret.map(|(at, _)| at), self.call_at()].into_iter().flatten().min()
    }

    fn step(&mut self, now: u64, p: &mut Pixels, damage: &mut Region<Surf>) {
        if (self.minute + 1) * 60_000_000 <= now {
            self.minute = now / 60_000_000;
            let text = format!("{:02}.{:02}", 9 + self.minute / 60, self.minute % 60);
            self.painter.word(p, &text, 1850, PANEL.y + 3, WHITE, PANEL_GREY);
            damage.add(Rect::new(1850, PANEL.y + 3, 5 * LETTER, LINE));
        }
        if let Some((_, on)) = self.caret.take_if(|(at, _)| *at <= now) {
            self.set_caret(now, !on, p, damage);
        }
        if self.call_at().is_some_and(|at| at <= now) {
            // The beat is rounded down, so the frame of this very moment may count as the one before.
            self.frame = self.frame.max(now * CALL_HZ / 1_000_000) + 1;
            self.film.paint(self.frame, p);
            damage.add(CALL);
        }
    }

    fn input(&mut self, now: u64, event: &InputEvent, p: &mut Pixels, damage: &mut Region<Surf>) {
        match event {
            InputEvent::Key { code, action: KeyMove::Down | KeyMove::Repeat } => self.on_key(now, code.0, p, damage),
            InputEvent::Wheel { y, .. } if *y > 0 && self.front == Window::Web => {
                let rows = u64::from(WEB.h / LINE);
                self.painter.scroll(p, self.seed ^ 0x77eb ^ self.page << 8, self.web_line + rows, 3, WEB);
                self.web_line += 3;
                damage.add(WEB);
            }
            InputEvent::Button { button: Button::Left, down: true } => {
                if self.menu.is_some() {
                    self.close_menu(p, damage);
                } else {
                    self.behind_menu = p.crop(MENU);
                    p.fill(MENU, [0x90; 3]);
                    (0..14).for_each(|i| _ = self.item(p, i, false));
                    self.menu = Some(u32::MAX);
                    damage.add(MENU);
                }
            }
            InputEvent::PointerTo(to) => {
                let Some(old) = self.menu else { return };
                let item = ((to.y - MENU.y - 2).max(0) / 28) as u32;
                if item < 14 && item != old && to.x >= MENU.x && to.x < MENU.right() {
                    if old < 14 {
                        damage.add(self.item(p, old, false));
                    }
                    damage.add(self.item(p, item, true));
                    self.menu = Some(item);
                }
            }
            _ => {}
        }
    }
}
