use super::*;
use std::sync::mpsc::channel;
use telepane_codec::Decoder;
use telepane_model::Rect;

const SIZE: Size<Surf> = Size::new(640, 480);

/// A seat's viewer, without a network between.
struct Viewer {
    seat: SeatId,
    decoder: Decoder,
    tip: UpdateId,
    job: JobId,
}

struct Desk {
    clock: Clock,
    coders: Coders,
    newest: Arc<Pixels>,
    version: u64,
    heard: std::sync::mpsc::Receiver<()>,
    /// What a job may come to.
    room: u64,
    /// Slices that came before their job was done.
    early: usize,
}

impl Desk {
    fn new() -> Self {
        let clock = Clock::new();
        let (done, heard) = channel();
        let filmed = done.clone();
        let worker = Worker::start("code", clock, move || done.send(()).unwrap()).unwrap();
        let filmer = Worker::start("film", clock, move || filmed.send(()).unwrap()).unwrap();
        let newest = Arc::new(Pixels::new(SIZE));
        Self { clock, coders: Coders::new(worker, filmer), newest, version: 1, heard, room: 1 << 20, early: 0 }
    }

    fn draw(&mut self, rect: Rect<Surf>, colour: [u8; 3]) {
        Arc::make_mut(&mut self.newest).fill(rect, colour);
        self.version += 1;
    }

    /// A picture in motion, with grain.
    fn film(&mut self, rect: Rect<Surf>, n: u8) {
        let pixels = Arc::make_mut(&mut self.newest);
        let mut rng = telepane_model::Rng::new(n.into());
        for y in rect.y..rect.bottom() {
            for (x, px) in pixels.row_mut(rect.x as u32, y as u32, rect.w).as_chunks_mut::<4>().0.iter_mut().enumerate()
            {
                let (x, y, grain) = (x as u32 + 3 * u32::from(n), y as u32, rng.below(4) as u32);
                *px = [(x * y / 64 + grain) as u8, (x + y / 2 + grain) as u8, (y + x / 3) as u8, 0];
            }
        }
        self.version += 1;
    }

    /// Has the viewer sent what `rect` shows, until nothing is left. Answers how many jobs were copies.
    fn serve(&mut self, viewer: &mut Viewer, rect: Rect<Surf>) -> usize {
        let mut copies = 0;
        loop {
            viewer.job = JobId(viewer.job.0 + 1);
            let job = EncodeJob {
                id: viewer.job,
                base: viewer.tip,
                first: viewer.tip.next(),
                size: SIZE,
                items: vec![EncodeItem { rect, version: Version(self.version), quality: Quality::EXACT }],
                max_bytes: Bytes(self.room),
                film_bytes: Bytes(self.room),
                film_scale: Default::default(),
                slice_bytes: Bytes(9000),
                pictures: Default::default(),
                anew: false,
                surface: Default::default(),
                epoch: Default::default(),
            };
            let newest = (&self.newest.clone(), Version(self.version));
            let answer = self.coders.encode(&self.clock, viewer.seat, job, newest);
            self.coders.confirmed(viewer.seat, Epoch::default(), viewer.tip);
            let answer = answer.or_else(|| self.coders.board(&self.clock, viewer.seat, newest));
            let mut answers: Vec<_> = answer.into_iter().collect();
            let mut complete = None;
            while complete.is_none() {
                if answers.is_empty() {
                    self.heard.recv().unwrap();
                    answers = self.coders.done(&self.clock, newest);
                }
                for answer in answers.drain(..) {
                    assert_eq!((answer.seat, answer.job), (viewer.seat, viewer.job));
                    assert!(complete.is_none(), "nothing comes after the end");
                    copies += usize::from(answer.copied);
                    let done = answer.result.unwrap();
                    for slice in &done.slices {
                        assert_eq!(slice.base, viewer.tip);
                        viewer.tip = slice.id;
                        viewer.decoder.apply(&slice.bytes).unwrap();
                    }
                    self.early += usize::from(done.goes_on);
                    complete = (!done.goes_on).then_some(done.left.is_empty());
                }
            }
            if complete == Some(true) {
                break;
            }
        }
        self.coders.confirmed(viewer.seat, Epoch::default(), viewer.tip);
        assert!(viewer.decoder.pixels() == &*self.newest);
        copies
    }
}

fn viewer(seat: SeatId) -> Viewer {
    Viewer { seat, decoder: Decoder::new(SIZE), tip: UpdateId::BLANK, job: JobId(0) }
}

