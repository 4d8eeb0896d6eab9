//! An editor that types by itself until someone types into it: each glyph changes one cell and the caret.

use super::font::{CELL_H, CELL_W, glyph, line};
use super::paint::{mix, text_line};
use telepane_model::{InputEvent, KeyMove, Pixels, Rect, Rng, Size, Span, Surf};

const PAPER: [u8; 3] = [255, 255, 255];
const INK: [u8; 3] = [20, 20, 20];
const CARET: [u8; 3] = [0, 0, 200];
const MARGIN: [u8; 3] = [235, 232, 230];
/// Columns taken by line numbers.
const GUTTER: u32 = 5;

/// US layout by evdev code, from `KEY_1` (2): plain and shifted. `\0` types nothing.
const KEYS: [(char, char); 56] = {
    let n = ('\0', '\0');
    [
        ('1', '!'),
        ('2', '@'),
        ('3', '#'),
        ('4', '$'),
        ('5', '%'),
        ('6', '^'),
        ('7', '&'),
        ('8', '*'),
        ('9', '('),
        ('0', ')'),
        ('-', '_'),
        ('=', '+'),
        ('\x08', '\x08'),
        ('\t', '\t'),
        ('q', 'Q'),
        ('w', 'W'),
        ('e', 'E'),
        ('r', 'R'),
        ('t', 'T'),
        ('y', 'Y'),
        ('u', 'U'),
        ('i', 'I'),
        ('o', 'O'),
        ('p', 'P'),
        ('[', '{'),
        (']', '}'),
        ('\n', '\n'),
        n,
        ('a', 'A'),
        ('s', 'S'),
        ('d', 'D'),
        ('f', 'F'),
        ('g', 'G'),
        ('h', 'H'),
        ('j', 'J'),
        ('k', 'K'),
        ('l', 'L'),
        (';', ':'),
        ('\'', '"'),
        ('`', '~'),
        n,
        ('\\', '|'),
        ('z', 'Z'),
        ('x', 'X'),
        ('c', 'C'),
        ('v', 'V'),
        ('b', 'B'),
        ('n', 'N'),
        ('m', 'M'),
        (',', '<'),
        ('.', '>'),
        ('/', '?'),
        n,
        ('*', '*'),
        n,
        (' ', ' '),
    ]
};
const LEFT_SHIFT: u16 = 42;
const RIGHT_SHIFT: u16 = 54;

/// The editor's state.
pub(super) struct Editor {
    size: Size<Surf>,
    rng: Rng,
    seed: u64,
    column: u32,
    row: u32,
    shift: bool,
    words: std::collections::VecDeque<char>,
    number: u64,
}

impl Editor {
    pub(super) fn new(size: Size<Surf>, seed: u64) -> Self {
        Self {
            size,
            rng: Rng::new(mix(seed, 7)),
            seed,
            column: 0,
            row: 0,
            shift: false,
            words: std::collections::VecDeque::new(),
            number: 1 << 32,
        }
    }

    fn columns(&self) -> u32 {
        (self.size.w / CELL_W).saturating_sub(GUTTER + 1).max(1)
    }

    fn rows(&self) -> u32 {
        (self.size.h / CELL_H).saturating_sub(2).max(1)
    }

    fn cell(&self, column: u32, row: u32) -> Rect<Surf> {
        let (x, y) = ((column + GUTTER) * CELL_W, (row + 1) * CELL_H);
        Rect::new(x as i32, y as i32, CELL_W, CELL_H)
    }

    pub(super) fn first(&mut self, p: &mut Pixels) {
        p.fill(self.size.rect(), PAPER);
        p.fill(Rect::new(0, 0, self.size.w, CELL_H), [110, 90, 80]);
        line(p, 8, 0, "editor - telepane", [255; 3], [110, 90, 80]);
        p.fill(Rect::new(0, CELL_H as i32, GUTTER * CELL_W - 4, self.size.h), MARGIN);
        let filled = self.rows() / 2;
        for row in 0..self.rows() {
            let cell = self.cell(0, row);
            line(p, 0, cell.y, &format!("{:4}", row + 1), [150; 3], MARGIN);
            if row < filled {
                let text = text_line(self.seed, u64::from(row), self.columns() as usize);
                line(p, cell.x, cell.y, &text, INK, PAPER);
            }
        }
        self.row = filled;
        self.column = 0;
        self.caret(p, CARET);
    }

