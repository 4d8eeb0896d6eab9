//! What is copied on one side is pasted on the other, with the tools people script.

use super::process::{PATIENCE, Running, Scratch, have, now, pause, until};
use super::rights::{allow, permissions, permit};
use super::screen::{Screen, exact};
use super::stage::{SIZE, Stage, connect};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use telepane_input::clipboard::files::paths;
use telepane_input::clipboard::{ClipEvent, Clipboard};
use telepane_model::{BitRate, ClipFormats, Rng, Selection, Span, Stamp};
use telepane_transport::relay::LinkModel;

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

/// Runs xclip, and gives what it wrote.
fn xclip(stage: &Stage, screen: &Screen, args: &[&str]) -> Vec<u8> {
    let (home, file) = (stage.dir.join(""), stage.dir.join("pasted"));
    let _ = std::fs::remove_file(&file);
    let line = format!("exec timeout 10 xclip {} > {}", args.join(" "), file.display());
    let mut run = screen.run("xclip", &home, &["sh", "-c", &line]);
    run.exit_code(PATIENCE);
    std::fs::read(&file).unwrap_or_default()
}

/// An owner of `selection` in one kind, as long as it lives.
fn own(stage: &Stage, screen: &Screen, selection: &str, name: &str, contents: &[u8]) -> Running {
    let (home, file) = (stage.dir.join(""), stage.dir.join("copied"));
    std::fs::write(&file, contents).expect("a file");
    let file = file.display().to_string();
    let owner = screen.run("xclip", &home, &["xclip", "-selection", selection, "-t", name, "-quiet", "-in", &file]);
    until("xclip owns it", PATIENCE, || xclip(stage, screen, &["-selection", selection, "-o", "-t", name]) == contents);
    owner
}

// spec: K-50, K-53
#[test]
fn every_kind_goes_both_ways_as_it_was() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    let stage = Stage::start();
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\0\0\0\x02\0\x08\x06\0\0\0".to_vec();
    picture.extend((0..4_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8));
    let kinds: [(&str, &[u8]); 3] = [
        ("text/html", "<p>fett: <b>ä€</b></p>".as_bytes()),
        ("text/rtf", b"{\\rtf1\\ansi {\\b bold}}"),
        ("image/png", &picture),
    ];
    for (from, to, way) in
        [(&stage.here, &stage.there, "host to client"), (&stage.there, &stage.here, "client to host")]
    {
        for (name, contents) in kinds {
            let _owner = own(&stage, from, "clipboard", name, contents);
            let pasted = || xclip(&stage, to, &["-selection", "clipboard", "-o", "-t", name]);
            let took = until("it can be pasted on the other side", PATIENCE, || pasted() == contents);
            let targets = xclip(&stage, to, &["-selection", "clipboard", "-o", "-t", "TARGETS"]);
            let targets = String::from_utf8_lossy(&targets).into_owned();
            assert!(targets.contains(name) && !targets.contains("UTF8_STRING"), "{targets}");
            println!("clipboard: {} bytes of {name} {way} in {took:?}", contents.len());
        }
    }
    // What might act on its own is pasted nowhere.
    let _owner = own(&stage, &stage.here, "clipboard", "text/html", b"<script>alert(1)</script>");
    pause(Duration::from_millis(500));
    assert_eq!(xclip(&stage, &stage.there, &["-selection", "clipboard", "-o", "-t", "text/html"]), b"");
}

/// On the wire between the two programs: what was copied stays where it is until somebody pastes it.
// spec: K-17
#[test]
fn no_byte_of_contents_is_on_the_wire_before_a_paste() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    let stage = Stage::with(&[], &[], Some(LinkModel::default()));
    let relay = stage.relay.as_ref().expect("there is a link");
    let mut rng = Rng::new(26);
    // Letters that nothing makes fewer bytes of than three quarters.
    let noise: String = (0..1_000_000).map(|_| char::from(b'0' + (rng.next_u64() % 64) as u8)).collect();
    for (from, to, down) in [(&stage.here, &stage.there, true), (&stage.there, &stage.here, false)] {
        let sent = || if down { relay.counters().down.bytes_out } else { relay.counters().up.bytes_out };
        let offered = || {
            let targets = xclip(&stage, to, &["-selection", "clipboard", "-o", "-t", "TARGETS"]);
            String::from_utf8_lossy(&targets).contains("UTF8_STRING")
        };
        until("nothing is offered yet", PATIENCE, || !offered());
        // A session begins with trains that measure the line, 180 kB in all and up to a second apart.
        until("the line is at rest", PATIENCE, || {
            let before = sent();
            pause(Duration::from_secs(3));
            sent() - before < 5_000
        });
        let before = sent();
        let _owner = copy(&stage, from, &noise);
        until("it is offered", PATIENCE, offered);
        pause(Duration::from_secs(1));
        let idle = sent() - before;
        assert!(paste(&stage, to) == noise, "it can be pasted");
        let pasted = sent() - before - idle;
        let way = if down { "host to client" } else { "client to host" };
        println!("clipboard: {way} {idle} bytes until a second after the copy, {pasted} with the paste");
        assert!(idle < 20_000, "{idle} bytes were sent before anybody pasted");
        assert!(pasted >= 750_000, "{pasted} bytes");
    }
}

