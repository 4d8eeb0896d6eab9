//! Each monitor in a window of its own: over the monitors of the client's screen, and framed, as they come and go.

use super::keyboards::hears;
use super::monitors::{has_heads, several};
use super::process::{PATIENCE, Running, Scratch, Signal, have, now, pause, until};
use super::screen::{LEFT_SHIFT, Screen, environment, no_key_held};
use super::sharing::{METRICS, counter, metrics_of};
use super::stage::{Agent, connect};
use std::process::Command;
use std::time::Duration;

/// Waits until the client's screen shows each of these parts of the host's at the place beside it.
fn exact_parts(here: &Screen, there: &Screen, parts: &[([i32; 4], [i32; 4])]) -> Duration {
    let start = now();
    loop {
        let (wanted, shown) = (here.picture(), there.picture());
        let difference = parts.iter().find_map(|(from, to)| {
            let words = wanted.part(*from).difference(&shown.part(*to))?;
            Some(format!("{from:?} at {to:?}: {words}"))
        });
        match difference {
            None => return start.elapsed(),
            Some(words) => assert!(start.elapsed() < PATIENCE, "a monitor is not shown as it is: {words}"),
        }
        pause(Duration::from_millis(15));
    }
}

/// What is held stays down, for longer than it takes to go from window to window. A client that stands still for as long as a lease
/// lasts has it let go, and pressed again (H-21, H-22): that is the machine's doing, and is counted.
fn stays_down(here: &Screen, metrics: &str) {
    let expired = || counter(metrics, "telepane_leases_expired_total");
    let (start, mut before) = (now(), expired());
    while start.elapsed() < Duration::from_millis(600) {
        if here.held().is_empty() {
            let lapsed = expired();
            assert!(lapsed > before, "a held key came up on the way to another window of ours");
            before = lapsed;
            until("it is pressed again", PATIENCE, || !here.held().is_empty());
        }
        pause(Duration::from_millis(5));
    }
}

/// The same places on both screens.
fn as_they_lie(places: &[[i32; 4]]) -> Vec<([i32; 4], [i32; 4])> {
    places.iter().map(|p| (*p, *p)).collect()
}

