//! Capture of real X servers, started here: the conformance suite, resizes, cursors, restarts, and closed doors.
#![cfg(target_os = "linux")]

mod stage;

use stage::{Clock, Display, Painter, open_xvfb, server};
use telepane_capture::conformance::suite;
use telepane_capture::virtual_desktop::{Options, Server, Session, VirtualDesktop, start};
use telepane_capture::x11::X11;
use telepane_capture::{Event, Lost, OpenError, Reconnect, ResizeRefused, Source, Wake};
use telepane_model::{CursorShape, CursorState, FrameFacts, Monitor, Point, Rect, Rng, Size, Span, Trust};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

fn open(desktop: &VirtualDesktop) -> X11 {
    X11::connect(Some(desktop.display()), Some(&desktop.xauthority())).unwrap()
}

fn painter(desktop: &VirtualDesktop) -> Painter {
    Painter::new(desktop.display(), Some(&desktop.xauthority()))
}

fn conforms(kind: Server) {
    let Some(desktop) = server(kind, Size::new(640, 400)) else {
        return;
    };
    let mut stage = Display {
        clock: Clock::start(),
        painter: painter(&desktop),
        make: Box::new(|| Box::new(open(&desktop))),
        lag: Span::millis(100),
    };
    suite(&mut stage, 5);
}

#[test]
fn xvfb_conforms() {
    conforms(Server::Xvfb);
}

#[test]
fn xorg_dummy_conforms() {
    conforms(Server::Xorg);
}

/// What came within a time.
#[derive(Default, Debug)]
struct Heard {
    frames: Vec<FrameFacts>,
    cursors: Vec<CursorState>,
    shapes: Vec<CursorShape>,
    gone: u32,
    monitors: Vec<Vec<Monitor>>,
    put: Vec<(i32, i32)>,
    lost: Option<Lost>,
}

/// How long anything may take on a loaded machine.
const PATIENCE: Span = Span::secs(30);

/// Polls until `enough` says so.
fn listen(clock: Clock, source: &mut dyn Source, enough: impl Fn(&Heard) -> bool) -> Heard {
    let mut heard = Heard::default();
    let end = clock.now() + PATIENCE;
    let mut now = clock.now();
    loop {
        loop {
            match source.poll(now) {
                Ok(Some(Event::Frame(f))) => heard.frames.push(f),
                Ok(Some(Event::Cursor(c))) => heard.cursors.push(c),
                Ok(Some(Event::CursorShape(s))) => heard.shapes.push(s),
                Ok(Some(Event::Monitors(m))) => heard.monitors.push(m),
                Ok(Some(Event::PointerPut(at))) => heard.put.push((at.x, at.y)),
                Ok(Some(Event::Gone)) => heard.gone += 1,
                Ok(None) => break,
                Err(lost) => {
                    heard.lost = Some(lost);
                    break;
                }
            }
        }
        if enough(&heard) {
            return heard;
        }
        assert!(heard.lost.is_none() && now < end, "{heard:?}");
        now = clock.wait(source.wake(), end - now);
    }
}