/// From the start of the pasting program to its end, beside the same on one machine.
#[test]
fn a_paste_takes_a_round_trip() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    const RTT: Duration = Duration::from_millis(40);
    let link = LinkModel { delay: Span::millis(20), rate: Some(BitRate::mbps(20)), ..LinkModel::default() };
    let stage = Stage::with(&[], &[], Some(link));
    for (from, to, way) in
        [(&stage.here, &stage.there, "host to client"), (&stage.there, &stage.here, "client to host")]
    {
        let text = format!("from {way}");
        let _owner = copy(&stage, from, &text);
        until("it is offered", PATIENCE, || paste(&stage, to) == text);
        let took = |screen: &Screen| {
            let mut times: Vec<Duration> = (0..11)
                .map(|_| {
                    let began = now();
                    assert_eq!(paste(&stage, screen), text);
                    began.elapsed()
                })
                .collect();
            times.sort_unstable();
            times[5]
        };
        let (near, far) = (took(from), took(to));
        println!("clipboard: pasted {way} in {far:?}, on one machine in {near:?}, round trip {RTT:?}");
    }
}

// spec: K-59, K-62
#[test]
fn each_direction_has_its_right() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    for (rights, down, up) in [("clipboard-copy", true, false), ("clipboard-paste", false, true)] {
        let dir = Scratch::new();
        allow(&permissions(&dir), &format!("display {rights}"));
        let stage = Stage::in_dir(dir, &[], &[], None);
        for (from, to, may) in [(&stage.here, &stage.there, down), (&stage.there, &stage.here, up)] {
            let _owner = copy(&stage, from, rights);
            if may {
                until("it can be pasted", PATIENCE, || paste(&stage, to) == rights);
                // Files want a right of their own.
                let _owner = own(&stage, from, "clipboard", "text/uri-list", b"file:///etc/passwd\r\n");
                pause(Duration::from_millis(500));
                let list = xclip(&stage, to, &["-selection", "clipboard", "-o", "-t", "text/uri-list"]);
                assert_eq!(String::from_utf8_lossy(&list), "");
            } else {
                pause(Duration::from_millis(700));
                assert_ne!(paste(&stage, to), rights);
            }
        }
    }
}

/// A password manager on the host: marked there, marked here, and given only to a hand.
// spec: K-58
#[test]
fn a_secret_stays_one() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    let stage = Stage::start();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut manager = Clipboard::open(Some(&stage.here.name), None, Selection::Clipboard).expect("a display");
            manager.offer(ClipFormats::TEXT, true).expect("alive");
            let began = now();
            while !over.load(Ordering::Relaxed) {
                let at = Stamp::from_micros(began.elapsed().as_micros() as u64);
                if let Some(ClipEvent::Wanted { id, .. }) = manager.poll(at).expect("alive") {
                    manager.provide(id, b"hunter2").expect("alive");
                }
                pause(Duration::from_millis(2));
            }
        });
        let ask = |name: &str| xclip(&stage, &stage.there, &["-selection", "clipboard", "-o", "-t", name]);
        until("the mark is here", PATIENCE, || ask("x-kde-passwordManagerHint") == b"secret");
        // No hand has been at work for a while: what reads now is a program.
        pause(Duration::from_millis(2_500));
        assert_eq!(ask("UTF8_STRING"), b"");
        stage.there.click(300, 300);
        let took = until("a hand gets it", PATIENCE, || {
            stage.there.click(300, 300);
            ask("UTF8_STRING") == b"hunter2"
        });
        println!("clipboard: a secret is pasted {took:?} after a click");
        over.store(true, Ordering::Relaxed);
    });
}

// spec: K-50
#[test]
fn the_second_selection_is_shared_where_it_is_wanted() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    for wanted in [true, false] {
        let args: &[&str] = if wanted { &["--primary-selection"] } else { &[] };
        let stage = Stage::with(&[], args, None);
        for (from, to) in [(&stage.here, &stage.there), (&stage.there, &stage.here)] {
            let _owner = own(&stage, from, "primary", "UTF8_STRING", b"selected");
            let pasted = || xclip(&stage, to, &["-selection", "primary", "-o", "-t", "UTF8_STRING"]) == b"selected";
            if wanted {
                until("it can be pasted on the other side", PATIENCE, pasted);
            } else {
                pause(Duration::from_millis(700));
                assert!(!pasted());
            }
        }
    }
}

