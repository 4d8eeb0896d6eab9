//! The application that is watched: a window over the whole of the host's display that draws what the work asks for and
//! stamps every draw call. It is a process of its own (`telepane-bench stimulus`), an ordinary X11 client like any other.
//!
//! Everything is drawn first in the shared frame and then put on the screen from there with MIT-SHM, the way toolkits
//! and browsers do it: no XCopyArea, which would tell a scraping server what moved.

pub mod drag;
pub mod film;
pub mod font;
pub mod page;

use crate::clock;
use crate::process::interrupted;
use crate::shared::{FRAME_OFFSET, Shared, Word};
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use drag::Drag;
use film::Film;
use font::{CELL_H, CELL_W, Font};
use page::{Chance, MENU, PATCH, PATCH_COLOURS};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use telepane_capture::synthetic::photo;
use telepane_model::Size;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::{
    ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, ImageFormat, InputFocus, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// What the stimulus does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// A patch changes its colour at each key press.
    Key,
    /// A glyph is drawn at each key press.
    Typing,
    /// A full window of text scrolls by three lines, 30 times a second.
    Scroll,
    /// A window is dragged over a photo, 60 steps a second.
    Drag,
    /// The whole window changes between two contents at each key press.
    Switch,
    /// A menu opens and closes at key presses.
    Menu,
    /// A film of 1280x720 plays in a window, 30 frames a second.
    Film,
    /// The same film with so much grain that it takes whatever a link carries.
    Grain,
    /// At each key press a part of the window fills with what hardly compresses and is no picture: some 300 kB.
    Burst,
    /// A glyph appears at each key press, beside the film with grain.
    Beside,
    /// At each key press a new photograph covers the whole window.
    Photo,
    /// Nothing changes.
    Idle,
}

impl Kind {
    /// Every kind, in the order of the reports.
    pub const ALL: [Self; 12] = [
        Self::Key,
        Self::Typing,
        Self::Scroll,
        Self::Drag,
        Self::Switch,
        Self::Menu,
        Self::Film,
        Self::Grain,
        Self::Burst,
        Self::Beside,
        Self::Photo,
        Self::Idle,
    ];

    /// Steps a second of what moves by itself.
    pub fn hz(self) -> Option<u64> {
        match self {
            Self::Scroll | Self::Film | Self::Grain | Self::Beside => Some(30),
            Self::Drag => Some(60),
            Self::Key | Self::Typing | Self::Switch | Self::Menu | Self::Burst | Self::Photo | Self::Idle => None,
        }
    }

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Typing => "typing",
            Self::Scroll => "scroll",
            Self::Drag => "drag",
            Self::Switch => "switch",
            Self::Menu => "menu",
            Self::Film => "film",
            Self::Grain => "grain",
            Self::Burst => "burst",
            Self::Beside => "beside",
            Self::Photo => "photo",
            Self::Idle => "idle",
        }
    }
}

/// `telepane-bench stimulus`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// What to draw.
    pub kind: Kind,
    /// On this X display.
    #[arg(long, value_name = ":N")]
    pub display: String,
    /// The file shared with the harness.
    #[arg(long, value_name = "FILE")]
    pub shared: PathBuf,
}

/// Runs until it is ended or its display goes away.
///
/// # Errors
/// When the display is not there, lacks MIT-SHM, or is smaller than the shared frame.
pub fn run(options: &Options) -> Result<()> {
    let mut app = App::open(options)?;
    app.start(options.kind)?;
    match options.kind.hz() {
        Some(hz) if options.kind == Kind::Beside => app.answers_beside(hz),
        Some(hz) => app.moves(options.kind, hz),
        None => app.answer_keys(options.kind),
    }
}

struct App {
    conn: RustConnection,
    root: u32,
    window: u32,
    gc: u32,
    segment: u32,
    depth: u8,
    frame: Shared,
    font: Font,
    chance: Chance,
    letters: BTreeMap<u8, char>,
    scene: Scene,
}

