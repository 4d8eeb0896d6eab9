//! Seats that share a coder, each with a viewer of its own.

use super::*;
use crate::motion::tests::text;
use crate::wire::kind;
use crate::{Decoder, EncoderOptions};
use telepane_model::{Bytes, EncodeItem, Quality, Rng};

const SIZE: Size<Surf> = Size::new(300, 200);

/// A viewer with its ids.
struct Viewer {
    member: Member,
    decoder: Decoder,
    tip: UpdateId,
    highest: UpdateId,
}

impl Viewer {
    fn new(member: Member) -> Self {
        let (tip, highest) = (UpdateId::BLANK, UpdateId::BLANK);
        Self { member, decoder: Decoder::new(SIZE), tip, highest }
    }

    fn job(&self, max: u64) -> EncodeJob {
        EncodeJob {
            base: self.tip,
            first: self.highest.next(),
            size: SIZE,
            items: vec![EncodeItem { rect: SIZE.rect(), version: Version(0), quality: Quality::EXACT }],
            max_bytes: Bytes(max),
            film_bytes: Bytes(max),
            film_scale: Default::default(),
            slice_bytes: Bytes(max.min(1100)),
            pictures: Default::default(),
            anew: false,
            id: Default::default(),
            surface: Default::default(),
            epoch: Default::default(),
        }
    }

    /// Asks once; the viewer applies what comes.
    fn ask(&mut self, shared: &mut Shared, newest: &Pixels, max: u64) -> Result<EncodedSlices, NotServed> {
        let answer = shared.encode(self.member, &self.job(max), newest, Version(1))?;
        for slice in &answer.slices {
            assert_eq!((slice.base, slice.id), (self.tip, self.highest.next()));
            (self.tip, self.highest) = (slice.id, slice.id);
            self.decoder.apply(&slice.bytes).unwrap();
        }
        Ok(answer)
    }

    fn settle(&mut self, shared: &mut Shared, newest: &Pixels) {
        while !self.ask(shared, newest, 1 << 20).unwrap().left.is_empty() {}
        shared.confirm(self.member, self.tip);
        assert!(self.decoder.pixels() == newest);
    }
}

fn screen(rng: &mut Rng, old: &Pixels) -> Pixels {
    let mut p = old.clone();
    for _ in 0..40 {
        let r = Rect::new(rng.below(280) as i32, rng.below(180) as i32, 9, 12).intersect(SIZE.rect());
        p.fill(r, [rng.next_u64() as u8, 0, 9]);
    }
    p
}

fn alone(member: Member) -> Box<Shared> {
    Box::new(Shared::new(member, Encoder::new(SIZE, EncoderOptions::default())))
}

/// Two viewers in step, the second of which came later.
fn pair() -> (Box<Shared>, Viewer, Viewer, Pixels, Rng) {
    let mut rng = Rng::new(4);
    let newest = screen(&mut rng, &Pixels::new(SIZE));
    let (mut one, mut two) = (alone(1), alone(2));
    let (mut a, mut b) = (Viewer::new(1), Viewer::new(2));
    a.settle(&mut one, &Pixels::new(SIZE));
    let newest = screen(&mut rng, &newest);
    a.settle(&mut one, &newest);
    b.settle(&mut two, &newest);
    assert!(one.join(two).is_ok());
    (one, a, b, newest, rng)
}

#[test]
fn the_second_gets_copies() {
    let (mut shared, mut a, mut b, mut newest, mut rng) = pair();
    for turn in 0..20 {
        newest = screen(&mut rng, &newest);
        let (first, second) = if turn % 3 == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
        let coded = first.ask(&mut shared, &newest, 1 << 20).unwrap();
        let copied = second.ask(&mut shared, &newest, 1 << 20).unwrap();
        assert!(coded.left.is_empty() && !coded.slices.is_empty());
        let bytes = |e: &EncodedSlices| e.slices.iter().map(|s| s.bytes.clone()).collect::<Vec<_>>();
        assert_eq!(bytes(&coded), bytes(&copied));
        assert!(copied.left.is_empty(), "the copy of a frame's end ends it");
        assert!(a.decoder.pixels() == &newest && b.decoder.pixels() == &newest);
        // What was copied is said to be of that version; asking again finds nothing to code.
        let again = b.ask(&mut shared, &newest, 1 << 20).unwrap();
        assert!(again.slices.is_empty() && again.left.is_empty() && !again.same.is_empty());
    }
    assert!(shared.log.is_empty() && shared.log_bytes == 0);
}

