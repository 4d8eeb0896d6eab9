//! What applications make of the scale that a client asks for: a GTK 3 and a Qt 6 program say what their toolkit thinks.

use super::keyboards::hears;
use super::process::{PATIENCE, Running, Scratch, have, until};
use super::screen::{Screen, environment, keep};
use super::stage::{Agent, connect};
use std::process::Command;

/// The system's, whose packages have the toolkits: another one may come first in the path.
pub const PYTHON: &str = "/usr/bin/python3";

/// Says the widgets' factor and the text's resolution, at the start and whenever they change.
const GTK: &str = r#"
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gtk
w = Gtk.Window(title="gtk")
w.add(Gtk.Label(label="The quick brown fox"))
w.set_default_size(320, 120)
s = Gtk.Settings.get_default()
def say(*_):
    dpi, cursor = s.get_property("gtk-xft-dpi"), s.get_property("gtk-cursor-theme-size")
    print("factor", w.get_scale_factor(), "dpi", dpi // 1024, "cursor", cursor, flush=True)
for name in ["gtk-xft-dpi", "gtk-cursor-theme-size"]:
    s.connect("notify::" + name, say)
w.connect("notify::scale-factor", say)
w.show_all()
say()
Gtk.main()
"#;

/// The same of Qt.
const QT: &str = r#"
from PyQt6.QtWidgets import QApplication, QLabel
a = QApplication(["qt"])
l = QLabel("The quick brown fox")
l.resize(320, 120)
l.show()
def say(*_):
    s = a.primaryScreen()
    print("ratio", s.devicePixelRatio(), "dpi", round(s.logicalDotsPerInch()), flush=True)
a.primaryScreen().logicalDotsPerInchChanged.connect(say)
say()
a.exec()
"#;

struct Desktop {
    agent: Agent,
    name: String,
    xauthority: std::path::PathBuf,
    dir: Scratch,
}

impl Desktop {
    fn start(heads: &str) -> Self {
        let dir = Scratch::new();
        let mut agent = Agent::start(&dir, &["--virtual", heads]);
        let (name, xauthority) = agent.display();
        Self { agent, name, xauthority, dir }
    }

    fn python(&self, name: &str, script: &str) -> Running {
        let mut command = Command::new(PYTHON);
        environment(&mut command, &self.dir.join("")).env("DISPLAY", &self.name).env("XAUTHORITY", &self.xauthority);
        command.env("GSETTINGS_BACKEND", "memory").args(["-c", script]);
        Running::start(name, &mut command)
    }

    fn client(&self, there: &Screen, args: &[&str]) -> Running {
        connect(&self.dir, "client", Some(there), &self.agent.addr.to_string(), args)
    }
}

/// Whether python has this module.
pub fn has_module(what: &str, module: &str) -> bool {
    let found = Command::new(PYTHON).args(["-c", &format!("import {module}")]).output();
    let found = found.is_ok_and(|o| o.status.success());
    if !found {
        println!("skipped: {what}: {PYTHON} has no {module}");
    }
    found
}

// spec: K-30
#[test]
fn running_programs_take_the_scale() {
    if !have("toolkits", &["Xvfb"]) {
        return;
    }
    let gtk_there = has_module("a GTK program's scale", "gi; gi.require_version(\"Gtk\", \"3.0\")");
    let qt_there = has_module("a Qt program's scale", "PyQt6.QtWidgets");
    let desktop = Desktop::start("1024x768");
    let here = Screen::join(&desktop.name, &desktop.xauthority);
    let there = Screen::start(1280, 1024);
    let mut gtk = gtk_there.then(|| desktop.python("gtk", GTK));
    if let Some(gtk) = &mut gtk {
        println!("toolkits: gtk at first: {}", gtk.line("factor 1 dpi 96"));
    }
    // As a person does who asks for it, and then asks for another with the keys.
    let _client = desktop.client(&there, &["--size", "1000x700", "--scale", "150"]);
    until("the session is there", PATIENCE, || here.picture().size == (1000, 700));
    if let Some(gtk) = &mut gtk {
        println!("toolkits: gtk at 150 %: {}", gtk.line("factor 1 dpi 144 cursor 36"));
    }
    let mut qt = None;
    if qt_there {
        let mut started = desktop.python("qt", QT);
        println!("toolkits: qt at 150 %: {}", started.line("ratio 1.5 dpi 96"));
        qt = Some(started);
        keep(&here, "scale-150");
    }
    until("the window has the keyboard", PATIENCE, || there.has_focus());
    hears(&there, &here);
    there.chord('=');
    there.chord('=');
    if let Some(gtk) = &mut gtk {
        println!("toolkits: gtk at 200 %: {}", gtk.line("factor 2 dpi 96 cursor 48"));
    }
    if let Some(qt) = &mut qt {
        println!("toolkits: qt at 200 %: {}", qt.line("ratio 2.0 dpi 96"));
    }
    until("the screen's millimetres fit", PATIENCE, || here.dots_per_inch() == 192);
    // And the picture is one pixel for one pixel.
    let window = there.windows().into_iter().max_by_key(|w| w[2] * w[3]).expect("the client's window");
    until("the window shows the desktop pixel for pixel", PATIENCE, || here.picture() == there.picture().part(window));
    keep(&here, "scale-200");
}

/// A quarter more than one: text of another size in GTK, which scales widgets by whole factors, and all of it in Qt.
// spec: K-30
#[test]
fn programs_take_a_scale_of_125_percent_and_give_it_back() {
    if !have("125 %", &["Xvfb"]) {
        return;
    }
    let gtk_there = has_module("a GTK program at 125 %", "gi; gi.require_version(\"Gtk\", \"3.0\")");
    let qt_there = has_module("a Qt program at 125 %", "PyQt6.QtWidgets");
    let desktop = Desktop::start("1024x768");
    let here = Screen::join(&desktop.name, &desktop.xauthority);
    let there = Screen::start(1280, 1024);
    let mut gtk = gtk_there.then(|| desktop.python("gtk", GTK));
    if let Some(gtk) = &mut gtk {
        gtk.line("factor 1 dpi 96");
    }
    let client = desktop.client(&there, &["--size", "1000x700", "--scale", "125"]);
    until("the session is there", PATIENCE, || here.picture().size == (1000, 700));
    if let Some(gtk) = &mut gtk {
        println!("toolkits: gtk at 125 %: {}", gtk.line("factor 1 dpi 120 cursor 30"));
    }
    let mut qt = qt_there.then(|| desktop.python("qt", QT));
    if let Some(qt) = &mut qt {
        println!("toolkits: qt at 125 %: {}", qt.line("ratio 1.25 dpi 96"));
    }
    until("the screen's millimetres fit", PATIENCE, || here.dots_per_inch() == 120);
    let window = there.windows().into_iter().max_by_key(|w| w[2] * w[3]).expect("the client's window");
    until("the window shows the desktop pixel for pixel", PATIENCE, || here.picture() == there.picture().part(window));
    keep(&here, "scale-125");
    // Another day, at an ordinary screen.
    drop(client);
    let _client = desktop.client(&there, &["--size", "1000x700", "--scale", "100"]);
    if let Some(gtk) = &gtk {
        let last = || gtk.out().lines().last().unwrap_or_default().to_owned();
        until("GTK has the ordinary size again", PATIENCE, || last() == "factor 1 dpi 96 cursor 24");
    }
    if let Some(qt) = &mut qt {
        println!("toolkits: qt at 100 % again: {}", qt.line("ratio 1.0 dpi 96"));
    }
}