#[test]
fn the_pointer_is_followed() {
    let Some(desktop) = server(Server::Xvfb, Size::new(640, 400)) else {
        return;
    };
    let (clock, painter) = (Clock::start(), painter(&desktop));
    let mut source = open(&desktop);
    listen(clock, &mut source, |h| !h.cursors.is_empty() && !h.frames.is_empty());
    // By injected motion, which raw notices tell: seen with the source's clock standing still, so by no timer.
    painter.conn.xtest_fake_input(6, 0, 0, painter.root, 123, 45, 0).unwrap();
    painter.conn.flush().unwrap();
    let still = clock.now() + Span::millis(10);
    let end = clock.now() + PATIENCE;
    let mut seen = false;
    while !seen {
        assert!(clock.now() < end, "no notice of motion");
        while let Some(event) = source.poll(still).unwrap() {
            seen |= matches!(event, Event::Cursor(c) if c.at == Point::new(123, 45));
        }
        clock.wait(Wake { at: None, ..source.wake() }, Span::millis(20));
    }
    // By an application that warps it, which nothing tells.
    painter.conn.warp_pointer(x11rb::NONE, painter.root, 0, 0, 0, 0, 300, 200).unwrap();
    painter.conn.flush().unwrap();
    listen(clock, &mut source, |h| h.cursors.last().is_some_and(|c| c.at == Point::new(300, 200)));
    // A window's own cursor: 16x16, the top left pixel points.
    let conn = &painter.conn;
    let (pixmap, gc, cursor) = (conn.generate_id().unwrap(), conn.generate_id().unwrap(), conn.generate_id().unwrap());
    conn.create_pixmap(1, pixmap, painter.root, 16, 16).unwrap();
    conn.create_gc(gc, pixmap, &CreateGCAux::new().foreground(1)).unwrap();
    let all = x11rb::protocol::xproto::Rectangle { x: 0, y: 0, width: 16, height: 16 };
    conn.poly_fill_rectangle(pixmap, gc, &[all]).unwrap();
    conn.create_cursor(cursor, pixmap, pixmap, 0xffff, 0, 0, 0, 0, 0, 3, 4).unwrap();
    conn.change_window_attributes(painter.window, &ChangeWindowAttributesAux::new().cursor(cursor)).unwrap();
    conn.sync().unwrap();
    let heard = listen(clock, &mut source, |h| !h.shapes.is_empty());
    let shape = &heard.shapes[0];
    assert_eq!((shape.w, shape.h, shape.hot_x, shape.hot_y), (16, 16, 3, 4));
    assert_eq!(shape.bgra[..4], [0, 0, 255, 255]);
    // Moving the pointer draws nothing.
    painter.conn.xtest_fake_input(6, 0, 0, painter.root, 10, 10, 0).unwrap();
    painter.conn.flush().unwrap();
    let heard = listen(clock, &mut source, |h| h.cursors.last().is_some_and(|c| c.at == Point::new(10, 10)));
    assert_eq!(heard.frames, []);
}

#[test]
fn a_dead_server_is_lost_and_a_new_one_found() {
    let Some(desktop) = server(Server::Xvfb, Size::new(320, 200)) else {
        return;
    };
    let clock = Clock::start();
    let mut alone = open(&desktop);
    listen(clock, &mut alone, |h| !h.frames.is_empty());
    let place = std::sync::Arc::new(std::sync::Mutex::new(Some((desktop.display().to_owned(), desktop.xauthority()))));
    let mut source = Reconnect::new(desktop.display(), {
        let place = std::sync::Arc::clone(&place);
        Box::new(move || {
            let (display, xauthority) = place.lock().unwrap().clone().unwrap();
            X11::connect(Some(&display), Some(&xauthority)).map(|s| Box::new(s) as Box<dyn Source>)
        })
    });
    let heard = listen(clock, &mut source, |h| !h.frames.is_empty());
    let last = heard.frames.last().unwrap().id.0;
    drop(desktop);
    let heard = listen(clock, &mut alone, |h| h.lost.is_some());
    assert!(heard.lost.unwrap().to_string().contains("went away"));
    listen(clock, &mut source, |h| h.gone == 1);
    assert_eq!(source.pixels().size(), Size::new(320, 200));
    let desktop = server(Server::Xvfb, Size::new(400, 300)).unwrap();
    *place.lock().unwrap() = Some((desktop.display().to_owned(), desktop.xauthority()));
    let heard = listen(clock, &mut source, |h| !h.frames.is_empty());
    let back = &heard.frames[0];
    assert_eq!((back.id.0, back.size), (last + 1, Size::new(400, 300)));
    assert_eq!(back.damage.trust, Trust::Unknown);
}

/// Without the cookie nobody gets in: not by the socket, not with another cookie.
#[test]
fn the_virtual_desktop_is_closed() {
    for kind in [Server::Xvfb, Server::Xorg] {
        let Some(desktop) = server(kind, Size::new(320, 200)) else {
            continue;
        };
        let dir = desktop.xauthority().parent().unwrap().to_owned();
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&dir).unwrap());
        assert_eq!(mode & 0o777, 0o700);
        let wrong = dir.join("wrong");
        telepane_capture::virtual_desktop::xauth::write(&wrong, &[7; 16]).unwrap();
        for stranger in [Some(wrong.as_path()), None] {
            let Err(refused) = X11::connect(Some(desktop.display()), stranger) else {
                panic!("{kind:?} let a stranger in");
            };
            assert!(matches!(refused, OpenError::NoSuchDisplay { .. }), "{refused}");
            assert!(refused.to_string().contains("--virtual"));
        }
        // The right one still works, after the strangers.
        open(&desktop);
        drop(desktop);
        assert!(!dir.exists(), "nothing is left behind");
    }
}

