//! Text that the host's keyboard has no keys for: typed into the client's window, it arrives as it is.

use super::process::{PATIENCE, have, now, until};
use super::stage::Stage;

/// `KEY_COMPOSE`, which keyboards call Menu.
const MENU: u8 = 127;

#[test]
fn text_outside_the_layout_arrives() {
    if !have("text", &["Xvfb", "xterm"]) {
        return;
    }
    let stage = Stage::start();
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("stty -icanon; exec cat > {}", file.display()));
    stage.there.click(200, 100);
    // A spare key of the client's screen is given one character after another, as virtual keyboards do it. Each when the last one has
    // arrived: a program that hears late that a key has another character finds the one after it there.
    let spare = stage.there.spare_key();
    let mut typed = String::new();
    for text in ["plain", "zwölf Boxkämpfer", "日本語 привет €"] {
        let start = now();
        for c in text.chars().chain(['\n']) {
            if c.is_ascii() {
                stage.there.type_text(&c.to_string());
            } else {
                stage.there.put_on_key(spare, Some(c));
                stage.there.press(spare);
                stage.there.lift(spare);
            }
            typed.push(c);
            let mut came = String::new();
            until("what was typed arrived", PATIENCE, || {
                came = std::fs::read_to_string(&file).unwrap_or_default();
                came.len() >= typed.len()
            });
            assert_eq!(came, typed);
        }
        println!("text: {text:?} after {:?}", start.elapsed());
    }
    stage.there.put_on_key(spare, None);
    stage.exact();
}

#[test]
fn what_an_input_method_composes_arrives() {
    if !have("composed text", &["Xvfb", "xterm", "setxkbmap", "xkbcomp"]) {
        return;
    }
    let stage = Stage::start();
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("cat > {}", file.display()));
    // Dead keys here and none on the host. Xlib's own input method composes what the client's window gets.
    let home = stage.dir.join("");
    // … and a key that joins the two that follow it.
    let layout = ["setxkbmap", "-layout", "us", "-variant", "intl", "-option", "compose:menu"];
    assert_eq!(stage.there.run("setxkbmap", &home, &layout).exit_code(PATIENCE), 0);
    stage.there.click(200, 100);
    stage.there.type_text("x'e\"u");
    stage.there.press(MENU);
    stage.there.lift(MENU);
    stage.there.type_text("oc\n");
    let typed = || std::fs::read_to_string(&file).unwrap_or_default();
    let took = until("what was composed arrived", PATIENCE, || typed().ends_with('\n'));
    assert_eq!(typed(), "xéü©\n");
    println!("text: composed text after {took:?}");
}

#[test]
fn with_the_same_layout_on_both_sides_what_is_typed_is_what_arrives() {
    if !have("layouts", &["Xvfb", "xterm", "xdotool", "setxkbmap", "xkbcomp"]) {
        return;
    }
    let stage = Stage::start();
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("cat > {}", file.display()));
    let home = stage.dir.join("");
    let mut expected = String::new();
    // What lies on other keys than in the US, and on the third and fourth level.
    for (layout, text) in [
        ("de", "Zypern: Öl & Käse für 5 € @ {[]}\\~ ß?"),
        ("fr", "l'été à 5 € : @#{[|]} çà et là, ù §!"),
        ("us", "zyx-@#[]{}\\|/?"),
    ] {
        for screen in [&stage.here, &stage.there] {
            assert_eq!(screen.run("setxkbmap", &home, &["setxkbmap", "-layout", layout]).exit_code(PATIENCE), 0);
        }
        stage.there.click(200, 100);
        let line = format!("{text}\n");
        let mut typing = stage.there.run("xdotool", &home, &["xdotool", "type", "--delay", "40", &line]);
        assert_eq!(typing.exit_code(PATIENCE), 0);
        expected += &line;
        let typed = || std::fs::read_to_string(&file).unwrap_or_default();
        let took = until("the line ended", PATIENCE, || typed().lines().count() == expected.lines().count());
        assert_eq!(typed(), expected, "{layout}");
        println!("text: {layout} after {took:?}");
    }
    stage.exact();
}
