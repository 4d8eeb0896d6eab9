//! Fingers, a pen and parts of a notch on a real Xorg with input devices of its own, seen by an application that speaks
//! XInput 2 and by one that knows only the core protocol.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "real servers and programs are waited for in real time")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use telepane_capture::virtual_desktop::{InputDevice, Options, Server, Session, StartError, VirtualDesktop, start};
use telepane_capture::x11::connect::connect;
use telepane_input::{Device, Devices, Injector, Takes, open_x11_with};
use telepane_model::Size;
use telepane_model::geometry::Point;
use telepane_model::input::{InputEvent, KeyCode, KeyMove, Pen, TouchPhase};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{
    ConnectionExt as _, Device as Every, DeviceClassData, EventMask as XiMask, Fp3232, PointerEventFlags, XIEventMask,
};
use x11rb::protocol::xproto::{ConnectionExt as _, CreateWindowAux, EventMask, InputFocus, Window, WindowClass};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// A desktop with such devices; `None`, with the reason printed, where there can be none.
fn desktop() -> Option<VirtualDesktop> {
    let heads = vec![Size::new(1000, 700)];
    let options = Options { heads, server: Server::Xorg, session: Session::None, environment: Vec::new() };
    let desktop = match start(&options) {
        Err(StartError::NoServer) => {
            println!("skipped: no Xorg with the dummy driver here");
            return None;
        }
        started => started.unwrap(),
    };
    if desktop.input_devices().is_none() {
        println!("skipped: this Xorg has no driver inputtest");
        return None;
    }
    Some(desktop)
}

fn hands(desktop: &VirtualDesktop) -> Box<dyn Injector> {
    let of = desktop.input_devices().unwrap();
    let device = |of: &InputDevice| Device { name: of.name.into(), socket: of.socket.clone() };
    let devices = Devices {
        wheel: device(&of.wheel),
        touch: device(&of.touch),
        pen: device(&of.pen),
        eraser: device(&of.eraser),
    };
    open_x11_with(Some(desktop.display()), Some(&desktop.xauthority()), &devices).unwrap()
}

/// Injects, and returns when the server has acted on it.
fn all(hands: &mut Box<dyn Injector>, events: &[InputEvent]) {
    for event in events {
        hands.inject(event).unwrap();
    }
    // Empty text asks the server for its state, after everything on other ways is acted on.
    hands.inject(&InputEvent::Text(String::new())).unwrap();
}

fn touch(finger: u8, phase: TouchPhase, at: (i32, i32), pressure: u16) -> InputEvent {
    InputEvent::Touch { finger, phase, at: Point::new(at.0, at.1), pressure }
}

fn pen(at: (i32, i32), pressure: u16) -> Pen {
    Pen {
        at: Point::new(at.0, at.1),
        pressure,
        tilt: (0, 0),
        touching: pressure > 0,
        eraser: false,
        buttons: 0,
        near: true,
    }
}

fn wheel(x: i32, y: i32) -> InputEvent {
    InputEvent::Wheel { x, y }
}

/// What the client saw: places are whole pixels, axes by their numbers.
#[derive(Clone, Debug, PartialEq)]
enum Saw {
    Touch { what: Phase, id: u32, at: (i32, i32), force: Option<f64> },
    Motion { at: (i32, i32), source: u16, axes: BTreeMap<usize, f64> },
    Press { button: u32, emulated: bool, source: u16 },
    Lift { button: u32 },
    Core(u8),
    Key(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Begin,
    Update,
    End,
}

/// An application whose left half speaks XInput 2 and whose right half, from 500 on, only the core protocol.
struct Application {
    conn: RustConnection,
    root: Window,
}

impl Application {
    fn open(desktop: &VirtualDesktop) -> Self {
        let (conn, screen, _) = connect(Some(desktop.display()), Some(&desktop.xauthority())).unwrap();
        let root = conn.setup().roots[screen].root;
        conn.xinput_xi_query_version(2, 2).unwrap().reply().unwrap();
        let core = EventMask::BUTTON_PRESS | EventMask::BUTTON_RELEASE | EventMask::KEY_PRESS;
        let [modern, old] = [(0, EventMask::NO_EVENT), (500, core)].map(|(x, mask)| {
            let window = conn.generate_id().unwrap();
            let aux = CreateWindowAux::new().override_redirect(1).event_mask(mask);
            conn.create_window(0, window, root, x, 0, 500, 2000, 0, WindowClass::INPUT_OUTPUT, 0, &aux).unwrap();
            conn.map_window(window).unwrap();
            window
        });
        let touches = XIEventMask::TOUCH_BEGIN | XIEventMask::TOUCH_UPDATE | XIEventMask::TOUCH_END;
        let pointer = XIEventMask::MOTION | XIEventMask::BUTTON_PRESS | XIEventMask::BUTTON_RELEASE;
        let mask = XiMask { deviceid: Every::ALL_MASTER.into(), mask: vec![touches | pointer] };
        conn.xinput_xi_select_events(modern, &[mask]).unwrap().check().unwrap();
        conn.set_input_focus(InputFocus::PARENT, old, x11rb::CURRENT_TIME).unwrap();
        conn.sync().unwrap();
        let application = Self { conn, root };
        application.saw();
        application
    }