#[test]
fn slices_given_early_have_the_members_ids_and_the_others_copy_them() {
    let (mut shared, mut a, mut b, newest, mut rng) = pair();
    // Ids that differ from the coder's.
    (a.highest, b.highest) = (UpdateId(1_000), UpdateId(2_000));
    let newest = screen(&mut rng, &newest);
    let job = EncodeJob { slice_bytes: Bytes(150), ..a.job(1 << 20) };
    let mut early = Vec::new();
    let answer = shared.encode_by_slices(1, &job, &newest, Version(5), &mut |s| early.push(s)).unwrap();
    assert!(early.len() > 1 && early.len() + 1 == answer.slices.len() && answer.left.is_empty());
    assert_eq!(early, answer.slices[..early.len()]);
    let mut base = job.base;
    for (slice, id) in answer.slices.iter().zip(job.first.0..) {
        assert_eq!((slice.id, slice.base), (UpdateId(id), base));
        base = slice.id;
    }
    let copies = b.ask(&mut shared, &newest, 1 << 20).unwrap();
    let bytes = |slices: &[EncodedSlice]| slices.iter().map(|s| s.bytes.clone()).collect::<Vec<_>>();
    assert_eq!(bytes(&copies.slices), bytes(&answer.slices));
    assert!(b.decoder.pixels() == &newest);
}

#[test]
fn who_lost_something_leaves_and_joins_again() {
    let (mut shared, mut a, mut b, newest, mut rng) = pair();
    let held = b.tip;
    let pixels = b.decoder.pixels().clone();
    let newest = screen(&mut rng, &newest);
    a.ask(&mut shared, &newest, 1 << 20).unwrap();
    b.ask(&mut shared, &newest, 1 << 20).unwrap();
    // What b was sent was lost: it returns to what it holds.
    b.tip = held;
    let job = b.job(1 << 20);
    assert_eq!(shared.encode(2, &job, &newest, Version(1)), Err(NotServed::OutOfStep));
    let mut own = shared.leave(2, held).unwrap();
    assert!(*own.sent() == pixels);
    let mut at_held = Decoder::new(SIZE);
    std::mem::swap(&mut b.decoder, &mut at_held);
    b.decoder.set_for_test(pixels);
    b.settle(&mut own, &newest);
    a.settle(&mut shared, &newest);
    let Ok(()) = shared.join(own) else { panic!("b holds what a holds") };
    let newest = screen(&mut rng, &newest);
    b.ask(&mut shared, &newest, 1 << 20).unwrap();
    a.ask(&mut shared, &newest, 1 << 20).unwrap();
    assert!(a.decoder.pixels() == &newest && b.decoder.pixels() == &newest);
}

#[test]
fn who_cannot_keep_up_leaves() {
    let (mut shared, mut a, mut b, newest, mut rng) = pair();
    let newest = screen(&mut rng, &newest);
    a.settle(&mut shared, &newest);
    assert_eq!(b.ask(&mut shared, &newest, 80).map(|_| ()), Err(NotServed::OutOfStep));
    let mut own = shared.leave(2, b.tip).unwrap();
    assert_eq!(shared.members().collect::<Vec<_>>(), [1]);
    assert!(shared.log.is_empty());
    b.settle(&mut own, &newest);
    assert!(!own.remove(2));
}

#[test]
fn who_is_slow_for_a_moment_stays() {
    let (mut shared, mut a, mut b, mut newest, mut rng) = pair();
    // One job with room enough, then none: what others got is given slice by slice for a while, every byte of it.
    for round in 0..3 {
        newest = screen(&mut rng, &newest);
        a.settle(&mut shared, &newest);
        b.ask(&mut shared, &newest, 1 << 20).unwrap();
        assert!(b.decoder.pixels() == &newest, "round {round}");
        newest = screen(&mut rng, &newest);
        let coded = a.ask(&mut shared, &newest, 1 << 20).unwrap();
        assert!(coded.slices.iter().any(|s| s.bytes.len() > 80), "more than the job has room for");
        let mut copied = Vec::new();
        for _ in 0..coded.slices.len() {
            let answer = b.ask(&mut shared, &newest, 80).unwrap();
            assert_eq!(answer.slices.len(), 1, "no more than one slice beyond its room");
            copied.extend(answer.slices);
        }
        let bytes = |slices: &[EncodedSlice]| slices.iter().map(|s| s.bytes.clone()).collect::<Vec<_>>();
        assert_eq!(bytes(&copied), bytes(&coded.slices));
        assert!(b.decoder.pixels() == &newest && !shared.is_behind(2));
    }
    // It stays slow: that is believed soon.
    let refused = (0..=LAST_JOBS).find(|_| {
        newest = screen(&mut rng, &newest);
        a.settle(&mut shared, &newest);
        b.ask(&mut shared, &newest, 80).is_err()
    });
    assert!(refused.is_some(), "it is given what is old although it cannot keep up");
    let mut own = shared.leave(2, b.tip).unwrap();
    b.settle(&mut own, &newest);
}