/// What a kind keeps between its steps.
enum Scene {
    Page,
    Drag(Drag),
    Film(Film),
    Switch { home: Vec<u32>, other: Vec<u32> },
    Menu(Vec<u32>),
}

impl App {
    fn open(options: &Options) -> Result<Self> {
        let (conn, screen) = x11rb::connect(Some(&options.display)).context("cannot reach the host's display")?;
        let screen = conn.setup().roots.get(screen).context("the display has no screen")?;
        let (root, depth) = (screen.root, screen.root_depth);
        let frame = Shared::open(&options.shared)?;
        let size = conn.get_geometry(root)?.reply()?;
        let fits = usize::from(size.width) >= frame.width && usize::from(size.height) >= frame.height;
        ensure!(fits, "the display is {}x{}, the frame is larger", size.width, size.height);
        let (window, gc, segment) = (conn.generate_id()?, conn.generate_id()?, conn.generate_id()?);
        conn.shm_query_version()?.reply().context("the display has no MIT-SHM")?;
        conn.shm_attach_fd(segment, OwnedFd::from(frame.file()?), false)?.check()?;
        let (font, chance) = (Font::new(), Chance::new(SEED));
        Ok(Self {
            conn,
            root,
            window,
            gc,
            segment,
            depth,
            frame,
            font,
            chance,
            letters: BTreeMap::new(),
            scene: Scene::Page,
        })
    }

    /// The first picture, the window, the keyboard.
    fn start(&mut self, kind: Kind) -> Result<()> {
        self.first_picture(kind);
        let conn = &self.conn;
        // An empty cursor: the pointer belongs to no work here.
        let (pixmap, cursor) = (conn.generate_id()?, conn.generate_id()?);
        conn.create_pixmap(1, pixmap, self.root, 1, 1)?;
        let clear = conn.generate_id()?;
        conn.create_gc(clear, pixmap, &CreateGCAux::new().foreground(0))?;
        conn.poly_fill_rectangle(pixmap, clear, &[rectangle(0, 0, 1, 1)])?;
        conn.create_cursor(cursor, pixmap, pixmap, 0, 0, 0, 0, 0, 0, 0, 0)?;
        let aux = CreateWindowAux::new()
            .override_redirect(1)
            .event_mask(EventMask::KEY_PRESS | EventMask::EXPOSURE | EventMask::STRUCTURE_NOTIFY)
            .cursor(cursor);
        let (w, h) = (self.frame.width as u16, self.frame.height as u16);
        conn.create_window(0, self.window, self.root, 0, 0, w, h, 0, WindowClass::INPUT_OUTPUT, 0, &aux)?;
        conn.create_gc(self.gc, self.window, &CreateGCAux::new().graphics_exposures(0))?;
        conn.map_window(self.window)?;
        conn.flush()?;
        while !matches!(self.conn.wait_for_event()?, Event::MapNotify(_)) {}
        self.conn.set_input_focus(InputFocus::POINTER_ROOT, self.window, x11rb::CURRENT_TIME)?;
        self.read_keymap()?;
        self.put(0, 0, self.frame.width, self.frame.height)?;
        self.conn.sync()?;
        self.frame.set(Word::Ready, 1);
        Ok(())
    }

