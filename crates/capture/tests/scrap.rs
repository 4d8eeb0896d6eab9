//! The conformance suite over the backend `scrap`.
#![cfg(all(target_os = "linux", feature = "scrap"))]

mod stage;

use stage::{Clock, Display, Painter, open_xvfb};
use telepane_capture::conformance::suite;
use telepane_capture::{Backend, Options, What, open};
use telepane_model::{Size, Span};

#[test]
fn scrap_conforms() {
    let Some((_server, display)) = open_xvfb(Size::new(640, 400), 24) else {
        return;
    };
    let make = || {
        open(&Options {
            backend: Backend::Scrap,
            what: What::Display { name: Some(display.clone()), xauthority: None },
        })
        .unwrap()
    };
    let mut stage = Display {
        clock: Clock::start(),
        painter: Painter::new(&display, None),
        make: Box::new(make),
        lag: Span::millis(400),
    };
    suite(&mut stage, 5);
}
