//! What is copied in a program of one toolkit on one machine is pasted in one of the other toolkit on the other machine, by
//! the keys that people press: text, text with its look, and pictures.

use super::keyboards::Editor;
use super::process::{PATIENCE, have, pause, until};
use super::screen::{LEFT_CTRL, Screen};
use super::stage::Stage;
use super::toolkits::has_module;
use std::path::Path;
use std::time::Duration;

/// An editor. It says its text when that changes; F6 copies a picture, F7 says the one that can be pasted, F8 how text looks
/// that can be.
const GTK: &str = r#"
import gi, json
gi.require_version("Gtk", "3.0")
from gi.repository import Gtk, Gdk, GdkPixbuf
w = Gtk.Window(title="gtk clips")
t = Gtk.TextView()
w.add(t)
w.set_default_size(300, 200)
b = t.get_buffer()
c = Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD)
def say(what):
    print(json.dumps(what), flush=True)
def key(_, e):
    if e.keyval == Gdk.KEY_F6:
        p = GdkPixbuf.Pixbuf.new(GdkPixbuf.Colorspace.RGB, False, 8, 120, 80)
        p.fill(0x2060c0ff)
        c.set_image(p)
    elif e.keyval == Gdk.KEY_F7:
        p = c.wait_for_image()
        say("picture %s" % (p and [p.get_width(), p.get_height(), list(p.get_pixels()[:3])]))
    elif e.keyval == Gdk.KEY_F8:
        s = c.wait_for_contents(Gdk.Atom.intern("text/html", False))
        say("look %s" % (s and s.get_data().decode("utf-8", "replace")))
    else:
        return False
    return True
w.connect("key-press-event", key)
b.connect("changed", lambda *_: say("text " + b.get_text(b.get_start_iter(), b.get_end_iter(), True)))
w.show_all()
w.move(20, 20)
Gtk.main()
"#;

/// The same, whose text has a look.
const QT: &str = r#"
import json
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor, QImage
from PyQt6.QtWidgets import QApplication, QTextEdit
a = QApplication(["qt"])
c = a.clipboard()
def say(what):
    print(json.dumps(what), flush=True)
class Editor(QTextEdit):
    def keyPressEvent(self, e):
        if e.key() == Qt.Key.Key_F6:
            i = QImage(120, 80, QImage.Format.Format_RGB32)
            i.fill(QColor(32, 96, 192))
            c.setImage(i)
        elif e.key() == Qt.Key.Key_F7:
            i = c.image()
            say("picture %s" % (None if i.isNull() else [i.width(), i.height(), list(i.pixelColor(0, 0).getRgb()[:3])]))
        elif e.key() == Qt.Key.Key_F8:
            say("look %s" % (c.mimeData().html() if c.mimeData().hasHtml() else None))
        elif e.key() == Qt.Key.Key_F9:
            self.setHtml("<p>plain and <b>f\u00e4t</b></p>")
        else:
            super().keyPressEvent(e)
t = Editor()
t.setWindowTitle("qt clips")
t.setGeometry(340, 20, 300, 200)
t.textChanged.connect(lambda: say("text " + t.toPlainText()))
t.show()
a.exec()
"#;

const F6: u8 = 64;
const F7: u8 = 65;
const F8: u8 = 66;
const F9: u8 = 67;
const A: u8 = 30;
const C: u8 = 46;
const V: u8 = 47;

/// A program on a screen whose keys a person presses.
struct Program<'s> {
    screen: &'s Screen,
    editor: Editor,
}

impl<'s> Program<'s> {
    fn start(screen: &'s Screen, home: &Path, title: &'static str, script: &str) -> Self {
        Self { screen, editor: Editor::start(screen, home, title, script) }
    }

    fn press(&self, key: u8) {
        self.screen.give_focus(self.editor.title);
        // A client that covers the screen has the keyboard until it hears that its window has not.
        until("the keyboard is free", PATIENCE, || !self.screen.keyboard_is_grabbed());
        self.screen.press(key);
        self.screen.lift(key);
    }

    fn control(&self, key: u8) {
        self.screen.give_focus(self.editor.title);
        until("the keyboard is free", PATIENCE, || !self.screen.keyboard_is_grabbed());
        self.screen.press(LEFT_CTRL);
        self.screen.press(key);
        self.screen.lift(key);
        self.screen.lift(LEFT_CTRL);
    }

    /// Presses a key until what the program says fits: an offer takes a moment to cross.
    fn until_it_says(&self, what: &str, press: impl Fn(), fits: impl Fn(&str) -> bool) {
        let took = until(what, PATIENCE, || {
            press();
            pause(Duration::from_millis(250));
            self.editor.said().last().is_some_and(|line| fits(line))
        });
        println!("pasting: {what} in {} after {took:?}", self.editor.title);
    }
}

#[test]
fn what_is_copied_in_one_toolkit_is_pasted_in_the_other_on_the_other_machine() {
    if !have("pasting", &["Xvfb"]) {
        return;
    }
    let toolkits = has_module("pasting in GTK", "gi; gi.require_version(\"Gtk\", \"3.0\")");
    if !toolkits || !has_module("pasting in Qt", "PyQt6.QtWidgets") {
        return;
    }
    let stage = Stage::start();
    let home = stage.dir.join("");
    for (gtks, qts, way) in
        [(&stage.here, &stage.there, "GTK on the host"), (&stage.there, &stage.here, "GTK on the client")]
    {
        println!("pasting: {way}, Qt on the other side");
        let gtk = Program::start(gtks, &home, "gtk clips", GTK);
        let qt = Program::start(qts, &home, "qt clips", QT);
        // Text with a look, from Qt: as text in the editor, and with its look for who asks for that.
        qt.press(F9);
        until("it is there", PATIENCE, || qt.editor.said().last().is_some_and(|t| t == "text plain and fät"));
        qt.control(A);
        qt.control(C);
        gtk.until_it_says("text of Qt's", || gtk.control(V), |said| said.ends_with("plain and fät"));
        gtk.until_it_says(
            "its look",
            || gtk.press(F8),
            |said| said.contains("fät</span>") && said.contains("font-weight"),
        );
        // Text, from GTK: two lines of it. A paste from before may come late, between its letters.
        let type_it = || {
            gtk.control(A);
            gtk.screen.type_text("one\ntwo");
        };
        gtk.until_it_says("what is typed", type_it, |said| said == "text one\ntwo");
        gtk.control(A);
        gtk.control(C);
        qt.until_it_says("text of GTK's", || qt.control(V), |said| said.ends_with("one\ntwo"));
        // A picture, each way, pixel for pixel.
        for (from, to) in [(&gtk, &qt), (&qt, &gtk)] {
            from.press(F6);
            to.until_it_says("a picture", || to.press(F7), |said| said == "picture [120, 80, [32, 96, 192]]");
        }
    }
}
