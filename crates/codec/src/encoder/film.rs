//! The film part of a job: a region's next frame, in as many slices as it takes.
//!
//! A frame is coded whole, and its fragments leave as there is room, in this job and in later ones, with whatever else is
//! wanted between them; so a key's echo does not wait for a film's frame. Until the last fragment nothing changes; that
//! one shows the frame on `sent` as the same decoder will at the viewer. When H.264 fails the region is coded exactly.
//!
//! Coding the frame itself may be handed out ([`EncoderOptions::film_apart`](super::EncoderOptions)): the job that wants it
//! first only begins it, and the job that asks again after [`Encoder::on_film`] puts it into slices.

use super::{Draft, Encoder, Run};
use crate::classify::classify;
use crate::diff;
use crate::film::{FilmDone, FilmFrame, FilmTask, scale_for};
use crate::plan::{Dirty, Work, plan};
use std::collections::VecDeque;
use telepane_model::{EncodeItem, EncodeJob, FilmScale, Quality, Rect, Surf, TileAt, TileClass};

/// Fewer tiles of pictures than this are no film at their second change, and need not be remembered.
const LARGE_TILES: usize = 25;

/// The one frame there is at a time.
pub(super) enum Filming {
    /// It is being coded elsewhere.
    Away(Rect<Surf>),
    /// It is coded, and not all of it is in slices.
    Coded(FilmFrame),
    /// H.264 failed: what the region shows is to be coded exactly.
    Refused(Rect<Surf>),
}

impl Filming {
    const fn rect(&self) -> Rect<Surf> {
        match self {
            Self::Away(rect) | Self::Refused(rect) => *rect,
            Self::Coded(frame) => frame.rect,
        }
    }
}

impl Encoder {
    /// Whether a frame of `rect` is coded and not all of it is in slices: a job for it only goes on with it.
    pub fn is_filming(&self, rect: Rect<Surf>) -> bool {
        matches!(&self.filming, Some(Filming::Coded(frame)) if frame.rect == rect)
    }

    /// Whether a job for a frame of `rect` does more than to begin it or to put it into slices.
    pub fn works_for_film(&self, rect: Rect<Surf>) -> bool {
        self.codes_film_itself(rect) || self.begins_film(rect)
    }

    /// Whether a frame of `rect` would begin a film, and is to be looked at for that.
    pub fn begins_film(&self, rect: Rect<Surf>) -> bool {
        let begun = self.filming.as_ref().is_some_and(|f| f.rect() == rect);
        self.options.film_judged && !begun && !self.grid.touching(rect).any(|at| self.tiles.shows_film(at))
    }

    /// After a job that drew `dirty` on the way to a film's beginning: a picture that was shown coarsely cannot be recognised
    /// by what the viewer holds of it when it scrolls on, so what it was is remembered.
    pub(super) fn remember_pictures(&mut self, dirty: &[Dirty], run: &Run<'_>) {
        let picture = |at: &TileAt| self.tiles.class(*at) == TileClass::Picture;
        if !dirty.iter().any(|d| picture(&d.at)) {
            return;
        }
        // Also those that another job draws: this one may be about a part of what scrolls.
        let mut tiles: Vec<_> = self.grid.all().filter(picture).map(|at| self.grid.rect(at)).collect();
        if tiles.len() < LARGE_TILES {
            tiles.clear();
        }
        self.mover.remember(run.newest, run.answer.version, &tiles);
    }

    /// Whether what differs in `rect` is a picture in motion. Half of a film may be as plain as text, and a little of it
    /// may have moved; no text at all looks like a picture, and a scroll is explained but for its edge
    /// (`research/codec.md` §4), by what the viewer holds or by what it would hold if pictures were exact at once.
    pub(super) fn is_motion(&mut self, rect: Rect<Surf>, run: &Run<'_>) -> bool {
        let (newest, mut dirty) = (run.newest, Vec::new());
        diff::boxes(&self.sent, newest, rect, |at, bbox| dirty.push(Dirty { item: 0, at, bbox }));
        let differs: u64 = dirty.iter().map(|d| d.bbox.area()).sum();
        let pictures = dirty.iter().filter(|d| classify(newest, d.bbox, &mut self.exact) == TileClass::Picture);
        let pictures: u64 = pictures.map(|d| d.bbox.area()).sum();
        let tiles: Vec<_> = dirty.iter().map(|d| self.grid.rect(d.at)).collect();
        differs > 0
            && pictures * 3 >= differs
            && !self.mover.remembers(newest, run.answer.version, &tiles)
            && self.moved_within(&dirty, newest, rect) * 3 <= differs
    }