#[test]
fn xvfb_grows_only_so_far_and_xorg_further() {
    let Some(desktop) = server(Server::Xvfb, Size::new(800, 600)) else {
        return;
    };
    let mut source = open(&desktop);
    assert!(matches!(source.resize(Size::new(5000, 600)), Err(ResizeRefused::OutOfRange { .. })));
    let clock = Clock::start();
    listen(clock, &mut source, |h| h.frames.last().is_some_and(|f| f.size == Size::new(800, 600)));
    let Some(desktop) = server(Server::Xorg, Size::new(800, 600)) else {
        return;
    };
    let mut source = open(&desktop);
    for size in [Size::new(5000, 600), Size::new(3840, 2160), Size::new(1367, 901), Size::new(800, 600)] {
        assert_eq!(source.resize(size), Ok(size));
        listen(clock, &mut source, |h| h.frames.last().is_some_and(|f| f.size == size));
    }
}

/// Monitors side by side, and a session that runs on them and ends with the handle.
#[test]
fn several_monitors_and_a_session() {
    let options = Options {
        heads: vec![Size::new(700, 500), Size::new(400, 600)],
        server: Server::Xorg,
        session: Session::Command(vec![
            "sh".into(),
            "-c".into(),
            "echo $DISPLAY; exec cat /dev/zero >/dev/null".into(),
        ]),
        environment: Vec::new(),
    };
    let mut desktop = match start(&options) {
        Ok(desktop) => desktop,
        Err(telepane_capture::virtual_desktop::StartError::NoServer) => {
            eprintln!("skipped: no Xorg with the dummy driver");
            return;
        }
        Err(e) => panic!("{e}"),
    };
    assert_eq!(open(&desktop).describe().size, Size::new(1100, 600));
    let painter = painter(&desktop);
    use x11rb::protocol::randr::ConnectionExt as _;
    let monitors = painter.conn.randr_get_monitors(painter.root, true).unwrap().reply().unwrap().monitors;
    let places: Vec<_> = monitors.iter().map(|m| (m.x, m.y, m.width, m.height)).collect();
    assert_eq!(places, [(0, 0, 700, 500), (700, 0, 400, 600)]);
    assert_eq!((desktop.session_ended(), desktop.server_ended()), (None, None));
    assert!(desktop.session_fd().is_some() && desktop.server_fd().is_some());
    // Anywhere, by the source, which tells of them.
    let clock = Clock::start();
    let mut source = open(&desktop);
    let at = |x, y, w, h, primary| Monitor { place: Rect::new(x, y, w, h), primary, ..Monitor::default() };
    let three = [at(0, 300, 640, 480, false), at(640, 0, 800, 900, true), at(1440, 120, 333, 222, false)];
    let told = |h: &Heard, wanted: &[Monitor]| {
        h.monitors.last().is_some_and(|m| {
            let same = |(a, b): (&Monitor, &Monitor)| (a.place, a.primary, a.scale) == (b.place, b.primary, 100);
            m.len() == wanted.len() && m.iter().zip(wanted).all(same)
        })
    };
    assert_eq!(source.arrange(&three), Ok(Size::new(1773, 900)));
    let heard = listen(clock, &mut source, |h| told(h, &three) && h.frames.iter().any(|f| f.size.w == 1773));
    let one = heard.monitors.last().and_then(|m| m.first()).unwrap();
    assert!(one.name.starts_with("DUMMY") && (10_000..400_000).contains(&one.refresh), "{one:?}");
    // The same again changes nothing and tells nothing.
    assert_eq!(source.arrange(&three), Ok(Size::new(1773, 900)));
    let from = clock.now();
    let heard = listen(clock, &mut source, |_| clock.now() > from + Span::millis(200));
    assert!(heard.monitors.is_empty() && heard.frames.is_empty(), "{heard:?}");
    let wide = [at(0, 0, 16_000, 600, true), at(16_000, 0, 800, 600, false)];
    assert!(source.arrange(&wide).is_err() && source.arrange(&[]).is_err());
    drop(source);
    // And back to one.
    assert_eq!(desktop.arrange(&[Size::new(640, 480)]).unwrap(), Size::new(640, 480));
    let monitors = painter.conn.randr_get_monitors(painter.root, true).unwrap().reply().unwrap().monitors;
    assert_eq!(monitors.len(), 1);
    drop(desktop);
}