/// Several viewers of one desktop: what is copied at one is pasted at the others, by each one's own rights.
// spec: K-63
#[test]
fn what_one_viewer_copies_the_others_paste_if_they_may() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    let dir = Scratch::new();
    permit(&permissions(&dir), "%owner% allow builtin\ncarol allow builtin\ncarol disallow clipboard-copy");
    let stage = Stage::in_dir(dir, &["--shared"], &[], None);
    let (second, carols) = (Screen::start(SIZE.0, SIZE.1), Screen::start(SIZE.0, SIZE.1));
    let addr = stage.agent.addr.to_string();
    let _second = connect(&stage.dir, "second", Some(&second), &addr, &["--fullscreen"]);
    let _carol = connect(&stage.dir, "carol", Some(&carols), &addr, &["--fullscreen", "--user", "carol"]);
    exact(&stage.here, &second, PATIENCE);
    exact(&stage.here, &carols, PATIENCE);
    let file = stage.dir.write("plan.txt", "a plan").display().to_string();
    for (from, to) in [(&stage.there, &second), (&second, &stage.there), (&carols, &second)] {
        // The second goes in a pipe.
        for text in [format!("copied on {}", from.name), format!("much on {}\n", from.name).repeat(20_000)] {
            let _owner = copy(&stage, from, &text);
            let took = until("another viewer can paste it", PATIENCE, || paste(&stage, to) == text);
            println!("clipboard: {} bytes from viewer to viewer in {took:?}", text.len());
            until("and so can the desktop", PATIENCE, || paste(&stage, &stage.here) == text);
            if from.name != carols.name {
                assert!(paste(&stage, &carols) != text, "who may copy nothing gets nothing");
            }
        }
        let _owner = own(&stage, from, "clipboard", "text/uri-list", format!("file://{file}\r\n").as_bytes());
        let mut copies = Vec::new();
        until("another viewer has the file", PATIENCE, || {
            copies = paths(&xclip(&stage, to, &["-selection", "clipboard", "-o", "-t", "text/uri-list"]));
            copies.len() == 1 && copies[0] != *file
        });
        assert_eq!(std::fs::read(&copies[0]).expect("a copy"), b"a plan");
    }
}

/// Files go from a viewer on a slow link to another one, and take longer than any end waits for a first byte.
// spec: K-63, K-64
#[test]
fn a_long_way_from_viewer_to_viewer_is_waited_for() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    let link = LinkModel { rate: Some(BitRate::mbps(4)), ..LinkModel::default() };
    let stage = Stage::with(&["--shared"], &[], Some(link));
    let near = Screen::start(SIZE.0, SIZE.1);
    let _near = connect(&stage.dir, "near", Some(&near), &stage.agent.addr.to_string(), &["--fullscreen"]);
    exact(&stage.here, &near, PATIENCE);
    let mut rng = Rng::new(9);
    let noise: Vec<u8> = (0..2_100_000).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
    std::fs::write(stage.dir.join("long"), &noise).expect("a file");
    let address = format!("file://{}\r\n", stage.dir.join("long").display());
    let _owner = own(&stage, &stage.there, "clipboard", "text/uri-list", address.as_bytes());
    until("it is offered", PATIENCE, || {
        let targets = xclip(&stage, &near, &["-selection", "clipboard", "-o", "-t", "TARGETS"]);
        String::from_utf8_lossy(&targets).contains("text/uri-list")
    });
    let (home, file, began) = (stage.dir.join(""), stage.dir.join("came"), now());
    let line = format!("exec xclip -selection clipboard -o -t text/uri-list > {}", file.display());
    let code = near.run("xclip", &home, &["sh", "-c", &line]).exit_code(PATIENCE * 6);
    println!("clipboard: {} bytes from viewer to viewer in {:?}", noise.len(), began.elapsed());
    let came = paths(&std::fs::read(&file).expect("written"));
    assert_eq!((code, came.len()), (0, 1), "the first paste has it");
    assert!(std::fs::read(&came[0]).expect("a copy") == noise);
}

