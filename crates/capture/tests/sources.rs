//! The conformance suite over the sources that need no display.

mod stage;

use stage::Virtual;
use std::io::Cursor;
use telepane_capture::conformance::suite;
use telepane_capture::replay::{Recorder, Replay};
use telepane_capture::synthetic::{Kind, Synthetic};
use telepane_capture::{Event, Source};
use telepane_model::{Size, Span, Stamp};

#[test]
fn synthetic_screens_conform() {
    for kind in Kind::ALL {
        let make = || Box::new(Synthetic::new(kind, Size::new(500, 380), 9)) as Box<dyn Source>;
        let mut stage = Virtual { now: Stamp::from_micros(77), make: Box::new(make) };
        suite(&mut stage, 1);
    }
}

/// A second of the dragged window, recorded and played.
fn recording() -> Vec<u8> {
    let size = Size::new(320, 200);
    let mut source = Synthetic::new(Kind::Drag, size, 2);
    let mut recorder = Recorder::new(Vec::new(), size).unwrap();
    let mut now = Stamp::from_micros(0);
    for _ in 0..100 {
        if let Some(Event::Frame(facts)) = source.poll(now).unwrap() {
            recorder.frame(&facts, &source.pixels()).unwrap();
        }
        now += Span::millis(10);
    }
    recorder.finish(now).unwrap()
}

#[test]
fn replay_conforms() {
    let file = recording();
    for looping in [true, false] {
        let file = &file;
        let make = move || {
            let tape = Box::new(Cursor::new(file.clone()));
            Box::new(Replay::from_tape("drag".into(), tape, looping).unwrap()) as Box<dyn Source>
        };
        let mut stage = Virtual { now: Stamp::from_micros(77), make: Box::new(make) };
        suite(&mut stage, 1);
    }
}
