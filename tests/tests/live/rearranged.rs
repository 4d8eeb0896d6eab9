//! A person at the host changes its monitors (`xrandr`): the client shows what there is, pixel for pixel, with nothing left of
//! what there was, and does not argue.

use super::monitors::has_heads;
use super::process::{PATIENCE, Scratch, Signal, have, now, pause, until};
use super::resize::follows;
use super::screen::{Screen, environment};
use super::stage::{Agent, connect};
use std::process::Command;
use std::time::Duration;

/// What is done, xrandr's arguments, and the monitors' places afterwards: x, y, width, height in pixels.
type Step = (&'static str, &'static [&'static str], &'static [[i32; 4]]);

/// The host's side.
struct Host {
    dir: Scratch,
    agent: Agent,
    here: Screen,
}

impl Host {
    fn start() -> Self {
        let dir = Scratch::new();
        let mut agent = Agent::start(&dir, &["--virtual", "1024x768"]);
        let (name, xauthority) = agent.display();
        let here = Screen::join(&name, &xauthority);
        let host = Self { dir, agent, here };
        // Modes by the numbers, so that any driver has them.
        for (name, w, h) in [("wide", 1152, 648), ("small", 400, 300), ("high", 480, 640)] {
            let [w, h] = [w, h].map(|side: u32| [side, side + 8, side + 16, side + 24].map(|n| n.to_string()));
            let mode: Vec<&str> = [name, "60.0"].into_iter().chain(w.iter().chain(&h).map(String::as_str)).collect();
            host.xrandr(&[&["--newmode"], &mode[..]].concat());
            ["DUMMY0", "DUMMY1"].into_iter().for_each(|output| host.xrandr(&["--addmode", output, name]));
        }
        host
    }

    fn xrandr(&self, args: &[&str]) {
        let mut command = Command::new("xrandr");
        let xauthority = self.here.xauthority.as_deref().expect("it wants one");
        environment(&mut command, &self.dir.join("")).env("DISPLAY", &self.here.name).env("XAUTHORITY", xauthority);
        assert!(command.args(args).status().expect("xrandr runs").success(), "{args:?}");
    }
}

/// Waits until the client's screen shows the host's picture in its middle, and black around it.
fn exact_in_the_middle(here: &Screen, there: &Screen) -> Duration {
    let start = now();
    loop {
        let (wanted, mut shown) = (here.picture(), there.picture());
        let [w, h] = [wanted.size.0, wanted.size.1].map(i32::from);
        let [all_w, all_h] = [shown.size.0, shown.size.1].map(i32::from);
        let [x, y] = [(all_w - w) / 2, (all_h - h) / 2];
        let mut wrong = wanted.difference(&shown.part([x, y, w, h]));
        if wrong.is_none() {
            for row in y..y + h {
                let from = ((row * all_w + x) * 4) as usize;
                shown.bgrx[from..from + w as usize * 4].fill(0);
            }
            let rest = shown.bgrx.chunks_exact(4).filter(|p| p[..3] != [0; 3]).count();
            wrong = (rest > 0).then(|| format!("{rest} pixels beside the picture are not black"));
        }
        let Some(wrong) = wrong else { return start.elapsed() };
        assert!(start.elapsed() < PATIENCE, "the client does not show what there is: {wrong}");
        pause(Duration::from_millis(15));
    }
}

// spec: K-70, K-73
#[test]
fn what_is_done_to_the_hosts_monitors_is_shown_as_it_is() {
    if !have("xrandr on the host", &["Xvfb", "xrandr"]) || !has_heads("xrandr on the host") {
        return;
    }
    let host = Host::start();
    let here = &host.here;
    let there = Screen::start(1600, 1000);
    let stats = host.dir.join("stats.json");
    let stats_arg = stats.display().to_string();
    let args = ["--fullscreen", "--scaling", "1:1", "--stats-json", &stats_arg];
    let mut client = connect(&host.dir, "client", Some(&there), &host.agent.addr.to_string(), &args);
    here.paint_root(1);
    exact_in_the_middle(here, &there);
    const WIDE: [i32; 4] = [0, 0, 1152, 648];
    let steps: [Step; 7] = [
        ("a new mode", &["--output", "DUMMY0", "--mode", "wide"], &[WIDE]),
        (
            "a monitor more",
            &["--output", "DUMMY1", "--mode", "small", "--right-of", "DUMMY0"],
            &[WIDE, [1152, 0, 400, 300]],
        ),
        ("it goes below", &["--output", "DUMMY1", "--below", "DUMMY0"], &[WIDE, [0, 648, 400, 300]]),
        (
            "it gets another mode",
            &["--output", "DUMMY1", "--mode", "high", "--pos", "1100x300"],
            &[WIDE, [1100, 300, 480, 640]],
        ),
        ("it is switched off", &["--output", "DUMMY1", "--off"], &[WIDE]),
        ("the only one becomes small", &["--output", "DUMMY0", "--mode", "small"], &[[0, 0, 400, 300]]),
        ("and high", &["--output", "DUMMY0", "--mode", "high"], &[[0, 0, 480, 640]]),
    ];
    for (n, (what, args, places)) in (2..).zip(steps) {
        host.xrandr(args);
        until(what, PATIENCE, || here.monitors().iter().map(|(place, _)| *place).collect::<Vec<_>>() == places);
        here.paint_root(n);
        println!("xrandr on the host: {what}: exact {:?} later", exact_in_the_middle(here, &there));
        // The hand reaches what is shown last.
        let last = places.last().expect("a monitor");
        let size = here.picture().size;
        let corner = [(1600 - i32::from(size.0)) / 2, (1000 - i32::from(size.1)) / 2];
        let aim = [last[0] + last[2] - 3, last[1] + last[3] - 3];
        there.point((corner[0] + aim[0]) as i16, (corner[1] + aim[1]) as i16);
        until("the pointer is where it seems to be", PATIENCE, || {
            let (x, y) = here.pointer_at();
            [i32::from(x), i32::from(y)] == aim
        });
    }
    // One after the other, without waiting.
    for round in 0..3 {
        host.xrandr(&["--output", "DUMMY0", "--mode", "wide"]);
        here.paint_root(20 + round);
        host.xrandr(&["--output", "DUMMY1", "--mode", "small", "--right-of", "DUMMY0"]);
        host.xrandr(&["--output", "DUMMY1", "--off"]);
        host.xrandr(&["--output", "DUMMY0", "--mode", "high"]);
    }
    host.xrandr(&["--output", "DUMMY1", "--mode", "small", "--right-of", "DUMMY0"]);
    here.paint_root(30);
    println!("xrandr on the host: a dozen at once, exact {:?} later", exact_in_the_middle(here, &there));
    pause(Duration::from_millis(300));
    client.signal(Signal::Terminate);
    assert_eq!(client.exit_code(PATIENCE), 0, "{}", client.err());
    let stats: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&stats).expect("it is there")).expect("JSON");
    assert_eq!(stats["monitors"].as_array().map(Vec::len), Some(2), "{}", stats["monitors"]);
}