/// A screen at 144 Hz beside one at 30 Hz, and what is asked by somebody who means harm.
// spec: K-72, K-73
#[test]
fn monitors_have_the_rates_that_are_asked_for() {
    for kind in [Server::Xorg, Server::Xvfb] {
        let Some(desktop) = server(kind, Size::new(640, 480)) else { continue };
        let (clock, mut source) = (Clock::start(), open(&desktop));
        let two = |first: u32, second: u32| {
            let at = |x, refresh, primary| Monitor {
                place: Rect::new(x, 0, 640, 480),
                refresh,
                primary,
                ..Monitor::default()
            };
            [at(0, first, true), at(640, second, false)]
        };
        let mut asked = |first: u32, second: u32| {
            assert_eq!(source.arrange(&two(first, second)), Ok(Size::new(1280, 480)), "{kind:?}");
            let wide =
                |h: &Heard| h.monitors.last().is_some_and(|m| m.iter().map(|m| m.place.right()).max() == Some(1280));
            let heard = listen(clock, &mut source, wide);
            let (told, frames) = (heard.monitors.last().unwrap().clone(), heard.frames.len());
            // The same again changes nothing.
            assert_eq!(source.arrange(&two(first, second)), Ok(Size::new(1280, 480)), "{kind:?}");
            let from = clock.now();
            let again = listen(clock, &mut source, |_| clock.now() > from + Span::millis(100)).monitors;
            assert!(again.is_empty(), "{kind:?} {first} {second}: {again:?}");
            println!("monitors: {kind:?} asked for {first} and {second}: {told:?}, {frames} frames");
            told.iter().map(|m| m.refresh).collect::<Vec<_>>()
        };
        let mut get = |first: u32, second: u32, rates: [u32; 2]| {
            let told = asked(first, second);
            let one = kind == Server::Xvfb;
            let rates = if one { vec![first.max(second).min(1_000_000)] } else { rates.to_vec() };
            // The server's own mode of 59.94 Hz is one of 60 Hz.
            let near = told.len() == rates.len() && told.iter().zip(&rates).all(|(t, r)| t.abs_diff(*r) <= r / 200);
            assert!(near, "{kind:?} asked for {first} and {second}: {told:?}");
        };
        get(144_000, 30_000, [144_000, 30_000]);
        get(60_000, 75_000, [60_000, 75_000]);
        get(1, u32::MAX, [1_000, 1_000_000]);
        // Where none is asked for it stays.
        get(240_000, 0, [240_000, 1_000_000]);
    }
}

/// An application that draws a window's content anew with what it had makes no frame; a read over the socket sees
/// what the shared segment sees.
#[test]
fn a_small_change_is_small_damage() {
    let Some(desktop) = server(Server::Xvfb, Size::new(640, 400)) else {
        return;
    };
    let (clock, painter) = (Clock::start(), painter(&desktop));
    let mut source = open(&desktop);
    painter.fill(Rect::new(0, 0, 640, 400), [1, 2, 3]);
    listen(clock, &mut source, |h| !h.frames.is_empty());
    listen(clock, &mut source, |_| true);
    // The whole is drawn again, but only 20x10 of it differ.
    painter.send(Rect::new(0, 0, 640, 400), [1, 2, 3]);
    painter.fill(Rect::new(100, 50, 20, 10), [9, 9, 9]);
    let heard = listen(clock, &mut source, |h| !h.frames.is_empty());
    let area: u64 = heard.frames.iter().map(|f| f.damage.changed.area()).sum();
    assert!(area <= 200, "{heard:?}");
}