#[test]
fn seats_in_step_share_a_coder() {
    let mut desk = Desk::new();
    let (mut a, mut b) = (viewer(1), viewer(2));
    desk.draw(Rect::new(3, 5, 600, 400), [1, 2, 3]);
    for v in [&mut a, &mut b] {
        assert_eq!(desk.serve(v, SIZE.rect()), 0);
    }
    assert_eq!(desk.coders.count(), 2);
    desk.coders.join(desk.clock.now(), 2);
    assert_eq!(desk.coders.count(), 1);
    // Small and large; the large one goes through the worker.
    for (turn, rect) in [Rect::new(10, 10, 60, 60), SIZE.rect(), Rect::new(0, 0, 500, 300)].into_iter().enumerate() {
        desk.draw(rect, [turn as u8, 9, 9]);
        assert_eq!(desk.serve(&mut a, rect), 0);
        assert_eq!(desk.serve(&mut b, rect), 1);
    }
    desk.coders.retain(|seat| seat == 2);
    desk.draw(SIZE.rect(), [7, 7, 7]);
    assert_eq!(desk.serve(&mut b, SIZE.rect()), 0);
    desk.coders.retain(|_| false);
    assert_eq!(desk.coders.count(), 0);
}

/// What the worker codes comes slice by slice, and others get copies of all of it.
#[test]
fn slices_come_before_their_job_is_done() {
    let mut desk = Desk::new();
    let (mut a, mut b) = (viewer(1), viewer(2));
    for v in [&mut a, &mut b] {
        desk.serve(v, SIZE.rect());
    }
    desk.coders.join(desk.clock.now(), 2);
    assert_eq!((desk.coders.count(), desk.early), (1, 0));
    // Noise of few colours: several slices of text.
    let mut rng = telepane_model::Rng::new(5);
    for _ in 0..12_000 {
        let at = Rect::new(rng.below(640) as i32, rng.below(480) as i32, 3, 2).intersect(SIZE.rect());
        Arc::make_mut(&mut desk.newest).fill(at, [(rng.below(4) * 80) as u8, 9, 9]);
    }
    desk.version += 1;
    assert_eq!(desk.serve(&mut a, SIZE.rect()), 0);
    let early = desk.early;
    assert!(early > 0);
    assert!(desk.serve(&mut b, SIZE.rect()) > 0);
    assert_eq!(desk.early, early, "copies come at once");
}

/// While another seat's job is with the worker nothing can be held against what the coder has, nor before the seat has got what the
/// other was given; then it can.
#[test]
fn what_a_viewer_shows_is_looked_at_when_the_coder_is_back() {
    let mut desk = Desk::new();
    let (mut a, mut b) = (viewer(1), viewer(2));
    desk.draw(Rect::new(3, 5, 600, 400), [1, 2, 3]);
    for v in [&mut a, &mut b] {
        desk.serve(v, SIZE.rect());
    }
    desk.coders.join(desk.clock.now(), 2);
    assert_eq!(desk.coders.count(), 1);
    let tiles = [TileAt { col: 0, row: 0 }, TileAt { col: 1, row: 0 }];
    let said = tiles.map(|at| {
        let rect = telepane_model::Grid::new(SIZE).rect(at);
        let hash = telepane_codec::proof::proof(b.decoder.pixels(), rect, &mut Vec::new());
        Proof { at, hash: hash ^ u64::from(at.col) }
    });
    let looked = |desk: &mut Desk, b: &Viewer| desk.coders.wrong(2, Epoch::default(), b.tip, &said);
    assert_eq!(looked(&mut desk, &b), Some(vec![tiles[1]]));
    desk.draw(Rect::new(200, 200, 400, 270), [9, 2, 3]);
    let job = wish(&desk, &mut a, SIZE.rect(), Quality::EXACT);
    let newest = (&desk.newest.clone(), Version(desk.version));
    assert!(desk.coders.encode(&desk.clock, 1, job, newest).is_none());
    assert_eq!(looked(&mut desk, &b), None);
    desk.heard.recv().unwrap();
    let done = desk.coders.done(&desk.clock, newest).pop().unwrap().result.unwrap();
    assert!(!done.slices.is_empty() && done.left.is_empty());
    assert_eq!(looked(&mut desk, &b), None);
    assert_eq!(desk.serve(&mut b, SIZE.rect()), 1);
    assert_eq!(looked(&mut desk, &b), Some(vec![tiles[1]]));
}