    fn first_picture(&mut self, kind: Kind) {
        let half = self.frame.width / 2;
        match kind {
            Kind::Drag => {
                let drag = Drag::new(self.frame.width, self.frame.height, &self.font);
                drag.draw(&self.frame, 0);
                self.scene = Scene::Drag(drag);
                return;
            }
            Kind::Switch | Kind::Menu => page::page(&self.frame, &self.font, &mut self.chance, 0),
            _ => page::page(&self.frame, &self.font, &mut self.chance, half),
        }
        page::barcodes(&self.frame, 0);
        let frame = &self.frame;
        match kind {
            Kind::Film | Kind::Grain | Kind::Beside => {
                // Dark until it plays, so that the first picture is no test of how a photo is coded.
                let (x, y) = Film::place(frame.width, frame.height);
                frame.fill(x, y, film::WIDTH, film::HEIGHT, 0x10_1418);
                self.scene = Scene::Film(if kind == Kind::Film { Film::new() } else { Film::grainy() });
            }
            Kind::Switch => {
                self.scene = Scene::Switch { home: frame.copy(0, 0, frame.width, frame.height), other: Vec::new() }
            }
            Kind::Menu => {
                let (x, y, w, h) = MENU;
                self.scene = Scene::Menu(frame.copy(x, y, w, h));
            }
            _ => {
                let (x, y, w, h) = PATCH;
                frame.fill(x, y, w, h, PATCH_COLOURS[0]);
            }
        }
    }

    /// Another content of the whole window, or one that was there before. Of four presses the first brings a new one, the
    /// others go back and forth between it and the first.
    fn switch(&mut self) -> Result<()> {
        let step = self.frame.word(Word::Steps) as usize + 1;
        let (w, h) = (self.frame.width, self.frame.height);
        let fresh = is_fresh(step);
        if fresh {
            page::page(&self.frame, &self.font, &mut self.chance, page::SIDEBAR);
            page::sidebar(&self.frame, &self.font, &mut self.chance);
        }
        if let Scene::Switch { home, other } = &mut self.scene {
            if fresh {
                *other = self.frame.copy(0, 0, w, h);
            } else {
                self.frame.paste(0, 0, w, if step.is_multiple_of(2) { home } else { other });
            }
        }
        page::barcodes(&self.frame, step);
        self.step(0, 0, w, h)
    }

    fn menu(&mut self) -> Result<()> {
        let (x, y, w, h) = MENU;
        match &self.scene {
            Scene::Menu(below) if self.frame.word(Word::Steps) % 2 == 1 => self.frame.paste(x, y, w, below),
            _ => page::menu(&self.frame, &self.font, &mut self.chance),
        }
        self.step(x, y, w, h)
    }

    /// Noise of a few colours, which is coded exactly at once and takes ten bits a pixel.
    fn burst(&mut self) -> Result<()> {
        let (x, y, w, h) = BURST;
        let noise: Vec<u32> =
            (0..w * h).map(|_| BURST_COLOURS[self.chance.below(BURST_COLOURS.len() as u64) as usize]).collect();
        self.frame.paste(x, y, w, &noise);
        page::barcodes(&self.frame, self.frame.word(Word::Steps) as usize + 1);
        self.step(0, 0, self.frame.width, self.frame.height)
    }

    /// A photograph that was not there before.
    fn photo(&mut self) -> Result<()> {
        let step = self.frame.word(Word::Steps) as usize + 1;
        let (w, h) = (self.frame.width, self.frame.height);
        let photo = photo(Size::new(w as u32, h as u32), SEED ^ step as u64);
        let pixels = photo.data().chunks_exact(4).map(|p| u32::from_le_bytes([p[0], p[1], p[2], 0]));
        self.frame.paste(0, 0, w, &pixels.collect::<Vec<_>>());
        page::barcodes(&self.frame, step);
        self.step(0, 0, w, h)
    }

    fn answer_keys(&mut self, kind: Kind) -> Result<()> {
        loop {
            self.wait(SETTLE_US)?;
            while let Some(event) = self.conn.poll_for_event()? {
                self.on_event(event, kind)?;
            }
            if self.frame.word(Word::Settled) == 0 {
                self.conn.sync()?;
                self.frame.set(Word::Settled, 1);
            }
            if interrupted() {
                return Ok(());
            }
        }
    }