// spec: K-70, K-72, K-73, K-85
#[test]
fn four_monitors_of_four_scales_are_shown_pixel_for_pixel() {
    if !have("four monitors", &["xterm"]) || !has_heads("four monitors") {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768", METRICS[0], METRICS[1]]);
    let (name, xauthority) = agent.display();
    let (here, metrics) = (Screen::join(&name, &xauthority), metrics_of(&agent));
    let (screens, there) = several(&[(640, 480), (800, 600), (500, 400), (512, 384)]).expect("Xorg starts");
    let stats = dir.join("stats.json");
    let stats_arg = stats.display().to_string();
    let addr = agent.addr.to_string();
    let args = ["--windows", "--fullscreen", "--scale", "100,125,150,200", "--stats-json", &stats_arg];
    let mut client = connect(&dir, "client", Some(&there), &addr, &args);
    let places = [[0, 0, 640, 480], [640, 0, 800, 600], [1440, 0, 500, 400], [1940, 0, 512, 384]];
    let four: Vec<_> = places.iter().enumerate().map(|(i, p)| (*p, i == 0)).collect();
    let took = until("the desktop has the four monitors", PATIENCE, || {
        here.monitors().iter().map(|(place, _)| *place).collect::<Vec<_>>() == places
    });
    until("the first is the primary one", PATIENCE, || here.monitors() == four);
    until("each has a window", PATIENCE, || {
        let windows = there.windows();
        places.iter().all(|p| windows.contains(p))
    });
    here.paint_root(3);
    let exact = exact_parts(&here, &there, &as_they_lie(&places));
    println!("windows: four monitors after {took:?}, each exact {exact:?} later");

    // The hand goes from one to the other, also with a button held.
    for place in [(10, 10), (639, 479), (640, 0), (1439, 599), (1500, 300), (2451, 383)] {
        there.point(place.0, place.1);
        until("the pointer is where it seems to be", PATIENCE, || here.pointer_at() == place);
    }
    // Motion on one changes no pixel of another, and all stay exact.
    let file = dir.join("typed");
    let typed = || std::fs::read_to_string(&file).unwrap_or_default();
    let command = format!("stty -echo; exec cat > {}", file.display());
    let windows = here.windows().len();
    let mut xterm = Command::new("xterm");
    environment(&mut xterm, &dir.join("")).env("DISPLAY", &name).env("XAUTHORITY", &xauthority);
    // Over the edge between the first and the second, whose both windows have to do with it.
    let _xterm = Running::start("xterm", xterm.args(["-geometry", "100x10+300+100", "-e", "sh", "-c", &command]));
    until("the xterm is there", PATIENCE, || here.windows().len() > windows);
    exact_parts(&here, &there, &as_they_lie(&places));

    // A key that is held while the keyboard goes from window to window stays down, and no key is typed twice or lost.
    let has_keyboard = |n: usize| {
        until("the window that was clicked has the keyboard", PATIENCE, || there.focus_place() == Some(places[n]));
    };
    there.click(400, 180);
    has_keyboard(0);
    there.type_text("one");
    there.press(LEFT_SHIFT);
    until("it is down on the host", PATIENCE, || !here.held().is_empty());
    there.click(720, 180);
    has_keyboard(1);
    stays_down(&here, &metrics);
    there.press(TWO);
    there.lift(TWO);
    there.lift(LEFT_SHIFT);
    there.type_text("two\n");
    until("what was typed arrived", PATIENCE, || typed().ends_with('\n'));
    assert_eq!(typed(), "one@two\n");
    no_key_held(&here, PATIENCE);
    // Nobody has it any more: what is held comes up.
    there.press(LEFT_SHIFT);
    until("it is down on the host", PATIENCE, || !here.held().is_empty());
    there.focus_nobody();
    no_key_held(&here, PATIENCE);
    there.lift(LEFT_SHIFT);

    // One is unplugged and comes back; no window of the host's that still fits has moved.
    let before = here.windows();
    let heads = [(640, 480), (800, 600), (500, 400), (512, 384)].map(|(w, h)| telepane_model::Size::new(w, h));
    screens.arrange(&heads[..3]).expect("it can");
    until("the desktop has three", PATIENCE, || here.monitors() == four[..3]);
    until("and there are three windows", PATIENCE, || {
        let windows = there.windows();
        places[..3].iter().all(|p| windows.contains(p)) && !windows.contains(&places[3])
    });
    here.paint_root(4);
    exact_parts(&here, &there, &as_they_lie(&places[..3]));
    screens.arrange(&heads).expect("it can");
    until("the desktop has four again", PATIENCE, || here.monitors() == four);
    here.paint_root(5);
    let exact = exact_parts(&here, &there, &as_they_lie(&places));
    println!("windows: the fourth again, exact {exact:?} after it is there");
    assert_eq!(here.windows(), before, "a window that fits stays where it is");

    // What was told of each.
    pause(Duration::from_millis(500));
    client.signal(Signal::Terminate);
    client.exit_code(PATIENCE);
    let stats: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&stats).expect("it is there")).expect("JSON");
    let scales: Vec<_> = stats["monitors"].as_array().expect("a list").iter().map(|m| m["scale"].as_u64()).collect();
    assert_eq!(scales, [Some(100), Some(125), Some(150), Some(200)], "{stats}");
    // Another day, unasked: a window over each, as was chosen for these monitors.
    let _client = connect(&dir, "client", Some(&there), &addr, &["--fullscreen"]);
    until("each has a window", PATIENCE, || {
        let windows = there.windows();
        places.iter().all(|p| windows.contains(p))
    });
}