/// Drawn on without a pause by another thread while it is read: what falls between notice, Subtract and GetImage is
/// neither lost nor left out of the damage.
#[test]
fn nothing_is_lost_while_others_draw() {
    for kind in [Server::Xvfb, Server::Xorg] {
        let Some(desktop) = server(kind, Size::new(640, 400)) else {
            continue;
        };
        let (clock, painter) = (Clock::start(), painter(&desktop));
        let mut source = open(&desktop);
        let mut seen = telepane_model::Pixels::default();
        let mut look = |burst: u64| {
            let mut now = clock.now();
            while let Some(event) = source.poll(now).unwrap() {
                let Event::Frame(facts) = event else { continue };
                let pixels = source.pixels();
                if seen.size() == facts.size {
                    for r in facts.damage.changed.rects() {
                        seen.copy_from(&pixels, *r);
                    }
                    assert!(seen == *pixels, "{kind:?} burst {burst}: damage missed a change");
                } else {
                    seen = (*pixels).clone();
                }
                now = clock.now();
            }
            clock.wait(source.wake(), Span::millis(5));
            source.pixels()
        };
        for burst in 0..30u64 {
            std::thread::scope(|scope| {
                let drawing = scope.spawn(|| {
                    let mut rng = Rng::new(burst);
                    for i in 0..400u32 {
                        let at = Rect::new(rng.below(600) as i32, rng.below(380) as i32, 30, 15);
                        painter.send(at, [i as u8, burst as u8, rng.below(256) as u8]);
                    }
                    painter.conn.sync().unwrap();
                });
                while !drawing.is_finished() {
                    look(burst);
                }
            });
            let (truth, end) = (painter.truth(), clock.now() + PATIENCE);
            while truth != *look(burst) {
                assert!(clock.now() < end, "{kind:?} burst {burst}: a change was lost");
            }
        }
    }
}

#[test]
fn another_pixel_format_is_refused_with_the_way_out() {
    let Some((_server, display)) = open_xvfb(Size::new(320, 200), 16) else {
        return;
    };
    let Err(error) = X11::connect(Some(&display), None) else { panic!("depth 16 was taken") };
    assert!(matches!(error, OpenError::Unusable { .. }));
    assert!(error.to_string().contains("depth 24"), "{error}");
}

/// An application puts the pointer somewhere: that is told apart from a hand's motion, and from a screen that shrinks under it.
#[test]
fn a_put_pointer_is_told_apart_from_a_hand() {
    let Some(desktop) = server(Server::Xvfb, Size::new(640, 400)) else {
        return;
    };
    let (clock, painter) = (Clock::start(), painter(&desktop));
    let mut source = open(&desktop);
    let hand = |x: i16, y: i16| painter.conn.xtest_fake_input(6, 0, 0, painter.root, x, y, 0).unwrap().check().unwrap();
    let application = |x: i16, y: i16| {
        let warp = painter.conn.warp_pointer(x11rb::NONE, painter.root, 0, 0, 0, 0, x, y);
        warp.unwrap().check().unwrap();
    };
    let is_at = |h: &Heard, x: i32, y: i32| h.cursors.last().is_some_and(|c| (c.at.x, c.at.y) == (x, y));
    for i in 0..10 {
        source.expect_echo(clock.now());
        hand(30 + i * 10, 300);
        let heard = listen(clock, &mut source, |h| is_at(h, i32::from(30 + i * 10), 300));
        assert!(heard.put.is_empty(), "{heard:?}");
        let from = clock.now();
        assert!(listen(clock, &mut source, |_| clock.now() > from + Span::millis(130)).put.is_empty());
    }
    source.expect_echo(clock.now());
    application(600, 390);
    let heard = listen(clock, &mut source, |h| !h.put.is_empty());
    assert_eq!(heard.put, [(600, 390)]);
    source.expect_echo(clock.now());
    source.resize(Size::new(320, 200)).unwrap();
    let heard = listen(clock, &mut source, |h| h.cursors.last().is_some_and(|c| c.at.x < 320));
    assert!(heard.put.is_empty(), "{heard:?}");
}