    fn on_event(&mut self, event: Event, kind: Kind) -> Result<()> {
        match event {
            Event::KeyPress(_) if kind == Kind::Key => {
                let (x, y, w, h) = PATCH;
                let colour = PATCH_COLOURS[(self.frame.word(Word::Steps) as usize + 1) & 1];
                self.frame.fill(x, y, w, h, colour);
                self.step(x, y, w, h)
            }
            Event::KeyPress(key) if matches!(kind, Kind::Typing | Kind::Beside) => {
                let c = self.letters.get(&key.detail).copied().unwrap_or('-');
                let (x, y) = page::typed_cell(self.frame.word(Word::Steps) as usize, self.frame.height);
                page::glyph(&self.frame, &self.font, c, x, y);
                self.step(x, y, CELL_W, CELL_H)
            }
            Event::KeyPress(_) if kind == Kind::Switch => self.switch(),
            Event::KeyPress(_) if kind == Kind::Menu => self.menu(),
            Event::KeyPress(_) if kind == Kind::Burst => self.burst(),
            Event::KeyPress(_) if kind == Kind::Photo => self.photo(),
            Event::Expose(e) => {
                self.put(e.x.into(), e.y.into(), e.width.into(), e.height.into())?;
                Ok(self.conn.flush()?)
            }
            Event::MappingNotify(_) => self.read_keymap(),
            Event::Error(e) => anyhow::bail!("the display refused a request: {e:?}"),
            _ => Ok(()),
        }
    }

    /// Moves by itself while the harness wants it to.
    fn moves(&mut self, kind: Kind, hz: u64) -> Result<()> {
        clock::sharpen();
        let mut next = clock::now();
        let interval = 1_000_000 / hz;
        loop {
            while let Some(event) = self.conn.poll_for_event()? {
                self.on_event(event, kind)?;
            }
            if interrupted() {
                return Ok(());
            }
            if self.frame.word(Word::Run) == 0 {
                self.frame.set(Word::Settled, 1);
                clock::pause(5_000);
                next = clock::now();
                continue;
            }
            let (x, y, w, h) = self.draw_step(self.frame.word(Word::Steps) as usize + 1);
            // The next step's time is fixed, so that a slow step does not slow the work itself down.
            next = (next + interval).max(clock::now().saturating_sub(interval));
            clock::sleep_until(next);
            self.step(x, y, w, h)?;
            // The server reads the frame until then.
            self.conn.sync()?;
        }
    }

    /// Answers keys, and lets the film beside them run while the harness wants it to. Only letters are steps.
    fn answers_beside(&mut self, hz: u64) -> Result<()> {
        clock::sharpen();
        let (mut next, mut shown) = (clock::now(), 0);
        loop {
            self.wait(next.saturating_sub(clock::now()).min(SETTLE_US))?;
            while let Some(event) = self.conn.poll_for_event()? {
                self.on_event(event, Kind::Beside)?;
            }
            if interrupted() {
                return Ok(());
            }
            let now = clock::now();
            if self.frame.word(Word::Run) == 0 {
                self.conn.sync()?;
                self.frame.set(Word::Settled, 1);
                next = now + 1_000_000 / hz;
            } else if now >= next {
                next = (next + 1_000_000 / hz).max(now);
                shown += 1;
                let (x, y, w, h) = self.draw_step(shown);
                self.put(x, y, w, h)?;
                self.conn.sync()?;
            }
        }
    }

    /// Draws a step into the frame; what of it changed.
    fn draw_step(&mut self, step: usize) -> (usize, usize, usize, usize) {
        match &self.scene {
            Scene::Drag(drag) => drag.draw(&self.frame, step),
            Scene::Film(film) => film.draw(&self.frame, step),
            Scene::Page | Scene::Switch { .. } | Scene::Menu(_) => {
                let by = SCROLL_LINES * CELL_H;
                self.frame.scroll_up(by);
                for line in 0..SCROLL_LINES {
                    let y = (self.frame.height / CELL_H - SCROLL_LINES + line) * CELL_H;
                    page::text_line(&self.frame, &self.font, &mut self.chance, 0, y);
                }
                page::barcodes(&self.frame, step);
                (0, 0, self.frame.width, self.frame.height)
            }
        }
    }