    /// Whether a job's film item is coded by the job itself, and not elsewhere or before it.
    pub(super) fn codes_film_itself(&self, rect: Rect<Surf>) -> bool {
        let refused = matches!(self.filming, Some(Filming::Refused(of)) if of == rect);
        refused || !self.options.film_apart && !self.is_filming(rect)
    }

    /// The frame that the last job began, to be coded from the pixels of that job on whatever thread and brought back.
    pub fn take_film(&mut self) -> Option<FilmTask> {
        self.film_task.take()
    }

    /// What [`Encoder::take_film`] gave comes back, having run.
    pub fn on_film(&mut self, task: FilmTask) {
        let rect = task.rect();
        self.filming = match self.film.done(task) {
            FilmDone::Coded(frame) => Some(Filming::Coded(frame)),
            FilmDone::Stale => None,
            FilmDone::Refused => Some(Filming::Refused(rect)),
        };
    }

    /// Before a job that goes on with a frame of film: when nothing of it is in slices, and since it was begun the link fell so
    /// far that it would hold up everything behind it, it is dropped, and the job begins another one of the newest pixels.
    // spec: H-8
    pub fn refit(&mut self, job: &EncodeJob) {
        let goes_on = |rect| job.items.iter().any(|i| i.quality == Quality::FILM && i.rect == rect);
        let outgrew = |frame: &FilmFrame| goes_on(frame.rect) && frame.outgrew(job.film_bytes.0);
        if matches!(&self.filming, Some(Filming::Coded(frame)) if outgrew(frame))
            && let Some(frame) = self.take_frame()
        {
            self.film.skip(&frame);
        }
    }

    /// Begins the next frame of `rect`, to be coded elsewhere. False if H.264 refuses at once.
    pub(super) fn begin_film(&mut self, rect: Rect<Surf>, run: &mut Run<'_>) -> bool {
        if !matches!(self.filming, Some(Filming::Away(_))) {
            self.forget_frame();
            self.film_task = self.film.task(run.answer.version, (rect, self.scale(rect, run)), run.film_bytes);
            if self.film_task.is_none() {
                self.filming = Some(Filming::Refused(rect));
                return false;
            }
            self.filming = Some(Filming::Away(rect));
        }
        run.answer.awaits = true;
        run.answer.left.push(rect);
        true
    }

    /// In which size a frame is coded.
    // spec: V-5
    fn scale(&self, rect: Rect<Surf>, run: &Run<'_>) -> FilmScale {
        if self.options.film_scales { scale_for(rect, run.film_scale) } else { FilmScale::Full }
    }

    /// The frame that is coded.
    fn take_frame(&mut self) -> Option<FilmFrame> {
        match self.filming.take() {
            Some(Filming::Coded(frame)) => Some(frame),
            other => {
                self.filming = other;
                None
            }
        }
    }

    /// A frame that is coded will not be sent, or not to its end.
    fn forget_frame(&mut self) {
        if let Some(Filming::Coded(frame)) = self.filming.take() {
            self.film.abandon(&frame);
        }
    }

    /// What was coded or is being coded belongs to a chain that ended; the streams know.
    pub(super) fn leave_frame(&mut self) {
        self.filming = self.filming.take().filter(|f| matches!(f, Filming::Away(_)));
    }

    /// Gives up a frame of which not everything is in slices, if the job wants something else in its place.
    pub(super) fn drop_stale_frame(&mut self, job: &EncodeJob) {
        let Some(filming) = &self.filming else { return };
        let (rect, away) = (filming.rect(), matches!(filming, Filming::Away(_)));
        let goes_on = |i: &EncodeItem| i.quality == Quality::FILM && i.rect == rect;
        let replaces = |i: &EncodeItem| !i.rect.intersect(rect).is_empty();
        if job.items.iter().any(goes_on) || !job.items.iter().any(replaces) {
            return;
        }
        match away {
            true => self.film.abandon_task(),
            false => self.forget_frame(),
        }
    }