    /// Everything seen up to now. What the server has done for another client before is in.
    fn saw(&self) -> Vec<Saw> {
        self.conn.sync().unwrap();
        let mut all = Vec::new();
        while let Some(event) = self.conn.poll_for_event().unwrap() {
            let whole = |x: i32, y: i32| (x >> 16, y >> 16);
            all.push(match event {
                Event::XinputTouchBegin(e) | Event::XinputTouchUpdate(e) | Event::XinputTouchEnd(e) => Saw::Touch {
                    what: match e.event_type {
                        18 => Phase::Begin,
                        19 => Phase::Update,
                        _ => Phase::End,
                    },
                    id: e.detail,
                    at: whole(e.root_x, e.root_y),
                    force: axes(&e.valuator_mask, &e.axisvalues).get(&4).copied(),
                },
                Event::XinputMotion(e) => Saw::Motion {
                    at: whole(e.root_x, e.root_y),
                    source: e.sourceid,
                    axes: axes(&e.valuator_mask, &e.axisvalues),
                },
                Event::XinputButtonPress(e) => Saw::Press {
                    button: e.detail,
                    emulated: u32::from(e.flags) & u32::from(PointerEventFlags::POINTER_EMULATED) != 0,
                    source: e.sourceid,
                },
                Event::XinputButtonRelease(e) => Saw::Lift { button: e.detail },
                Event::ButtonPress(e) => Saw::Core(e.detail),
                Event::KeyPress(e) => Saw::Key(e.detail),
                _ => continue,
            });
        }
        all
    }

    fn name(&self, device: u16) -> String {
        let infos = self.conn.xinput_xi_query_device(device).unwrap().reply().unwrap().infos;
        String::from_utf8(infos[0].name.clone()).unwrap()
    }

    /// The devices of ours that are on.
    fn on(&self) -> Vec<String> {
        let infos = self.conn.xinput_xi_query_device(Every::ALL).unwrap().reply().unwrap().infos;
        let on = infos.into_iter().filter(|info| info.enabled).map(|info| String::from_utf8(info.name).unwrap());
        on.filter_map(|name| name.strip_prefix("telepane ").map(str::to_owned)).collect()
    }