/// With a window manager on the client's screen, which has its own mind of where windows go and who has the keyboard.
#[test]
fn a_window_manager_gives_each_monitor_its_window() {
    if !have("windows under a window manager", &["openbox", "xterm"]) || !has_heads("windows under a window manager") {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768", METRICS[0], METRICS[1]]);
    let (name, xauthority) = agent.display();
    let (here, metrics) = (Screen::join(&name, &xauthority), metrics_of(&agent));
    let (screens, there) = several(&[(640, 480), (700, 500)]).expect("Xorg starts");
    let mut openbox = Command::new("openbox");
    environment(&mut openbox, &dir.join("")).env("DISPLAY", screens.display()).env("XAUTHORITY", screens.xauthority());
    let _openbox = Running::start("openbox", &mut openbox);
    until("openbox manages", PATIENCE, || there.is_managed());
    let args = ["--windows", "--fullscreen", "--monitors", "all"];
    let _client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &args);
    let places = [[0, 0, 640, 480], [640, 0, 700, 500]];
    until("the desktop has both monitors", PATIENCE, || here.monitors() == [(places[0], true), (places[1], false)]);
    here.paint_root(9);
    exact_parts(&here, &there, &as_they_lie(&places));
    let has_keyboard = |n: usize| {
        until("the window that was clicked has the keyboard", PATIENCE, || there.focus_place() == Some(places[n]));
    };
    there.click(100, 100);
    has_keyboard(0);
    until("the click arrived", PATIENCE, || here.pointer_at() == (100, 100));
    there.press(LEFT_SHIFT);
    until("it is down on the host", PATIENCE, || !here.held().is_empty());
    there.click(900, 300);
    has_keyboard(1);
    stays_down(&here, &metrics);
    there.lift(LEFT_SHIFT);
    no_key_held(&here, PATIENCE);
}