// spec: K-30
#[test]
fn a_window_does_not_argue_with_who_changes_the_hosts_mode() {
    if !have("a mode that the host chose", &["Xvfb", "xrandr"]) || !has_heads("a mode that the host chose") {
        return;
    }
    let host = Host::start();
    let here = &host.here;
    let there = Screen::start(1400, 1000);
    let args = ["--size", "900x700"];
    let mut client = connect(&host.dir, "client", Some(&there), &host.agent.addr.to_string(), &args);
    here.paint_root(1);
    follows(here, &there, (900, 700));
    host.xrandr(&["--output", "DUMMY0", "--mode", "wide"]);
    here.paint_root(2);
    // All of it is seen, as large as there is room for: 900 by 506, with a black strip above and below.
    let black = |place: [i32; 4]| there.picture().part(place).bgrx.chunks_exact(4).all(|p| p[..3] == [0; 3]);
    let window = there.windows().into_iter().max_by_key(|w| w[2] * w[3]).expect("the client's window");
    assert_eq!(window[2..], [900, 700]);
    let [x, y] = [window[0], window[1]];
    until("the picture is fitted in", PATIENCE, || {
        black([x, y, 900, 96]) && black([x, y + 604, 900, 96]) && !black([x, y + 98, 900, 504])
    });
    pause(Duration::from_secs(1));
    assert_eq!(here.picture().size, (1152, 648), "who sits there has the last word");
    assert!(black([x, y, 900, 96]) && black([x, y + 604, 900, 96]), "nothing is left beside it");
    assert_eq!(there.windows().into_iter().max_by_key(|w| w[2] * w[3]), Some(window), "the window is the person's");
    // Until the person at the client wants another size.
    there.resize_windows(1000, 640);
    follows(here, &there, (1000, 640));
    assert_eq!(client.ended(), None, "{}", client.err());
}