    fn place(&self) -> (i16, i16) {
        let at = self.conn.query_pointer(self.root).unwrap().reply().unwrap();
        (at.root_x, at.root_y)
    }
}

fn axes(mask: &[u32], values: &[Fp3232]) -> BTreeMap<usize, f64> {
    let set = (0..32 * mask.len()).filter(|axis| mask[axis / 32] >> (axis % 32) & 1 != 0);
    set.zip(values).map(|(axis, v)| (axis, f64::from(v.integral) + f64::from(v.frac) / 2f64.powi(32))).collect()
}

/// What fingers did, with the ids that the server gave counted in the order of their coming.
fn numbered(saw: Vec<Saw>) -> Vec<Saw> {
    let mut ids: Vec<u32> = Vec::new();
    saw.into_iter()
        .filter_map(|saw| {
            let Saw::Touch { what, id, at, force } = saw else { return None };
            let known = ids.iter().position(|i| *i == id);
            let id = known.unwrap_or_else(|| {
                ids.push(id);
                ids.len() - 1
            });
            Some(Saw::Touch { what, id: id as u32, at, force })
        })
        .collect()
}

#[test]
fn fingers_touch_where_they_are_and_as_hard() {
    let Some(desktop) = desktop() else { return };
    let mut hands = hands(&desktop);
    assert_eq!(hands.takes(), Takes { touch: true, pen: true, fine_wheel: true });
    println!("{}", hands.describe());
    let application = Application::open(&desktop);
    let (down, moved, up) = (TouchPhase::Down, TouchPhase::Move, TouchPhase::Up);
    all(
        &mut hands,
        &[
            touch(0, down, (100, 200), 32_768),
            touch(7, down, (499, 699), 0),
            touch(0, moved, (150, 250), u16::MAX),
            touch(7, up, (498, 698), 0),
            // Neither is there.
            touch(7, moved, (1, 1), 0),
            touch(3, up, (1, 1), 0),
            touch(0, TouchPhase::Cancel, (150, 250), 0),
        ],
    );
    // The pointer goes along with the first finger; only the fingers are looked at.
    let seen = numbered(application.saw());
    let Some(&Saw::Touch { force: Some(force), .. }) = seen.first() else { panic!("{seen:?}") };
    assert!((1_023.0..1_025.0).contains(&force), "{force} of 2047");
    let (force, full) = (Some(force), Some(2_047.0));
    let wanted = [
        Saw::Touch { what: Phase::Begin, id: 0, at: (100, 200), force },
        Saw::Touch { what: Phase::Begin, id: 1, at: (499, 699), force: None },
        Saw::Touch { what: Phase::Update, id: 0, at: (150, 250), force: full },
        Saw::Touch { what: Phase::End, id: 1, at: (498, 698), force: None },
        Saw::Touch { what: Phase::End, id: 0, at: (150, 250), force: None },
    ];
    assert_eq!(seen, wanted);

    // Who knows only the core protocol gets a pointer that clicks.
    all(&mut hands, &[touch(0, down, (700, 300), 9), touch(0, up, (700, 300), 0)]);
    assert_eq!((application.saw(), application.place()), (vec![Saw::Core(1)], (700, 300)));

    // The screen becomes smaller, and its last pixel is the last one still.
    desktop.arrange(&[Size::new(480, 360)]).unwrap();
    all(&mut hands, &[]);
    all(&mut hands, &[touch(1, down, (479, 359), 0), touch(1, up, (479, 359), 0)]);
    let seen = numbered(application.saw());
    assert!(matches!(seen[..], [Saw::Touch { at: (479, 359), .. }, Saw::Touch { at: (479, 359), .. }]), "{seen:?}");
}

#[test]
fn ten_fingers_touch_at_once() {
    let Some(desktop) = desktop() else { return };
    let mut hands = hands(&desktop);
    let application = Application::open(&desktop);
    let fingers = |phase| (0..10).map(|n| touch(n, phase, (40 * i32::from(n), 9), 0)).collect::<Vec<_>>();
    all(&mut hands, &fingers(TouchPhase::Down));
    hands.release_all().unwrap();
    all(&mut hands, &[]);
    let phase = |s| if let Saw::Touch { what, at, .. } = s { Some((what, at.0)) } else { None };
    let phases: Vec<_> = application.saw().into_iter().filter_map(phase).collect();
    let each = |what: Phase| (0..10).map(move |n| (what, 40 * n));
    assert_eq!(phases, each(Phase::Begin).chain(each(Phase::End)).collect::<Vec<_>>());
}

#[test]
fn a_pen_hovers_presses_and_rubs_out() {
    let Some(desktop) = desktop() else { return };
    let mut hands = hands(&desktop);
    let application = Application::open(&desktop);
    let half = pen((250, 350), 32_768);
    let rubs = Pen { eraser: true, ..pen((20, 30), u16::MAX) };
    let steps = [pen((10, 20), 0), half, Pen { buttons: 2, ..half }, pen((250, 350), 0), rubs, rubs.away()];
    let seen = steps.map(|step| {
        all(&mut hands, &[InputEvent::Pen(step)]);
        application.saw()
    });
    let motion = |saw: &[Saw]| {
        let force = |axes: &BTreeMap<usize, f64>| axes.get(&4).copied().map(f64::round);
        let last = saw.iter().rev().find_map(|s| match s {
            Saw::Motion { at, source, axes } => Some((*at, application.name(*source), force(axes))),
            _ => None,
        });
        last.unwrap_or_else(|| panic!("no motion in {saw:?}"))
    };
    let (p, e) = ("telepane pen".to_owned(), "telepane eraser".to_owned());
    assert_eq!(motion(&seen[0]), ((10, 20), p.clone(), Some(0.0)));
    assert_eq!(motion(&seen[1]), ((250, 350), p.clone(), Some(500.0)));
    assert_eq!(motion(&seen[3]), ((250, 350), p, Some(0.0)));
    assert_eq!(motion(&seen[4]), ((20, 30), e, Some(1_000.0)));
    let buttons = seen.map(|saw| {
        saw.into_iter()
            .filter_map(|s| match s {
                Saw::Press { button, .. } => Some(button as i32),
                Saw::Lift { button } => Some(-(button as i32)),
                _ => None,
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(buttons, [vec![], vec![1], vec![3], vec![-1, -3], vec![1], vec![-1]]);
}

#[test]
fn a_part_of_a_notch_turns_by_itself_and_four_quarters_click_once() {
    let Some(desktop) = desktop() else { return };
    let mut hands = hands(&desktop);
    let application = Application::open(&desktop);
    let infos = application.conn.xinput_xi_query_device(Every::ALL).unwrap().reply().unwrap().infos;
    let info = infos.iter().find(|info| info.name == b"telepane wheel").unwrap();
    let notch = |axis: u16| {
        info.classes.iter().find_map(|class| match &class.data {
            DeviceClassData::Scroll(scroll) if scroll.number == axis => Some(f64::from(scroll.increment.integral)),
            _ => None,
        })
    };
    let (Some(sideways), Some(down)) = (notch(2), notch(3)) else { panic!("no scroll axes") };
    let mut turns = |events: &[InputEvent], axis: usize| {
        all(&mut hands, events);
        let seen = application.saw();
        let stands: Vec<f64> = seen
            .iter()
            .filter_map(|s| match s {
                Saw::Motion { source, axes, .. } if *source == info.deviceid => axes.get(&axis).copied(),
                _ => None,
            })
            .collect();
        let clicks: Vec<_> = seen
            .iter()
            .filter_map(|s| if let Saw::Press { button, emulated, .. } = s { Some((*button, *emulated)) } else { None })
            .collect();
        (stands.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>(), clicks)
    };
    let there = InputEvent::PointerTo(Point::new(200, 300));
    let quarters = [there.clone(), wheel(0, 30), wheel(0, 30), wheel(0, 30), wheel(0, 30)];
    // The first motion says where the wheel stands, so four have been told by the ones after it.
    assert_eq!(turns(&quarters, 3), (vec![down / 4.0; 4], vec![(5, true)]));
    assert_eq!(turns(&[there.clone(), wheel(0, -360)], 3), (vec![-3.0 * down], vec![(4, true); 3]));
    assert_eq!(turns(&[there.clone(), wheel(119, 0), wheel(1, 0)], 2), (vec![119.0, 1.0], vec![(7, true)]));
    assert_eq!(sideways, 120.0);
    // However far a hand may say it turned.
    let (turned, clicks) = turns(&[there, wheel(0, i32::MIN)], 3);
    assert_eq!((turned.iter().sum::<f64>(), clicks), (-64.0 * down, vec![(4, true); 64]));

    all(&mut hands, &[InputEvent::PointerTo(Point::new(700, 300)), wheel(0, 60), wheel(0, 59)]);
    assert_eq!(application.saw(), []);
    all(&mut hands, &[wheel(0, 1), wheel(-120, 0)]);
    assert_eq!(application.saw(), [Saw::Core(5), Saw::Core(6)]);
}

/// Keys and places go through XTEST, the wheel to its device, on connections that know nothing of one another.
#[test]
fn what_goes_different_ways_arrives_in_its_order() {
    let Some(desktop) = desktop() else { return };
    let mut hands = hands(&desktop);
    let application = Application::open(&desktop);
    let mut events = Vec::new();
    for n in 0..100 {
        events.extend([InputEvent::PointerTo(Point::new(100 + n, 50)), wheel(0, 1)]);
    }
    all(&mut hands, &events);
    let turned: Vec<i32> = application
        .saw()
        .into_iter()
        .filter_map(|s| if let Saw::Motion { at, axes, .. } = s { axes.contains_key(&3).then_some(at.0) } else { None })
        .collect();
    // Each place is said with where the wheel stands, and with its turn.
    assert_eq!(turned, (0..100).flat_map(|n| [100 + n; 2]).collect::<Vec<_>>());
    let key = |action| InputEvent::Key { code: KeyCode(30), action };
    let mut events = vec![InputEvent::PointerTo(Point::new(600, 50))];
    events.extend([wheel(0, 120), key(KeyMove::Down), wheel(0, 120), key(KeyMove::Up), wheel(0, 120)]);
    all(&mut hands, &events);
    let seen: Vec<_> = application.saw().into_iter().filter(|s| matches!(s, Saw::Core(5) | Saw::Key(38))).collect();
    assert_eq!(seen.first(), Some(&Saw::Core(5)), "{seen:?}");
    assert!(seen.contains(&Saw::Key(38)), "the keyboard is what it was: {seen:?}");
}

/// Whoever held something is gone: its program lets go, and the next one finds the devices free.
#[test]
fn nothing_stays_down_and_the_next_one_begins_anew() {
    let Some(desktop) = desktop() else { return };
    let application = Application::open(&desktop);
    for round in 0..3 {
        let mut hands = hands(&desktop);
        assert!(hands.takes().touch && hands.takes().pen && hands.takes().fine_wheel, "round {round}");
        // Nobody sees a touch screen before somebody touches it.
        assert_eq!(application.on(), ["wheel"]);
        all(&mut hands, &[touch(2, TouchPhase::Down, (30, 40), 9), InputEvent::Pen(pen((50, 60), 700)), wheel(0, 7)]);
        assert_eq!(application.on(), ["wheel", "touch", "pen"]);
        let held = application.saw();
        assert!(held.iter().any(|s| matches!(s, Saw::Touch { what: Phase::Begin, .. })), "{held:?}");
        match round {
            0 => hands.inject(&InputEvent::Blur).unwrap(),
            1 => hands.release_all().unwrap(),
            _ => {}
        }
        drop(hands);
        assert_eq!(application.on(), [""; 0]);
        let left = application.saw();
        let ends = left.iter().filter(|s| matches!(s, Saw::Touch { what: Phase::End, .. })).count();
        let lifts = left.iter().filter(|s| matches!(s, Saw::Lift { button: 1 })).count();
        assert_eq!((ends, lifts), (1, 1), "round {round}: {left:?}");
    }
}

/// The guard of a program that was killed turns its devices off.
#[test]
fn what_a_killed_program_held_is_let_go() {
    let Some(desktop) = desktop() else { return };
    let application = Application::open(&desktop);
    let test = std::env::current_exe().unwrap();
    let example = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/hold_key");
    assert!(example.exists(), "build it first: cargo build -p telepane-input --examples");
    let of = desktop.input_devices().unwrap();
    let mut command = Command::new(example);
    command.arg(desktop.display()).arg(desktop.xauthority());
    for device in [&of.wheel, &of.touch, &of.pen, &of.eraser] {
        command.arg(device.name).arg(&device.socket);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("guarded") && line.contains("pen with eraser"), "{line}");
    let mut left = Vec::new();
    let free = |left: &[Saw]| {
        let ended = left.iter().any(|s| matches!(s, Saw::Touch { what: Phase::End, .. }));
        ended && left.iter().any(|s| matches!(s, Saw::Lift { button: 1 }))
    };
    for _ in 0..2_000 {
        left.extend(application.saw());
        if free(&left) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(free(&left), "{left:?}");
    // And the next one takes them.
    let mut hands = hands(&desktop);
    all(&mut hands, &[touch(0, TouchPhase::Down, (9, 9), 0)]);
    assert!(application.saw().iter().any(|s| matches!(s, Saw::Touch { what: Phase::Begin, .. })));
}