/// A login screen takes keys and no paste.
#[test]
fn the_clipboard_is_typed_on_demand() {
    if !have("clipboard", &["Xvfb", "xclip", "xterm"]) {
        return;
    }
    let stage = Stage::start();
    let file = stage.dir.join("typed");
    let _xterm = stage.terminal(&format!("cat > {}", file.display()));
    let _owner = copy(&stage, &stage.there, "käfer PASS-word 42\nnext line\n");
    until("the client knows of it", PATIENCE, || {
        let targets = xclip(&stage, &stage.here, &["-selection", "clipboard", "-o", "-t", "TARGETS"]);
        String::from_utf8_lossy(&targets).contains("UTF8_STRING")
    });
    stage.there.click(200, 100);
    stage.there.chord('v');
    let typed = || std::fs::read_to_string(&file).unwrap_or_default();
    let took = until("what was typed arrived", PATIENCE, || typed().lines().count() >= 2);
    assert_eq!(typed(), "käfer PASS-word 42\nnext line\n");
    println!("clipboard: typed after {took:?}");
    // The chord's own keys are not stuck.
    super::screen::no_key_held(&stage.here, PATIENCE);
}

// spec: K-60, K-61
#[test]
fn files_are_pasted_as_files() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    let stage = Stage::start();
    let source = stage.dir.join("copied files");
    std::fs::create_dir_all(source.join("tree/deep")).expect("directories");
    let noise: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    std::fs::write(source.join("käse 1%.bin"), &noise).expect("a file");
    std::fs::write(source.join("tree/deep/x"), "x").expect("a file");
    std::os::unix::fs::symlink("/etc/passwd", source.join("tree/link")).expect("a link");
    let address = |name: &str| format!("file://{}/{name}", source.display()).replace(' ', "%20");
    let list = format!("{}\r\n{}\r\n", address("k%C3%A4se%201%25.bin"), address("tree"));
    for (from, to, way) in
        [(&stage.here, &stage.there, "host to client"), (&stage.there, &stage.here, "client to host")]
    {
        let _owner = own(&stage, from, "clipboard", "text/uri-list", list.as_bytes());
        let ask = |name: &str| xclip(&stage, to, &["-selection", "clipboard", "-o", "-t", name]);
        let mut copies = Vec::new();
        let took = until("they can be pasted", PATIENCE, || {
            copies = paths(&ask("text/uri-list"));
            copies.len() == 2 && !copies[0].starts_with(&source)
        });
        println!("clipboard: files of {} bytes {way} in {took:?}", noise.len());
        assert_eq!(copies[0].file_name().and_then(|n| n.to_str()), Some("käse 1%.bin"));
        assert_eq!(std::fs::read(&copies[0]).expect("a copy"), noise);
        assert_eq!(std::fs::read(copies[1].join("deep/x")).expect("a copy"), b"x");
        assert!(copies[1].join("link").symlink_metadata().is_err(), "no link travels");
        let again = ask("x-special/gnome-copied-files");
        assert!(again.starts_with(b"copy\nfile://"), "{}", String::from_utf8_lossy(&again));
        assert_eq!(paths(&again), copies, "pasted again, they are there already");
    }
}

/// Files arrive that nobody means any more: something else was copied while they were on the way.
#[test]
fn files_that_arrive_late_are_not_taken_for_newer_ones() {
    if !have("clipboard", &["Xvfb", "xclip"]) {
        return;
    }
    let link = LinkModel { rate: Some(BitRate::mbps(4)), ..LinkModel::default() };
    let stage = Stage::with(&[], &[], Some(link));
    let mut rng = Rng::new(4);
    let noise: Vec<u8> = (0..150_000).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
    std::fs::write(stage.dir.join("large"), &noise).expect("a file");
    let address = |name: &str| format!("file://{}\r\n", stage.dir.join(name).display());
    let ask = ["-selection", "clipboard", "-o", "-t", "text/uri-list"];
    for (from, to, small) in [(&stage.here, &stage.there, "first"), (&stage.there, &stage.here, "second")] {
        std::fs::write(stage.dir.join(small), small).expect("a file");
        let large = own(&stage, from, "clipboard", "text/uri-list", address("large").as_bytes());
        until("the large one is offered", PATIENCE, || {
            let targets = xclip(&stage, to, &["-selection", "clipboard", "-o", "-t", "TARGETS"]);
            String::from_utf8_lossy(&targets).contains("text/uri-list")
        });
        let home = stage.dir.join("");
        let mut pasting = to.run("xclip", &home, &[&["timeout", "20", "xclip"], &ask[..]].concat());
        pause(Duration::from_millis(700));
        assert_eq!(pasting.ended(), None, "it is on its way");
        drop(large);
        let _small = own(&stage, from, "clipboard", "text/uri-list", address(small).as_bytes());
        let pasted = || paths(&xclip(&stage, to, &ask)).pop().and_then(|path| std::fs::read(path).ok());
        until("the newer one is pasted", PATIENCE, || pasted() == Some(small.into()));
        pasting.exit_code(PATIENCE);
        // All of the older one is here by now, if it ever comes.
        pause(Duration::from_secs(4));
        assert_eq!(pasted(), Some(small.into()));
    }
}
