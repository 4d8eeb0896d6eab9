//! Holds a key, a modifier, a button and borrowed keys on a display until it is killed: what the guard is tested with.
//!
//! Usage: `hold_key DISPLAY [XAUTHORITY [NAME SOCKET]...]`, with name and socket of a wheel, a touch screen, a pen and an eraser: then
//! a finger and the pen are down too. Prints `holding` and the guard's absence or presence, then waits for ever.

#[cfg(target_os = "linux")]
fn main() {
    use telepane_input::{Device, Devices, open_x11, open_x11_with};
    use telepane_model::geometry::Point;
    use telepane_model::input::{Button, InputEvent, KeyCode, KeyMove, Pen, TouchPhase};
    telepane_input::guard::run_if_asked();
    let mut args = std::env::args().skip(1);
    let (display, xauthority) = (args.next(), args.next().map(std::path::PathBuf::from));
    let (display, xauthority) = (display.as_deref(), xauthority.as_deref());
    let rest: Vec<String> = args.collect();
    let device = |pair: &[String]| Device { name: pair[0].clone(), socket: pair[1].clone().into() };
    let devices: Result<[Device; 4], _> = rest.chunks_exact(2).map(device).collect::<Vec<_>>().try_into();
    let mut hands = match devices {
        Ok([wheel, touch, pen, eraser]) => open_x11_with(display, xauthority, &Devices { wheel, touch, pen, eraser }),
        Err(_) => open_x11(display, xauthority),
    }
    .expect("open the display");
    let at = Point::new(50, 60);
    hands.inject(&InputEvent::Touch { finger: 1, phase: TouchPhase::Down, at, pressure: 0 }).expect("finger");
    let pen = Pen { at, pressure: 9, tilt: (0, 0), touching: true, eraser: false, buttons: 0, near: true };
    hands.inject(&InputEvent::Pen(pen)).expect("pen");
    let down = |code| InputEvent::Key { code: KeyCode(code), action: KeyMove::Down };
    hands.inject(&InputEvent::Text("ä€λ😀".into())).expect("text");
    // KEY_A and KEY_LEFTSHIFT of input-event-codes.h.
    hands.inject(&down(42)).expect("shift");
    hands.inject(&down(30)).expect("a");
    hands.inject(&InputEvent::Button { button: Button::Left, down: true }).expect("button");
    println!("holding {:?}; {}", hands.held(), hands.describe());
    loop {
        std::thread::park();
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
