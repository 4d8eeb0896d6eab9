//! The pointer: motion instead of places for programs that put it back all the time, where an application puts it, and
//! images that change by themselves.

use super::keyboards::hears;
use super::process::{PATIENCE, have, until};
use super::screen::{LEFT_SHIFT, PointerImage, no_key_held};
use super::stage::Stage;

#[test]
fn a_captured_pointer_tells_motion_and_is_set_free() {
    if !have("captured pointer", &["Xvfb"]) {
        return;
    }
    let stage = Stage::start();
    let (here, there) = (&stage.here, &stage.there);
    let at = |what: &str, place: (i16, i16)| until(what, PATIENCE, || here.pointer_at() == place);
    there.point(100, 100);
    at("places are told", (100, 100));
    assert!(!there.pointer_is_grabbed());

    hears(there, here);
    there.chord('r');
    until("the pointer is captured", PATIENCE, || there.pointer_is_grabbed());
    no_key_held(here, PATIENCE);
    there.point_by(30, 20);
    at("motion is told", (130, 120));

    // A game: it puts the pointer into the middle after every motion. The hand goes on further than either screen is wide.
    for round in 0..7 {
        here.warp(400, 300);
        at("the application has put it there", (400, 300));
        there.point_by(150, -10);
        let took = until("motion goes on from there", PATIENCE, || here.pointer_at() == (550, 290));
        println!("captured pointer: {} px to the right, {took:?}", (round + 1) * 150);
    }
    // The picture has the host's pointer in it now, so it is not compared until the platform's own is back.
    there.chord('r');
    until("the pointer is free", PATIENCE, || !there.pointer_is_grabbed());
    until("it goes on where the host's pointer is", PATIENCE, || there.pointer_at() == (550, 290));
    there.point(200, 150);
    at("places are told again", (200, 150));

    // Whoever takes the keyboard gets the pointer as well.
    there.chord('r');
    until("the pointer is captured", PATIENCE, || there.pointer_is_grabbed());
    there.focus_nobody();
    until("the pointer is free", PATIENCE, || !there.pointer_is_grabbed());
    // The sentence about the way out is gone after some seconds.
    stage.exact();
}

// spec: K-74
#[test]
fn the_hand_goes_where_an_application_puts_the_pointer() {
    if !have("put pointer", &["Xvfb"]) {
        return;
    }
    let stage = Stage::start();
    let (here, there) = (&stage.here, &stage.there);
    // A hand and an application that move it in one breath are one motion to whoever looks then, so nothing is put before what is drawn
    // after the hand's motion is seen.
    let seen = |seed: u32| {
        here.paint_root(seed);
        stage.exact();
    };
    there.point(100, 100);
    until("places are told", PATIENCE, || here.pointer_at() == (100, 100));
    seen(4);
    here.warp(500, 400);
    here.paint_root(2);
    let took = until("the hand's pointer went along", PATIENCE, || there.pointer_at() == (500, 400));
    println!("put pointer: {took:?} after an application put it, and something was drawn");
    there.point_by(7, -5);
    until("the hand goes on from there", PATIENCE, || here.pointer_at() == (507, 395));
    seen(5);
    // In answer to input it is noticed soon.
    there.type_text("a");
    here.warp(20, 30);
    let took = until("the hand's pointer went along", PATIENCE, || there.pointer_at() == (20, 30));
    println!("put pointer: {took:?} after an application put it in answer to a key");
    // Whoever is somewhere else is left alone: the client has heard so when what was held comes up.
    there.press(LEFT_SHIFT);
    until("a key is down on the host", PATIENCE, || here.held() == [LEFT_SHIFT + 8]);
    there.focus_nobody();
    no_key_held(here, PATIENCE);
    there.lift(LEFT_SHIFT);
    here.warp(300, 300);
    here.paint_root(3);
    super::process::pause(std::time::Duration::from_millis(1_500));
    assert_eq!(there.pointer_at(), (20, 30));
}

#[test]
fn an_animated_pointer_moves_at_the_client_too() {
    if !have("animated pointer", &["Xvfb"]) {
        return;
    }
    let stage = Stage::start();
    stage.there.point(200, 150);
    // Busy pointers of toolkits: the same size, half transparent at the edge, a spot that goes round.
    let frame = |spot: u32| {
        let argb = (0..24 * 24).map(|i| match (i % 24 / 6 + i / 24 / 6 * 4) % 4 == spot {
            true => 0xff20_40c0,
            false => 0x8040_4040,
        });
        PointerImage { shape: [24, 24, 3, 5], argb: argb.collect() }
    };
    let frames: Vec<PointerImage> = (0..4).map(frame).collect();
    stage.here.animate_pointer(&frames, 150);
    until("the host's pointer moves", PATIENCE, || stage.here.pointer() == frames[3]);
    for turn in 0..3 {
        for (i, wanted) in frames.iter().enumerate() {
            let took = until("the client shows each image in its turn", PATIENCE, || stage.there.pointer() == *wanted);
            println!("animated pointer: turn {turn}, image {i} after {took:?}");
        }
    }
    stage.exact();
}