#[test]
fn one_is_brought_to_where_the_others_were() {
    let mut rng = Rng::new(9);
    let mut newest = screen(&mut rng, &Pixels::new(SIZE));
    let (mut one, mut two) = (alone(1), alone(2));
    let (mut a, mut b) = (Viewer::new(1), Viewer::new(2));
    a.settle(&mut one, &newest);
    b.ask(&mut two, &newest, 900).unwrap();
    let expected = one.expect(2);
    for _ in 0..5 {
        newest = screen(&mut rng, &newest);
        a.settle(&mut one, &newest);
    }
    b.settle(&mut two, &expected);
    let Ok(()) = one.welcome(two, &expected) else { panic!("b is where it was expected") };
    let copied = b.ask(&mut one, &newest, 1 << 20).unwrap();
    assert!(!copied.slices.is_empty() && b.decoder.pixels() == &newest);
    // A stranger is not let in.
    let mut c = Viewer::new(3);
    let mut three = alone(3);
    c.settle(&mut three, &newest);
    assert!(one.welcome(three, &newest).is_err());
}

#[test]
fn nobody_joins_with_other_pixels_or_unconfirmed() {
    let (mut shared, mut a, _b, newest, mut rng) = pair();
    let mut c = Viewer::new(3);
    let mut third = alone(3);
    c.settle(&mut third, &newest);
    let newest = screen(&mut rng, &newest);
    a.settle(&mut shared, &newest);
    let Err(mut third) = shared.join(third) else { panic!("other pixels") };
    c.ask(&mut third, &newest, 1 << 20).unwrap();
    let Err(mut third) = shared.join(third) else { panic!("unconfirmed") };
    third.confirm(3, c.tip);
    assert!(shared.join(third).is_ok());
}

#[test]
fn a_silent_member_does_not_grow_the_log() {
    let (mut shared, mut a, mut b, mut newest, mut rng) = pair();
    for _ in 0..=LOG_SLICES {
        newest = screen(&mut rng, &newest);
        a.settle(&mut shared, &newest);
    }
    assert!(shared.log.len() <= LOG_SLICES && shared.log_bytes <= LOG_BYTES);
    assert_eq!(b.ask(&mut shared, &newest, 1 << 20).map(|_| ()), Err(NotServed::OutOfStep));
}

/// A day's work in all ops: what is shown, how much may be spent at a time, and where film is.
fn scenes(seed: u64) -> Vec<(Pixels, u64, Option<Rect<Surf>>)> {
    let mut rng = Rng::new(seed);
    let (page, other) = (text(SIZE, seed), text(SIZE, seed + 1));
    let mut scrolled = page.clone();
    scrolled.paste(&page.crop(Rect::new(0, 21, 300, 179)), 0, 0);
    let mut filled = scrolled.clone();
    filled.fill(Rect::new(40, 40, 150, 90), [seed as u8, 7, 9]);
    let mut picture = |p: &mut Pixels, at: Rect<Surf>| {
        for y in at.y..at.bottom() {
            for (x, px) in p.row_mut(at.x as u32, y as u32, at.w).chunks_exact_mut(4).enumerate() {
                let v = (x as u64 + y as u64 * 2 + seed) / 3 + rng.below(9);
                px[..3].copy_from_slice(&[v as u8, (v / 2 + rng.below(5)) as u8, 255 - v as u8]);
            }
        }
    };
    let mut film = other.clone();
    picture(&mut film, Rect::new(0, 0, 128, 128));
    let (mut photo, mut album) = (page.clone(), other.clone());
    picture(&mut photo, Rect::new(0, 0, 256, 192));
    picture(&mut album, Rect::new(64, 64, 128, 128));
    let much = 1 << 20;
    // Text, a scroll, a fill, another window and back again, a picture in layers, a picture at once, a film.
    vec![
        (page.clone(), much, None),
        (scrolled, much, None),
        (filled, much, None),
        (page.clone(), much, None),
        (other, much, None),
        (page.clone(), much, None),
        (photo, 3_000, None),
        (album, much, None),
        (film, much, Some(Rect::new(0, 0, 128, 128))),
        (page, much, None),
    ]
}