    fn caret(&self, p: &mut Pixels, colour: [u8; 3]) -> Rect<Surf> {
        let cell = self.cell(self.column, self.row);
        let bar = Rect::new(cell.x, cell.y, 2, CELL_H);
        p.fill(bar, colour);
        bar
    }

    /// How long until the next key of the one who types by itself: 7 a second on average, as people type, unevenly.
    pub(super) fn pause(&mut self) -> Span {
        Span::micros(83_000 + self.rng.below(120_000))
    }

    /// Types the next character of an endless text.
    pub(super) fn type_on(&mut self, p: &mut Pixels, damage: &mut Vec<Rect<Surf>>) {
        while self.words.is_empty() {
            let text = text_line(self.seed, self.number, self.columns().min(72) as usize);
            self.number += 1;
            self.words.extend(text.trim().chars());
            self.words.push_back('\n');
        }
        if let Some(c) = self.words.pop_front() {
            self.put(c, p, damage);
        }
    }

    /// What a user did; whether it typed anything.
    pub(super) fn input(&mut self, event: &InputEvent, p: &mut Pixels, damage: &mut Vec<Rect<Surf>>) -> bool {
        match event {
            InputEvent::Text(text) => {
                for c in text.chars() {
                    self.put(c, p, damage);
                }
                !text.is_empty()
            }
            InputEvent::Press { code, means } => match means.char() {
                Some(c) => {
                    self.put(c, p, damage);
                    true
                }
                None => self.input(&InputEvent::Key { code: *code, action: KeyMove::Down }, p, damage),
            },
            InputEvent::Key { code, action } => {
                if matches!(code.0, LEFT_SHIFT | RIGHT_SHIFT) {
                    self.shift = *action != KeyMove::Up;
                    return false;
                }
                let key = usize::from(code.0).checked_sub(2).and_then(|i| KEYS.get(i));
                let Some((plain, shifted)) = key.filter(|k| k.0 != '\0' && *action != KeyMove::Up) else {
                    return false;
                };
                self.put(if self.shift { *shifted } else { *plain }, p, damage);
                true
            }
            InputEvent::Blur => {
                self.shift = false;
                false
            }
            _ => false,
        }
    }

    fn put(&mut self, c: char, p: &mut Pixels, damage: &mut Vec<Rect<Surf>>) {
        damage.push(self.caret(p, PAPER));
        match c {
            '\n' => self.new_line(p, damage),
            '\x08' => {
                self.column = self.column.saturating_sub(1);
                let cell = self.cell(self.column, self.row);
                damage.push(glyph(p, cell.x, cell.y, ' ', INK, PAPER));
            }
            c => {
                let cell = self.cell(self.column, self.row);
                damage.push(glyph(p, cell.x, cell.y, if c == '\t' { ' ' } else { c }, INK, PAPER));
                self.column += 1;
                if self.column >= self.columns() {
                    self.new_line(p, damage);
                }
            }
        }
        damage.push(self.caret(p, CARET));
    }

    /// The next row; at the bottom the page starts again half empty.
    fn new_line(&mut self, p: &mut Pixels, damage: &mut Vec<Rect<Surf>>) {
        self.column = 0;
        self.row += 1;
        if self.row >= self.rows() {
            self.row = self.rows() / 2;
            let top = self.cell(0, self.row);
            let rest = Rect::between(top.x, top.y, self.size.w as i32, self.size.h as i32);
            p.fill(rest, PAPER);
            damage.push(rest);
        }
    }
}
