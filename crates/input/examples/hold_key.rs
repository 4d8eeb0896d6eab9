//! Holds a key, a modifier, a button and borrowed keys on a display until it is killed: what the guard is tested with.
//!
//! Usage: `hold_key DISPLAY`. Prints `holding` and the guard's absence or presence, then waits for ever.

#[cfg(target_os = "linux")]
fn main() {
    use telepane_model::input::{Button, InputEvent, KeyCode, KeyMove};
    telepane_input::guard::run_if_asked();
    let display = std::env::args().nth(1);
    let mut hands = telepane_input::open_x11(display.as_deref(), None).expect("open the display");
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