/// `one` asks first, the others get copies; answers the ops that were coded.
fn go_through(shared: &mut Shared, viewers: &mut [&mut Viewer], seed: u64) -> u64 {
    let mut kinds = 0;
    for (n, (newest, max, film)) in scenes(seed).into_iter().enumerate() {
        for _ in 0..60 {
            let mut coded = None;
            for viewer in viewers.iter_mut() {
                let mut job = viewer.job(max);
                let film = film.map(|rect| EncodeItem { rect, version: Version(0), quality: Quality::FILM });
                job.items.splice(0..0, film);
                let answer = shared.encode(viewer.member, &job, &newest, Version(n as u64)).unwrap();
                for slice in &answer.slices {
                    let mut ops = crate::wire::Reader::new(&slice.bytes);
                    while !ops.is_empty() {
                        let (kind, _) = crate::wire::next_op(&mut ops).unwrap();
                        kinds |= 1 << kind;
                    }
                    (viewer.tip, viewer.highest) = (slice.id, slice.id);
                    viewer.decoder.apply(&slice.bytes).unwrap();
                }
                shared.confirm(viewer.member, viewer.tip);
                assert!(viewer.decoder.pixels() == shared.sent(), "viewer {} shows something else", viewer.member);
                coded.get_or_insert(answer.slices.len());
            }
            if film.is_some() || coded == Some(0) {
                break;
            }
        }
        assert!(film.is_some() || shared.sent() == &newest);
    }
    kinds
}

// spec: C-180
#[test]
fn the_smallest_size_of_film_that_one_wants_holds_for_all() {
    let size = Size::new(256, 256);
    let film = Rect::new(0, 0, 192, 192);
    let mut shared = Shared::new(1, Encoder::new(size, EncoderOptions::default()));
    shared.expect(2);
    let mut newest = Pixels::new(size);
    let mut base = UpdateId::BLANK;
    let mut scales = Vec::new();
    for (n, wanted) in [FilmScale::Full, FilmScale::Half, FilmScale::Full].into_iter().enumerate() {
        let mut rng = Rng::new(n as u64);
        newest
            .data_mut()
            .iter_mut()
            .enumerate()
            .for_each(|(i, v)| *v = (i / 97 + n * 9) as u8 ^ (rng.next_u64() & 7) as u8);
        if wanted == FilmScale::Half {
            shared.scales.insert(2, wanted);
        }
        let item = EncodeItem { rect: film, version: Version(0), quality: Quality::FILM };
        let job = EncodeJob {
            id: Default::default(),
            surface: Default::default(),
            epoch: Default::default(),
            size,
            base,
            first: UpdateId(base.0 + 1),
            items: vec![item],
            max_bytes: Bytes(1 << 20),
            film_bytes: Bytes(9_000),
            film_scale: FilmScale::Full,
            slice_bytes: Bytes(60_000),
            pictures: Default::default(),
            anew: false,
        };
        let answer = shared.encode(1, &job, &newest, Version(n as u64 + 1)).unwrap();
        scales.extend(answer.filmed.map(|f| f.scale));
        base = answer.slices.last().unwrap().id;
    }
    assert_eq!(scales, [FilmScale::Full, FilmScale::Half, FilmScale::Half]);
    shared.remove(2);
    assert_eq!(shared.scales.values().copied().min(), Some(FilmScale::Full));
}

/// An op whose coder remembers something has to begin it anew when viewers come and go. Whoever adds an op adds a
/// scene that makes the encoder use it.
#[test]
fn every_op_goes_on_across_a_join_and_a_parting() {
    let (mut one, mut two) = (alone(1), alone(2));
    let (mut a, mut b) = (Viewer::new(1), Viewer::new(2));
    // Both have done all there is, each other things in another number, before they meet.
    for seed in [1, 2] {
        assert_eq!(go_through(&mut one, &mut [&mut a], seed), kind::CODED, "alone");
    }
    go_through(&mut two, &mut [&mut b], 3);
    let place = text(SIZE, 90);
    a.settle(&mut one, &place);
    b.settle(&mut two, &place);
    assert!(one.join(two).is_ok());
    assert_eq!(go_through(&mut one, &mut [&mut a, &mut b], 4), kind::CODED, "together");
    let mut two = one.leave(2, b.tip).unwrap();
    assert_eq!(go_through(&mut two, &mut [&mut b], 5), kind::CODED, "apart, the one who left");
    assert_eq!(go_through(&mut one, &mut [&mut a], 6), kind::CODED, "apart, the one who stayed");
    // And once more by the other door.
    let expected = one.expect(2);
    assert_eq!(go_through(&mut one, &mut [&mut a], 7), kind::CODED, "while one is expected");
    b.settle(&mut two, &expected);
}
