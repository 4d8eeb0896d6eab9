//! A desktop with the client's monitors: they come, go and come back, and each pixel stays a pixel.

use super::process::{PATIENCE, Scratch, have, now, pause, until};
use super::screen::{Screen, exact};
use super::sharing::{METRICS, counter, metrics_of};
use super::stage::{Agent, connect};
use std::path::Path;
use std::time::Duration;
use telepane_capture::Source;
use telepane_capture::virtual_desktop::{Options, Server, Session, VirtualDesktop, start};
use telepane_capture::x11::X11;
use telepane_model::{Monitor, Rect, Size};

/// A client's screen with these monitors side by side.
pub fn several(heads: &[(u32, u32)]) -> Option<(VirtualDesktop, Screen)> {
    let heads = heads.iter().map(|(w, h)| Size::new(*w, *h)).collect();
    let options = Options { heads, server: Server::Xorg, session: Session::None, environment: Vec::new() };
    let desktop = start(&options).ok()?;
    let screen = Screen::join(desktop.display(), &desktop.xauthority());
    Some((desktop, screen))
}

/// Whether Xorg with the dummy driver is here; says so if not.
pub fn has_heads(test: &str) -> bool {
    let driver = "/usr/lib/xorg/modules/drivers/dummy_drv.so";
    let found = Path::new(driver).exists();
    if !found {
        println!("skipped: {test}: no {driver}");
    }
    found
}

