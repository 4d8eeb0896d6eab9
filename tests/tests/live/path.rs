//! The living path: what is typed and clicked in the client's window arrives in applications on the host, and the
//! client shows the host's pixels, all of them and no others.

use super::process::{PATIENCE, Running, Signal, have, now, pause, until};
use super::screen::{LEFT_CTRL, Screen, no_key_held};
use super::stage::{SIZE, Stage};
use std::path::Path;
use std::time::Duration;
use telepane_model::Span;
use telepane_transport::relay::LinkModel;

const PANGRAM: &str = "The quick brown fox, 0123456789 & (some) \"signs\": ~#@!?\n";

#[test]
fn keys_and_clicks_arrive_and_the_picture_is_exact() {
    if !have("keys and clicks", &["Xvfb", "xterm", "mousepad"]) {
        return;
    }
    let stage = Stage::start();
    in_a_terminal(&stage);
    the_pointer_is_the_hosts(&stage);
    in_an_editor(&stage);
}

#[test]
fn the_same_under_loss_and_reordering() {
    if !have("loss and reordering", &["Xvfb", "xterm", "mousepad"]) {
        return;
    }
    let link = LinkModel {
        delay: Span::millis(10),
        jitter: Span::millis(2),
        loss_ppm: 50_000,
        reorder_ppm: 30_000,
        ..LinkModel::default()
    };
    let stage = Stage::with(&[], &[], Some(link));
    in_a_terminal(&stage);
    in_an_editor(&stage);
    let counters = stage.relay.as_ref().expect("there is one").counters();
    println!("up {:?}\ndown {:?}", counters.up, counters.down);
    assert!(counters.up.lost > 0 && counters.down.lost > 0, "the link lost nothing both ways: {counters:?}");
    assert!(counters.up.reordered + counters.down.reordered > 0, "the link kept the order: {counters:?}");
}

#[test]
fn the_same_with_scrap() {
    if !have("scrap", &["Xvfb", "xterm"]) {
        return;
    }
    let stage = Stage::with(&["--capture", "scrap"], &[], None);
    in_a_terminal(&stage);
}

#[test]
fn the_same_with_pixels_on_a_software_vulkan() {
    if !have("pixels", &["Xvfb", "xterm"]) {
        return;
    }
    let drivers = Path::new("/usr/share/vulkan/icd.d");
    if !std::fs::read_dir(drivers)
        .is_ok_and(|mut d| d.any(|f| f.is_ok_and(|f| f.file_name().to_string_lossy().starts_with("lvp"))))
    {
        println!("pixels: skipped, there is no software Vulkan driver (package mesa-vulkan-drivers)");
        return;
    }
    let stats = std::env::temp_dir().join(format!("telepane-live-{}-stats.json", std::process::id()));
    let stats_arg = stats.display().to_string();
    let mut stage = Stage::with(&[], &["--renderer", "pixels", "--stats-json", &stats_arg], None);
    in_a_terminal(&stage);
    stage.client.signal(Signal::Interrupt);
    assert_eq!(stage.client.exit_code(PATIENCE), 0);
    let text = read(&stats);
    std::fs::remove_file(&stats).expect("the statistics were written");
    let stats: serde_json::Value = serde_json::from_str(&text).expect("they are JSON");
    println!("pixels: drawn by {}", stats["renderer"]);
    assert!(stats["renderer"].as_str().is_some_and(|r| r.starts_with("pixels")), "another renderer drew: {text}");
}

/// Types into `cat > file` in an xterm, and scrolls a long text there.
pub fn in_a_terminal(stage: &Stage) {
    let file = stage.dir.join("typed");
    let xterm = stage.terminal(&format!("cat > {}; seq 1 2000; exec cat >> {0}", file.display()));
    stage.there.click(200, 100);
    println!("xterm: exact {:?} after it opened", stage.exact());
    let mut wanted = String::new();
    for _ in 0..3 {
        let before = stage.here.picture();
        stage.there.type_text(PANGRAM);
        wanted.push_str(PANGRAM);
        let arrived = until("what was typed arrived", PATIENCE, || read(&file) == wanted);
        until("typing changes the host's screen", PATIENCE, || stage.here.picture() != before);
        let exact = stage.exact();
        println!("xterm: {} keys arrived {arrived:?} and were exact {exact:?} after the last", PANGRAM.len());
    }
    let before = stage.here.picture();
    stage.there.control('d');
    until("the text runs through", PATIENCE, || stage.here.picture() != before);
    println!("xterm: exact {:?} after 2000 lines began to run", stage.exact());
    no_key_held(&stage.here, PATIENCE);
    assert!(stage.there.picture().lively() > 1_000, "the picture is not empty");
    drop(xterm);
    println!("xterm: exact {:?} after it closed", stage.exact());
}

