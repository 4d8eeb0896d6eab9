//! The pointer's image is the client's own: it moves with the hand and not with the link, it has the shape that the host set
//! last, as large as the picture around it, and a shape that changes costs no picture.

use super::process::{PATIENCE, Scratch, Signal, have, now, pause, until};
use super::screen::{PointerImage, Screen, exact};
use super::sharing::{METRICS, counter, metrics_of};
use super::stage::{Agent, Stage, connect, connect_scaled};
use std::time::Duration;

/// A pointer of so many pixels a side that no other is like, half transparent in places, whose hotspot is at `hot`.
fn image(side: u16, seed: u32, hot: (u16, u16)) -> PointerImage {
    let argb = (0..u32::from(side) * u32::from(side)).map(|i| match (i * 7 + seed) % 5 {
        0 => 0,
        1 => 0x8040_2000 + seed % 0x20,
        _ => 0xff00_0000 | (i.wrapping_mul(0x0001_0203) ^ seed.wrapping_mul(0x0003_0709)) & 0x00ff_ffff,
    });
    PointerImage { shape: [side, side, hot.0, hot.1], argb: argb.collect() }
}

/// The same on a picture that is shown `by` times as large.
fn enlarged(image: &PointerImage, by: u16) -> PointerImage {
    let [w, h, x, y] = image.shape;
    let pixel = |i: usize| {
        let (to_x, to_y) = (i % usize::from(w * by), i / usize::from(w * by));
        image.argb[to_y / usize::from(by) * usize::from(w) + to_x / usize::from(by)]
    };
    let argb = (0..image.argb.len() * usize::from(by * by)).map(pixel).collect();
    // The middle of the pixel that points.
    PointerImage { shape: [w * by, h * by, (2 * x + 1) * by / 2, (2 * y + 1) * by / 2], argb }
}

/// The agent stands still, as one does whose machine sleeps or whose link is cut; the hand notices nothing of that.
#[test]
fn the_hand_moves_the_pointer_while_the_host_stands_still() {
    if !have("pointer without a host", &["Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let (here, there) = (Screen::start(400, 300), Screen::start(800, 600));
    here.paint_root(1);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let _client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &["--size", "400x300"]);
    until("the first picture is there", PATIENCE, || there.picture().part([0, 0, 400, 300]) == here.picture());
    there.point(200, 150);
    until("places are told", PATIENCE, || here.pointer_at() == (200, 150));
    let shape = image(24, 1, (3, 5));
    here.set_pointer(&shape);
    until("the client's pointer has the host's shape", PATIENCE, || there.pointer() == shape);

    agent.run.signal(Signal::Stop);
    let bright = there.picture();
    let mut passes = 0;
    let mut goes_its_way = || {
        for (x, y) in [(10, 10), (399, 20), (120, 299), (200, 151)] {
            there.point(x, y);
            // Whoever waits for the host, or draws the pointer into the picture, has another one on the screen, or has it elsewhere.
            let start = now();
            while start.elapsed() < Duration::from_millis(50) {
                assert_eq!((there.pointer_at(), there.pointer() == shape), ((x, y), true), "in pass {passes}");
            }
        }
        there.point(600, 450);
        until("beside the window it is another", PATIENCE, || there.pointer() != shape);
        there.point(201, 152);
        until("in the window it is the desktop's", PATIENCE, || there.pointer() == shape);
        passes += 1;
    };
    goes_its_way();
    until("the client has noticed the silence", PATIENCE, || {
        goes_its_way();
        there.picture().part([0, 0, 400, 300]) != bright.part([0, 0, 400, 300])
    });
    goes_its_way();
    assert_ne!(here.pointer_at(), (201, 152), "the host cannot have told where it is");
    println!("pointer without a host: {passes} rounds");
    agent.run.signal(Signal::Continue);
    there.point(50, 60);
    until("the host hears of the hand again", PATIENCE, || here.pointer_at() == (50, 60));
    assert_eq!(there.pointer(), shape);
}

#[test]
fn a_shape_that_changes_costs_no_picture() {
    if !have("shapes", &["Xvfb"]) {
        return;
    }
    let stage = Stage::with(&METRICS, &[], None);
    let metrics = metrics_of(&stage.agent);
    let slices = || counter(&metrics, "telepane_slices_sent_total");
    stage.there.point(200, 150);
    until("places are told", PATIENCE, || stage.here.pointer_at() == (200, 150));
    stage.exact();
    let mut before = slices();
    until("nothing more is sent of the picture", PATIENCE, || {
        pause(Duration::from_millis(500));
        std::mem::replace(&mut before, slices()) == before
    });
    let nothing = PointerImage { shape: [16, 16, 2, 2], argb: vec![0; 256] };
    for n in 0..6 {
        let shape = image(16 + 8 * n, n.into(), (n, 15 - n));
        stage.here.set_pointer(&shape);
        let took = until("the client's pointer has the host's shape", PATIENCE, || stage.there.pointer() == shape);
        println!("shapes: {:?} after {took:?}", shape.shape);
        if n % 3 == 2 {
            stage.here.set_pointer(&nothing);
            until("the client's pointer is hidden", PATIENCE, || {
                stage.there.pointer().argb.iter().all(|pixel| pixel >> 24 == 0)
            });
        }
    }
    assert_eq!(slices(), before, "slices that tell of pixels");
}

/// A picture that is shown twice as large has a pointer as large; one on a screen of fine pixels that is shown pixel for
/// pixel has the host's.
#[test]
fn a_pointer_is_as_large_as_the_picture_it_points_into() {
    if !have("scaled pointer", &["Xvfb"]) {
        return;
    }
    let dir = Scratch::new();
    let (here, there) = (Screen::start(400, 300), Screen::start(800, 600));
    here.paint_root(2);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let addr = agent.addr.to_string();
    let frames = [1, 2, 3].map(|seed| image(24, seed, (3, 20)));
    let client = connect(&dir, "client", Some(&there), &addr, &["--fullscreen"]);
    there.point(401, 301);
    until("places are told", PATIENCE, || here.pointer_at() == (200, 150));
    here.animate_pointer(&frames, 150);
    for turn in 0..2 {
        for (n, frame) in frames.iter().enumerate() {
            let large = enlarged(frame, 2);
            let took = until("each image of it in its turn", PATIENCE, || there.pointer() == large);
            println!("scaled pointer: turn {turn}, image {n} after {took:?}");
        }
    }
    drop(client);
    here.set_pointer(&frames[1]);
    let there = Screen::start(400, 300);
    let _client = connect_scaled(&dir, &there, "2", &addr, &["--fullscreen"]);
    exact(&here, &there, PATIENCE);
    there.point(100, 100);
    until("fine pixels are pixels", PATIENCE, || there.pointer() == frames[1]);
}