// spec: K-70, K-72, K-73
#[test]
fn a_desktop_has_the_clients_monitors_as_they_come_and_go() {
    if !have("monitors", &["xterm"]) || !has_heads("monitors") {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    here.paint_root(5);
    let (screens, there) = several(&[(640, 480), (800, 600)]).expect("Xorg starts");
    let addr = agent.addr.to_string();
    let client = connect(&dir, "client", Some(&there), &addr, &["--fullscreen", "--monitors", "all"]);
    let two = [([0, 0, 640, 480], true), ([640, 0, 800, 600], false)];
    let took = until("the desktop has both monitors", PATIENCE, || here.monitors() == two);
    println!("monitors: two after {took:?}");
    here.paint_root(6);
    println!("monitors: exact {:?} later", exact(&here, &there, PATIENCE));
    for place in [(10, 10), (639, 479), (640, 0), (1439, 599)] {
        there.point(place.0, place.1);
        until("the pointer is where it seems to be", PATIENCE, || here.pointer_at() == place);
    }
    // One is unplugged, and comes back.
    screens.arrange(&[Size::new(640, 480)]).expect("it can");
    let took = until("the desktop has one monitor", PATIENCE, || here.monitors() == two[..1]);
    here.paint_root(7);
    println!("monitors: one after {took:?}, exact {:?} later", exact(&here, &there, PATIENCE));
    let windows = here.windows();
    screens.arrange(&[Size::new(640, 480), Size::new(800, 600)]).expect("it can");
    let took = until("the desktop has both again", PATIENCE, || here.monitors() == two);
    here.paint_root(8);
    println!("monitors: two after {took:?}, exact {:?} later", exact(&here, &there, PATIENCE));
    assert_eq!(here.windows(), windows, "a window that fits stays where it is");
    drop(client);
    // Another day: the same monitors are covered without being asked for.
    screens.arrange(&[Size::new(700, 500)]).expect("it can");
    let client = connect(&dir, "client", Some(&there), &addr, &["--fullscreen"]);
    until("the desktop has the one monitor", PATIENCE, || here.monitors() == [([0, 0, 700, 500], true)]);
    drop(client);
    screens.arrange(&[Size::new(640, 480), Size::new(800, 600)]).expect("it can");
    let _client = connect(&dir, "client", Some(&there), &addr, &["--fullscreen"]);
    until("what was chosen for two is remembered", PATIENCE, || here.monitors() == two);
}

/// A screen at 144 Hz beside one at 30 Hz, which then gets another mode of the same size.
// spec: K-70, K-72
#[test]
fn the_desktops_monitors_refresh_as_the_clients() {
    if !have("the monitors' rates", &["xterm"]) || !has_heads("the monitors' rates") {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    let (screens, there) = several(&[(640, 480), (800, 600)]).expect("Xorg starts");
    let mut modes = X11::connect(Some(screens.display()), Some(&screens.xauthority())).expect("it is there");
    let mut have_rates = |first: u32, second: u32| {
        let monitor = |place, refresh, primary| Monitor { place, refresh, primary, scale: 100, name: String::new() };
        let two =
            [monitor(Rect::new(0, 0, 640, 480), first, true), monitor(Rect::new(640, 0, 800, 600), second, false)];
        modes.arrange(&two).expect("it can");
        assert_eq!(there.rates(), [u64::from(first), u64::from(second)]);
    };
    have_rates(144_000, 30_000);
    let args = ["--fullscreen", "--monitors", "all"];
    let _client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &args);
    let two = [([0, 0, 640, 480], true), ([640, 0, 800, 600], false)];
    until("the desktop has both monitors", PATIENCE, || here.monitors() == two);
    let are = |rates: [u64; 2]| {
        let now = here.rates();
        now.len() == 2 && now.iter().zip(rates).all(|(now, rate)| now.abs_diff(rate) <= 1)
    };
    let took = until("they have the client's rates", PATIENCE, || are([144_000, 30_000]));
    println!("monitors: {:?} pictures in 1000 s after {took:?}", here.rates());
    here.paint_root(3);
    exact(&here, &there, PATIENCE);
    have_rates(50_000, 100_000);
    let took = until("they have the client's new rates", PATIENCE, || are([50_000, 100_000]));
    println!("monitors: {:?} pictures in 1000 s after {took:?}", here.rates());
    assert_eq!(here.monitors(), two);
    here.paint_root(4);
    exact(&here, &there, PATIENCE);
}

/// One window without a word of monitors, dragged from a screen of 30 Hz to one of 144 Hz, which then gets another mode, and back.
// spec: Y-45, K-72, H-67
#[test]
fn one_window_brings_the_rate_of_the_monitor_it_is_on() {
    if !have("one window's rate", &["Xvfb"]) || !has_heads("one window's rate") {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768", METRICS[0], METRICS[1]]);
    let metrics = metrics_of(&agent);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    let (screens, there) = several(&[(640, 480), (800, 600)]).expect("Xorg starts");
    let mut modes = X11::connect(Some(screens.display()), Some(&screens.xauthority())).expect("it is there");
    let mut have_rates = |rates: [u32; 2]| {
        let places = [Rect::new(0, 0, 640, 480), Rect::new(640, 0, 800, 600)];
        let two =
            [0, 1].map(|n| Monitor { place: places[n], refresh: rates[n], primary: n == 0, ..Monitor::default() });
        modes.arrange(&two).expect("it can");
        assert_eq!(there.rates(), rates.map(u64::from));
    };
    have_rates([30_000, 144_000]);
    let _client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &["--size", "400x300"]);
    let shown = || {
        let window = there.windows().into_iter().max_by_key(|w| w[2] * w[3])?;
        Some(there.picture().part(window))
    };
    let follows = |what: &str, seed: u32, rate: u64| {
        let has_it = || here.rates().first().is_some_and(|now| now.abs_diff(rate) <= 1) && here.rates().len() == 1;
        let took = until(what, PATIENCE, has_it);
        here.paint_root(seed);
        let exact = until("each pixel is a pixel", PATIENCE, || {
            here.picture().size == (400, 300) && shown().is_some_and(|s| s == here.picture())
        });
        println!("one window: {what} after {took:?}, exact {exact:?} later");
    };
    there.move_windows(10, 10);
    follows("the desktop has the slow one's rate", 1, 30_000);
    // An application that draws as fast as it can, for so long; how many times a second that is sent.
    let canvas = here.canvas([20, 20, 16, 16]);
    let mut drawn = 0u32;
    let mut sent_a_second = |time: Duration| {
        let (start, before) = (now(), counter(&metrics, "telepane_slices_sent_total"));
        while start.elapsed() < time {
            drawn = drawn.wrapping_add(0x0102_0305);
            here.paint(canvas, (16, 16), &drawn.to_le_bytes().repeat(256));
            pause(Duration::from_millis(3));
        }
        let sent = counter(&metrics, "telepane_slices_sent_total") - before;
        sent as f64 / start.elapsed().as_secs_f64()
    };
    // The first few come as they are drawn, and those after a moment in which nothing was captured (H-67).
    sent_a_second(Duration::from_millis(500));
    let slow = sent_a_second(Duration::from_secs(3));
    assert!(slow < 45.0, "{slow} a second on a monitor of 30 Hz");
    there.move_windows(500, 100);
    follows("half of it is on the fast one", 2, 144_000);
    there.move_windows(700, 100);
    let mut fast = 0.0;
    until("more is sent there", PATIENCE, || {
        fast = sent_a_second(Duration::from_secs(1));
        fast > 50.0
    });
    println!("one window: {slow:.1} pictures a second on 30 Hz, {fast:.1} on 144 Hz");
    have_rates([30_000, 50_000]);
    follows("its monitor has another mode", 3, 50_000);
    there.move_windows(30, 40);
    follows("it is dragged back", 4, 30_000);
}

/// With a window manager on the client's screen that would keep its panels and frames.
#[test]
fn a_window_manager_lets_it_cover_several_monitors() {
    if !have("monitors under a window manager", &["openbox", "xterm"]) || !has_heads("monitors under a window manager")
    {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    let (screens, there) = several(&[(640, 480), (640, 480)]).expect("Xorg starts");
    let mut openbox = std::process::Command::new("openbox");
    super::screen::environment(&mut openbox, &dir.join(""));
    openbox.env("DISPLAY", screens.display()).env("XAUTHORITY", screens.xauthority());
    let _openbox = super::process::Running::start("openbox", &mut openbox);
    until("openbox manages", PATIENCE, || there.is_managed());
    let args = ["--fullscreen", "--monitors", "all"];
    let _client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &args);
    let two = [([0, 0, 640, 480], true), ([640, 0, 640, 480], false)];
    until("the desktop has both monitors", PATIENCE, || here.monitors() == two);
    here.paint_root(9);
    exact(&here, &there, PATIENCE);
}

/// An edge is dragged: each size on the way is followed, and the last is exact soon after it.
// spec: Y-29
#[test]
fn a_dragged_edge_is_followed_by_a_screen_with_modes() {
    if !have("a dragged edge", &["Xvfb", "xterm"]) {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "800x600"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    here.paint_root(1);
    let there = Screen::start(1400, 1000);
    let _client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &["--size", "800x600"]);
    let shown = || {
        let window = there.windows().into_iter().max_by_key(|w| w[2] * w[3])?;
        Some(there.picture().part(window))
    };
    until("the first picture is there", PATIENCE, || shown().is_some_and(|s| s == here.picture()));
    let mut on_the_way = std::collections::BTreeSet::new();
    let mut drag = |step: u32| {
        there.resize_windows(800 + step * 10, 600 + step * 5);
        pause(Duration::from_millis(25));
        on_the_way.insert(here.picture().size);
        on_the_way.len()
    };
    // Back and forth for as long as it takes, and never at rest: who waits for the end follows nothing.
    let mut steps = (1..40).chain((2..=40).rev()).cycle();
    until("it follows on the way", PATIENCE, || drag(steps.next().expect("it has no end")) > 2);
    for step in 1..=40 {
        drag(step);
    }
    let start = now();
    let whole = || shown().filter(|s| s.size == (1200, 800));
    let difference = || whole().map_or(Some("another size".into()), |shown| here.picture().difference(&shown));
    while let Some(difference) = difference() {
        assert!(start.elapsed() < PATIENCE, "the last size is not exact after {PATIENCE:?}: {difference}");
        pause(Duration::from_millis(10));
    }
    println!("a dragged edge: {} sizes on the way, exact {:?} after the last", on_the_way.len(), start.elapsed());
}