/// A hand and an application that move it between two looks.
// spec: K-74
#[test]
fn a_pointer_that_is_put_right_after_the_hand_moved_it_is_told() {
    for kind in [Server::Xvfb, Server::Xorg] {
        let Some(desktop) = server(kind, Size::new(640, 400)) else { continue };
        let (clock, painter) = (Clock::start(), painter(&desktop));
        let mut source = open(&desktop);
        let fake = |by: u8, x: i16, y: i16| {
            painter.conn.xtest_fake_input(6, by, 0, painter.root, x, y, 0).unwrap().check().unwrap();
        };
        let application = |x: i16, y: i16| {
            let warp = painter.conn.warp_pointer(x11rb::NONE, painter.root, 0, 0, 0, 0, x, y);
            warp.unwrap().check().unwrap();
        };
        let expect = |source: &mut X11, at: Option<(i32, i32)>| {
            source.expect_echo(clock.now());
            source.expect_pointer(at.map(|(x, y)| Point::new(x, y)));
        };
        let is_at = |h: &Heard, x: i32, y: i32| h.cursors.last().is_some_and(|c| (c.at.x, c.at.y) == (x, y));
        let rests = |source: &mut X11| {
            // It looks again after 30 ms and 120 ms, and then not for seconds.
            let from = clock.now();
            source.expect_echo(from);
            listen(clock, source, |_| clock.now() > from + Span::millis(100)).put
        };
        // The monitors and the pointer's first place are known.
        listen(clock, &mut source, |h| !h.frames.is_empty() && !h.cursors.is_empty());
        rests(&mut source);
        for i in 0..10i16 {
            expect(&mut source, Some((20 + i32::from(i), 100)));
            fake(0, 20 + i, 100);
            application(500, 300 + i);
            let heard = listen(clock, &mut source, |h| !h.put.is_empty());
            assert_eq!(heard.put, [(500, 300 + i32::from(i))], "{kind:?}");
            assert_eq!(rests(&mut source), [], "{kind:?}: once");
            // The hand has the last word.
            expect(&mut source, Some((40 + i32::from(i), 110)));
            application(510, 310);
            fake(0, 40 + i, 110);
            let heard = listen(clock, &mut source, |h| is_at(h, 40 + i32::from(i), 110));
            assert_eq!((heard.put, rests(&mut source)), (vec![], vec![]), "{kind:?}");
        }
        // Where the hand left it is not known, or is no place.
        expect(&mut source, None);
        fake(1, 7, 5);
        application(200, 200);
        listen(clock, &mut source, |h| is_at(h, 200, 200));
        expect(&mut source, Some((3_000, 100)));
        fake(0, 3_000, 100);
        let heard = listen(clock, &mut source, |h| is_at(h, 639, 100));
        assert_eq!((heard.put, rests(&mut source)), (vec![], vec![]), "{kind:?}");
    }
}

/// The first session that is installed draws something.
#[test]
fn a_session_appears() {
    let options = Options {
        heads: vec![Size::new(1024, 700)],
        server: Server::Best,
        session: Session::First,
        environment: Vec::new(),
    };
    let mut desktop = match start(&options) {
        Ok(desktop) => desktop,
        Err(telepane_capture::virtual_desktop::StartError::NoServer) => {
            eprintln!("skipped: no Xvfb");
            return;
        }
        Err(e) => panic!("{e}"),
    };
    if desktop.session_name().is_empty() {
        eprintln!("skipped: no session installed");
        return;
    }
    let mut source = desktop.source().unwrap();
    let clock = Clock::start();
    let end = clock.now() + PATIENCE;
    let colours = |p: &telepane_model::Pixels| {
        let all: std::collections::BTreeSet<_> = p.data().chunks_exact(4).map(|c| [c[0], c[1], c[2]]).collect();
        all.len()
    };
    let mut now = clock.now();
    while colours(&source.pixels()) < 4 {
        assert!(clock.now() < end, "nothing but {} colours", colours(&source.pixels()));
        while source.poll(now).unwrap().is_some() {}
        now = clock.wait(source.wake(), Span::millis(200));
    }
    assert_eq!((desktop.session_ended(), desktop.server_ended()), (None, None));
}
