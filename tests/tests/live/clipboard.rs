//! Text copied on one side is pasted on the other, with the tools people script.

use super::process::{PATIENCE, Running, have, until};
use super::screen::Screen;
use super::stage::Stage;

#[test]
fn text_goes_both_ways() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    let stage = Stage::start();
    let long: String = (0..).map(|i| format!("line {i}: naïve café, 日本語, €\n")).take(6_000).collect();
    assert!(long.len() > 200_000);
    let texts = ["plain", "zwölf Boxkämpfer ☕", long.as_str()];
    for (from, to, way) in
        [(&stage.here, &stage.there, "host to client"), (&stage.there, &stage.here, "client to host")]
    {
        for text in texts {
            let _owner = copy(&stage, from, text);
            let took = until("the text can be pasted on the other side", PATIENCE, || paste(&stage, to) == text);
            println!("clipboard: {} bytes {way} in {took:?}", text.len());
        }
    }
}

fn copy(stage: &Stage, screen: &Screen, text: &str) -> Running {
    let file = stage.dir.write("copied", text).display().to_string();
    let home = stage.dir.join("");
    let owner = screen.run("xclip", &home, &["xclip", "-selection", "clipboard", "-quiet", "-in", &file]);
    until("xclip owns the text", PATIENCE, || paste(stage, screen) == text);
    owner
}

/// What a paste gives; nothing if it fails or takes long.
fn paste(stage: &Stage, screen: &Screen) -> String {
    let home = stage.dir.join("");
    let mut run = screen.run("xclip", &home, &["timeout", "5", "xclip", "-selection", "clipboard", "-out"]);
    run.exit_code(PATIENCE);
    run.all_out()
}