#[test]
fn a_seat_is_brought_to_others_where_something_always_moves() {
    let mut desk = Desk::new();
    let (mut a, mut b) = (viewer(1), viewer(2));
    desk.draw(Rect::new(3, 5, 600, 400), [1, 2, 3]);
    desk.serve(&mut a, SIZE.rect());
    desk.serve(&mut b, SIZE.rect());
    // Not before it has coded for itself for a while.
    desk.coders.set_out(desk.clock.now(), 2, SIZE);
    assert!(desk.coders.parts[&2].boarding.is_none());
    desk.coders.parts.get_mut(&2).unwrap().board_at = Stamp::ZERO;
    desk.draw(Rect::new(100, 100, 300, 300), [5, 2, 3]);
    desk.serve(&mut a, SIZE.rect());
    desk.coders.set_out(desk.clock.now(), 2, SIZE);
    assert!(desk.coders.parts[&2].boarding.is_some());
    desk.draw(Rect::new(50, 100, 300, 300), [5, 7, 3]);
    desk.serve(&mut a, SIZE.rect());
    // It is brought to what `a` held then, and is given what `a` got since.
    assert_eq!((desk.serve(&mut b, SIZE.rect()), desk.coders.count()), (1, 1));
    desk.draw(Rect::new(60, 90, 300, 300), [5, 8, 3]);
    assert_eq!((desk.serve(&mut b, SIZE.rect()), desk.serve(&mut a, SIZE.rect())), (0, 1));
}

/// A picture that is more than a job goes in layers; the first shows all of it, and only the last makes it exact.
#[test]
fn a_seat_is_brought_to_a_picture_layer_by_layer() {
    let mut desk = Desk::new();
    let (mut a, mut b) = (viewer(1), viewer(2));
    let all = Capabilities::default().with(Capability::Ops, u64::MAX).with(Capability::SlicePixels, u64::MAX);
    [1, 2].into_iter().for_each(|seat| desk.coders.agreed(seat, &all));
    for v in [&mut a, &mut b] {
        desk.serve(v, SIZE.rect());
    }
    desk.film(Rect::new(64, 64, 256, 192), 3);
    desk.serve(&mut a, SIZE.rect());
    desk.coders.parts.get_mut(&2).unwrap().board_at = Stamp::ZERO;
    desk.coders.set_out(desk.clock.now(), 2, SIZE);
    // However slow the machine is.
    let late = desk.clock.now() + Span::secs(3_600);
    desk.coders.parts.get_mut(&2).unwrap().boarding.as_mut().unwrap().until = late;
    desk.room = 9_000;
    desk.serve(&mut b, SIZE.rect());
    assert!(desk.coders.parts[&2].boarding.is_none() && desk.coders.count() == 1, "it is with the others");
    desk.draw(Rect::new(60, 90, 300, 300), [5, 8, 3]);
    desk.room = 1 << 20;
    assert_eq!((desk.serve(&mut a, SIZE.rect()), desk.serve(&mut b, SIZE.rect())), (0, 1));
}

#[test]
fn a_seat_that_went_back_codes_for_itself_and_joins_again() {
    let mut desk = Desk::new();
    let (mut a, mut b) = (viewer(1), viewer(2));
    for v in [&mut a, &mut b] {
        desk.serve(v, SIZE.rect());
    }
    desk.coders.join(desk.clock.now(), 2);
    let old = (b.tip, b.decoder.pixels().clone());
    desk.draw(Rect::new(10, 10, 60, 60), [8, 8, 8]);
    desk.serve(&mut a, SIZE.rect());
    // B lost what it was sent: its next job goes back to what it holds, under new ids.
    let missed = EncodeJob {
        id: JobId(99),
        base: old.0,
        first: UpdateId(old.0.0 + 7),
        size: SIZE,
        items: vec![EncodeItem { rect: Rect::new(0, 0, 99, 99), version: Version(9), quality: Quality::EXACT }],
        max_bytes: Bytes(0),
        film_bytes: Bytes(0),
        film_scale: Default::default(),
        slice_bytes: Bytes(9000),
        pictures: Default::default(),
        anew: false,
        surface: Default::default(),
        epoch: Default::default(),
    };
    let newest = (&desk.newest.clone(), Version(desk.version));
    let answer = desk.coders.encode(&desk.clock, 2, missed, newest).unwrap();
    let done = answer.result.unwrap();
    assert_eq!((desk.coders.count(), done.slices[0].base, done.slices[0].id.0), (2, old.0, old.0.0 + 7));
    done.slices.iter().for_each(|s| drop(b.decoder.apply(&s.bytes).unwrap()));
    b.tip = done.slices.last().unwrap().id;
    desk.serve(&mut b, SIZE.rect());
    desk.coders.join(desk.clock.now(), 2);
    assert_eq!(desk.coders.count(), 2, "not so soon");
    desk.coders.join(desk.clock.now() + JOIN_AFTER, 2);
    assert_eq!(desk.coders.count(), 1);
}