// spec: K-72, K-73
#[test]
fn each_monitor_of_the_desktop_has_a_framed_window_while_it_is_there() {
    if !have("framed windows", &["Xvfb", "xterm", "xrandr"]) || !has_heads("framed windows") {
        return;
    }
    let dir = Scratch::new();
    let mut agent = Agent::start(&dir, &["--virtual", "640x480+400x300"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    let there = Screen::start(1400, 900);
    let mut client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &["--windows"]);
    let (first, second) = ([0, 0, 640, 480], [640, 0, 400, 300]);
    let has = |windows: &[[i32; 4]]| {
        let there = there.windows();
        there.len() == windows.len() && windows.iter().all(|w| there.contains(w))
    };
    until("both have a window", PATIENCE, || has(&[first, second]));
    until("each title names its monitor", PATIENCE, || {
        let titles = there.titles();
        ["DUMMY0 – ", "DUMMY1 – "].iter().all(|name| titles.iter().any(|t| t.starts_with(name)))
    });
    here.paint_root(1);
    exact_parts(&here, &there, &as_they_lie(&[first, second]));
    assert_eq!(here.monitors(), [(first, true), (second, false)], "the desktop is as it was");

    // A window that becomes larger asks for a monitor of that size, and nothing else moves.
    let count = here.windows().len();
    let mut xterm = Command::new("xterm");
    environment(&mut xterm, &dir.join("")).env("DISPLAY", &name).env("XAUTHORITY", &xauthority);
    let _xterm = Running::start("xterm", xterm.args(["-geometry", "20x5+700+40"]));
    until("the xterm is there", PATIENCE, || here.windows().len() > count);
    pause(Duration::from_millis(300));
    let windows = here.windows();
    let on_the_second = |windows: &[[i32; 4]]| windows.iter().filter(|w| w[0] >= 640).copied().collect::<Vec<_>>();
    assert!(!on_the_second(&windows).is_empty(), "{windows:?}");
    there.resize_window(second, 500, 350);
    let larger = [640, 0, 500, 350];
    let took =
        until("the monitor has the window's size", PATIENCE, || here.monitors() == [(first, true), (larger, false)]);
    here.paint_root(2);
    println!(
        "windows: one larger after {took:?}, exact {:?} later",
        exact_parts(&here, &there, &as_they_lie(&[first, larger]))
    );
    // One that becomes smaller leaves the others where they are.
    there.resize_window(first, 600, 440);
    let smaller = [0, 0, 600, 440];
    until("the monitor has the window's size", PATIENCE, || here.monitors() == [(smaller, true), (larger, false)]);
    here.paint_root(3);
    exact_parts(&here, &there, &as_they_lie(&[smaller, larger]));
    assert_eq!(on_the_second(&here.windows()), on_the_second(&windows), "a window that fits stays where it is");

    // A window is closed: its monitor goes, the session stays; and comes back where it was.
    there.close_window(larger);
    until("the monitor is gone", PATIENCE, || here.monitors() == [(smaller, true)] && has(&[smaller]));
    here.paint_root(4);
    exact_parts(&here, &there, &as_they_lie(&[smaller]));
    there.click(300, 200);
    until("the window has the keyboard", PATIENCE, || there.has_focus());
    hears(&there, &here);
    there.chord('n');
    until("the monitor is there again", PATIENCE, || here.monitors() == [(smaller, true), (larger, false)]);
    until("and its window", PATIENCE, || has(&[smaller, larger]));

    // On the host one is switched off.
    let xrandr = |args: &[&str]| {
        let mut command = Command::new("xrandr");
        environment(&mut command, &dir.join("")).env("DISPLAY", &name).env("XAUTHORITY", &xauthority);
        assert!(command.args(args).status().expect("xrandr runs").success(), "{args:?}");
    };
    xrandr(&["--output", "DUMMY1", "--off"]);
    until("there is one window", PATIENCE, || has(&[smaller]));
    here.paint_root(5);
    exact_parts(&here, &there, &as_they_lie(&[smaller]));
    assert_eq!(client.ended(), None);

    // The last one ends it.
    there.close_window(smaller);
    assert_eq!(client.exit_code(PATIENCE), 0);
}

/// Turns a screen with one monitor.
fn turn(screen: &Screen, dir: &Scratch, way: &str) {
    let mut command = Command::new("xrandr");
    environment(&mut command, &dir.join("")).env("DISPLAY", &screen.name);
    assert!(command.args(["-o", way]).status().expect("xrandr runs").success(), "it cannot be turned {way}");
}

// spec: K-73
#[test]
fn a_monitor_that_is_turned_is_shown_turned() {
    if !have("a turned monitor", &["Xvfb", "Xephyr", "xrandr"]) {
        return;
    }
    let (dir, below) = (Scratch::new(), Screen::start(800, 800));
    let here = Screen::nested(&below, 640, 480);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let there = Screen::start(1000, 900);
    let _client = connect(&dir, "client", Some(&there), &agent.addr.to_string(), &["--windows"]);
    for (n, (way, size)) in
        [("normal", (640, 480)), ("left", (480, 640)), ("inverted", (640, 480)), ("right", (480, 640))]
            .into_iter()
            .enumerate()
    {
        turn(&here, &dir, way);
        until("the host's screen is turned", PATIENCE, || here.picture().size == size);
        here.paint_root(n as u32);
        let place = [0, 0, i32::from(size.0), i32::from(size.1)];
        let took = until("the window is turned with it", PATIENCE, || there.windows() == [place]);
        println!(
            "windows: turned {way} after {took:?}, exact {:?} later",
            exact_parts(&here, &there, &[(place, place)])
        );
        let corner = (size.0 as i16 - 1, size.1 as i16 - 2);
        there.point(corner.0, corner.1);
        until("the pointer is where it seems to be", PATIENCE, || here.pointer_at() == corner);
    }
}

#[test]
fn a_desktop_turns_with_the_clients_monitor() {
    if !have("a desktop that turns", &["Xvfb", "Xephyr", "xrandr", "xterm"]) {
        return;
    }
    let (dir, below) = (Scratch::new(), Screen::start(800, 800));
    let mut agent = Agent::start(&dir, &["--virtual", "1024x768"]);
    let (name, xauthority) = agent.display();
    let here = Screen::join(&name, &xauthority);
    let there = Screen::nested(&below, 640, 480);
    let addr = agent.addr.to_string();
    let _client = connect(&dir, "client", Some(&there), &addr, &["--windows", "--fullscreen"]);
    for (n, (way, size)) in
        [("normal", (640, 480)), ("left", (480, 640)), ("normal", (640, 480))].into_iter().enumerate()
    {
        turn(&there, &dir, way);
        until("the desktop has the monitor's shape", PATIENCE, || here.picture().size == size);
        here.paint_root(n as u32);
        println!("windows: the desktop turned {way}, exact {:?} later", super::screen::exact(&here, &there, PATIENCE));
    }
}

/// Its evdev code.
const TWO: u8 = 3;