    /// Puts a film frame: one fragment for each slice, the last of which shows it. What has no room is left; when H.264
    /// fails the region is coded exactly.
    pub(super) fn put_film(&mut self, rect: Rect<Surf>, run: &mut Run<'_>, queue: &mut VecDeque<Work>) {
        if matches!(self.filming, Some(Filming::Away(_))) {
            run.answer.awaits = true;
            run.answer.left.push(rect);
            return;
        }
        if !self.is_filming(rect) {
            let left = run.max_bytes.saturating_sub(run.used);
            if !run.answer.slices.is_empty() && left < run.slice_bytes.min(self.film.expected(rect)) as u64 {
                run.answer.left.push(rect);
                return;
            }
            let refused = matches!(self.filming, Some(Filming::Refused(_)));
            self.forget_frame();
            let frame = match refused {
                true => None,
                false => {
                    let scale = self.scale(rect, run);
                    self.film.code(run.newest, run.answer.version, (rect, scale), run.film_bytes)
                }
            };
            self.filming = frame.map(Filming::Coded);
        }
        let Some(mut frame) = self.take_frame() else {
            let mut dirty = Vec::new();
            diff::boxes(&self.sent, run.newest, rect, |at, bbox| dirty.push(Dirty { item: 0, at, bbox }));
            let exact = plan(run.newest, &dirty, &[], &mut self.exact, |_, _| {});
            exact.into_iter().rev().for_each(|w| queue.push_front(w));
            return;
        };
        if frame.is_whole() {
            run.answer.filmed = Some(frame.filmed());
        }
        let each = frame.fragment(run.slice_bytes);
        while frame.left() > 0 {
            if !run.answer.slices.is_empty() && run.used >= run.max_bytes {
                self.filming = Some(Filming::Coded(frame));
                run.answer.left.push(rect);
                return;
            }
            let (id, base, stamp) = (run.next, self.history.now(), self.tiles.stamp());
            let mut bytes = Vec::new();
            frame.put_fragment(&mut bytes, each);
            let undo = self.history.begin(id);
            let mut open = Draft { id, base, bytes, limit: run.slice_bytes, pixels: 0, tiles: Vec::new(), stamp, undo };
            if frame.left() == 0 {
                open.undo.save(&self.sent, rect);
                self.film.show(&frame, id, &mut self.sent);
                self.tiles.touch(stamp, rect, &mut open.tiles);
                for at in &open.tiles {
                    // What film did to a tile is seen by comparing it.
                    self.tiles.doubt(*at);
                    if rect.contains(self.grid.rect(*at)) {
                        self.tiles.film(*at, stamp, frame.version);
                    }
                }
            }
            self.close(open, run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, EncoderOptions};
    use telepane_model::{Bytes, EncodedSlices, Pixels, Size, UpdateId, Version};

    const SIZE: telepane_model::Size<Surf> = Size::new(320, 192);
    const FILM: Rect<Surf> = Rect::new(64, 0, 192, 128);
    const ECHO: Rect<Surf> = Rect::new(0, 128, 40, 20);

    /// A host that codes film apart or not, and a viewer that gets everything.
    struct Pair {
        encoder: Encoder,
        decoder: Decoder,
        screen: Pixels,
        base: UpdateId,
        next: u32,
        version: u64,
        /// What a frame may take.
        film_bytes: u64,
    }

    impl Pair {
        fn new(film_apart: bool) -> Self {
            let encoder = Encoder::new(SIZE, EncoderOptions { film_apart, ..EncoderOptions::default() });
            let (decoder, screen) = (Decoder::new(SIZE), Pixels::new(SIZE));
            Self { encoder, decoder, screen, base: UpdateId::BLANK, next: 1, version: 0, film_bytes: 6_000 }
        }

        /// The film's frame `n`: rings that grow.
        fn paint(&mut self, n: u32) {
            self.version += 1;
            for y in 0..FILM.h {
                let row = self.screen.row_mut(FILM.x as u32, y, FILM.w).as_chunks_mut::<4>().0;
                for (x, px) in row.iter_mut().enumerate() {
                    let v = (x as u32 * x as u32 / 40 + y * y / 30).wrapping_sub(n * 5) as u8;
                    *px = [v, v / 2 + 60, 255 - v, 0];
                }
            }
        }

        fn key(&mut self, colour: u8) {
            self.version += 1;
            self.screen.fill(ECHO, [colour, 9, 9]);
        }

        fn job(&mut self, base: UpdateId, rect: Rect<Surf>, quality: Quality, max_bytes: u64) -> EncodedSlices {
            let version = Version(self.version);
            let job = EncodeJob {
                id: Default::default(),
                surface: Default::default(),
                epoch: Default::default(),
                size: SIZE,
                base,
                first: UpdateId(self.next),
                items: vec![EncodeItem { rect, version, quality }],
                max_bytes: Bytes(max_bytes),
                film_bytes: Bytes(self.film_bytes),
                film_scale: Default::default(),
                slice_bytes: Bytes(600),
                pictures: Default::default(),
                anew: false,
            };
            self.encoder.refit(&job);
            let answer = self.encoder.encode(&job, &self.screen, version).unwrap();
            for slice in &answer.slices {
                assert_eq!(slice.base, if slice.id == job.first { base } else { UpdateId(slice.id.0 - 1) });
                self.next = slice.id.0 + 1;
            }
            answer
        }

        /// The same for the newest state, and the viewer applies what comes.
        fn send(&mut self, rect: Rect<Surf>, quality: Quality) -> EncodedSlices {
            let answer = self.job(self.base, rect, quality, 1 << 20);
            self.apply(&answer);
            assert!(self.decoder.pixels() == self.encoder.sent());
            answer
        }

        fn apply(&mut self, answer: &EncodedSlices) {
            for slice in &answer.slices {
                self.decoder.apply(&slice.bytes).unwrap();
                self.base = slice.id;
            }
        }

        /// The frame that was begun is coded, of the pixels that were newest then.
        fn coded(&mut self, mut task: FilmTask, of: &Pixels) {
            task.run(of);
            self.encoder.on_film(task);
        }
    }

    fn bytes(answer: &EncodedSlices) -> Vec<Vec<u8>> {
        answer.slices.iter().map(|s| s.bytes.clone()).collect()
    }

    #[test]
    fn a_frame_that_is_coded_apart_is_the_same() {
        let (mut apart, mut here) = (Pair::new(true), Pair::new(false));
        for n in 0..8 {
            apart.paint(n);
            here.paint(n);
            let begun = apart.send(FILM, Quality::FILM);
            assert!(begun.awaits && begun.slices.is_empty() && begun.left == [FILM]);
            let waits = apart.send(FILM, Quality::FILM);
            assert!(waits.awaits && waits.slices.is_empty(), "there is one at a time");
            let of = apart.screen.clone();
            let task = apart.encoder.take_film().unwrap();
            assert!(apart.encoder.take_film().is_none() && !apart.encoder.is_filming(FILM));
            apart.coded(task, &of);
            assert!(apart.encoder.is_filming(FILM));
            let (a, b) = (apart.send(FILM, Quality::FILM), here.send(FILM, Quality::FILM));
            assert!(a.left.is_empty() && !a.awaits && a.slices.len() > 1);
            assert_eq!(bytes(&a), bytes(&b), "frame {n}");
        }
    }

    #[test]
    fn what_changes_while_a_frame_is_coded_goes_before_it() {
        let mut p = Pair::new(true);
        for n in 0..4 {
            p.paint(n);
            p.send(FILM, Quality::FILM);
            let (task, of) = (p.encoder.take_film().unwrap(), p.screen.clone());
            p.key(n as u8 * 50 + 1);
            let echo = p.send(ECHO, Quality::EXACT);
            assert!(!echo.awaits && echo.left.is_empty() && !echo.slices.is_empty());
            p.coded(task, &of);
            let film = p.send(FILM, Quality::FILM);
            let tiles: Vec<_> = film.slices.iter().flat_map(|s| &s.tiles).collect();
            assert!(!tiles.is_empty() && tiles.iter().all(|t| t.version == Version(p.version - 1)), "as old as begun");
        }
    }

    // spec: C-10, C-70
    #[test]
    fn a_frame_of_a_chain_that_ended_is_dropped_and_the_film_goes_on() {
        let mut p = Pair::new(true);
        let frame = |p: &mut Pair, n| {
            p.paint(n);
            p.send(FILM, Quality::FILM);
            let (task, of) = (p.encoder.take_film().unwrap(), p.screen.clone());
            p.coded(task, &of);
            p.send(FILM, Quality::FILM);
        };
        (0..3).for_each(|n| frame(&mut p, n));
        let held = p.base;
        // What follows is lost, and another frame is being coded when that is noticed.
        p.paint(3);
        p.job(held, FILM, Quality::FILM, 1 << 20);
        let (task, of) = (p.encoder.take_film().unwrap(), p.screen.clone());
        p.coded(task, &of);
        let lost = p.job(held, FILM, Quality::FILM, 1 << 20);
        p.paint(4);
        p.job(lost.slices.last().unwrap().id, FILM, Quality::FILM, 1 << 20);
        let (task, of) = (p.encoder.take_film().unwrap(), p.screen.clone());
        p.key(77);
        let rebase = p.job(held, ECHO, Quality::EXACT, 1 << 20);
        p.apply(&rebase);
        assert!(p.decoder.pixels() == p.encoder.sent());
        p.coded(task, &of);
        assert!(!p.encoder.is_filming(FILM), "it was coded against what the viewer never had");
        (5..8).for_each(|n| frame(&mut p, n));
    }

    /// Whatever the viewer has said, it understands what comes in the place of a frame that the link became too thin for.
    // spec: H-8, C-70
    #[test]
    fn a_frame_that_a_fall_made_too_large_is_coded_anew() {
        for confirms in [false, true] {
            let mut p = Pair::new(true);
            let begin = |p: &mut Pair, n| {
                p.paint(n);
                let begun = p.send(FILM, Quality::FILM);
                assert!(begun.awaits && begun.slices.is_empty(), "frame {n}");
                let (task, of) = (p.encoder.take_film().unwrap(), p.screen.clone());
                p.coded(task, &of);
            };
            let frame = |p: &mut Pair, n| {
                begin(p, n);
                let sent = p.send(FILM, Quality::FILM);
                if confirms {
                    p.encoder.confirm(p.base);
                }
                sent.filmed.unwrap()
            };
            assert!(frame(&mut p, 0).key);
            for fall in 1..4 {
                (fall * 20..fall * 20 + 12).for_each(|n| assert!(!frame(&mut p, n).key));
                begin(&mut p, fall * 20 + 12);
                p.film_bytes = 20;
                p.paint(fall * 20 + 13);
                let again = p.send(FILM, Quality::FILM);
                assert!(again.awaits && again.slices.is_empty() && !p.encoder.is_filming(FILM), "it is begun anew");
                let (task, of) = (p.encoder.take_film().unwrap(), p.screen.clone());
                p.coded(task, &of);
                let sent = p.send(FILM, Quality::FILM);
                assert!(!sent.filmed.unwrap().key && sent.left.is_empty(), "from a picture that the viewer has");
                let tiles = sent.slices.iter().flat_map(|s| &s.tiles);
                assert!(tiles.clone().count() > 0 && tiles.into_iter().all(|t| t.version == Version(p.version)));
                p.film_bytes = 6_000;
            }
        }
    }

    #[test]
    fn a_frame_in_whose_place_something_else_is_wanted_is_dropped() {
        let mut p = Pair::new(true);
        p.paint(0);
        p.send(FILM, Quality::FILM);
        let (task, of) = (p.encoder.take_film().unwrap(), p.screen.clone());
        p.send(FILM, Quality::EXACT);
        assert!(p.decoder.pixels() == &p.screen);
        p.coded(task, &of);
        assert!(!p.encoder.is_filming(FILM));
        p.paint(1);
        assert!(p.send(FILM, Quality::FILM).awaits);
        let (task, of) = (p.encoder.take_film().unwrap(), p.screen.clone());
        p.coded(task, &of);
        // Half of the frame leaves, and the rest is given up.
        let half = p.job(p.base, FILM, Quality::FILM, 1);
        p.apply(&half);
        assert!(half.slices.len() == 1 && half.left == [FILM] && p.encoder.is_filming(FILM));
        p.send(FILM, Quality::EXACT);
        assert!(p.decoder.pixels() == &p.screen && !p.encoder.is_filming(FILM));
    }
}