/// A job that wants `rect` of the newest pixels.
fn wish(desk: &Desk, viewer: &mut Viewer, rect: Rect<Surf>, quality: Quality) -> EncodeJob {
    viewer.job = JobId(viewer.job.0 + 1);
    EncodeJob {
        id: viewer.job,
        base: viewer.tip,
        first: viewer.tip.next(),
        size: SIZE,
        items: vec![EncodeItem { rect, version: Version(desk.version), quality }],
        max_bytes: Bytes(1 << 20),
        film_bytes: Bytes(9_000),
        film_scale: Default::default(),
        slice_bytes: Bytes(9_000),
        pictures: Default::default(),
        anew: false,
        surface: Default::default(),
        epoch: Default::default(),
    }
}

#[test]
fn a_small_change_is_coded_while_a_frame_of_film_is() {
    const FILM: Rect<Surf> = Rect::new(64, 64, 512, 384);
    let mut desk = Desk::new();
    let mut a = viewer(1);
    let all = Capabilities::default()
        .with(Capability::Ops, u64::MAX)
        .with(Capability::CacheBytes, CACHE_BYTES)
        .with(Capability::SlicePixels, u64::MAX);
    desk.coders.agreed(1, &all);
    let apply = |a: &mut Viewer, answer: Answer| {
        let done = answer.result.unwrap();
        for slice in &done.slices {
            assert_eq!(slice.base, a.tip);
            a.tip = slice.id;
            a.decoder.apply(&slice.bytes).unwrap();
        }
        done
    };
    for n in 0..3u8 {
        desk.film(FILM, n);
        let job = wish(&desk, &mut a, FILM, Quality::FILM);
        let begun = job.id;
        let newest = (&desk.newest.clone(), Version(desk.version));
        let answer = desk.coders.encode(&desk.clock, 1, job, newest);
        // Whether it is a film at all is looked at by the worker, once.
        assert_eq!(answer.is_none(), n == 0);
        let answer = answer.unwrap_or_else(|| {
            desk.heard.recv().unwrap();
            desk.coders.done(&desk.clock, newest).pop().unwrap()
        });
        let done = apply(&mut a, answer);
        assert!(done.awaits && done.slices.is_empty());
        // Whether the frame is coded by now or not, what answers a key does not wait to hear of it.
        desk.draw(Rect::new(8, 8, 30, 30), [n, 255, n]);
        let newest = (&desk.newest.clone(), Version(desk.version));
        let job = wish(&desk, &mut a, Rect::new(8, 8, 30, 30), Quality::EXACT);
        let answer = desk.coders.encode(&desk.clock, 1, job, newest).expect("at once");
        assert!(!apply(&mut a, answer).slices.is_empty());
        desk.heard.recv().unwrap();
        assert!(desk.coders.done(&desk.clock, newest).is_empty());
        let told: Vec<_> = desk.coders.film_coded().iter().map(|f| (f.seat, f.job, f.took.is_some())).collect();
        assert_eq!(told, [(1, begun, true)]);
        let job = wish(&desk, &mut a, FILM, Quality::FILM);
        let answer = desk.coders.encode(&desk.clock, 1, job, newest).expect("at once");
        let done = apply(&mut a, answer);
        assert!(!done.awaits && done.left.is_empty() && !done.slices.is_empty());
    }
}

#[test]
fn who_awaits_a_frame_is_told_when_its_coder_ends() {
    let mut desk = Desk::new();
    let mut a = viewer(1);
    desk.film(SIZE.rect(), 1);
    let job = wish(&desk, &mut a, SIZE.rect(), Quality::FILM);
    let begun = job.id;
    let ops = Capabilities::default().with(Capability::Ops, u64::MAX).with(Capability::SlicePixels, u64::MAX);
    desk.coders.agreed(1, &ops);
    let newest = (&desk.newest.clone(), Version(desk.version));
    assert!(desk.coders.encode(&desk.clock, 1, job, newest).is_none());
    desk.heard.recv().unwrap();
    assert!(desk.coders.done(&desk.clock, newest).pop().unwrap().result.unwrap().awaits);
    // It comes back as one that can do something else.
    desk.coders.agreed(1, &ops.with(Capability::CacheBytes, 1 << 20));
    let told: Vec<_> = desk.coders.film_coded().iter().map(|f| (f.job, f.took)).collect();
    assert_eq!(told, [(begun, None)]);
    desk.heard.recv().unwrap();
    assert!(desk.coders.done(&desk.clock, newest).is_empty() && desk.coders.film_coded().is_empty());
}