    /// Stamps and shows a step.
    fn step(&self, x: usize, y: usize, w: usize, h: usize) -> Result<()> {
        self.frame.stamp(clock::now());
        self.put(x, y, w, h)?;
        Ok(self.conn.flush()?)
    }

    fn put(&self, x: usize, y: usize, w: usize, h: usize) -> Result<()> {
        let (total_w, total_h) = (self.frame.width as u16, self.frame.height as u16);
        let [x, y, w, h] = [x, y, w, h].map(|v| v as u16);
        let format = ImageFormat::Z_PIXMAP.into();
        let (to_x, to_y, depth, offset) = (x as i16, y as i16, self.depth, FRAME_OFFSET as u32);
        let (window, gc, segment) = (self.window, self.gc, self.segment);
        self.conn.shm_put_image(
            window, gc, total_w, total_h, x, y, w, h, to_x, to_y, depth, format, false, segment, offset,
        )?;
        Ok(())
    }

    /// Which letter each key gives, unshifted.
    fn read_keymap(&mut self) -> Result<()> {
        self.letters = letters(&self.conn)?;
        Ok(())
    }

    /// Waits for the display, at most so many microseconds.
    fn wait(&self, most: u64) -> Result<()> {
        let mut poll = libc::pollfd { fd: self.conn.stream().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid structure, as the count says.
        unsafe { libc::poll(&raw mut poll, 1, (most / 1000) as i32) };
        ensure!(poll.revents & (libc::POLLERR | libc::POLLHUP) == 0, "the display went away");
        Ok(())
    }
}

/// Which letter each key code of a display gives without modifiers.
///
/// # Errors
/// When the display does not answer.
pub fn letters(conn: &RustConnection) -> Result<BTreeMap<u8, char>> {
    let (min, max) = (conn.setup().min_keycode, conn.setup().max_keycode);
    let map = conn.get_keyboard_mapping(min, max - min + 1)?.reply()?;
    let per = usize::from(map.keysyms_per_keycode).max(1);
    let first = map.keysyms.chunks(per).filter_map(|syms| syms.first().copied());
    // Keysyms of Latin letters are their code points.
    let letter = |sym: u32| char::from_u32(sym).filter(|c| font::LETTERS.contains(*c));
    Ok((min..=max).zip(first).filter_map(|(code, sym)| Some((code, letter(sym)?))).collect())
}

fn rectangle(x: i16, y: i16, width: u16, height: u16) -> x11rb::protocol::xproto::Rectangle {
    x11rb::protocol::xproto::Rectangle { x, y, width, height }
}

/// Whether this step of `switch` shows something that was never there before.
pub fn is_fresh(step: usize) -> bool {
    step % 4 == 1
}

/// What a burst fills: the middle of the smallest screen.
const BURST: (usize, usize, usize, usize) = (340, 160, 600, 400);
/// Sixteen colours as of a terminal.
const BURST_COLOURS: [u32; 16] = [
    0x00_0000, 0xaa_0000, 0x00_aa00, 0xaa_5500, 0x00_00aa, 0xaa_00aa, 0x00_aaaa, 0xaa_aaaa, 0x55_5555, 0xff_5555,
    0x55_ff55, 0xff_ff55, 0x55_55ff, 0xff_55ff, 0x55_ffff, 0xff_ffff,
];
/// Lines a step moves: what one notch of a wheel moves in most applications.
const SCROLL_LINES: usize = 3;
/// How often the application looks whether the harness wants it settled. It is slow enough not to show in idle figures.
const SETTLE_US: u64 = 100_000;
const SEED: u64 = 0x7e1e_9a4e;
