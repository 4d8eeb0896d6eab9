//! A client on GNOME's compositor, nested in an X server: it gives its clipboard to no program that is not in front, but keeps
//! that of its own X server the same. The client has no window, because who pastes has to be in front.

use super::process::{PATIENCE, Running, Scratch, have, until};
use super::screen::{Screen, environment};
use super::stage::{Agent, connect_on};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The compositor and the X server it has for X's programs. The fields end in this order.
struct Mutter {
    run: Running,
    outside: Screen,
    dir: Scratch,
}

impl Mutter {
    fn start() -> Self {
        let (dir, outside) = (Scratch::new(), Screen::start(1280, 800));
        let mut command = Command::new("dbus-run-session");
        environment(&mut command, &dir.join("")).env("DISPLAY", &outside.name).env("XDG_RUNTIME_DIR", dir.join(""));
        command.env("MUTTER_DEBUG_DUMMY_MODE_SPECS", "1200x700").args(["--", "mutter", "--nested", "--wayland"]);
        Self { run: Running::start("mutter", &mut command), outside, dir }
    }

    /// The variables by which a program finds both, once they are there.
    fn variables(&self) -> Option<[(&'static str, PathBuf); 4]> {
        let runtime = self.dir.join("");
        let files = fs::read_dir(&runtime).ok()?.flatten().map(|found| found.path());
        let named = |path: &PathBuf| path.to_string_lossy().contains(".mutter-Xwaylandauth");
        let cookie = files.into_iter().find(named)?;
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
        let line = lines.into_iter().find(|line| line.contains(&*cookie.to_string_lossy()))?;
        let display = line.split('\0').find(|argument| argument.starts_with(':'))?.into();
        let socket = self.dir.join("wayland-0").exists().then(|| "wayland-0".into())?;
        Some([("XDG_RUNTIME_DIR", runtime), ("WAYLAND_DISPLAY", socket), ("DISPLAY", display), ("XAUTHORITY", cookie)])
    }

    /// What a program on it writes.
    fn ask(&self, line: &str) -> String {
        let mut command = Command::new("timeout");
        environment(&mut command, &self.dir.join("")).envs(self.variables().expect("it is there"));
        command.args(["5", "sh", "-c", line]).stdin(Stdio::null()).stderr(Stdio::null());
        String::from_utf8_lossy(&command.output().expect("a shell").stdout).into_owned()
    }
}

// spec: K-50
#[test]
fn the_clipboard_of_a_compositor_that_keeps_it_is_shared_by_way_of_its_x_server() {
    let programs = ["mutter", "Xwayland", "dbus-run-session", "wl-copy", "Xvfb", "xclip"];
    if !have("the clipboard on GNOME", &programs) {
        return;
    }
    let dir = Scratch::new();
    let mut mutter = Mutter::start();
    until("the compositor listens or ends", PATIENCE, || mutter.variables().is_some() || mutter.run.ended().is_some());
    if mutter.run.ended().is_some() {
        return println!("the clipboard on GNOME: skipped, this mutter cannot be nested: {}", mutter.run.err());
    }
    let variables = mutter.variables().expect("it was waited for");
    let here = Screen::start(640, 480);
    let agent = Agent::start(&dir, &["--display", &here.name]);
    let mut client = connect_on(&dir, &variables, &agent.addr.to_string(), &["--headless", "--seconds", "600"]);
    until("it is shown", PATIENCE, || client.err().contains("attached"));
    until("whose it is is said", PATIENCE, || client.err().contains("by way of its Xwayland"));

    let pasted = dir.join("pasted");
    let on_host = |line: String| here.run("xclip", &dir.join(""), &["sh", "-c", &line]).exit_code(PATIENCE);
    let copied = dir.write("copied", "from the host ☕");
    let copied = copied.display().to_string();
    let _owner = here.run("xclip", &dir.join(""), &["xclip", "-selection", "clipboard", "-quiet", "-in", &copied]);
    let took = until("it is pasted here", PATIENCE, || mutter.ask("wl-paste --no-newline") == "from the host ☕");
    println!("clipboard: to a program on GNOME's compositor in {took:?}");
    mutter.ask("printf 'from here ☕' | wl-copy > /dev/null 2>&1");
    let took = until("it is pasted on the host", PATIENCE, || {
        on_host(format!("timeout 5 xclip -selection clipboard -o > {} 2> /dev/null", pasted.display()));
        fs::read_to_string(&pasted).is_ok_and(|text| text == "from here ☕")
    });
    println!("clipboard: from a program on GNOME's compositor in {took:?}");
    assert_eq!(client.ended(), None, "{}", client.err());
    assert!(!mutter.outside.windows().is_empty(), "it is in a window of its own");
}