/// Types into a toolkit's editor, saves, and closes it with a menu that is found by its place alone.
fn in_an_editor(stage: &Stage) {
    let file = stage.dir.write("edited.txt", "");
    let home = stage.dir.join("");
    let path = file.display().to_string();
    let mut editor = stage.here.run("mousepad", &home, &["mousepad", "--disable-server", &path]);
    let window = largest(&stage.here, &mut editor);
    stage.there.click((window[0] + window[2] / 2) as i16, (window[1] + window[3] / 2) as i16);
    println!("mousepad: exact {:?} after it opened", stage.exact());
    stage.there.type_text(PANGRAM);
    println!("mousepad: exact {:?} after {} keys", stage.exact(), PANGRAM.len());
    stage.there.control('s');
    until("the editor saved what was typed", PATIENCE, || read(&file).trim_end() == PANGRAM.trim_end());
    println!("mousepad: exact {:?} after it saved", stage.exact());

    let windows = stage.here.windows().len();
    until("the menu is open", PATIENCE, || {
        // A click that takes long is a drag to GTK, with whose end the menu is gone.
        stage.there.click((window[0] + 20) as i16, (window[1] + 12) as i16);
        let clicked = now();
        while stage.here.windows().len() <= windows && clicked.elapsed() < Duration::from_secs(3) {
            pause(Duration::from_millis(10));
        }
        stage.here.windows().len() > windows
    });
    println!("mousepad: exact {:?} after its menu opened", stage.exact());
    let menu = *stage.here.windows().last().expect("it was counted");
    // The last entry of the first menu closes the window.
    stage.there.click((menu[0] + 40) as i16, (menu[1] + menu[3] - 16) as i16);
    println!("mousepad: ended with {} after its menu's last entry was clicked", editor.exit_code(PATIENCE));
    println!("mousepad: exact {:?} after it closed", stage.exact());
    no_key_held(&stage.here, PATIENCE);
}

/// The client draws the pointer with the host's image, and the picture never has it (the screens are read without
/// their pointers, so a baked one would have shown as a difference).
fn the_pointer_is_the_hosts(stage: &Stage) {
    let xterm = stage.terminal("exec sleep 1000");
    let mut seen = Vec::new();
    for place in [(200, 100), (SIZE.0 as i16 - 20, SIZE.1 as i16 - 20)] {
        stage.there.point(place.0, place.1);
        until("the host's pointer follows", PATIENCE, || stage.here.pointer_at() == place);
        pause(Duration::from_millis(50));
        let took = until("the client's pointer looks like the host's", PATIENCE, || {
            stage.here.pointer() == stage.there.pointer()
        });
        println!("pointer: like the host's {took:?} after it moved");
        seen.push(stage.here.pointer());
        stage.exact();
    }
    assert_ne!(seen[0], seen[1], "the host shows one pointer everywhere, so nothing was tried");
    drop(xterm);
}

/// The editor's window, once it has stopped growing.
fn largest(screen: &Screen, editor: &mut Running) -> [i32; 4] {
    let mut last = None;
    let mut steady = 0;
    until("the editor's window is there", PATIENCE, || {
        assert_eq!(editor.ended(), None, "the editor ended: {}", editor.err());
        let window = screen.windows().into_iter().max_by_key(|w| w[2] * w[3]).filter(|w| w[2] > 100);
        steady = if window.is_some() && window == last { steady + 1 } else { 0 };
        last = window;
        steady > 20
    });
    last.expect("it is there")
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// Modifiers that are down when the window loses the keyboard are not left down on the host.
#[test]
fn a_modifier_does_not_outlive_the_focus() {
    if !have("focus", &["Xvfb", "xterm"]) {
        return;
    }
    let stage = Stage::start();
    stage.there.press(LEFT_CTRL);
    until("the modifier is down on the host", PATIENCE, || stage.here.held() == [LEFT_CTRL + 8]);
    stage.there.focus_nobody();
    println!("released {:?} after the window lost the keyboard", no_key_held(&stage.here, PATIENCE));
}
